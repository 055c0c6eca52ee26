/* ollama_chat.c - POST /api/chat. */
#include "api/ollama_priv.h"
#include "base/mem.h"

#include <string.h>

/* The frame, and a message that is left open. */
static void begin_message(const gen *g, hyp_json *j) {
    hyp_ollama_begin_line(g, j);
    hyp_json_key(j, "message");
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "role", "assistant");
}

static void put_call(hyp_json *j, const hyp_event *event) {
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "id", event->tool_id);
    hyp_json_key(j, "function");
    hyp_json_open(j, '{');
    hyp_json_kv_int(j, "index", event->tool_index);
    hyp_json_kv_str(j, "name", event->tool_name);
    hyp_json_key(j, "arguments");
    hyp_json_raw(j, event->tool_arguments, strlen(event->tool_arguments));
    hyp_json_close(j, '}');
    hyp_json_close(j, '}');
}

static void chunk(gen *g, const hyp_event *event, hyp_str *out) {
    hyp_json j = {out, false};
    begin_message(g, &j);
    hyp_ollama_put_text(&j, "content", event->content, event->thinking);
    hyp_gen_put_calls(&j, event, false, put_call);
    hyp_json_close(&j, '}');
    hyp_json_kv_bool(&j, "done", false);
    hyp_ollama_end_line(g, &j, event, false);
}

static void done(gen *g, const hyp_event *event, hyp_str *out) {
    hyp_json j = {out, false};
    begin_message(g, &j);
    hyp_ollama_put_gathered(&j, "content", g);
    hyp_gen_put_calls(&j, g->kept, true, put_call);
    hyp_json_close(&j, '}');
    hyp_ollama_put_done(&j, event);
    hyp_ollama_end_line(g, &j, g->kept, true);
}

static const gen_ops ops = {
    .chunk = chunk, .end = done, .whole = done, .stream_type = NDJSON, .plain_type = API_JSON, .style = STYLE_OLLAMA};

/* What an alias was created with comes first: its messages, and its system message where the client sends none. */
static bool add_messages(api *a, hyp_conversation *c, yyjson_val *messages) {
    const hyp_entry *entry = a->entry;
    if (entry->messages != NULL) {
        yyjson_doc *doc = NULL;
        int r = hyp_json_parse(entry->messages, strlen(entry->messages), &doc, &a->err);
        if (r == HYP_OK) r = hyp_conversation_add_ollama(c, yyjson_doc_get_root(doc), &a->err);
        yyjson_doc_free(doc);
        if (r != HYP_OK) return hyp_api_fail(a);
    }
    if (hyp_conversation_add_ollama(c, messages, &a->err) != HYP_OK) return hyp_api_fail(a);
    return hyp_api_finish_messages(a, c);
}

static bool fill(api *a, hyp_job *job, yyjson_val *messages) {
    hyp_fields *f = &a->f;
    yyjson_val *tools = hyp_field_array(f, "tools");
    if (a->err.code != 0) return hyp_api_fail(a);
    if (!hyp_api_read_limits(a, job)) return false;
    hyp_conversation *c = hyp_api_new_conversation(a, job);
    if (c == NULL || !add_messages(a, c, messages) || !hyp_api_take_tools(a, c, tools, NULL, false) ||
        !hyp_api_read_think(a, c))
        return false;
    if (hyp_conversation_set_format(c, hyp_field(f, "format"), &a->err) != HYP_OK)
        return hyp_api_error(a, 500, "%s", a->err.message);
    return true;
}

static bool handle(api *a) {
    hyp_fields *f = &a->f;
    bool stream = hyp_field_bool(f, "stream", true);
    yyjson_val *messages = hyp_field_array(f, "messages");
    if (a->err.code != 0) return hyp_api_fail(a);
    if (!hyp_api_find_model(a)) return false;
    hyp_job *job = hyp_api_new_job(a, HYP_JOB_CHAT);
    if (job == NULL) return false;
    if (yyjson_arr_size(messages) == 0)
        job->kind = hyp_ollama_wants_unload(a, job) ? HYP_JOB_UNLOAD : HYP_JOB_LOAD;
    else if (!fill(a, job, messages)) {
        hyp_job_unref(job);
        return false;
    }
    return hyp_gen_start(a, job, &ops, stream && job->kind == HYP_JOB_CHAT);
}

static void ollama_chat(hyp_request *r, void *server) {
    hyp_api_handle(r, server, "ChatRequest", handle);
}

const hyp_route hyp_ollama_chat_routes[] = {
    {"POST", "/api/chat", ollama_chat, false},
    {0},
};
