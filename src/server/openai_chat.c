/* openai_chat.c - POST /v1/chat/completions. */
#include "base/mem.h"
#include "chat/grammar.h"
#include "server/openai.h"

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

static void put_logprobs(hyp_json *j, const hyp_event *events, bool all) {
    if (!gen_has_logprobs(events)) return;
    hyp_json_key(j, "logprobs");
    hyp_json_open(j, '{');
    hyp_json_key(j, "content");
    gen_put_logprobs(j, events, all);
    hyp_json_close(j, '}');
}

static void begin_choice(gen *g, hyp_json *j) {
    openai_put_head(j, g, chunk_object);
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
    if (g->include_usage) {
        hyp_json_key(j, "usage");
        hyp_json_null(j);
    }
    hyp_json_close(j, '}');
}

static void put_role(gen *g, hyp_json *j) {
    if (!g->spoke) hyp_json_kv_str(j, "role", "assistant");
}

static void chunk(gen *g, const hyp_event *event, hyp_str *out) {
    openai_begin_data(out);
    hyp_json j = {out, false};
    begin_choice(g, &j);
    put_role(g, &j);
    if (event->content != NULL || event->thinking == NULL)
        hyp_json_kv_str(&j, "content", event->content != NULL ? event->content : "");
    if (event->thinking != NULL) hyp_json_kv_str(&j, "reasoning", event->thinking);
    if (event->kind == HYP_EVENT_TOOL_CALL) {
        hyp_json_key(&j, "tool_calls");
        hyp_json_open(&j, '[');
        put_call(&j, event);
        hyp_json_close(&j, ']');
    }
    hyp_json_close(&j, '}');
    put_logprobs(&j, event, false);
    end_choice(g, &j, NULL);
    openai_end_data(out);
}

static const char *finish_reason(const gen *g, const hyp_event *event) {
    if (g->n_calls > 0) return "tool_calls";
    return strcmp(event->reason, "length") == 0 ? "length" : "stop";
}

static void done_stream(gen *g, const hyp_event *event, hyp_str *out) {
    if (!g->spoke) { /* nothing was said: the role is told all the same */
        hyp_event empty = {.kind = HYP_EVENT_DELTA};
        chunk(g, &empty, out);
    }
    openai_begin_data(out);
    hyp_json j = {out, false};
    begin_choice(g, &j);
    hyp_json_close(&j, '}');
    end_choice(g, &j, finish_reason(g, event));
    openai_end_data(out);
    openai_finish_stream(g, event, chunk_object, out);
}

static void put_message(gen *g, hyp_json *j) {
    hyp_json_key(j, "message");
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "role", "assistant");
    hyp_json_key(j, "content");
    hyp_json_strn(j, g->content.length > 0 ? g->content.data : "", g->content.length);
    if (g->thinking.length > 0) hyp_json_kv_str(j, "reasoning", g->thinking.data);
    if (g->n_calls > 0) {
        hyp_json_key(j, "tool_calls");
        hyp_json_open(j, '[');
        for (const hyp_event *e = g->kept; e != NULL; e = e->next)
            if (e->kind == HYP_EVENT_TOOL_CALL) put_call(j, e);
        hyp_json_close(j, ']');
    }
    hyp_json_close(j, '}');
}

static void done(gen *g, const hyp_event *event, hyp_str *out) {
    if (g->stream) {
        done_stream(g, event, out);
        return;
    }
    hyp_json j = {out, false};
    openai_put_head(&j, g, "chat.completion");
    hyp_json_key(&j, "choices");
    hyp_json_open(&j, '[');
    hyp_json_open(&j, '{');
    hyp_json_kv_int(&j, "index", 0);
    put_message(g, &j);
    put_logprobs(&j, g->kept, true);
    hyp_json_kv_str(&j, "finish_reason", finish_reason(g, event));
    hyp_json_close(&j, '}');
    hyp_json_close(&j, ']');
    openai_put_usage(&j, &event->stats);
    hyp_json_close(&j, '}');
}

static const gen_ops ops = {chunk, done, EVENT_STREAM, V1_JSON, STYLE_OPENAI};

static bool read_format(api *a, hyp_conversation *c) {
    hyp_fields format = {hyp_field_object(&a->f, "response_format"), "response_format", &a->err};
    const char *type = hyp_field_str(&format, "type", "text");
    if (strcmp(type, "json_object") == 0)
        c->grammar = strdup(hyp_grammar_json());
    else if (strcmp(type, "json_schema") == 0) {
        hyp_fields schema = {hyp_field_object(&format, "json_schema"), "json_schema", &a->err};
        yyjson_val *object = hyp_field_object(&schema, "schema");
        if (a->err.code == 0 && object == NULL)
            return api_error(a, 400, "response_format.json_schema.schema is required");
        if (a->err.code == 0 && hyp_conversation_set_format(c, object, &a->err) != HYP_OK) return api_fail(a);
    }
    return a->err.code == 0 || api_fail(a);
}

static bool has_tool(api *a, const char *name) {
    yyjson_val *tool;
    size_t i, n;
    yyjson_arr_foreach(
        hyp_field(&a->f, "tools"), i, n,
        tool) if (yyjson_equals_str(yyjson_obj_get(yyjson_obj_get(tool, "function"), "name"), name)) return true;
    return false;
}

/* "none", "auto", "required", or {"type":"function","function":{"name":..}}. */
static bool read_tool_choice(api *a, hyp_conversation *c) {
    yyjson_val *choice = hyp_field(&a->f, "tool_choice");
    const char *word = yyjson_is_str(choice)
                           ? yyjson_get_str(choice)
                           : yyjson_get_str(yyjson_obj_get(yyjson_obj_get(choice, "function"), "name"));
    c->one_call = !hyp_field_bool(&a->f, "parallel_tool_calls", true);
    if (a->err.code != 0) return api_fail(a);
    if (word != NULL && yyjson_is_obj(choice) && !has_tool(a, word))
        return api_error(a, 400, "tool_choice names \"%.100s\", which is not among the tools", word);
    if (word != NULL && (c->tool_choice = strdup(word)) == NULL) return api_error(a, 500, "out of memory");
    return true;
}

static bool read_thinking(api *a, hyp_conversation *c) {
    unsigned can = a->entry->summary.capabilities;
    yyjson_val *effort = hyp_field(&a->f, "reasoning_effort");
    if (effort == NULL) effort = yyjson_obj_get(hyp_field(&a->f, "reasoning"), "effort");
    if (hyp_conversation_set_think(c, effort, &a->err) != HYP_OK) return api_fail(a);
    if (c->think == HYP_THINK_ON && (can & HYP_CAN_THINK) == 0)
        c->think = HYP_THINK_UNSET; /* clients send it to every model */
    if (c->think == HYP_THINK_UNSET && (can & HYP_CAN_THINK) != 0) c->think = HYP_THINK_ON;
    return true;
}

static bool fill(api *a, hyp_job *job) {
    hyp_fields *f = &a->f;
    const hyp_entry *entry = a->entry;
    yyjson_val *messages = hyp_field_array(f, "messages"), *tools = hyp_field_array(f, "tools");
    job->logprobs = hyp_field_bool(f, "logprobs", false);
    int64_t top = hyp_field_int(f, "top_logprobs", 0);
    if (a->err.code != 0) return api_fail(a);
    if (yyjson_arr_size(messages) == 0) return api_error(a, 400, "[] is too short - 'messages'");
    if (top < 0 || top > 20) return api_error(a, 400, "top_logprobs must be between 0 and 20");
    job->top_logprobs = (int)top;
    if ((entry->summary.capabilities & HYP_CAN_COMPLETE) == 0)
        return api_error(a, 400, "\"%s\" does not support chat", a->model);
    if (yyjson_arr_size(tools) > 0 && (entry->summary.capabilities & HYP_CAN_TOOLS) == 0)
        return api_error(a, 400, "%s does not support tools", entry->display);
    hyp_conversation *c = job->conversation = hyp_conversation_new();
    if (c == NULL) return api_error(a, 500, "out of memory");
    if (hyp_conversation_add_openai(c, messages, &a->err) != HYP_OK) return api_fail(a);
    if (entry->system != NULL && strcmp(c->messages[0].role, "system") != 0 &&
        hyp_conversation_add_first(c, "system", entry->system, &a->err) != HYP_OK)
        return api_fail(a);
    if (hyp_conversation_has_images(c)) return api_error(a, 400, "\"%s\" does not support images", a->model);
    if (hyp_conversation_set_tools(c, tools, &a->err) != HYP_OK) return api_fail(a);
    if (hyp_conversation_set_template(c, hyp_entry_chat_template(entry), &a->err) != HYP_OK) return api_fail(a);
    return read_tool_choice(a, c) && read_format(a, c) && read_thinking(a, c) && openai_read_sampling(a, job);
}

void openai_chat(hyp_request *r, void *server) {
    api a;
    if (api_open(&a, server, r, "ChatCompletionRequest") && api_find_model(&a)) {
        bool stream = hyp_field_bool(&a.f, "stream", false);
        hyp_job *job = api_new_job(&a, HYP_JOB_CHAT);
        if (job != NULL && !fill(&a, job))
            hyp_job_unref(job);
        else if (job != NULL) {
            bool usage = yyjson_get_bool(yyjson_obj_get(hyp_field(&a.f, "stream_options"), "include_usage"));
            gen *g = gen_start_with(&a, job, &ops, stream);
            if (g != NULL) {
                gen_new_id("chatcmpl-", g->id, sizeof g->id);
                g->include_usage = usage;
            }
        }
    }
    api_close(&a);
}
