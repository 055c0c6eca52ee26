/* openai_responses_out.c - the answers of /v1/responses, whole and streamed.
 *
 * What a model says is cut into output items: one of reasoning or of a message as long as nothing else comes between,
 * one for every call. A stream tells each item's beginning, its text piece by piece, and its end; a whole answer passes
 * through the same functions without anything to be sent (`out` NULL), so that both hold the same items. */
#include "api/openai_responses_priv.h"
#include "base/mem.h"
#include "base/times.h"

#include <string.h>

/* How the kinds of items are called: `part` and `index` only where texts are parts of a list. */
static const struct {
    const char *type, *id_prefix;
    const char *text_event, *text_key; /* of the finished text */
    const char *part, *part_event, *index;
} kinds[] = {
    [RESPONSE_REASONING] = {"reasoning", "rs_", "reasoning_summary_text", "text", "summary_text",
                            "reasoning_summary_part", "summary_index"},
    [RESPONSE_MESSAGE] = {"message", "msg_", "output_text", "text", "output_text", "content_part", "content_index"},
    [RESPONSE_CALL] = {"function_call", "fc_", "function_call_arguments", "arguments", NULL, NULL, NULL}};

static void put_empty_list(hyp_json *j, const char *key) {
    hyp_json_key(j, key);
    hyp_json_open(j, '[');
    hyp_json_close(j, ']');
}

/* --- the response object --- */

static void put_usage(hyp_json *j, const hyp_stats *stats) {
    hyp_json_open(j, '{');
    hyp_json_kv_int(j, "input_tokens", stats->n_prompt);
    hyp_json_key(j, "input_tokens_details");
    hyp_json_open(j, '{');
    hyp_json_kv_int(j, "cached_tokens", stats->n_cached);
    hyp_json_kv_int(j, "cache_write_tokens", 0);
    hyp_json_close(j, '}');
    hyp_json_kv_int(j, "output_tokens", stats->n_eval);
    hyp_json_key(j, "output_tokens_details");
    hyp_json_open(j, '{');
    hyp_json_kv_int(j, "reasoning_tokens", stats->n_reasoning);
    hyp_json_close(j, '}');
    hyp_json_kv_int(j, "total_tokens", stats->n_prompt + stats->n_eval);
    hyp_json_close(j, '}');
}

static void put_failure(hyp_json *j, const hyp_event *event) {
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "code", event->status < 500 ? "invalid_prompt" : "server_error");
    hyp_json_kv_str(j, "message", event->message != NULL ? event->message : "out of memory");
    hyp_json_close(j, '}');
}

static bool was_cut(const hyp_event *last) {
    return last->kind == HYP_EVENT_DONE && strcmp(last->reason, "length") == 0;
}

static const char *status_of(const hyp_event *last) {
    if (last == NULL) return "in_progress";
    if (last->kind == HYP_EVENT_ERROR) return "failed";
    return was_cut(last) ? "incomplete" : "completed";
}

static void put_incomplete_details(hyp_json *j) {
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "reason", "max_output_tokens");
    hyp_json_close(j, '}');
}

/* The whole object; `last` is the event that ended the answer, NULL before. */
static void put_response(hyp_json *j, const gen *g, const hyp_event *last) {
    const response *r = g->own;
    bool done = last != NULL && last->kind == HYP_EVENT_DONE;
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "id", g->id);
    hyp_json_kv_str(j, "object", "response");
    hyp_json_kv_int(j, "created_at", g->created_s);
    hyp_json_key(j, "completed_at");
    done ? hyp_json_int(j, hyp_wall_ns() / 1000000000) : hyp_json_null(j);
    hyp_json_kv_str(j, "status", status_of(last));
    hyp_json_key(j, "incomplete_details");
    done &&was_cut(last) ? put_incomplete_details(j) : hyp_json_null(j);
    hyp_json_key(j, "error");
    last != NULL && !done ? put_failure(j, last) : hyp_json_null(j);
    hyp_json_kv_str(j, "model", g->job->model);
    hyp_json_kv_null(j, "previous_response_id");
    hyp_json_key(j, "output");
    hyp_json_open(j, '[');
    if (r->n_items > 0) hyp_json_raw(j, r->items.data, r->items.length);
    hyp_json_close(j, ']');
    hyp_json_key(j, "usage");
    done ? put_usage(j, &last->stats) : hyp_json_null(j);
    hyp_json_raw(j, r->echo.data, r->echo.length);
    hyp_json_close(j, '}');
    if (r->items.failed || r->text.failed) j->out->failed = true;
}

/* --- items --- */

/* A text as a part of an item's list. */
static void put_part(hyp_json *j, response_item kind, const char *text, size_t n) {
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "type", kinds[kind].part);
    hyp_json_key(j, "text");
    hyp_json_strn(j, text, n);
    if (kind == RESPONSE_MESSAGE) {
        put_empty_list(j, "annotations");
        put_empty_list(j, "logprobs");
    }
    hyp_json_close(j, '}');
}

/* The open item, as it begins or as it is when finished; `call` is NULL unless it is one. */
static void put_item(hyp_json *j, const response *r, const char *status, bool finished, const hyp_event *call) {
    const char *text = finished && r->text.length > 0 ? r->text.data : "";
    size_t n = strlen(text);
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "id", r->id);
    hyp_json_kv_str(j, "type", kinds[r->open].type);
    hyp_json_kv_str(j, "status", status);
    if (call != NULL) {
        hyp_json_kv_str(j, "call_id", call->tool_id);
        hyp_json_kv_str(j, "name", call->tool_name);
        hyp_json_kv_str(j, "arguments", text);
    } else {
        if (r->open == RESPONSE_MESSAGE) hyp_json_kv_str(j, "role", "assistant");
        hyp_json_key(j, r->open == RESPONSE_MESSAGE ? "content" : "summary");
        hyp_json_open(j, '[');
        if (finished) put_part(j, r->open, text, n);
        hyp_json_close(j, ']');
        if (r->open == RESPONSE_REASONING && r->encrypted && finished) hyp_json_kv_str(j, "encrypted_content", text);
    }
    hyp_json_close(j, '}');
}

/* --- events; without `out` there are none --- */

static void begin_event(gen *g, const char *what, const char *state, hyp_str *out, hyp_json *ret) {
    char type[64];
    response *r = g->own;
    snprintf(type, sizeof type, "response.%s%s%s", what, state[0] != '\0' ? "." : "", state);
    hyp_gen_begin_event(out, type, ret);
    hyp_json_kv_int(ret, "sequence_number", r->sequence++);
}

static void response_event(gen *g, const char *type, const hyp_event *last, hyp_str *out) {
    hyp_json j;
    begin_event(g, type, "", out, &j);
    hyp_json_key(&j, "response");
    put_response(&j, g, last);
    hyp_gen_end_event(&j);
}

/* Where something happens: in which item and part. */
static void put_place(hyp_json *j, const response *r) {
    hyp_json_kv_str(j, "item_id", r->id);
    hyp_json_kv_int(j, "output_index", (int64_t)r->n_items);
    if (kinds[r->open].index != NULL) hyp_json_kv_int(j, kinds[r->open].index, 0);
}

static void item_event(gen *g, const char *state, const char *status, const hyp_event *call, hyp_str *out) {
    const response *r = g->own;
    hyp_json j;
    if (out == NULL) return;
    begin_event(g, "output_item", state, out, &j);
    hyp_json_kv_int(&j, "output_index", (int64_t)r->n_items);
    hyp_json_key(&j, "item");
    put_item(&j, r, status, strcmp(state, "done") == 0, call);
    hyp_gen_end_event(&j);
}

static void part_event(gen *g, const char *state, hyp_str *out) {
    const response *r = g->own;
    hyp_json j;
    if (out == NULL || kinds[r->open].part == NULL) return;
    begin_event(g, kinds[r->open].part_event, state, out, &j);
    put_place(&j, r);
    hyp_json_key(&j, "part");
    put_part(&j, r->open, r->text.length > 0 ? r->text.data : "", r->text.length);
    hyp_gen_end_event(&j);
}

static void text_event(gen *g, const char *state, const char *key, const char *text, size_t n, hyp_str *out) {
    const response *r = g->own;
    hyp_json j;
    if (out == NULL) return;
    begin_event(g, kinds[r->open].text_event, state, out, &j);
    put_place(&j, r);
    hyp_json_key(&j, key);
    hyp_json_strn(&j, text, n);
    if (r->open == RESPONSE_MESSAGE) put_empty_list(&j, "logprobs");
    hyp_gen_end_event(&j);
}

/* --- an item's life --- */

static void open_item(gen *g, response_item kind, const hyp_event *call, hyp_str *out) {
    response *r = g->own;
    r->open = kind;
    r->text.length = 0;
    r->answered |= kind != RESPONSE_REASONING;
    hyp_gen_new_id(kinds[kind].id_prefix, r->id, sizeof r->id);
    item_event(g, "added", "in_progress", call, out);
    part_event(g, "added", out);
}

static void add_text(gen *g, const char *text, size_t n, hyp_str *out) {
    response *r = g->own;
    hyp_str_append(&r->text, text, n);
    text_event(g, "delta", "delta", text, n, out);
}

static void close_item(gen *g, const char *status, const hyp_event *call, hyp_str *out) {
    response *r = g->own;
    if (r->open == RESPONSE_NOTHING) return;
    text_event(g, "done", kinds[r->open].text_key, r->text.length > 0 ? r->text.data : "", r->text.length, out);
    part_event(g, "done", out);
    item_event(g, "done", status, call, out);
    hyp_json j = {&r->items, r->n_items > 0};
    put_item(&j, r, status, true, call);
    r->n_items++;
    r->open = RESPONSE_NOTHING;
}

/* Text of an item that goes on, or begins when another was open. */
static void say(gen *g, response_item kind, const char *text, size_t n, hyp_str *out) {
    const response *r = g->own;
    if (r->open != kind) {
        close_item(g, "completed", NULL, out);
        open_item(g, kind, NULL, out);
    }
    if (n > 0) add_text(g, text, n, out);
}

static void add_call(gen *g, const hyp_event *event, hyp_str *out) {
    close_item(g, "completed", NULL, out);
    open_item(g, RESPONSE_CALL, event, out);
    add_text(g, event->tool_arguments, strlen(event->tool_arguments), out);
    close_item(g, "completed", event, out);
}

/* The last item ends with the answer; who looks for a message finds one, if an empty one, unless the answer was cut
 * before it. */
static void finish_items(gen *g, const hyp_event *last, hyp_str *out) {
    const response *r = g->own;
    if (!r->answered && !was_cut(last)) say(g, RESPONSE_MESSAGE, "", 0, out);
    close_item(g, was_cut(last) ? "incomplete" : "completed", NULL, out);
}

/* --- what generation.c calls --- */

static void start(gen *g, hyp_str *out) {
    if (g->spoke) return;
    response_event(g, "created", NULL, out);
    response_event(g, "in_progress", NULL, out);
}

static void chunk(gen *g, const hyp_event *event, hyp_str *out) {
    start(g, out);
    if (event->thinking != NULL) say(g, RESPONSE_REASONING, event->thinking, strlen(event->thinking), out);
    if (event->content != NULL) say(g, RESPONSE_MESSAGE, event->content, strlen(event->content), out);
    if (event->kind == HYP_EVENT_TOOL_CALL) add_call(g, event, out);
}

static void end(gen *g, const hyp_event *event, hyp_str *out) {
    start(g, out);
    finish_items(g, event, out);
    response_event(g, status_of(event), event, out);
}

static void fail(gen *g, const hyp_event *event, hyp_str *out) {
    start(g, out);
    response_event(g, "failed", event, out);
}

static void whole(gen *g, const hyp_event *event, hyp_str *out) {
    hyp_json j = {out, false};
    if (g->thinking.length > 0) say(g, RESPONSE_REASONING, g->thinking.data, g->thinking.length, NULL);
    if (g->content.length > 0) say(g, RESPONSE_MESSAGE, g->content.data, g->content.length, NULL);
    for (const hyp_event *e = g->kept; e != NULL; e = e->next)
        if (e->kind == HYP_EVENT_TOOL_CALL) add_call(g, e, NULL);
    finish_items(g, event, NULL);
    put_response(&j, g, event);
}

static void free_response(void *own) {
    response *r = own;
    if (r == NULL) return;
    hyp_str_free(&r->echo);
    hyp_str_free(&r->items);
    hyp_str_free(&r->text);
    free(r);
}

const gen_ops hyp_openai_responses_ops = {.chunk = chunk,
                                          .end = end,
                                          .whole = whole,
                                          .fail = fail,
                                          .free_own = free_response,
                                          .stream_type = EVENT_STREAM,
                                          .plain_type = V1_JSON,
                                          .style = STYLE_OPENAI};
