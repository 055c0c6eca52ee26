/* ollama.c - what the routes of Ollama's /api share that answer with work. */
#include "api/ollama_priv.h"

#include "base/mem.h"

#include <string.h>

bool hyp_ollama_wants_unload(const api *a, const hyp_job *job) {
    return hyp_field(&a->f, "keep_alive") != NULL && job->keep_alive_ns == 0;
}

void hyp_ollama_put_stats(hyp_json *j, const hyp_stats *stats) {
    const struct {
        const char *key;
        int64_t value;
    } rows[] = {{"total_duration", stats->total_ns},    {"load_duration", stats->load_ns},
                {"prompt_eval_count", stats->n_prompt}, {"prompt_eval_duration", stats->prompt_ns},
                {"eval_count", stats->n_eval},          {"eval_duration", stats->eval_ns}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(rows); i++)
        if (rows[i].value != 0) hyp_json_kv_int(j, rows[i].key, rows[i].value);
}

void hyp_ollama_begin_line(const gen *g, hyp_json *j) {
    char now[HYP_TIMESTAMP_SIZE];
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "model", g->job->model);
    hyp_json_kv_str(j, "created_at", hyp_timestamp(hyp_wall_ns(), now));
}

void hyp_ollama_put_text(hyp_json *j, const char *key, const char *content, const char *thinking) {
    hyp_json_kv_str(j, key, content != NULL ? content : "");
    if (thinking != NULL) hyp_json_kv_str(j, "thinking", thinking);
}

void hyp_ollama_put_gathered(hyp_json *j, const char *key, const gen *g) {
    hyp_ollama_put_text(j, key, g->content.data, g->thinking.length > 0 ? g->thinking.data : NULL);
}

void hyp_ollama_put_done(hyp_json *j, const hyp_event *event) {
    hyp_json_kv_bool(j, "done", true);
    hyp_json_kv_str(j, "done_reason", event->reason);
    if (event->n_context > 0) {
        hyp_json_key(j, "context");
        hyp_json_open(j, '[');
        for (size_t i = 0; i < event->n_context; i++)
            hyp_json_int(j, event->context[i]);
        hyp_json_close(j, ']');
    }
    if (strcmp(event->reason, "load") != 0 && strcmp(event->reason, "unload") != 0)
        hyp_ollama_put_stats(j, &event->stats);
}

void hyp_ollama_end_line(const gen *g, hyp_json *j, const hyp_event *events, bool all) {
    if (hyp_gen_has_logprobs(events)) {
        hyp_json_key(j, "logprobs");
        hyp_gen_put_logprobs(j, events, all);
    }
    hyp_json_close(j, '}');
    if (g->stream) hyp_str_puts(j->out, "\n");
}
