/* anthropic.c - POST /v1/messages: Anthropic's form of a chat, whole and streamed.
 *
 * A request is rewritten in OpenAI's form, which conversations are read from: blocks of text become content, tool_use becomes calls,
 * a tool_result a message of its own before what the user says beside it. What a stream says is cut into content blocks: one of text or
 * reasoning as long as nothing else comes between, one for every call. */
#include "base/mem.h"
#include "server/api.h"

#include <string.h>

/* --- answers --- */

static void begin(hyp_str *out, const char *type, hyp_json *ret) {
    hyp_str_printf(out, "event: %s\ndata: ", type);
    *ret = (hyp_json){out, false};
    hyp_json_open(ret, '{');
    hyp_json_kv_str(ret, "type", type);
}

static void end(hyp_json *j) {
    hyp_json_close(j, '}');
    hyp_str_puts(j->out, "\n\n");
}

static void put_null(hyp_json *j, const char *key) {
    hyp_json_key(j, key);
    hyp_json_null(j);
}

/* What was found in memory is told apart from what was evaluated. */
static void put_usage(hyp_json *j, const hyp_stats *stats) {
    hyp_json_key(j, "usage");
    hyp_json_open(j, '{');
    hyp_json_kv_int(j, "input_tokens", stats->n_prompt - stats->n_cached);
    hyp_json_kv_int(j, "cache_creation_input_tokens", 0);
    hyp_json_kv_int(j, "cache_read_input_tokens", stats->n_cached);
    hyp_json_kv_int(j, "output_tokens", stats->n_eval);
    hyp_json_close(j, '}');
}

static void put_head(hyp_json *j, const gen *g) {
    hyp_json_kv_str(j, "id", g->id);
    hyp_json_kv_str(j, "type", "message");
    hyp_json_kv_str(j, "role", "assistant");
    hyp_json_kv_str(j, "model", g->job->model);
}

static void put_reason(hyp_json *j, const gen *g, const hyp_event *event) {
    hyp_json_kv_str(j, "stop_reason",
                    g->n_calls > 0                         ? "tool_use"
                    : strcmp(event->reason, "length") == 0 ? "max_tokens"
                    : event->stop != NULL                  ? "stop_sequence"
                                                           : "end_turn");
    hyp_json_kv_str(j, "stop_sequence", event->stop); /* null where there is none */
}

/* The prompt's length is not known yet: it comes with message_delta. */
static void start_message(gen *g, hyp_str *out) {
    static const hyp_stats none;
    hyp_json j;
    begin(out, "message_start", &j);
    hyp_json_key(&j, "message");
    hyp_json_open(&j, '{');
    put_head(&j, g);
    hyp_json_key(&j, "content");
    hyp_json_open(&j, '[');
    hyp_json_close(&j, ']');
    put_null(&j, "stop_reason");
    put_null(&j, "stop_sequence");
    put_usage(&j, &none);
    hyp_json_close(&j, '}');
    end(&j);
}

static void close_block(gen *g, hyp_str *out) {
    if (g->block == NULL) return;
    hyp_json j;
    begin(out, "content_block_stop", &j);
    hyp_json_kv_int(&j, "index", g->n_blocks++);
    end(&j);
    g->block = NULL;
}

/* `kind`: "text", "thinking" or "tool_use", of which each is a block of its own. */
static void open_block(gen *g, const char *kind, const hyp_event *event, hyp_str *out) {
    bool call = event->kind == HYP_EVENT_TOOL_CALL;
    if (!call && g->block != NULL && strcmp(g->block, kind) == 0) return;
    close_block(g, out);
    hyp_json j;
    begin(out, "content_block_start", &j);
    hyp_json_kv_int(&j, "index", g->n_blocks);
    hyp_json_key(&j, "content_block");
    hyp_json_open(&j, '{');
    hyp_json_kv_str(&j, "type", kind);
    if (call) {
        hyp_json_kv_str(&j, "id", event->tool_id);
        hyp_json_kv_str(&j, "name", event->tool_name);
        hyp_json_key(&j, "input");
        hyp_json_open(&j, '{');
        hyp_json_close(&j, '}');
    } else
        hyp_json_kv_str(&j, kind, "");
    hyp_json_close(&j, '}');
    end(&j);
    g->block = kind;
}

static void put_delta(const gen *g, const char *type, const char *key, const char *text, hyp_str *out) {
    hyp_json j;
    begin(out, "content_block_delta", &j);
    hyp_json_kv_int(&j, "index", g->n_blocks);
    hyp_json_key(&j, "delta");
    hyp_json_open(&j, '{');
    hyp_json_kv_str(&j, "type", type);
    hyp_json_kv_str(&j, key, text);
    hyp_json_close(&j, '}');
    end(&j);
}

static void chunk(gen *g, const hyp_event *event, hyp_str *out) {
    if (!g->spoke) start_message(g, out);
    if (event->thinking != NULL) {
        open_block(g, "thinking", event, out);
        put_delta(g, "thinking_delta", "thinking", event->thinking, out);
    }
    if (event->content != NULL) {
        open_block(g, "text", event, out);
        put_delta(g, "text_delta", "text", event->content, out);
    }
    if (event->kind == HYP_EVENT_TOOL_CALL) {
        open_block(g, "tool_use", event, out);
        put_delta(g, "input_json_delta", "partial_json", event->tool_arguments, out);
    }
}

static void done_stream(gen *g, const hyp_event *event, hyp_str *out) {
    hyp_json j;
    if (!g->spoke) start_message(g, out);
    close_block(g, out);
    begin(out, "message_delta", &j);
    hyp_json_key(&j, "delta");
    hyp_json_open(&j, '{');
    put_reason(&j, g, event);
    hyp_json_close(&j, '}');
    put_usage(&j, &event->stats);
    end(&j);
    begin(out, "message_stop", &j);
    end(&j);
}

static void put_text_block(hyp_json *j, const char *kind, const hyp_str *text) {
    if (text->length == 0) return;
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "type", kind);
    hyp_json_key(j, kind);
    hyp_json_strn(j, text->data, text->length);
    if (strcmp(kind, "thinking") == 0) hyp_json_kv_str(j, "signature", "");
    hyp_json_close(j, '}');
}

static void done(gen *g, const hyp_event *event, hyp_str *out) {
    if (g->stream) {
        done_stream(g, event, out);
        return;
    }
    hyp_json j = {out, false};
    hyp_json_open(&j, '{');
    put_head(&j, g);
    hyp_json_key(&j, "content");
    hyp_json_open(&j, '[');
    put_text_block(&j, "thinking", &g->thinking);
    put_text_block(&j, "text", &g->content);
    for (const hyp_event *e = g->kept; e != NULL; e = e->next) {
        if (e->kind != HYP_EVENT_TOOL_CALL) continue;
        hyp_json_open(&j, '{');
        hyp_json_kv_str(&j, "type", "tool_use");
        hyp_json_kv_str(&j, "id", e->tool_id);
        hyp_json_kv_str(&j, "name", e->tool_name);
        hyp_json_key(&j, "input");
        hyp_json_raw(&j, e->tool_arguments, strlen(e->tool_arguments));
        hyp_json_close(&j, '}');
    }
    hyp_json_close(&j, ']');
    put_reason(&j, g, event);
    put_usage(&j, &event->stats);
    hyp_json_close(&j, '}');
}

static const gen_ops ops = {chunk, done, EVENT_STREAM, V1_JSON, STYLE_ANTHROPIC};

/* --- requests --- */

static void put(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, yyjson_val *value) {
    if (value != NULL) yyjson_mut_obj_add_val(doc, object, key, yyjson_val_mut_copy(doc, value));
}

static yyjson_mut_val *add_message(yyjson_mut_doc *doc, const char *role) {
    yyjson_mut_val *message = yyjson_mut_arr_add_obj(doc, yyjson_mut_doc_get_root(doc));
    yyjson_mut_obj_add_strcpy(doc, message, "role", role);
    return message;
}

/* Text blocks are OpenAI's parts already; an image is given the name by which it is refused. */
static void add_part(yyjson_mut_doc *doc, yyjson_mut_val *parts, yyjson_val *block, const char *type) {
    if (strcmp(type, "text") == 0)
        yyjson_mut_arr_append(parts, yyjson_val_mut_copy(doc, block));
    else if (strcmp(type, "image") == 0 || strcmp(type, "document") == 0)
        yyjson_mut_obj_add_str(doc, yyjson_mut_arr_add_obj(doc, parts), "type", "image_url");
}

static void add_call(yyjson_mut_doc *doc, yyjson_mut_val *calls, yyjson_val *block) {
    yyjson_mut_val *call = yyjson_mut_arr_add_obj(doc, calls);
    put(doc, call, "id", yyjson_obj_get(block, "id"));
    yyjson_mut_val *function = yyjson_mut_obj_add_obj(doc, call, "function");
    put(doc, function, "name", yyjson_obj_get(block, "name"));
    put(doc, function, "arguments", yyjson_obj_get(block, "input"));
}

static void add_result(yyjson_mut_doc *doc, yyjson_val *block) {
    yyjson_mut_val *message = add_message(doc, "tool");
    put(doc, message, "tool_call_id", yyjson_obj_get(block, "tool_use_id"));
    put(doc, message, "content", yyjson_obj_get(block, "content"));
}

static bool add_turn(api *a, yyjson_mut_doc *doc, yyjson_val *turn) {
    hyp_fields f = {turn, "messages", &a->err};
    const char *role = hyp_field_str(&f, "role", "");
    yyjson_val *content = hyp_field(&f, "content"), *block;
    bool assistant = strcmp(role, "assistant") == 0;
    if (a->err.code != 0) return api_fail(a);
    if (!assistant && strcmp(role, "user") != 0)
        return api_error(a, 400, "messages: role must be \"user\" or \"assistant\", not \"%.40s\"", role);
    if (!yyjson_is_arr(content)) return put(doc, add_message(doc, role), "content", content), true;
    yyjson_mut_val *parts = yyjson_mut_arr(doc), *calls = yyjson_mut_arr(doc);
    yyjson_val *thinking = NULL;
    size_t i, n;
    yyjson_arr_foreach(content, i, n, block) {
        hyp_fields b = {block, "content", &a->err};
        const char *type = hyp_field_str(&b, "type", "");
        if (a->err.code != 0) return api_fail(a);
        add_part(doc, parts, block, type);
        if (strcmp(type, "tool_use") == 0) add_call(doc, calls, block);
        if (strcmp(type, "tool_result") == 0) add_result(doc, block);
        if (strcmp(type, "thinking") == 0) thinking = yyjson_obj_get(block, "thinking");
    }
    if (!assistant && yyjson_mut_arr_size(parts) == 0) return true; /* nothing but results of tools */
    yyjson_mut_val *message = add_message(doc, role);
    yyjson_mut_obj_add_val(doc, message, "content", parts);
    if (yyjson_mut_arr_size(calls) > 0) yyjson_mut_obj_add_val(doc, message, "tool_calls", calls);
    put(doc, message, "thinking", thinking);
    return true;
}

/* Hand a finished list to one of the conversation's readers. */
static bool take(api *a, hyp_conversation *c, yyjson_mut_doc *doc,
                 int (*reader)(hyp_conversation *, yyjson_val *, hyp_err *)) {
    yyjson_doc *fixed = yyjson_mut_doc_imut_copy(doc, NULL);
    int r = fixed != NULL ? reader(c, yyjson_doc_get_root(fixed), &a->err)
                          : hyp_err_set(&a->err, HYP_ENOMEM, "out of memory");
    yyjson_doc_free(fixed);
    return r == HYP_OK || api_fail(a);
}

static bool read_messages(api *a, hyp_conversation *c, yyjson_mut_doc *doc) {
    yyjson_val *messages = hyp_field_array(&a->f, "messages"), *system = hyp_field(&a->f, "system"), *turn;
    size_t i, n;
    if (a->err.code != 0) return api_fail(a);
    if (yyjson_arr_size(messages) == 0) return api_error(a, 400, "messages: at least one message is required");
    yyjson_mut_doc_set_root(doc, yyjson_mut_arr(doc));
    if (system != NULL)
        put(doc, add_message(doc, "system"), "content", system);
    else if (a->entry->system != NULL)
        yyjson_mut_obj_add_strcpy(doc, add_message(doc, "system"), "content", a->entry->system);
    yyjson_arr_foreach(messages, i, n, turn) if (!add_turn(a, doc, turn)) return false;
    if (!take(a, c, doc, hyp_conversation_add_openai)) return false;
    return !hyp_conversation_has_images(c) || api_error(a, 400, "\"%s\" does not support images", a->model);
}

static bool read_tools(api *a, hyp_conversation *c, yyjson_mut_doc *doc) {
    yyjson_val *tools = hyp_field_array(&a->f, "tools"), *tool, *choice = hyp_field_object(&a->f, "tool_choice");
    hyp_fields f = {choice, "tool_choice", &a->err};
    const char *type = hyp_field_str(&f, "type", "auto"), *name = hyp_field_str(&f, "name", "");
    c->one_call = hyp_field_bool(&f, "disable_parallel_tool_use", false);
    size_t i, n;
    bool named = strcmp(type, "tool") == 0, found = false;
    if (a->err.code != 0) return api_fail(a);
    if (yyjson_arr_size(tools) == 0) return true;
    if ((a->entry->summary.capabilities & HYP_CAN_TOOLS) == 0)
        return api_error(a, 400, "%s does not support tools", a->entry->display);
    yyjson_mut_doc_set_root(doc, yyjson_mut_arr(doc));
    yyjson_arr_foreach(tools, i, n, tool) {
        yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, yyjson_mut_doc_get_root(doc));
        yyjson_mut_obj_add_str(doc, object, "type", "function");
        yyjson_mut_val *function = yyjson_mut_obj_add_obj(doc, object, "function");
        put(doc, function, "name", yyjson_obj_get(tool, "name"));
        put(doc, function, "description", yyjson_obj_get(tool, "description"));
        put(doc, function, "parameters", yyjson_obj_get(tool, "input_schema"));
        found |= yyjson_equals_str(yyjson_obj_get(tool, "name"), name);
    }
    if (named && !found) return api_error(a, 400, "tool_choice names \"%.100s\", which is not among the tools", name);
    c->tool_choice = strdup(named ? name : strcmp(type, "any") == 0 ? "required" : type);
    if (c->tool_choice == NULL) return api_error(a, 500, "out of memory");
    return take(a, c, doc, hyp_conversation_set_tools);
}

static bool read_sampling(api *a, hyp_params *p) {
    hyp_fields *f = &a->f;
    p->num_predict = hyp_field_int(f, "max_tokens", 0);
    p->temperature = hyp_field_real(f, "temperature", 1.0);
    p->top_p = hyp_field_real(f, "top_p", 1.0);
    p->top_k = hyp_field_int(f, "top_k", p->top_k);
    if (a->err.code != 0 || hyp_params_set_stop(p, hyp_field(f, "stop_sequences"), &a->err) != HYP_OK)
        return api_fail(a);
    if (p->num_predict < 1) return api_error(a, 400, "max_tokens: a positive number is required");
    if (p->temperature < 0 || p->temperature > 2) return api_error(a, 400, "temperature must be between 0 and 2");
    if (p->top_p < 0 || p->top_p > 1) return api_error(a, 400, "top_p must be between 0 and 1");
    if (p->top_k < 0 || p->top_k > INT32_MAX) return api_error(a, 400, "top_k must not be negative");
    return true;
}

/* Reasoning has to be asked for here; models that cannot are asked all the same. */
static bool read_thinking(api *a, hyp_conversation *c) {
    hyp_fields f = {hyp_field_object(&a->f, "thinking"), "thinking", &a->err};
    const char *type = hyp_field_str(&f, "type", "disabled");
    if (a->err.code != 0) return api_fail(a);
    bool on = strcmp(type, "disabled") != 0 && (a->entry->summary.capabilities & HYP_CAN_THINK) != 0;
    c->think = on ? HYP_THINK_ON : HYP_THINK_OFF;
    return true;
}

static bool fill(api *a, hyp_job *job) {
    hyp_conversation *c = job->conversation = hyp_conversation_new();
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    bool good = c != NULL && doc != NULL;
    if (!good)
        api_error(a, 500, "out of memory");
    else if ((a->entry->summary.capabilities & HYP_CAN_COMPLETE) == 0)
        good = api_error(a, 400, "\"%s\" does not support chat", a->model);
    else if (hyp_conversation_set_template(c, hyp_entry_chat_template(a->entry), &a->err) != HYP_OK)
        good = api_fail(a);
    else
        good =
            read_messages(a, c, doc) && read_tools(a, c, doc) && read_sampling(a, &job->params) && read_thinking(a, c);
    yyjson_mut_doc_free(doc);
    return good;
}

void anthropic_messages(hyp_request *r, void *server) {
    api a;
    if (api_open(&a, server, r, "MessagesRequest") && api_find_model(&a)) {
        bool stream = hyp_field_bool(&a.f, "stream", false);
        hyp_job *job = api_new_job(&a, HYP_JOB_CHAT);
        if (job != NULL && !fill(&a, job))
            hyp_job_unref(job);
        else if (job != NULL) {
            gen *g = gen_start_with(&a, job, &ops, stream);
            if (g != NULL) gen_new_id("msg_", g->id, sizeof g->id);
        }
    }
    api_close(&a);
}
