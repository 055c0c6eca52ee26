/* finish.c - how a slot's job ends. */
#include "base/log.h"
#include "base/mem.h"
#include "base/times.h"
#include "session/session_priv.h"
#include "session/tokens_priv.h"

#include <string.h>

void hyp_session_release(hyp_session *s, slot *which) {
    if (s->config.ended != NULL) s->config.ended(s->config.user, which->job);
    hyp_slot_release(&s->slots, which);
}

/* Every token that the slot's memory holds, and the one that was chosen last. */
static void give_context(const slot *which, hyp_event *event) {
    event->context = malloc((which->n_tokens + 1) * sizeof *event->context);
    if (event->context == NULL) return;
    memcpy(event->context, which->tokens, which->n_tokens * sizeof *event->context);
    event->n_context = which->n_tokens;
    if (which->next >= 0) event->context[event->n_context++] = which->next;
}

/* The tokens of the answer that memory still holds, for those who compare. */
static void trace(const slot *which, const char *reason) {
    if (!HYP_LOG_ON(SESSION, TRACE)) return;
    hyp_str tokens = {0};
    size_t from = HYP_MIN(which->n_asked, which->n_tokens);
    hyp_tokens_write(which->tokens + from, which->n_tokens - from, &tokens);
    hyp_tokens_write(&which->next, which->next >= 0, &tokens);
    const hyp_log_field fields[] = {hyp_log_text("model", which->job->model),
                                    hyp_log_whole("tokens", tokens.data != NULL ? tokens.data : ""),
                                    hyp_log_text("end", reason)};
    hyp_log_event(HYP_LOG_SESSION, HYP_LOG_TRACE, "answer", fields, HYP_ARRAY_LEN(fields));
    hyp_str_free(&tokens);
}

void hyp_session_finish(hyp_session *s, slot *which, const char *reason) {
    const hyp_job *job = which->job;
    hyp_answer_finish(&which->answer);
    trace(which, reason);
    HYP_JOB_LOG(job, "ended in slot %d, %s, %lld tokens", which->seq, reason, (long long)which->n_eval);
    int64_t now = hyp_mono_ns();
    hyp_event *event = calloc(1, sizeof *event);
    if (event != NULL) {
        event->kind = HYP_EVENT_DONE;
        event->reason = reason;
        event->stop = which->answer.stopped;
        event->digest = which->digest;
        event->stats = (hyp_stats){.total_ns = now - job->created_ns,
                                   .load_ns = HYP_MAX(job->load_ns, 1),
                                   .prompt_ns = HYP_MAX(which->prompt_done_ns - which->start_ns, 1),
                                   .eval_ns = HYP_MAX(now - which->prompt_done_ns, 1),
                                   .n_prompt = (int64_t)which->n_asked,
                                   .n_cached = (int64_t)which->n_cached,
                                   .n_eval = which->n_eval,
                                   .n_reasoning = which->answer.n_reasoning,
                                   .n_decoded = which->n_decoded,
                                   .n_dropped = (int64_t)which->n_dropped};
        if (job->kind == HYP_JOB_GENERATE && !job->raw) give_context(which, event);
    }
    hyp_job_push(which->job, event);
    hyp_session_release(s, which);
}

void hyp_session_fail_slot(hyp_session *s, slot *which, int status, const hyp_err *err) {
    HYP_JOB_LOG(which->job, "failed in slot %d: %s", which->seq, err->message);
    atomic_fetch_add(&s->config.counters->failed, 1);
    hyp_job_fail_with(which->job, status, err, true);
    hyp_session_release(s, which);
}

void hyp_session_fail_memory(hyp_session *s, slot *which) {
    hyp_err err = HYP_ERR_NONE;
    (void)hyp_err_set(&err, HYP_ENOMEM, "out of memory");
    hyp_session_fail_slot(s, which, 500, &err);
}

static void fail_all(hyp_session *s, int status, const hyp_err *err) {
    for (size_t i = 0; i < s->slots.n; i++)
        if (s->slots.items[i].job != NULL) hyp_session_fail_slot(s, &s->slots.items[i], status, err);
}

void hyp_session_abort(hyp_session *s, int status, const char *message) {
    hyp_err err = HYP_ERR_NONE;
    (void)hyp_err_set(&err, HYP_EENGINE, "%s", message);
    fail_all(s, status, &err);
}

void hyp_session_decode_failed(hyp_session *s, const hyp_err *err) {
    fail_all(s, 500, err);
    /* How far the batch came is not known, so no slot's memory can be trusted. */
    for (size_t i = 0; i < s->slots.n; i++)
        hyp_slots_forget(&s->slots, &s->slots.items[i]);
}

void hyp_session_stop(hyp_session *s) {
    for (size_t i = 0; i < s->slots.n; i++) {
        slot *which = &s->slots.items[i];
        if (which->job == NULL) continue;
        hyp_slots_recover(&s->slots, which);
        hyp_session_finish(s, which, "interrupted");
    }
}
