/* kinds.c - the kinds of work, a row each: what is prepared, and what taking a job up means. */
#include "base/mem.h"
#include "session/scheduler_priv.h"

static void prepare_text(const lane *l, const hyp_job *job, hyp_preparation *p) {
    p->code = hyp_session_prepare(l->session, job, &p->prompt, &p->status, &p->err);
}

static verdict take_text(hyp_scheduler *s, lane *l, hyp_job *job) {
    if (hyp_session_busy(l->session) == hyp_session_slots(l->session)) return KEEP_WAITING;
    if (!hyp_session_begin(l->session, hyp_job_ref(job), HYP_TAKE(job->preparation->prompt))) hyp_lane_touch(s, l, job);
    hyp_job_unref(job);
    return TAKEN;
}

/* Takes no slot: it waits for no answer. */
static verdict take_count(hyp_scheduler *s, lane *l, hyp_job *job) {
    hyp_scheduler_finish(s, l, job, "stop", (hyp_stats){.n_prompt = (int64_t)job->preparation->prompt->n});
    return TAKEN;
}

static verdict take_embed(hyp_scheduler *s, lane *l, hyp_job *job) {
    (void)s;
    if (l->embedding != NULL) return KEEP_WAITING;
    l->embedding = job;
    l->n_embedded = 0;
    l->embed_stats = (hyp_stats){.load_ns = job->load_ns};
    return TAKEN;
}

static verdict take_load(hyp_scheduler *s, lane *l, hyp_job *job) {
    hyp_scheduler_finish(s, l, job, "load", (hyp_stats){.load_ns = HYP_MAX(job->load_ns, 1)});
    return TAKEN;
}

/* Never waits: what still runs ends first, then the model goes. */
static verdict take_unload(hyp_scheduler *s, lane *l, hyp_job *job) {
    for (size_t i = 0; i < N_LANES; i++)
        if (hyp_lane_holds(&s->lanes[i], job)) hyp_lane_touch(s, &s->lanes[i], job);
    hyp_scheduler_finish(s, l, job, "unload", (hyp_stats){0});
    return TAKEN;
}

static const job_kind_ops kinds[] = {
    [HYP_JOB_GENERATE] = {"generation", true, prepare_text, take_text},
    [HYP_JOB_CHAT] = {"chat", true, prepare_text, take_text},
    [HYP_JOB_COUNT] = {"count", true, prepare_text, take_count},
    [HYP_JOB_EMBED] = {"embedding", true, hyp_step_embed_prepare, take_embed},
    [HYP_JOB_LOAD] = {"load", true, NULL, take_load},
    [HYP_JOB_UNLOAD] = {"unload", false, NULL, take_unload},
};

const job_kind_ops *hyp_job_kind_of(const hyp_job *job) {
    return &kinds[job->kind];
}
