/* openai_chat.c - POST /v1/chat/completions. */
#include "api/openai_priv.h"
#include "base/mem.h"

#include <string.h>

static const char chunk_object[] = "chat.completion.chunk";

static void put_call(hyp_json *j, const hyp_event *event) {
    hyp_json_open(j, '{');
    hyp_json_kv_int(j, "index", event->tool_index);
    hyp_json_kv_str(j, "id", event->tool_id);
    hyp_json_kv_str(j, "type", "function");
    hyp_json_key(j, "function");
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "name", event->tool_name);
    hyp_json_kv_str(j, "arguments", event->tool_arguments); /* a string here, an object in Ollama's form */
    hyp_json_close(j, '}');
    hyp_json_close(j, '}');
}

static void begin_choice(gen *g, hyp_json *j) {
    hyp_openai_put_head(j, g, chunk_object);
    hyp_json_key(j, "choices");
    hyp_json_open(j, '[');
    hyp_json_open(j, '{');
    hyp_json_kv_int(j, "index", 0);
    hyp_json_key(j, "delta");
    hyp_json_open(j, '{');
}

static void end_choice(gen *g, hyp_json *j, const char *reason) {
    hyp_json_kv_str(j, "finish_reason", reason);
    hyp_json_close(j, '}');
    hyp_json_close(j, ']');
    if (g->include_usage) hyp_json_kv_null(j, "usage");
    hyp_json_close(j, '}');
}

static void put_role(gen *g, hyp_json *j) {
    if (!g->spoke) hyp_json_kv_str(j, "role", "assistant");
}

static void chunk(gen *g, const hyp_event *event, hyp_str *out) {
    hyp_openai_begin_data(out);
    hyp_json j = {out, false};
    begin_choice(g, &j);
    put_role(g, &j);
    if (event->content != NULL || event->thinking == NULL)
        hyp_json_kv_str(&j, "content", event->content != NULL ? event->content : "");
    if (event->thinking != NULL) hyp_json_kv_str(&j, "reasoning", event->thinking);
    hyp_gen_put_calls(&j, event, false, put_call);
    hyp_json_close(&j, '}');
    hyp_openai_put_logprobs(&j, event, false);
    end_choice(g, &j, NULL);
    hyp_openai_end_data(out);
}

static const char *finish_reason(const gen *g, const hyp_event *event) {
    if (g->n_calls > 0) return "tool_calls";
    return strcmp(event->reason, "length") == 0 ? "length" : "stop";
}

static void end(gen *g, const hyp_event *event, hyp_str *out) {
    if (!g->spoke) { /* nothing was said: the role is sent all the same */
        hyp_event empty = {.kind = HYP_EVENT_DELTA};
        chunk(g, &empty, out);
    }
    hyp_openai_begin_data(out);
    hyp_json j = {out, false};
    begin_choice(g, &j);
    hyp_json_close(&j, '}');
    end_choice(g, &j, finish_reason(g, event));
    hyp_openai_end_data(out);
    hyp_openai_finish_stream(g, event, chunk_object, out);
}

static void put_message(gen *g, hyp_json *j) {
    hyp_json_key(j, "message");
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "role", "assistant");
    hyp_json_key(j, "content");
    hyp_json_strn(j, g->content.length > 0 ? g->content.data : "", g->content.length);
    if (g->thinking.length > 0) hyp_json_kv_str(j, "reasoning", g->thinking.data);
    hyp_gen_put_calls(j, g->kept, true, put_call);
    hyp_json_close(j, '}');
}

static void whole(gen *g, const hyp_event *event, hyp_str *out) {
    hyp_json j = {out, false};
    hyp_openai_put_head(&j, g, "chat.completion");
    hyp_json_key(&j, "choices");
    hyp_json_open(&j, '[');
    hyp_json_open(&j, '{');
    hyp_json_kv_int(&j, "index", 0);
    put_message(g, &j);
    hyp_openai_put_logprobs(&j, g->kept, true);
    hyp_json_kv_str(&j, "finish_reason", finish_reason(g, event));
    hyp_json_close(&j, '}');
    hyp_json_close(&j, ']');
    hyp_openai_put_usage(&j, &event->stats);
    hyp_json_close(&j, '}');
}

static const gen_ops ops = {.chunk = chunk,
                            .end = end,
                            .whole = whole,
                            .stream_type = EVENT_STREAM,
                            .plain_type = V1_JSON,
                            .style = STYLE_OPENAI};

static bool read_format(api *a, hyp_conversation *c) {
    hyp_fields format = {hyp_field_object(&a->f, "response_format"), "response_format", &a->err};
    hyp_fields schema = {hyp_field_object(&format, "json_schema"), "json_schema", &a->err};
    return hyp_openai_take_format(a, c, &format, &schema, "response_format.json_schema");
}

/* "none", "auto", "required", or {"type":"function","function":{"name":..}}. */
static bool read_tools(api *a, hyp_conversation *c) {
    yyjson_val *choice = hyp_field(&a->f, "tool_choice"), *tools = hyp_field_array(&a->f, "tools");
    yyjson_val *function = yyjson_obj_get(choice, "function");
    const char *word = yyjson_get_str(yyjson_is_str(choice) ? choice : yyjson_obj_get(function, "name"));
    c->one_call = !hyp_field_bool(&a->f, "parallel_tool_calls", true);
    if (a->err.code != 0) return hyp_api_fail(a);
    return hyp_api_take_tools(a, c, tools, word, yyjson_is_obj(choice));
}

static bool read_thinking(api *a, hyp_conversation *c) {
    yyjson_val *effort = hyp_field(&a->f, "reasoning_effort");
    return hyp_openai_take_effort(a, c, effort != NULL ? effort : hyp_openai_reasoning_effort(a));
}

static bool fill(api *a, gen *g) {
    hyp_fields *f = &a->f;
    hyp_job *job = g->job;
    yyjson_val *messages = hyp_field_array(f, "messages");
    g->include_usage = hyp_openai_wants_usage(a);
    if (a->err.code != 0) return hyp_api_fail(a);
    if (yyjson_arr_size(messages) == 0) return hyp_api_error(a, 400, "[] is too short - 'messages'");
    if (!hyp_api_read_logprobs(a, job)) return false;
    hyp_conversation *c = hyp_api_new_conversation(a, job);
    if (c == NULL) return false;
    if (hyp_conversation_add_openai(c, messages, &a->err) != HYP_OK) return hyp_api_fail(a);
    return hyp_api_finish_messages(a, c) && read_tools(a, c) && read_format(a, c) && read_thinking(a, c) &&
           hyp_openai_read_sampling(a, job);
}

static void openai_chat(hyp_request *r, void *server) {
    static const gen_route route = {"ChatCompletionRequest", "chatcmpl-", HYP_JOB_CHAT, fill, &ops};
    hyp_gen_handle(r, server, &route);
}

const hyp_route hyp_openai_chat_routes[] = {
    {"POST", "/v1/chat/completions", openai_chat, false},
    {0},
};
