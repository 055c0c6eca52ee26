/* openai_responses.c - POST /v1/responses, the requests: OpenAI's newer form of a chat, as Ollama has it.
 *
 * Nothing is kept between requests, so what refers to something kept is refused. A request is rewritten in the older
 * form, which conversations are read from: items that follow each other become one message where a template wants one
 * (the reasoning, text and calls of an answer; the instructions and the system messages after them). */
#include "api/openai_responses_priv.h"

#include "api/openai_priv.h"
#include "api/rewrite_priv.h"
#include "base/mem.h"

#include <string.h>

/* Instructions, tools and schemas longer than this in all are not repeated: a stream repeats them three times. */
enum { ECHO_MAX_BYTES = 1 << 20 };

/* --- input --- */

typedef struct reader {
    api *a;
    yyjson_mut_doc *doc;
    size_t index;              /* of the item */
    yyjson_mut_val *assistant; /* the message that items of an answer are added to, or NULL */
    yyjson_mut_val *system;    /* the content of the system message, while there are no other messages */
} reader;

static bool bad_item(const reader *r, const char *what, const char *value) {
    return hyp_api_error(r->a, 400, "input[%zu]: %s \"%.40s\" is not supported", r->index, what, value);
}

static bool add_part(reader *r, yyjson_mut_val *parts, yyjson_val *part) {
    hyp_fields f = {part, "content", &r->a->err};
    const char *type = hyp_field_str(&f, "type", "");
    bool refusal = strcmp(type, "refusal") == 0;
    yyjson_val *text = hyp_field(&f, refusal ? "refusal" : "text");
    if (r->a->err.code != 0) return hyp_api_fail(r->a);
    if (strcmp(type, "input_image") == 0) {
        hyp_rewrite_add_image(r->doc, parts);
        return true;
    }
    if (!refusal && strcmp(type, "input_text") != 0 && strcmp(type, "output_text") != 0 && strcmp(type, "text") != 0)
        return bad_item(r, "content of type", type);
    if (!yyjson_is_str(text)) return hyp_api_error(r->a, 400, "input[%zu]: a part without text", r->index);
    hyp_rewrite_add_text(r->doc, parts, text);
    return true;
}

/* A string or a list of parts. */
static bool add_content(reader *r, yyjson_mut_val *parts, yyjson_val *content) {
    yyjson_val *part;
    size_t i, n;
    if (yyjson_is_str(content)) hyp_rewrite_add_text(r->doc, parts, content);
    if (content != NULL && !yyjson_is_str(content) && !yyjson_is_arr(content))
        return hyp_api_error(r->a, 400, "input[%zu]: content must be a string or a list", r->index);
    yyjson_arr_foreach(content, i, n, part)
        if (!add_part(r, parts, part)) return false;
    return true;
}

static yyjson_mut_val *list_in(yyjson_mut_doc *doc, yyjson_mut_val *message, const char *key) {
    yyjson_mut_val *list = yyjson_mut_obj_get(message, key);
    return list != NULL ? list : yyjson_mut_obj_add_arr(doc, message, key);
}

/* The assistant's message that goes on, or a new one, always where the open one has the field `unless`. */
static yyjson_mut_val *assistant_message(reader *r, const char *unless) {
    yyjson_mut_val *calls = yyjson_mut_obj_get(r->assistant, "tool_calls");
    bool closed = unless != NULL && (calls != NULL || yyjson_mut_obj_get(r->assistant, unless) != NULL ||
                                     yyjson_mut_obj_get(r->assistant, "content") != NULL);
    if (r->assistant == NULL || closed) r->assistant = hyp_rewrite_add_message(r->doc, "assistant");
    r->system = NULL;
    return r->assistant;
}

static bool read_message(reader *r, const hyp_fields *item) {
    const char *role = hyp_field_str(item, "role", "");
    yyjson_val *content = hyp_field(item, "content");
    if (r->a->err.code != 0) return hyp_api_fail(r->a);
    if (strcmp(role, "assistant") == 0)
        return add_content(r, list_in(r->doc, assistant_message(r, "content"), "content"), content);
    bool system = strcmp(role, "system") == 0 || strcmp(role, "developer") == 0;
    if (!system && strcmp(role, "user") != 0) return bad_item(r, "role", role);
    r->assistant = NULL;
    if (system && r->system != NULL) return add_content(r, r->system, content);
    bool first = yyjson_mut_arr_size(yyjson_mut_doc_get_root(r->doc)) == 0;
    yyjson_mut_val *parts =
        yyjson_mut_obj_add_arr(r->doc, hyp_rewrite_add_message(r->doc, system ? "system" : "user"), "content");
    r->system = system && first ? parts : NULL;
    return add_content(r, parts, content);
}

/* The texts of `content`, or else of `summary`, of which clients send back one. */
static bool read_reasoning(reader *r, const hyp_fields *item) {
    yyjson_val *list = hyp_field_array(item, "content"), *part;
    hyp_str text = {0};
    size_t i, n;
    if (yyjson_arr_size(list) == 0) list = hyp_field_array(item, "summary");
    yyjson_arr_foreach(list, i, n, part) {
        const char *piece = yyjson_get_str(yyjson_obj_get(part, "text"));
        if (piece == NULL) continue;
        if (text.length > 0) hyp_str_puts(&text, "\n");
        hyp_str_puts(&text, piece);
    }
    if (text.length > 0)
        yyjson_mut_obj_add_strncpy(r->doc, assistant_message(r, "thinking"), "thinking", text.data, text.length);
    hyp_str_free(&text);
    return r->a->err.code == 0 || hyp_api_fail(r->a);
}

static bool read_call(reader *r, const hyp_fields *item) {
    if (hyp_field_str(item, "name", "")[0] == '\0')
        return r->a->err.code != 0 ? hyp_api_fail(r->a)
                                   : hyp_api_error(r->a, 400, "input[%zu]: name is required", r->index);
    yyjson_mut_val *calls = list_in(r->doc, assistant_message(r, NULL), "tool_calls");
    hyp_rewrite_add_call(r->doc, calls, hyp_field(item, "call_id"), hyp_field(item, "name"),
                         hyp_field(item, "arguments"));
    return true;
}

static bool read_result(reader *r, const hyp_fields *item) {
    yyjson_mut_val *message = hyp_rewrite_add_result(r->doc, hyp_field(item, "call_id"));
    r->assistant = r->system = NULL;
    return add_content(r, yyjson_mut_obj_add_arr(r->doc, message, "content"), hyp_field(item, "output"));
}

static bool read_item(reader *r, yyjson_val *value) {
    hyp_fields item = {value, "input", &r->a->err};
    const char *type = hyp_field_str(&item, "type", hyp_field(&item, "role") != NULL ? "message" : "");
    if (r->a->err.code != 0) return hyp_api_fail(r->a);
    if (strcmp(type, "message") == 0) return read_message(r, &item);
    if (strcmp(type, "reasoning") == 0) return read_reasoning(r, &item);
    if (strcmp(type, "function_call") == 0) return read_call(r, &item);
    if (strcmp(type, "function_call_output") == 0) return read_result(r, &item);
    return bad_item(r, "an item of type", type);
}

static bool read_input(api *a, hyp_conversation *c, yyjson_mut_doc *doc) {
    const char *instructions = hyp_field_str(&a->f, "instructions", "");
    yyjson_val *input = hyp_field(&a->f, "input"), *item;
    reader r = {.a = a, .doc = doc};
    size_t n;
    if (a->err.code != 0) return hyp_api_fail(a);
    if (input != NULL && !yyjson_is_str(input) && !yyjson_is_arr(input))
        return hyp_api_error(a, 400, "input must be a string or a list of items, not %s", hyp_json_kind(input));
    if (yyjson_get_len(input) == 0) return hyp_api_error(a, 400, "input is required");
    hyp_rewrite_begin(doc);
    if (instructions[0] != '\0') {
        r.system = yyjson_mut_obj_add_arr(doc, hyp_rewrite_add_message(doc, "system"), "content");
        hyp_rewrite_add_text(doc, r.system, hyp_field(&a->f, "instructions"));
    }
    if (yyjson_is_str(input)) hyp_rewrite_put(doc, hyp_rewrite_add_message(doc, "user"), "content", input);
    yyjson_arr_foreach(input, r.index, n, item)
        if (!read_item(&r, item)) return false;
    return hyp_rewrite_take_messages(a, c, doc);
}

/* --- the rest of a request --- */

static bool refuse_kept(api *a) {
    static const char *const names[] = {"previous_response_id", "conversation", "prompt"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(names); i++) {
        yyjson_val *value = hyp_field(&a->f, names[i]);
        if (value != NULL && !yyjson_equals_str(value, ""))
            return hyp_api_error(
                a, 400, "%s is not supported: nothing is stored here, send the whole conversation as input", names[i]);
    }
    if (hyp_field_bool(&a->f, "background", false))
        return hyp_api_error(a, 400, "background is not supported: nothing is stored here");
    return a->err.code == 0 || hyp_api_fail(a);
}

static bool is_function(yyjson_val *tool) {
    yyjson_val *type = yyjson_obj_get(tool, "type");
    return type == NULL || yyjson_equals_str(type, "function");
}

/* Tools that OpenAI's servers would run themselves are left out, as clients offer them to every server. */
static bool read_tools(api *a, hyp_conversation *c, yyjson_mut_doc *doc) {
    yyjson_val *tools = hyp_field_array(&a->f, "tools"), *choice = hyp_field(&a->f, "tool_choice"), *tool;
    hyp_fields named = {yyjson_is_obj(choice) ? choice : NULL, "tool_choice", &a->err};
    const char *type = hyp_field_str(&named, "type", "function");
    const char *name = hyp_field_str(&named, "name", ""), *word = yyjson_get_str(choice); /* NULL unless a string */
    c->one_call = !hyp_field_bool(&a->f, "parallel_tool_calls", true);
    size_t i, n;
    if (a->err.code != 0) return hyp_api_fail(a);
    if (strcmp(type, "function") != 0)
        return hyp_api_error(a, 400, "a tool_choice of type \"%.40s\" is not supported", type);
    hyp_rewrite_begin(doc);
    yyjson_arr_foreach(tools, i, n, tool) {
        hyp_fields f = {tool, "tools", &a->err};
        if (is_function(tool))
            hyp_rewrite_add_tool(doc, hyp_field(&f, "name"), hyp_field(&f, "description"), hyp_field(&f, "parameters"));
    }
    return hyp_rewrite_take_tools(a, c, doc, yyjson_is_obj(choice) ? name : word, yyjson_is_obj(choice));
}

static bool read_format(api *a, hyp_conversation *c) {
    hyp_fields text = {hyp_field_object(&a->f, "text"), "text", &a->err};
    hyp_fields format = {hyp_field_object(&text, "format"), "text.format", &a->err};
    return hyp_openai_take_format(a, c, &format, &format, "text.format");
}

static bool read_limits(api *a, hyp_job *job) {
    const char *truncation = hyp_field_str(&a->f, "truncation", "auto");
    int64_t most = hyp_field_int(&a->f, "max_output_tokens", INT64_MAX);
    if (!hyp_openai_read_sampling(a, job)) return false;
    if (most < 1) return hyp_api_error(a, 400, "max_output_tokens must be positive");
    if (most != INT64_MAX) job->params.num_predict = most;
    job->truncate = strcmp(truncation, "auto") == 0;
    return job->truncate || strcmp(truncation, "disabled") == 0 ||
           hyp_api_error(a, 400, "truncation must be \"auto\" or \"disabled\", not \"%.40s\"", truncation);
}

/* --- what the answer repeats --- */

static void put_copy(hyp_json *j, const char *key, yyjson_val *value, const char *otherwise) {
    HYP_AUTOFREE char *text = value != NULL ? yyjson_val_write(value, YYJSON_WRITE_NOFLAG, NULL) : NULL;
    hyp_json_key(j, key);
    hyp_json_raw(j, text != NULL ? text : otherwise, strlen(text != NULL ? text : otherwise));
}

static void put_functions(hyp_json *j, yyjson_val *tools) {
    yyjson_val *tool;
    size_t i, n;
    hyp_json_open(j, '[');
    yyjson_arr_foreach(tools, i, n, tool) {
        HYP_AUTOFREE char *text = is_function(tool) ? yyjson_val_write(tool, YYJSON_WRITE_NOFLAG, NULL) : NULL;
        if (text != NULL) hyp_json_raw(j, text, strlen(text));
    }
    hyp_json_close(j, ']');
}

static void write_echo(const api *a, const hyp_job *job, bool all, hyp_str *out) {
    const hyp_sampling_params *p = &job->params.sampling;
    const hyp_fields *f = &a->f;
    hyp_json j = {out, false};
    put_copy(&j, "instructions", all ? hyp_field(f, "instructions") : NULL, "null");
    hyp_json_key(&j, "tools");
    put_functions(&j, all ? hyp_field(f, "tools") : NULL);
    put_copy(&j, "text", all ? hyp_field(f, "text") : NULL, "{\"format\":{\"type\":\"text\"}}");
    put_copy(&j, "metadata", all ? hyp_field(f, "metadata") : NULL, "{}");
    put_copy(&j, "tool_choice", all ? hyp_field(f, "tool_choice") : NULL, "\"auto\"");
    put_copy(&j, "reasoning", all ? hyp_field(f, "reasoning") : NULL, "null");
    hyp_json_kv_bool(&j, "parallel_tool_calls", !job->conversation->one_call);
    hyp_json_kv_real(&j, "temperature", p->temperature);
    hyp_json_kv_real(&j, "top_p", p->top_p);
    hyp_json_kv_real(&j, "presence_penalty", p->presence_penalty);
    hyp_json_kv_real(&j, "frequency_penalty", p->frequency_penalty);
    hyp_json_kv_int(&j, "top_logprobs", 0);
    put_copy(&j, "max_output_tokens", hyp_field(f, "max_output_tokens"), "null");
    hyp_json_kv_null(&j, "max_tool_calls");
    hyp_json_kv_str(&j, "truncation", job->truncate ? "auto" : "disabled");
    hyp_json_kv_bool(&j, "store", false);
    hyp_json_kv_bool(&j, "background", false);
    hyp_json_kv_str(&j, "service_tier", "default");
    hyp_json_kv_null(&j, "safety_identifier");
    hyp_json_kv_null(&j, "prompt_cache_key");
}

static bool prepare_answer(api *a, gen *g) {
    yyjson_val *include = hyp_field_array(&a->f, "include"), *name;
    hyp_field_object(&a->f, "metadata"); /* is repeated as it is */
    response *r = g->own = calloc(1, sizeof *r);
    size_t i, n;
    if (a->err.code != 0) return hyp_api_fail(a);
    if (r == NULL) return hyp_api_error(a, 500, "out of memory");
    yyjson_arr_foreach(include, i, n, name)
        if (yyjson_equals_str(name, "reasoning.encrypted_content")) r->encrypted = true;
    write_echo(a, g->job, true, &r->echo);
    if (r->echo.length > ECHO_MAX_BYTES) {
        hyp_str_free(&r->echo);
        write_echo(a, g->job, false, &r->echo);
    }
    return !r->echo.failed || hyp_api_error(a, 500, "out of memory");
}

static bool fill(api *a, gen *g) {
    if (!refuse_kept(a)) return false;
    hyp_conversation *c = hyp_api_new_conversation(a, g->job);
    if (c == NULL) return false;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (doc == NULL) return hyp_api_error(a, 500, "out of memory");
    bool good = read_input(a, c, doc) && read_tools(a, c, doc);
    yyjson_mut_doc_free(doc);
    return good && read_format(a, c) && hyp_openai_take_effort(a, c, hyp_openai_reasoning_effort(a)) &&
           read_limits(a, g->job) && prepare_answer(a, g);
}

static void openai_responses(hyp_request *r, void *server) {
    static const gen_route route = {"ResponsesRequest", "resp_", HYP_JOB_CHAT, fill, &hyp_openai_responses_ops};
    hyp_gen_handle(r, server, &route);
}

const hyp_route hyp_openai_responses_routes[] = {
    {"POST", "/v1/responses", openai_responses, false},
    {0},
};
