#include "session/conversation.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "chat/grammar.h"

#include <string.h>

enum { MAX_MESSAGES = 65536 };

hyp_conversation *hyp_conversation_new(void) {
    return calloc(1, sizeof(hyp_conversation));
}

void hyp_conversation_free(hyp_conversation *c) {
    if (c == NULL) return;
    for (size_t i = 0; i < c->n; i++)
        hyp_message_clear(&c->messages[i]);
    free(c->messages);
    yyjson_doc_free(c->tools);
    free(c->tool_choice);
    free(c->grammar);
    free(c->template_text);
    free(c);
}

static int no_memory(hyp_err *err) {
    return hyp_err_set(err, HYP_ENOMEM, "out of memory");
}

static char *valid_text(const char *text) {
    hyp_str valid = {0};
    hyp_utf8_repair(&valid, text, strlen(text));
    if (valid.failed) hyp_str_free(&valid);
    return valid.data != NULL || text[0] != '\0' ? valid.data : strdup("");
}

/* A new last message, zeroed but for role and content. NULL without memory. */
static hyp_message *append(hyp_conversation *c, const char *role, const char *content) {
    if (c->n == c->capacity) {
        size_t capacity = c->capacity == 0 ? 8 : 2 * c->capacity;
        hyp_message *more = realloc(c->messages, capacity * sizeof *more);
        if (more == NULL) return NULL;
        c->messages = more;
        c->capacity = capacity;
    }
    hyp_message *m = &c->messages[c->n];
    *m = (hyp_message){.role = strdup(role), .content = valid_text(content)};
    if (m->role == NULL || m->content == NULL) {
        hyp_message_clear(m);
        return NULL;
    }
    c->n++;
    return m;
}

int hyp_conversation_add(hyp_conversation *c, const char *role, const char *content, hyp_err *err) {
    return append(c, role, content) != NULL ? HYP_OK : no_memory(err);
}

int hyp_conversation_add_first(hyp_conversation *c, const char *role, const char *content, hyp_err *err) {
    if (append(c, role, content) == NULL) return no_memory(err);
    hyp_message first = c->messages[c->n - 1];
    memmove(c->messages + 1, c->messages, (c->n - 1) * sizeof first);
    c->messages[0] = first;
    return HYP_OK;
}

int hyp_conversation_add_answer(hyp_conversation *c, const char *content, const char *thinking, hyp_err *err) {
    hyp_message *m = append(c, "assistant", content);
    if (m == NULL || (thinking != NULL && (m->thinking = valid_text(thinking)) == NULL)) return no_memory(err);
    return HYP_OK;
}

const char *hyp_conversation_system(const hyp_conversation *c) {
    return c->n > 0 && strcmp(c->messages[0].role, "system") == 0 ? c->messages[0].content : NULL;
}

int hyp_conversation_set_system(hyp_conversation *c, const char *text, hyp_err *err) {
    bool had = hyp_conversation_system(c) != NULL;
    if (text != NULL && text[0] != '\0' && hyp_conversation_add_first(c, "system", text, err) != HYP_OK)
        return HYP_ENOMEM;
    size_t old = text != NULL && text[0] != '\0';
    if (!had) return HYP_OK;
    hyp_message_clear(&c->messages[old]);
    memmove(&c->messages[old], &c->messages[old + 1], (c->n - old - 1) * sizeof *c->messages);
    c->n--;
    return HYP_OK;
}

void hyp_conversation_cut(hyp_conversation *c, size_t n) {
    while (c->n > n)
        hyp_message_clear(&c->messages[--c->n]);
}

static char *write_value(yyjson_val *value) {
    return yyjson_val_write(value, YYJSON_WRITE_NOFLAG, NULL);
}

static yyjson_doc *copy_value(yyjson_val *value) {
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, yyjson_val_mut_copy(doc, value));
    yyjson_doc *copy = yyjson_mut_doc_imut_copy(doc, NULL);
    yyjson_mut_doc_free(doc);
    return copy;
}

/* A call's arguments: an object as it is, a string if it holds one, else none. */
static int read_arguments(yyjson_val *value, yyjson_doc **ret) {
    if (yyjson_is_obj(value)) return (*ret = copy_value(value)) != NULL ? HYP_OK : HYP_ENOMEM;
    if (!yyjson_is_str(value)) return HYP_OK;
    yyjson_doc *doc = NULL;
    hyp_err why = HYP_ERR_NONE;
    if (hyp_json_parse(yyjson_get_str(value), yyjson_get_len(value), &doc, &why) == HYP_ENOMEM) return HYP_ENOMEM;
    if (yyjson_is_obj(yyjson_doc_get_root(doc)))
        *ret = doc;
    else
        yyjson_doc_free(doc);
    return HYP_OK;
}

static int add_calls(hyp_message *m, yyjson_val *calls, hyp_err *err) {
    size_t n = yyjson_arr_size(calls), i, max;
    if (n == 0) return err->code;
    m->calls = calloc(n, sizeof *m->calls);
    if (m->calls == NULL) return no_memory(err);
    yyjson_val *call;
    yyjson_arr_foreach(calls, i, max, call) {
        hyp_fields f = {call, "ToolCall", err};
        hyp_fields function = {hyp_field_object(&f, "function"), "ToolCallFunction", err};
        hyp_message_call *to = &m->calls[m->n_calls++];
        to->id = strdup(hyp_field_str(&f, "id", ""));
        to->name = strdup(hyp_field_str(&function, "name", ""));
        if (read_arguments(hyp_field(&function, "arguments"), &to->arguments) != HYP_OK || to->id == NULL ||
            to->name == NULL)
            return no_memory(err);
    }
    return err->code;
}

/* OpenAI's content: a string, or parts of which the texts are joined. */
static int content_text(const hyp_fields *f, hyp_str *ret, bool *ret_images) {
    yyjson_val *content = hyp_field(f, "content"), *part;
    if (content == NULL) return HYP_OK;
    if (yyjson_is_str(content)) {
        hyp_str_append(ret, yyjson_get_str(content), yyjson_get_len(content));
        return HYP_OK;
    }
    if (!yyjson_is_arr(content))
        return hyp_err_set(f->err, HYP_EFORMAT, "invalid message content type: %s", hyp_json_kind(content));
    size_t i, n;
    yyjson_arr_foreach(content, i, n, part) {
        hyp_fields p = {part, "content", f->err};
        const char *type = hyp_field_str(&p, "type", "text");
        if (strcmp(type, "image_url") == 0 || strcmp(type, "input_image") == 0)
            *ret_images = true;
        else if (ret->length > 0)
            hyp_str_puts(ret, "\n");
        hyp_str_puts(ret, hyp_field_str(&p, "text", ""));
    }
    return f->err->code;
}

static int copy_field(const hyp_fields *f, const char *key, char **ret) {
    const char *text = hyp_field_str(f, key, "");
    if (f->err->code != 0) return f->err->code;
    if (text[0] != '\0' && (*ret = strdup(text)) == NULL) return no_memory(f->err);
    return HYP_OK;
}

static int add_message(hyp_conversation *c, yyjson_val *message, bool openai, hyp_err *err) {
    hyp_fields f = {message, "Message", err};
    if (!yyjson_is_obj(message))
        return hyp_err_set(err, HYP_EFORMAT,
                           "json: cannot unmarshal %s into Go struct field ChatRequest.messages of type api.Message",
                           hyp_json_kind(message));
    hyp_str content = {0};
    bool images = false;
    int r = HYP_OK;
    if (openai)
        r = content_text(&f, &content, &images);
    else
        hyp_str_puts(&content, hyp_field_str(&f, "content", ""));
    const char *role = hyp_field_str(&f, "role", "");
    if (strcmp(role, "developer") == 0) role = "system"; /* OpenAI's newer name */
    if (r == HYP_OK && err->code == 0 && role[0] == '\0') r = hyp_err_set(err, HYP_EFORMAT, "invalid role: \"\"");
    if (r != HYP_OK || err->code != 0) {
        hyp_str_free(&content);
        return err->code;
    }
    hyp_message *m = append(c, role, content.length > 0 ? content.data : "");
    hyp_str_free(&content);
    if (m == NULL) return no_memory(err);
    m->has_images = images || yyjson_arr_size(hyp_field_array(&f, "images")) > 0;
    r = copy_field(&f, "thinking", &m->thinking);
    if (r == HYP_OK && m->thinking == NULL) r = copy_field(&f, "reasoning", &m->thinking);
    if (r == HYP_OK && m->thinking == NULL) r = copy_field(&f, "reasoning_content", &m->thinking);
    if (r == HYP_OK) r = copy_field(&f, openai ? "name" : "tool_name", &m->tool_name);
    if (r == HYP_OK) r = copy_field(&f, "tool_call_id", &m->tool_call_id);
    return r == HYP_OK ? add_calls(m, hyp_field_array(&f, "tool_calls"), err) : r;
}

/* A tool's result names its call by id alone in OpenAI's form: find the function's name, which templates want. */
static int name_results(hyp_conversation *c, hyp_err *err) {
    for (size_t i = 0; i < c->n; i++) {
        hyp_message *m = &c->messages[i];
        if (m->tool_call_id == NULL || m->tool_name != NULL) continue;
        for (size_t j = i; j-- > 0 && m->tool_name == NULL;)
            for (size_t k = 0; k < c->messages[j].n_calls && m->tool_name == NULL; k++)
                if (strcmp(c->messages[j].calls[k].id, m->tool_call_id) == 0 &&
                    (m->tool_name = strdup(c->messages[j].calls[k].name)) == NULL)
                    return no_memory(err);
    }
    return HYP_OK;
}

static int add_all(hyp_conversation *c, yyjson_val *messages, bool openai, hyp_err *err) {
    size_t i, n;
    yyjson_val *message;
    if (yyjson_arr_size(messages) > MAX_MESSAGES)
        return hyp_err_set(err, HYP_ELIMIT, "more than %d messages", MAX_MESSAGES);
    yyjson_arr_foreach(messages, i, n, message) {
        int r = add_message(c, message, openai, err);
        if (r != HYP_OK) return r;
    }
    return name_results(c, err);
}

int hyp_conversation_add_ollama(hyp_conversation *c, yyjson_val *messages, hyp_err *err) {
    return add_all(c, messages, false, err);
}

int hyp_conversation_add_openai(hyp_conversation *c, yyjson_val *messages, hyp_err *err) {
    return add_all(c, messages, true, err);
}

int hyp_conversation_set_tools(hyp_conversation *c, yyjson_val *tools, hyp_err *err) {
    size_t i, n;
    yyjson_val *tool;
    if (yyjson_arr_size(tools) == 0) return HYP_OK;
    yyjson_arr_foreach(tools, i, n, tool) {
        hyp_fields f = {tool, "Tool", err};
        hyp_fields function = {hyp_field_object(&f, "function"), "ToolFunction", err};
        if (err->code == 0 && hyp_field_str(&function, "name", "")[0] == '\0')
            hyp_err_set(err, HYP_EFORMAT, "invalid tool: function.name is required");
        if (err->code != 0) return err->code;
    }
    yyjson_doc_free(c->tools);
    c->tools = copy_value(tools);
    return c->tools != NULL ? HYP_OK : no_memory(err);
}

int hyp_conversation_set_template(hyp_conversation *c, const char *text, hyp_err *err) {
    if (text == NULL) return HYP_OK;
    char *copy = strdup(text);
    if (copy == NULL) return no_memory(err);
    free(c->template_text);
    c->template_text = copy;
    return HYP_OK;
}

int hyp_conversation_set_format(hyp_conversation *c, yyjson_val *format, hyp_err *err) {
    if (format == NULL || yyjson_is_null(format)) return HYP_OK;
    if (yyjson_is_str(format) && yyjson_get_len(format) == 0) return HYP_OK;
    hyp_err why = HYP_ERR_NONE;
    hyp_str grammar = {0};
    if (yyjson_equals_str(format, "json"))
        hyp_str_puts(&grammar, hyp_grammar_json());
    else if (!yyjson_is_obj(format)) {
        HYP_AUTOFREE char *text = write_value(format);
        hyp_err_set(&why, HYP_EFORMAT, "%.80s", text != NULL ? text : "?");
    } else if (hyp_grammar_from_schema(format, &grammar, &why) == HYP_ENOMEM)
        grammar.failed = true;
    if (grammar.failed) {
        hyp_str_free(&grammar);
        return no_memory(err);
    }
    if (why.code != 0)
        return hyp_err_set(err, HYP_EFORMAT, "invalid format: %.180s; expected \"json\" or a valid JSON Schema object",
                           why.message);
    free(c->grammar);
    c->grammar = grammar.data;
    return HYP_OK;
}

int hyp_conversation_set_think(hyp_conversation *c, yyjson_val *think, hyp_err *err) {
    static const struct {
        const char *word, *effort;
        hyp_think think;
    } words[] = {{"low", "low", HYP_THINK_ON},  {"medium", "medium", HYP_THINK_ON}, {"high", "high", HYP_THINK_ON},
                 {"max", "high", HYP_THINK_ON}, {"true", NULL, HYP_THINK_ON},       {"false", NULL, HYP_THINK_OFF},
                 {"none", NULL, HYP_THINK_OFF}, {"minimal", "low", HYP_THINK_ON},   {"xhigh", "high", HYP_THINK_ON}};
    if (think == NULL || yyjson_is_null(think)) return HYP_OK;
    if (yyjson_is_bool(think)) {
        c->think = yyjson_get_bool(think) ? HYP_THINK_ON : HYP_THINK_OFF;
        return HYP_OK;
    }
    for (size_t i = 0; i < HYP_ARRAY_LEN(words); i++) {
        if (!yyjson_equals_str(think, words[i].word)) continue;
        c->think = words[i].think;
        c->effort = words[i].effort;
        return HYP_OK;
    }
    return hyp_err_set(
        err, HYP_EFORMAT,
        "invalid think value: \"%.40s\" (must be \"high\", \"medium\", \"low\", \"max\", true, or false)",
        yyjson_is_str(think) ? yyjson_get_str(think) : hyp_json_kind(think));
}

static void write_call(hyp_json *j, const hyp_message_call *call) {
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "id", call->id);
    hyp_json_kv_str(j, "type", "function");
    hyp_json_key(j, "function");
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "name", call->name);
    hyp_json_key(j, "arguments");
    HYP_AUTOFREE char *arguments = call->arguments != NULL ? yyjson_write(call->arguments, 0, NULL) : NULL;
    if (arguments != NULL)
        hyp_json_raw(j, arguments, strlen(arguments));
    else
        hyp_json_raw(j, "{}", 2);
    hyp_json_close(j, '}');
    hyp_json_close(j, '}');
}

void hyp_conversation_write(const hyp_conversation *c, hyp_str *out) {
    hyp_json j = {out, false};
    hyp_json_open(&j, '[');
    for (size_t i = 0; i < c->n; i++) {
        const hyp_message *m = &c->messages[i];
        hyp_json_open(&j, '{');
        hyp_json_kv_str(&j, "role", m->role);
        hyp_json_kv_str(&j, "content", m->content);
        if (m->thinking != NULL) hyp_json_kv_str(&j, "thinking", m->thinking);
        if (m->tool_name != NULL) hyp_json_kv_str(&j, "tool_name", m->tool_name);
        if (m->tool_call_id != NULL) hyp_json_kv_str(&j, "tool_call_id", m->tool_call_id);
        if (m->n_calls > 0) {
            hyp_json_key(&j, "tool_calls");
            hyp_json_open(&j, '[');
            for (size_t k = 0; k < m->n_calls; k++)
                write_call(&j, &m->calls[k]);
            hyp_json_close(&j, ']');
        }
        hyp_json_close(&j, '}');
    }
    hyp_json_close(&j, ']');
}

bool hyp_conversation_has_images(const hyp_conversation *c) {
    for (size_t i = 0; i < c->n; i++)
        if (c->messages[i].has_images) return true;
    return false;
}

size_t hyp_conversation_next_droppable(const hyp_conversation *c, const bool *dropped) {
    for (size_t i = 0; i + 1 < c->n; i++)
        if (!dropped[i] && strcmp(c->messages[i].role, "system") != 0) return i;
    return SIZE_MAX;
}
