/* prepare_priv.h - rendering and tokenising beside the compute thread, so that a long prompt delays nobody's next
 * token.
 *
 * The compute thread hands a waiting job over; one of a few preparing threads fills the job's preparation and pokes the
 * scheduler, which then takes the job up. In between the job stays in the queue and the model stays loaded. */
#pragma once
#include "session/prompt.h"

struct lane;

/* What one preparing thread has made of a job. */
typedef struct hyp_preparation {
    atomic_bool ready; /* written last; before, everything belongs to the preparing thread */
    int code;          /* HYP_OK, or what failed, told by `err` */
    int status;        /* the HTTP status of a failure */
    hyp_err err;
    hyp_prompt *prompt; /* GENERATE, CHAT, COUNT */
    hyp_token **inputs; /* EMBED, one a text */
    size_t *n_input_tokens;
    size_t n_inputs;
} hyp_preparation;

/* Accepts NULL. */
void hyp_preparation_free(hyp_preparation *p);

static inline bool hyp_preparation_is_ready(const hyp_preparation *p) {
    return atomic_load_explicit(&p->ready, memory_order_acquire);
}

typedef struct hyp_preparers hyp_preparers;

enum { HYP_N_PREPARERS = 2 }; /* one giant prompt does not keep the small ones waiting */

/* Start the threads. `done` is called from them when a preparation is ready. Errors: HYP_ENOMEM, HYP_EIO. */
HYP_NODISCARD int hyp_preparers_start(void (*done)(void *arg), void *arg, hyp_preparers **ret, hyp_err *err);

/* Wait for what is under way, drop the rest, end the threads. Accepts NULL. */
void hyp_preparers_stop(hyp_preparers *preparers);

/* Make `job->preparation` and let it be filled for the model of `lane`, which stays loaded until it is ready. Takes a
 * reference of `job` for that time. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_preparers_give(hyp_preparers *preparers, const struct lane *lane, hyp_job *job, hyp_err *err);
