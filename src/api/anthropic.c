/* anthropic.c - POST /v1/messages: Anthropic's form of a chat, whole and streamed; and how long its prompt is.
 *
 * A request is rewritten in OpenAI's form, which conversations are read from: blocks of text become content, tool_use
 * becomes calls, a tool_result a message of its own before what the user says beside it. What a stream says is cut into
 * content blocks: one of text or reasoning as long as nothing else comes between, one for every call. */
#include "api/rewrite_priv.h"
#include "base/mem.h"

#include <string.h>

/* --- answers --- */

/* What was found in memory is counted apart from what was evaluated. */
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

static void start_message(gen *g, hyp_str *out) {
    hyp_json j;
    hyp_gen_begin_event(out, "message_start", &j);
    hyp_json_key(&j, "message");
    hyp_json_open(&j, '{');
    put_head(&j, g);
    hyp_json_key(&j, "content");
    hyp_json_open(&j, '[');
    hyp_json_close(&j, ']');
    hyp_json_kv_null(&j, "stop_reason");
    hyp_json_kv_null(&j, "stop_sequence");
    put_usage(&j, &g->begun);
    hyp_json_close(&j, '}');
    hyp_gen_end_event(&j);
}

static void close_block(gen *g, hyp_str *out) {
    if (g->block == NULL) return;
    hyp_json j;
    hyp_gen_begin_event(out, "content_block_stop", &j);
    hyp_json_kv_int(&j, "index", g->n_blocks++);
    hyp_gen_end_event(&j);
    g->block = NULL;
}

/* `kind`: "text", "thinking" or "tool_use", of which each is a block of its own. */
static void open_block(gen *g, const char *kind, const hyp_event *event, hyp_str *out) {
    bool call = event->kind == HYP_EVENT_TOOL_CALL;
    if (!call && g->block != NULL && strcmp(g->block, kind) == 0) return;
    close_block(g, out);
    hyp_json j;
    hyp_gen_begin_event(out, "content_block_start", &j);
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
    hyp_gen_end_event(&j);
    g->block = kind;
}

static void put_delta(const gen *g, const char *type, const char *key, const char *text, hyp_str *out) {
    hyp_json j;
    hyp_gen_begin_event(out, "content_block_delta", &j);
    hyp_json_kv_int(&j, "index", g->n_blocks);
    hyp_json_key(&j, "delta");
    hyp_json_open(&j, '{');
    hyp_json_kv_str(&j, "type", type);
    hyp_json_kv_str(&j, key, text);
    hyp_json_close(&j, '}');
    hyp_gen_end_event(&j);
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

static void end(gen *g, const hyp_event *event, hyp_str *out) {
    hyp_json j;
    if (!g->spoke) start_message(g, out);
    close_block(g, out);
    hyp_gen_begin_event(out, "message_delta", &j);
    hyp_json_key(&j, "delta");
    hyp_json_open(&j, '{');
    put_reason(&j, g, event);
    hyp_json_close(&j, '}');
    put_usage(&j, &event->stats);
    hyp_gen_end_event(&j);
    hyp_gen_begin_event(out, "message_stop", &j);
    hyp_gen_end_event(&j);
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

static void whole(gen *g, const hyp_event *event, hyp_str *out) {
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

static const gen_ops ops = {.chunk = chunk,
                            .end = end,
                            .whole = whole,
                            .stream_type = EVENT_STREAM,
                            .plain_type = V1_JSON,
                            .style = STYLE_ANTHROPIC};

static void whole_count(gen *g, const hyp_event *event, hyp_str *out) {
    (void)g;
    hyp_json j = {out, false};
    hyp_json_open(&j, '{');
    hyp_json_kv_int(&j, "input_tokens", event->stats.n_prompt);
    hyp_json_close(&j, '}');
}

static const gen_ops count_ops = {.whole = whole_count, .plain_type = V1_JSON, .style = STYLE_ANTHROPIC};

/* --- requests --- */

static void add_block(yyjson_mut_doc *doc, yyjson_val *block, const char *type, yyjson_mut_val *parts,
                      yyjson_mut_val *calls) {
    if (strcmp(type, "text") == 0)
        hyp_rewrite_add_text(doc, parts, yyjson_obj_get(block, "text"));
    else if (strcmp(type, "image") == 0 || strcmp(type, "document") == 0)
        hyp_rewrite_add_image(doc, parts);
    else if (strcmp(type, "tool_use") == 0)
        hyp_rewrite_add_call(doc, calls, yyjson_obj_get(block, "id"), yyjson_obj_get(block, "name"),
                             yyjson_obj_get(block, "input"));
    else if (strcmp(type, "tool_result") == 0)
        hyp_rewrite_put(doc, hyp_rewrite_add_result(doc, yyjson_obj_get(block, "tool_use_id")), "content",
                        yyjson_obj_get(block, "content"));
}

static bool add_turn(api *a, yyjson_mut_doc *doc, yyjson_val *turn) {
    hyp_fields f = {turn, "messages", &a->err};
    const char *role = hyp_field_str(&f, "role", "");
    yyjson_val *content = hyp_field(&f, "content"), *block;
    bool assistant = strcmp(role, "assistant") == 0;
    if (a->err.code != 0) return hyp_api_fail(a);
    if (!assistant && strcmp(role, "user") != 0)
        return hyp_api_error(a, 400, "messages: role must be \"user\" or \"assistant\", not \"%.40s\"", role);
    if (!yyjson_is_arr(content)) {
        hyp_rewrite_put(doc, hyp_rewrite_add_message(doc, role), "content", content);
        return true;
    }
    yyjson_mut_val *parts = yyjson_mut_arr(doc), *calls = yyjson_mut_arr(doc);
    yyjson_val *thinking = NULL;
    size_t i, n;
    yyjson_arr_foreach(content, i, n, block) {
        hyp_fields b = {block, "content", &a->err};
        const char *type = hyp_field_str(&b, "type", "");
        if (a->err.code != 0) return hyp_api_fail(a);
        add_block(doc, block, type, parts, calls);
        if (strcmp(type, "thinking") == 0) thinking = yyjson_obj_get(block, "thinking");
    }
    if (!assistant && yyjson_mut_arr_size(parts) == 0) return true; /* nothing but results of tools */
    yyjson_mut_val *message = hyp_rewrite_add_message(doc, role);
    yyjson_mut_obj_add_val(doc, message, "content", parts);
    if (yyjson_mut_arr_size(calls) > 0) yyjson_mut_obj_add_val(doc, message, "tool_calls", calls);
    hyp_rewrite_put(doc, message, "thinking", thinking);
    return true;
}

static bool read_messages(api *a, hyp_conversation *c, yyjson_mut_doc *doc) {
    yyjson_val *messages = hyp_field_array(&a->f, "messages"), *system = hyp_field(&a->f, "system"), *turn;
    size_t i, n;
    if (a->err.code != 0) return hyp_api_fail(a);
    if (yyjson_arr_size(messages) == 0) return hyp_api_error(a, 400, "messages: at least one message is required");
    hyp_rewrite_begin(doc);
    if (system != NULL) hyp_rewrite_put(doc, hyp_rewrite_add_message(doc, "system"), "content", system);
    yyjson_arr_foreach(messages, i, n, turn)
        if (!add_turn(a, doc, turn)) return false;
    return hyp_rewrite_take_messages(a, c, doc);
}

static bool read_tools(api *a, hyp_conversation *c, yyjson_mut_doc *doc) {
    yyjson_val *tools = hyp_field_array(&a->f, "tools"), *tool;
    hyp_fields f = {hyp_field_object(&a->f, "tool_choice"), "tool_choice", &a->err};
    const char *type = hyp_field_str(&f, "type", "auto"), *name = hyp_field_str(&f, "name", "");
    c->one_call = hyp_field_bool(&f, "disable_parallel_tool_use", false);
    bool named = strcmp(type, "tool") == 0;
    size_t i, n;
    if (a->err.code != 0) return hyp_api_fail(a);
    hyp_rewrite_begin(doc);
    yyjson_arr_foreach(tools, i, n, tool)
        hyp_rewrite_add_tool(doc, yyjson_obj_get(tool, "name"), yyjson_obj_get(tool, "description"),
                             yyjson_obj_get(tool, "input_schema"));
    return hyp_rewrite_take_tools(a, c, doc, named ? name : strcmp(type, "any") == 0 ? "required" : type, named);
}

static bool read_sampling(api *a, hyp_params *p) {
    hyp_fields *f = &a->f;
    hyp_sampling_params *s = &p->sampling;
    hyp_sampling_set_defaults(s, HYP_SAMPLING_OPENAI);
    p->num_predict = hyp_field_int(f, "max_tokens", 0);
    s->temperature = hyp_field_real(f, "temperature", s->temperature);
    s->top_p = hyp_field_real(f, "top_p", s->top_p);
    int64_t top_k = hyp_field_int(f, "top_k", s->top_k);
    if (a->err.code != 0 || hyp_params_set_stop(p, hyp_field(f, "stop_sequences"), &a->err) != HYP_OK)
        return hyp_api_fail(a);
    if (p->num_predict < 1) return hyp_api_error(a, 400, "max_tokens: a positive number is required");
    if (s->temperature < 0 || s->temperature > 2) return hyp_api_error(a, 400, "temperature must be between 0 and 2");
    if (s->top_p < 0 || s->top_p > 1) return hyp_api_error(a, 400, "top_p must be between 0 and 1");
    if (top_k < 0 || top_k > INT_MAX) return hyp_api_error(a, 400, "top_k must not be negative");
    s->top_k = (int)top_k;
    return true;
}

/* Reasoning has to be asked for here; models that cannot are asked all the same. */
static bool read_thinking(api *a, hyp_conversation *c) {
    hyp_fields f = {hyp_field_object(&a->f, "thinking"), "thinking", &a->err};
    const char *type = hyp_field_str(&f, "type", "disabled");
    if (a->err.code != 0) return hyp_api_fail(a);
    bool on = strcmp(type, "disabled") != 0 && (a->entry->summary.capabilities & HYP_CAN_THINK) != 0;
    c->think = on ? HYP_THINK_ON : HYP_THINK_OFF;
    return true;
}

/* What is asked, without how it is to be answered. */
static bool fill_conversation(api *a, gen *g) {
    hyp_conversation *c = hyp_api_new_conversation(a, g->job);
    if (c == NULL) return false;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (doc == NULL) return hyp_api_error(a, 500, "out of memory");
    bool good = read_messages(a, c, doc) && read_tools(a, c, doc) && read_thinking(a, c);
    yyjson_mut_doc_free(doc);
    return good;
}

static bool fill(api *a, gen *g) {
    return fill_conversation(a, g) && read_sampling(a, &g->job->params);
}

static void anthropic_messages(hyp_request *r, void *server) {
    static const gen_route route = {"MessagesRequest", "msg_", HYP_JOB_CHAT, fill, &ops};
    hyp_gen_handle(r, server, &route);
}

static void anthropic_count_tokens(hyp_request *r, void *server) {
    static const gen_route route = {"CountTokensRequest", "", HYP_JOB_COUNT, fill_conversation, &count_ops};
    hyp_gen_handle(r, server, &route);
}

const hyp_route hyp_anthropic_routes[] = {
    {"POST", "/v1/messages", anthropic_messages, false},
    {"POST", "/v1/messages/count_tokens", anthropic_count_tokens, false},
    {0},
};
