#include "session/session.h"

#include "base/log.h"
#include "base/mem.h"
#include "session/session_priv.h"

#include <string.h>

enum { MIN_CONTEXT = 16 };

/* What the model's own template is replaced by when it cannot be compiled: see hyp_template_open(). */
static int open_templates(hyp_session *s, hyp_err *err) {
    const hyp_session_config *c = &s->config;
    const char *tool_text = s->info.tool_template;
    int r =
        hyp_template_open(s->info.chat_template, c->ops->builtin_template, c->model, &s->template, &s->warning, err);
    if (r != HYP_OK) return r;
    if (s->warning != NULL) HYP_LOG(SESSION, WARN, "%s", s->warning);
    if (tool_text == NULL) return HYP_OK;
    hyp_err why = HYP_ERR_NONE;
    r = hyp_template_compile(tool_text, strlen(tool_text), NULL, &s->tool_template, &why);
    if (r == HYP_ENOMEM) return hyp_err_set(err, r, "out of memory");
    if (r != HYP_OK) /* the other one serves for all */
        HYP_LOG(SESSION, WARN, "the model's template for tools is not understood: using its chat template");
    return HYP_OK;
}

int hyp_session_open(const hyp_session_config *config, hyp_session **ret, hyp_err *err) {
    hyp_session *s = calloc(1, sizeof *s);
    if (s == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    s->config = *config;
    s->info = *config->info;
    s->config.info = &s->info;
    if (s->config.counters == NULL) s->config.counters = &s->own_counters;
    s->batch = malloc(s->info.max_batch * sizeof *s->batch);
    int r = s->batch != NULL ? hyp_slots_open(&s->slots, config->ops, config->model, s->info.n_parallel,
                                              s->info.needs_checkpoints, err)
                             : hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (r == HYP_OK) r = open_templates(s, err);
    if (r == HYP_OK)
        *ret = s;
    else
        hyp_session_close(s);
    return r;
}

void hyp_session_close(hyp_session *s) {
    if (s == NULL) return;
    hyp_slots_close(&s->slots);
    hyp_template_free(s->template);
    hyp_template_free(s->tool_template);
    free(s->batch);
    free(s);
}

const char *hyp_session_warning(const hyp_session *s) {
    return s->warning;
}

const char *hyp_session_template(const hyp_session *s) {
    return hyp_template_text(s->template);
}

bool hyp_session_can_think(const hyp_session *s) {
    return hyp_template_can_think(s->template);
}

size_t hyp_session_context(const hyp_session *s, const hyp_job *job) {
    size_t n = s->info.context_tokens;
    if (job->params.num_ctx > 0) n = HYP_MIN(n, (size_t)HYP_MAX(job->params.num_ctx, MIN_CONTEXT));
    return n;
}

int hyp_session_prepare(const hyp_session *s, const hyp_job *job, hyp_prompt **ret, int *ret_status, hyp_err *err) {
    hyp_prompt_env env = {s->config.ops, s->config.model,  &s->info,
                          s->template,   s->tool_template, hyp_session_context(s, job)};
    return hyp_prompt_build(job, &env, ret, ret_status, err);
}

size_t hyp_session_slots(const hyp_session *s) {
    return s->slots.n;
}

size_t hyp_session_busy(const hyp_session *s) {
    return hyp_slots_busy(&s->slots);
}
