/* begin.c - a prepared job takes a slot. */
#include "base/mem.h"
#include "base/times.h"
#include "session/session_priv.h"
#include "session/tokens_priv.h"

/* An answer that is never full would never end; the factor is Ollama's. */
enum { MOST_CONTEXTS = 10 };

static void tell_begin(const slot *which) {
    hyp_event *event = calloc(1, sizeof *event);
    if (event != NULL) {
        event->kind = HYP_EVENT_BEGIN;
        event->stats = (hyp_stats){.n_prompt = (int64_t)which->n_asked,
                                   .n_cached = (int64_t)which->n_cached,
                                   .n_dropped = (int64_t)which->n_dropped};
    }
    hyp_job_push(which->job, event);
}

static int64_t max_eval(const hyp_job *job, size_t n_ctx) {
    int64_t most = job->prompt_only ? 0 : job->params.num_predict > 0 ? job->params.num_predict : -1;
    if (job->shift) most = HYP_MIN(most < 0 ? INT64_MAX : most, MOST_CONTEXTS * (int64_t)n_ctx);
    return most;
}

static void fill_slot(hyp_session *s, slot *which, hyp_job *job, hyp_prompt *p, void *sampler) {
    which->job = job;
    which->sampler = sampler;
    which->prompt = HYP_TAKE(p->tokens);
    which->media = HYP_TAKE(p->media);
    which->n_media = p->n_media;
    which->n_prompt = which->n_asked = p->n;
    which->n_stable = p->n_stable;
    which->n_dropped = p->n_dropped;
    which->n_ctx = hyp_session_context(s, job);
    which->max_eval = max_eval(job, which->n_ctx);
    which->n_eval = which->n_decoded = 0;
    which->digest = HYP_DIGEST_START;
    which->next = which->logits = -1;
    which->start_ns = which->prompt_done_ns = hyp_mono_ns();
}

bool hyp_session_begin(hyp_session *s, hyp_job *job, hyp_prompt *p) {
    const hyp_backend_ops *ops = s->config.ops;
    hyp_err err = HYP_ERR_NONE;
    void *sampler = NULL;
    slot *which = NULL;
    int r = ops->sampler_new(s->config.model, &p->sampling, &sampler, &err);
    if (r == HYP_OK && (which = hyp_slots_take(&s->slots, p->tokens, p->n)) == NULL)
        r = hyp_err_set(&err, HYP_EBUSY, "no slot is free");
    if (r == HYP_OK) r = hyp_answer_open(&which->answer, job, p, &err);
    if (r != HYP_OK) {
        if (sampler != NULL) ops->sampler_free(sampler);
        if (which != NULL) hyp_answer_close(&which->answer);
        HYP_JOB_LOG(job, "could not begin: %s", err.message);
        atomic_fetch_add(&s->config.counters->failed, 1);
        hyp_job_fail_with(job, 500, &err, false);
        hyp_prompt_free(p);
        hyp_job_unref(job);
        return false;
    }
    for (size_t i = 0; i < p->n; i++)
        if (p->tokens[i] >= 0) ops->accept_prompt(sampler, p->tokens[i]);
    fill_slot(s, which, job, p, sampler);
    atomic_fetch_add(&s->config.counters->prompt_tokens, which->n_asked - which->n_cached);
    atomic_fetch_add(&s->config.counters->cached_tokens, which->n_cached);
    HYP_JOB_LOG(job, "begun in slot %d, %zu of %zu tokens found there", which->seq, which->n_cached, which->n_asked);
    hyp_prompt_free(p);
    tell_begin(which);
    return true;
}
