/* openai.c - what the text routes of OpenAI's /v1 share. */
#include "api/openai_priv.h"

#include "base/mem.h"
#include "chat/grammar.h"

#include <string.h>

bool hyp_openai_read_sampling(api *a, hyp_job *job) {
    hyp_fields *f = &a->f;
    hyp_params *p = &job->params;
    hyp_sampling_params *s = &p->sampling;
    hyp_sampling_set_defaults(s, HYP_SAMPLING_OPENAI);
    s->temperature = hyp_field_real(f, "temperature", s->temperature);
    s->top_p = hyp_field_real(f, "top_p", s->top_p);
    s->frequency_penalty = hyp_field_real(f, "frequency_penalty", s->frequency_penalty);
    s->presence_penalty = hyp_field_real(f, "presence_penalty", s->presence_penalty);
    s->seed = hyp_field_int(f, "seed", s->seed);
    p->num_predict = hyp_field_int(f, "max_tokens", p->num_predict);
    p->num_predict = hyp_field_int(f, "max_completion_tokens", p->num_predict);
    if (a->err.code != 0 || hyp_params_set_stop(p, hyp_field(f, "stop"), &a->err) != HYP_OK) return hyp_api_fail(a);
    if (s->temperature < 0 || s->temperature > 100) return hyp_api_error(a, 400, "temperature must be between 0 and 2");
    if (s->top_p < 0 || s->top_p > 1) return hyp_api_error(a, 400, "top_p must be between 0 and 1");
    return true;
}

bool hyp_openai_wants_usage(const api *a) {
    return yyjson_get_bool(yyjson_obj_get(hyp_field(&a->f, "stream_options"), "include_usage"));
}

bool hyp_openai_take_format(api *a, hyp_conversation *c, const hyp_fields *format, const hyp_fields *schema,
                            const char *where) {
    const char *type = hyp_field_str(format, "type", "text");
    yyjson_val *object = hyp_field_object(schema, "schema");
    if (a->err.code != 0) return hyp_api_fail(a);
    if (strcmp(type, "text") == 0) return true;
    if (strcmp(type, "json_object") == 0) {
        c->grammar = strdup(hyp_grammar_json());
        return c->grammar != NULL || hyp_api_error(a, 500, "out of memory");
    }
    if (strcmp(type, "json_schema") != 0)
        return hyp_api_error(a, 400, "%s.type must be \"text\", \"json_object\" or \"json_schema\", not \"%.40s\"",
                             format->name, type);
    if (object == NULL) return hyp_api_error(a, 400, "%s.schema is required", where);
    return hyp_conversation_set_format(c, object, &a->err) == HYP_OK || hyp_api_fail(a);
}

yyjson_val *hyp_openai_reasoning_effort(const api *a) {
    return yyjson_obj_get(hyp_field_object(&a->f, "reasoning"), "effort");
}

bool hyp_openai_take_effort(api *a, hyp_conversation *c, yyjson_val *effort) {
    bool can = (a->entry->summary.capabilities & HYP_CAN_THINK) != 0;
    if (a->err.code != 0 || hyp_conversation_set_think(c, effort, &a->err) != HYP_OK) return hyp_api_fail(a);
    if (c->think == HYP_THINK_ON && !can) c->think = HYP_THINK_UNSET; /* clients send it to every model */
    if (c->think == HYP_THINK_UNSET && can) c->think = HYP_THINK_ON;
    return true;
}

void hyp_openai_put_head(hyp_json *j, const gen *g, const char *object) {
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "id", g->id);
    hyp_json_kv_str(j, "object", object);
    hyp_json_kv_int(j, "created", g->created_s);
    hyp_json_kv_str(j, "model", g->job->model);
    hyp_json_kv_str(j, "system_fingerprint", "fp_hypura");
}

void hyp_openai_put_usage(hyp_json *j, const hyp_stats *stats) {
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

void hyp_openai_put_logprobs(hyp_json *j, const hyp_event *events, bool all) {
    if (!hyp_gen_has_logprobs(events)) return;
    hyp_json_key(j, "logprobs");
    hyp_json_open(j, '{');
    hyp_json_key(j, "content");
    hyp_gen_put_logprobs(j, events, all);
    hyp_json_close(j, '}');
}

void hyp_openai_begin_data(hyp_str *out) {
    hyp_str_puts(out, "data: ");
}

void hyp_openai_end_data(hyp_str *out) {
    hyp_str_puts(out, "\n\n");
}

void hyp_openai_finish_stream(gen *g, const hyp_event *event, const char *object, hyp_str *out) {
    if (g->include_usage) {
        hyp_openai_begin_data(out);
        hyp_json j = {out, false};
        hyp_openai_put_head(&j, g, object);
        hyp_json_key(&j, "choices");
        hyp_json_open(&j, '[');
        hyp_json_close(&j, ']');
        hyp_openai_put_usage(&j, &event->stats);
        hyp_json_close(&j, '}');
        hyp_openai_end_data(out);
    }
    hyp_str_puts(out, "data: [DONE]\n\n");
}
