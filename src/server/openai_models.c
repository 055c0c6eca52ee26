/* openai_models.c - GET /v1/models and /v1/models/ID, and what the text routes share. */
#include "server/openai.h"

#include "base/mem.h"

#include <string.h>

static void put_model(hyp_json *j, const hyp_entry *entry, const char *id) {
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "id", id);
    hyp_json_kv_str(j, "object", "model");
    hyp_json_kv_int(j, "created", entry->modified_ns / 1000000000);
    hyp_json_kv_str(j, "owned_by", entry->name.space[0] != '\0' ? entry->name.space : "library");
    hyp_json_close(j, '}');
}

void openai_models(hyp_request *r, void *context) {
    hyp_server *server = context;
    api a = {.server = server, .request = r, .style = STYLE_OPENAI};
    hyp_entry **list = NULL;
    size_t n = 0;
    hyp_str out = {0};
    hyp_json j = {&out, false};
    if (hyp_registry_list(server->registry, &list, &n, &a.err) != HYP_OK) {
        api_fail(&a);
        return;
    }
    hyp_json_open(&j, '{');
    hyp_json_kv_str(&j, "object", "list");
    hyp_json_key(&j, "data");
    hyp_json_open(&j, '[');
    for (size_t i = 0; i < n; i++)
        put_model(&j, list[i], list[i]->display);
    hyp_json_close(&j, ']');
    hyp_json_close(&j, '}');
    hyp_registry_free_list(list, n);
    api_reply(&a, &out);
}

void openai_model(hyp_request *r, void *context) {
    hyp_server *server = context;
    api a = {.server = server, .request = r, .style = STYLE_OPENAI};
    const char *id = hyp_request_path(r) + strlen("/v1/models/");
    hyp_str out = {0};
    hyp_json j = {&out, false};
    if (hyp_registry_find(server->registry, id, &a.entry, &a.err) != HYP_OK) {
        api_error(&a, 404, "model '%s' not found", id);
        return;
    }
    put_model(&j, a.entry, id);
    hyp_entry_unref(a.entry);
    api_reply(&a, &out);
}

bool openai_read_sampling(api *a, hyp_job *job) {
    hyp_fields *f = &a->f;
    hyp_params *p = &job->params;
    p->temperature = hyp_field_real(f, "temperature", 1.0);
    p->top_p = hyp_field_real(f, "top_p", 1.0);
    p->frequency_penalty = hyp_field_real(f, "frequency_penalty", p->frequency_penalty);
    p->presence_penalty = hyp_field_real(f, "presence_penalty", p->presence_penalty);
    p->seed = hyp_field_int(f, "seed", p->seed);
    p->num_predict = hyp_field_int(f, "max_tokens", p->num_predict);
    p->num_predict = hyp_field_int(f, "max_completion_tokens", p->num_predict);
    if (a->err.code != 0 || hyp_params_set_stop(p, hyp_field(f, "stop"), &a->err) != HYP_OK) return api_fail(a);
    if (p->temperature < 0 || p->temperature > 100) return api_error(a, 400, "temperature must be between 0 and 2");
    if (p->top_p < 0 || p->top_p > 1) return api_error(a, 400, "top_p must be between 0 and 1");
    return true;
}

void openai_put_head(hyp_json *j, const gen *g, const char *object) {
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "id", g->id);
    hyp_json_kv_str(j, "object", object);
    hyp_json_kv_int(j, "created", g->created_s);
    hyp_json_kv_str(j, "model", g->job->model);
    hyp_json_kv_str(j, "system_fingerprint", "fp_hypura");
}

void openai_put_usage(hyp_json *j, const hyp_stats *stats) {
    hyp_json_key(j, "usage");
    hyp_json_open(j, '{');
    hyp_json_kv_int(j, "prompt_tokens", stats->n_prompt);
    hyp_json_kv_int(j, "completion_tokens", stats->n_eval);
    hyp_json_kv_int(j, "total_tokens", stats->n_prompt + stats->n_eval);
    hyp_json_key(j, "prompt_tokens_details");
    hyp_json_open(j, '{');
    hyp_json_kv_int(j, "cached_tokens", stats->n_cached);
    hyp_json_close(j, '}');
    hyp_json_close(j, '}');
}

void openai_begin_data(hyp_str *out) {
    hyp_str_puts(out, "data: ");
}

void openai_end_data(hyp_str *out) {
    hyp_str_puts(out, "\n\n");
}

void openai_finish_stream(gen *g, const hyp_event *event, const char *object, hyp_str *out) {
    if (g->include_usage) {
        openai_begin_data(out);
        hyp_json j = {out, false};
        openai_put_head(&j, g, object);
        hyp_json_key(&j, "choices");
        hyp_json_open(&j, '[');
        hyp_json_close(&j, ']');
        openai_put_usage(&j, &event->stats);
        hyp_json_close(&j, '}');
        openai_end_data(out);
    }
    hyp_str_puts(out, "data: [DONE]\n\n");
}
