#include "session/prepare_priv.h"

#include "base/mem.h"
#include "session/scheduler_priv.h"

#include <string.h>

typedef struct order {
    struct order *next;
    const lane *lane;
    hyp_job *job; /* a reference */
} order;

struct hyp_preparers {
    pthread_t threads[HYP_N_PREPARERS];
    size_t n_threads;
    void (*done)(void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    order *first, *last; /* lock */
    bool closed;         /* lock */
};

void hyp_preparation_free(hyp_preparation *p) {
    if (p == NULL) return;
    for (size_t i = 0; i < p->n_inputs; i++)
        free(p->inputs[i]);
    free(p->inputs);
    free(p->n_input_tokens);
    hyp_prompt_free(p->prompt);
    free(p);
}

/* The oldest order, or NULL when the threads shall end. */
static order *next_order(hyp_preparers *w) {
    pthread_mutex_lock(&w->lock);
    while (w->first == NULL && !w->closed)
        pthread_cond_wait(&w->wake, &w->lock);
    order *o = w->closed ? NULL : w->first;
    if (o != NULL && (w->first = o->next) == NULL) w->last = NULL;
    pthread_mutex_unlock(&w->lock);
    return o;
}

static void *prepare(void *arg) {
    hyp_preparers *w = arg;
    for (order *o; (o = next_order(w)) != NULL;) {
        hyp_preparation *p = o->job->preparation;
        if (hyp_job_has_ended(o->job)) /* its client is gone: nobody looks at what is made of it */
            p->code = HYP_ECANCELED;
        else
            hyp_job_kind_of(o->job)->prepare(o->lane, o->job, p);
        /* From here on the compute thread may take the job up, and the model may go. */
        atomic_store_explicit(&p->ready, true, memory_order_release);
        hyp_job_unref(o->job);
        free(o);
        w->done(w->arg);
    }
    return NULL;
}

int hyp_preparers_start(void (*done)(void *arg), void *arg, hyp_preparers **ret, hyp_err *err) {
    hyp_preparers *w = calloc(1, sizeof *w);
    if (w == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    w->done = done;
    w->arg = arg;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    for (; w->n_threads < HYP_N_PREPARERS; w->n_threads++) {
        int r = pthread_create(&w->threads[w->n_threads], NULL, prepare, w);
        if (r == 0) continue;
        hyp_preparers_stop(w);
        return hyp_err_set_sys(err, HYP_EIO, r, "cannot start a thread");
    }
    *ret = w;
    return HYP_OK;
}

void hyp_preparers_stop(hyp_preparers *w) {
    if (w == NULL) return;
    pthread_mutex_lock(&w->lock);
    w->closed = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < w->n_threads; i++)
        pthread_join(w->threads[i], NULL);
    for (order *o = w->first, *next; o != NULL; o = next) {
        next = o->next;
        hyp_job_unref(o->job);
        free(o);
    }
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

int hyp_preparers_give(hyp_preparers *w, const lane *l, hyp_job *job, hyp_err *err) {
    order *o = calloc(1, sizeof *o);
    hyp_preparation *p = calloc(1, sizeof *p);
    if (o == NULL || p == NULL) {
        free(o);
        free(p);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    }
    atomic_init(&p->ready, false);
    p->status = 500;
    job->preparation = p;
    *o = (order){.lane = l, .job = hyp_job_ref(job)};
    pthread_mutex_lock(&w->lock);
    if (w->last != NULL)
        w->last->next = o;
    else
        w->first = o;
    w->last = o;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    return HYP_OK;
}
