/* session_answer.c - the client with one job at a time, on its own thread. */
#include "base/mem.h"
#include "session/session_priv.h"

typedef struct delivery {
    hyp_job *job;
    hyp_event_sink sink;
    void *user;
    bool refused, done;
    hyp_err error; /* what an ERROR event told */
} delivery;

static void deliver(delivery *d) {
    for (hyp_event *event; (event = hyp_job_take(d->job)) != NULL; hyp_event_free(event)) {
        d->done |= event->kind == HYP_EVENT_DONE || event->kind == HYP_EVENT_ERROR;
        if (event->kind == HYP_EVENT_ERROR && event->error != NULL)
            d->error = *event->error;
        else if (event->kind == HYP_EVENT_ERROR)
            (void)hyp_err_set(&d->error, HYP_EENGINE, "%s", event->message != NULL ? event->message : "out of memory");
        else if (!d->refused && !d->sink(d->user, event))
            d->refused = true;
    }
}

int hyp_session_answer(hyp_session *s, hyp_job *job, hyp_event_sink sink, void *user, hyp_err *err) {
    delivery d = {.job = job, .sink = sink, .user = user};
    hyp_prompt *prompt = NULL;
    int status;
    int r = hyp_session_prepare(s, job, &prompt, &status, err);
    if (r != HYP_OK) return r;
    hyp_session_begin(s, hyp_job_ref(job), prompt); /* a failure is an event, too */
    deliver(&d);
    while (!d.done && !d.refused) {
        bool worked = false;
        hyp_err canceled = HYP_ERR_NONE;
        if (hyp_session_step(s, &worked, &canceled) == HYP_ECANCELED) hyp_session_stop(s);
        deliver(&d);
        /* Nothing to do and no end: there was no memory for the event that would have told it. */
        if (!worked && !d.done && !d.refused) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    }
    if (d.refused) {
        bool worked;
        hyp_err ignored = HYP_ERR_NONE;
        hyp_job_cancel(job);
        (void)!hyp_session_step(s, &worked, &ignored); /* lets go of the slot */
        return hyp_err_set(err, HYP_ECANCELED, "nobody wants more of the answer");
    }
    return d.error.code != 0 ? hyp_err_pass(err, &d.error) : HYP_OK;
}
