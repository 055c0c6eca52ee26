#include "server/answer.h"

#include "base/mem.h"

#include <string.h>

int answer_open(answer *a, hyp_job *job, const answer_plan *p, hyp_err *err) {
    (void)p, (void)err;
    *a = (answer){.job = job};
    for (size_t i = 0; i < job->params.n_stop; i++)
        a->max_stop = HYP_MAX(a->max_stop, strlen(job->params.stop[i]));
    return HYP_OK;
}

static void move_logprobs(answer *a, hyp_event *event) {
    event->logprobs = a->logprobs;
    event->n_logprobs = a->n_logprobs;
    a->logprobs = NULL;
    a->n_logprobs = a->logprobs_capacity = 0;
}

/* Hand out the first `n` held bytes. */
static void deliver(answer *a, size_t n) {
    if (n == 0) return;
    hyp_event *event = calloc(1, sizeof *event);
    hyp_str text = {0};
    if (event != NULL) {
        event->kind = HYP_EVENT_DELTA;
        hyp_utf8_repair(&text, a->held.data, n);
        event->content = text.data;
        move_logprobs(a, event);
    }
    memmove(a->held.data, a->held.data + n, a->held.length - n);
    a->held.length -= n;
    hyp_job_push(a->job, event);
}

/* The first stop string in what is held: its position, or SIZE_MAX. */
static size_t find_stop(const answer *a) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < a->job->params.n_stop; i++) {
        const char *stop = a->job->params.stop[i];
        const char *at = memmem(a->held.data, a->held.length, stop, strlen(stop));
        if (at != NULL) best = HYP_MIN(best, (size_t)(at - a->held.data));
    }
    return best;
}

/* How many bytes from the start cannot be part of a stop string that is still to be completed. */
static size_t certain(const answer *a) {
    size_t n = a->held.length, from = n >= a->max_stop ? n - a->max_stop + (a->max_stop > 0) : 0;
    for (size_t at = from; at < n; at++)
        for (size_t i = 0; i < a->job->params.n_stop; i++)
            if (strncmp(a->job->params.stop[i], a->held.data + at, n - at) == 0) return at;
    return n;
}

static void add_logprob(answer *a, hyp_logprob *logprob) {
    if (a->n_logprobs == a->logprobs_capacity) {
        size_t capacity = a->logprobs_capacity == 0 ? 4 : 2 * a->logprobs_capacity;
        hyp_logprob *more = realloc(a->logprobs, capacity * sizeof *more);
        if (more == NULL) {
            hyp_logprob_clear(logprob);
            return;
        }
        a->logprobs = more;
        a->logprobs_capacity = capacity;
    }
    a->logprobs[a->n_logprobs++] = *logprob;
}

bool answer_feed(answer *a, const char *bytes, size_t n, hyp_logprob *logprob) {
    if (logprob != NULL) add_logprob(a, logprob);
    hyp_str_append(&a->held, bytes, n);
    if (a->held.length == 0) return false;
    size_t stop = find_stop(a);
    if (stop != SIZE_MAX) {
        deliver(a, stop);
        a->held.length = 0;
        a->stopped = true;
        return true;
    }
    deliver(a, hyp_utf8_whole(a->held.data, certain(a)));
    return false;
}

void answer_finish(answer *a) {
    if (!a->stopped) deliver(a, a->held.length);
}

void answer_close(answer *a) {
    hyp_str_free(&a->held);
    for (size_t i = 0; i < a->n_logprobs; i++)
        hyp_logprob_clear(&a->logprobs[i]);
    free(a->logprobs);
    *a = (answer){0};
}
