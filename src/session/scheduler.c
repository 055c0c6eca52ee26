#include "session/scheduler.h"

#include "base/mem.h"
#include "base/platform.h"
#include "base/times.h"
#include "session/scheduler_priv.h"

#include <errno.h>
#include <string.h>

enum { MAX_QUEUE_DEFAULT = 512 };

static void poke(void *arg) {
    hyp_scheduler *s = arg;
    pthread_mutex_lock(&s->lock);
    s->poked = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

uint32_t hyp_scheduler_context(const hyp_scheduler *s, const hyp_entry *entry) {
    uint32_t trained = entry->summary.n_ctx_train;
    return trained > 0 ? HYP_MIN(trained, s->config.context_tokens) : s->config.context_tokens;
}

int hyp_scheduler_submit(hyp_scheduler *s, hyp_job *job, int *ret_status, hyp_err *err) {
    unsigned limit = s->config.max_queue > 0 ? s->config.max_queue : (unsigned)MAX_QUEUE_DEFAULT;
    pthread_mutex_lock(&s->lock);
    int r = HYP_OK, status = 503;
    /* An unload must get through a queue that is full of work for the model to be unloaded. */
    if (atomic_load(&s->closed)) {
        r = hyp_err_set(err, HYP_ECANCELED, "%s", s->last_words);
        status = s->last_status;
    } else if (atomic_load(&s->n_waiting) >= limit && job->kind != HYP_JOB_UNLOAD)
        r = hyp_err_set(err, HYP_EBUSY, "server busy, please try again.  maximum pending requests exceeded");
    if (r == HYP_OK) {
        hyp_job_ref(job);
        job->next = NULL;
        if (s->incoming_last != NULL)
            s->incoming_last->next = job;
        else
            s->incoming = job;
        s->incoming_last = job;
        atomic_fetch_add(&s->n_waiting, 1);
        s->poked = true;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (r != HYP_OK) *ret_status = status;
    atomic_fetch_add(r == HYP_OK ? &s->jobs : &s->refused, 1);
    return r;
}

static void take_incoming(hyp_scheduler *s) {
    pthread_mutex_lock(&s->lock);
    hyp_job *first = s->incoming, *last = s->incoming_last;
    s->incoming = s->incoming_last = NULL;
    s->poked = false;
    pthread_mutex_unlock(&s->lock);
    for (hyp_job *job = first; job != NULL; job = job->next) {
        hyp_job_set_resume(job, poke, s);
        HYP_JOB_LOG(job, "queued, %s of %s", hyp_job_kind_of(job)->name, job->model);
    }
    if (first == NULL) return;
    if (s->waiting_last != NULL)
        s->waiting_last->next = first;
    else
        s->waiting = first;
    s->waiting_last = last;
}

/* Let a waiting job go: it has been taken up, or is over. */
static void leave_queue(hyp_scheduler *s, hyp_job *before, hyp_job *job) {
    if (before != NULL)
        before->next = job->next;
    else
        s->waiting = job->next;
    if (s->waiting_last == job) s->waiting_last = before;
    job->next = NULL;
    atomic_fetch_sub(&s->n_waiting, 1);
}

void hyp_scheduler_finish(hyp_scheduler *s, lane *l, hyp_job *job, const char *reason, hyp_stats stats) {
    hyp_event *event = calloc(1, sizeof *event);
    if (event != NULL) {
        event->kind = HYP_EVENT_DONE;
        event->reason = reason;
        event->stats = stats;
        event->stats.total_ns = hyp_mono_ns() - job->created_ns;
    }
    hyp_lane_touch(s, l, job);
    hyp_job_push(job, event);
    hyp_job_unref(job);
}

void hyp_scheduler_fail(hyp_scheduler *s, hyp_job *job, int status, const hyp_err *err, bool tell_hint) {
    HYP_JOB_LOG(job, "failed in the queue: %s", err->message);
    atomic_fetch_add(&s->counters.failed, 1);
    hyp_job_fail_with(job, status, err, tell_hint);
    hyp_job_unref(job);
}

/* Let the job be prepared, unless so many are that it could not begin soon anyway: what is prepared takes memory. */
static verdict prepare(hyp_scheduler *s, lane *l, hyp_job *job) {
    hyp_err err = HYP_ERR_NONE;
    if (l->n_prepared >= (size_t)l->info.n_parallel + HYP_N_PREPARERS) return KEEP_WAITING;
    if (hyp_preparers_give(s->preparers, l, job, &err) != HYP_OK) {
        hyp_lane_touch(s, l, job);
        hyp_scheduler_fail(s, job, 500, &err, false);
        return TAKEN;
    }
    l->n_prepared++;
    HYP_JOB_LOG(job, "in preparation");
    return KEEP_WAITING;
}

static verdict drop_ended(hyp_scheduler *s, lane *l, hyp_job *job) {
    if (job->preparation != NULL) {
        l->n_prepared--;
        hyp_lane_touch(s, l, job);
    }
    HYP_JOB_LOG(job, "dropped from the queue: its client is gone");
    atomic_fetch_add(&s->counters.cancelled, 1);
    hyp_job_unref(job);
    return TAKEN;
}

static verdict take(hyp_scheduler *s, lane *l, hyp_job *job, bool *blocked) {
    hyp_preparation *p = job->preparation;
    if (p != NULL && p->code != HYP_OK) {
        l->n_prepared--;
        hyp_lane_touch(s, l, job);
        hyp_scheduler_fail(s, job, p->status, &p->err, false);
        return TAKEN;
    }
    verdict v = hyp_job_kind_of(job)->take(s, l, job);
    if (v == KEEP_WAITING)
        *blocked = true;
    else if (p != NULL)
        l->n_prepared--;
    return v;
}

/* One job's next move towards being taken up. One that is in preparation lets those behind it pass: it blocks no slot.
 */
static verdict consider(hyp_scheduler *s, hyp_job *job, bool blocked[N_LANES]) {
    const job_kind_ops *kind = hyp_job_kind_of(job);
    int which =
        job->kind == HYP_JOB_EMBED || (job->entry->summary.capabilities & HYP_CAN_EMBED) != 0 ? EMBED_LANE : TEXT_LANE;
    lane *l = &s->lanes[which];
    if (job->preparation != NULL && !hyp_preparation_is_ready(job->preparation)) return KEEP_WAITING;
    /* Also when its client has gone: what it asks for needs no answer. */
    if (!kind->needs_model) return take(s, &s->lanes[TEXT_LANE], job, &blocked[which]);
    if (hyp_job_has_ended(job)) return drop_ended(s, l, job);
    if (blocked[which]) return KEEP_WAITING;
    if (!hyp_lane_holds(l, job)) {
        if (hyp_lane_busy(l)) {
            blocked[which] = true;
            return KEEP_WAITING;
        }
        hyp_err err = HYP_ERR_NONE;
        if (hyp_lane_load(s, l, job, &err) != HYP_OK) {
            hyp_scheduler_fail(s, job, err.code == HYP_ECANCELED ? 499 : 500, &err, true);
            return TAKEN;
        }
    }
    if (kind->prepare != NULL && job->preparation == NULL) return prepare(s, l, job);
    return take(s, l, job, &blocked[which]);
}

/* Take up what can be taken up, in order; a lane whose first job cannot begin keeps all behind it waiting. */
static void admit(hyp_scheduler *s) {
    bool blocked[N_LANES] = {false};
    hyp_job *before = NULL, *next;
    for (hyp_job *job = s->waiting; job != NULL; job = next) {
        next = job->next;
        hyp_job *keep = hyp_job_ref(job); /* its link is needed after it was let go */
        if (consider(s, job, blocked) == TAKEN)
            leave_queue(s, before, job);
        else
            before = job;
        hyp_job_unref(keep);
    }
}

/* Unload what nobody used for long enough. Returns how long until the next time, in nanoseconds. */
static int64_t expire(hyp_scheduler *s) {
    int64_t now = hyp_mono_ns(), next = HYP_FOREVER;
    for (size_t i = 0; i < N_LANES; i++) {
        lane *l = &s->lanes[i];
        if (l->model == NULL || hyp_lane_busy(l) || l->expires_ns == HYP_FOREVER) continue;
        if (l->expires_ns <= now)
            hyp_lane_unload(s, l);
        else
            next = HYP_MIN(next, l->expires_ns - now);
    }
    return next;
}

static void wait_for_work(hyp_scheduler *s, int64_t at_most_ns) {
    int64_t wait = HYP_MIN(at_most_ns, (int64_t)60 * 1000000000);
    double deadline_s = hyp_text_now_s() + (double)wait / 1e9;
    pthread_mutex_lock(&s->lock);
    while (!s->poked && !atomic_load(&s->closed))
        if (hyp_platform_cond_wait_until(&s->wake, &s->lock, deadline_s) == ETIMEDOUT) break;
    pthread_mutex_unlock(&s->lock);
}

static void fail_everything(hyp_scheduler *s, int status, const char *message) {
    for (size_t i = 0; i < N_LANES; i++)
        hyp_lane_abort(&s->lanes[i], status, message);
    take_incoming(s);
    while (s->waiting != NULL) {
        hyp_job *job = s->waiting;
        leave_queue(s, NULL, job);
        hyp_job_fail(job, status, "%s", message);
        hyp_job_unref(job);
    }
}

/* False when there was nothing to do. */
static bool step_text(hyp_scheduler *s, lane *l) {
    bool worked = false;
    hyp_err why = HYP_ERR_NONE;
    if (l->session == NULL) return false;
    if (hyp_session_step(l->session, &worked, &why) == HYP_OK) return worked;
    /* Interrupted: by whoever closes the scheduler, who tells everyone. */
    if (!atomic_load(&s->closed)) hyp_session_abort(l->session, 500, why.message);
    return true;
}

static void *compute(void *arg) {
    hyp_scheduler *s = arg;
    while (!atomic_load(&s->closed)) {
        take_incoming(s);
        admit(s);
        int64_t next = expire(s);
        bool worked = step_text(s, &s->lanes[TEXT_LANE]);
        worked |= hyp_step_embed(s, &s->lanes[EMBED_LANE]);
        atomic_store(&s->n_active,
                     (unsigned)(hyp_lane_active(&s->lanes[TEXT_LANE]) + hyp_lane_active(&s->lanes[EMBED_LANE])));
        if (!worked) wait_for_work(s, next);
    }
    fail_everything(s, s->last_status, s->last_words);
    atomic_store(&s->ended, true);
    hyp_preparers_stop(HYP_TAKE(s->preparers)); /* they hold their jobs themselves, but look at the models */
    for (size_t i = 0; i < N_LANES; i++)
        hyp_lane_unload(s, &s->lanes[i]);
    return NULL;
}

/* Whatever the compute thread does between two decodes takes far less. */
static const double WITHIN_A_DECODE_S = 0.5;

void hyp_scheduler_fail_all(hyp_scheduler *s, int status, const char *message) {
    if (s == NULL || !s->running || atomic_load(&s->closed)) return;
    snprintf(s->last_words, sizeof s->last_words, "%s", message);
    s->last_status = status;
    hyp_scheduler_close(s);
    /* Between two decodes the compute thread does it itself. Within one it waits for the thread that we are on, or is
     * it: what belongs to it is ours then. */
    double end_s = hyp_text_now_s() + WITHIN_A_DECODE_S;
    bool own = pthread_equal(pthread_self(), s->thread);
    while (!own && !atomic_load(&s->ended) && hyp_text_now_s() < end_s)
        usleep(2000);
    if (!atomic_load(&s->ended)) fail_everything(s, status, message);
}

int hyp_scheduler_start(const hyp_scheduler_config *config, hyp_scheduler **ret, hyp_err *err) {
    hyp_scheduler *s = calloc(1, sizeof *s);
    if (s == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the scheduler");
    s->config = *config;
    s->last_status = 503;
    snprintf(s->last_words, sizeof s->last_words, "the server is shutting down");
    s->lanes[EMBED_LANE].embeddings = true;
    for (size_t i = 0; i < N_LANES; i++)
        s->lanes[i].ops = config->backend.ops;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->loaded_lock, NULL);
    hyp_platform_cond_init(&s->wake);
    if (hyp_preparers_start(poke, s, &s->preparers, err) != HYP_OK) {
        hyp_scheduler_stop(s);
        return err->code;
    }
    int r = pthread_create(&s->thread, NULL, compute, s);
    if (r != 0) {
        hyp_preparers_stop(s->preparers);
        hyp_scheduler_stop(s);
        return hyp_err_set_sys(err, HYP_EIO, r, "cannot start the compute thread");
    }
    s->running = true;
    *ret = s;
    return HYP_OK;
}

void hyp_scheduler_close(hyp_scheduler *s) {
    atomic_store(&s->closed, true);
    pthread_mutex_lock(&s->loaded_lock);
    for (size_t i = 0; i < N_LANES; i++)
        if (s->lanes[i].model != NULL) s->config.backend.ops->interrupt(s->lanes[i].model, true);
    pthread_mutex_unlock(&s->loaded_lock);
    poke(s);
}

void hyp_scheduler_stop(hyp_scheduler *s) {
    if (s == NULL) return;
    if (s->running) {
        hyp_scheduler_close(s);
        pthread_join(s->thread, NULL);
        fail_everything(s, s->last_status, s->last_words); /* what came between its last look and its end */
    }
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->loaded_lock);
    free(s);
}

size_t hyp_scheduler_loaded(hyp_scheduler *s, hyp_loaded ret[HYP_LOADED_MAX]) {
    size_t n = 0;
    int64_t now = hyp_mono_ns(), wall = hyp_wall_ns();
    pthread_mutex_lock(&s->loaded_lock);
    for (size_t i = 0; i < N_LANES; i++) {
        const lane *l = &s->lanes[i];
        if (l->model == NULL) continue;
        ret[n++] = (hyp_loaded){.entry = hyp_entry_ref(l->entry),
                                .size_bytes = l->info.size_bytes,
                                .vram_bytes = l->info.vram_bytes,
                                .context_tokens = l->info.context_tokens,
                                .expires_ns = l->expires_ns == HYP_FOREVER ? HYP_FOREVER : wall + l->expires_ns - now,
                                .mode = l->info.mode,
                                .embeddings = l->embeddings};
    }
    pthread_mutex_unlock(&s->loaded_lock);
    if (n == 2 && ret[1].expires_ns > ret[0].expires_ns) {
        hyp_loaded first = ret[0];
        ret[0] = ret[1];
        ret[1] = first;
    }
    return n;
}

void hyp_scheduler_get_stats(hyp_scheduler *s, hyp_scheduler_stats *ret) {
    *ret = (hyp_scheduler_stats){.jobs = atomic_load(&s->jobs),
                                 .failed = atomic_load(&s->counters.failed),
                                 .cancelled = atomic_load(&s->counters.cancelled),
                                 .refused = atomic_load(&s->refused),
                                 .prompt_tokens = atomic_load(&s->counters.prompt_tokens),
                                 .cached_tokens = atomic_load(&s->counters.cached_tokens),
                                 .output_tokens = atomic_load(&s->counters.output_tokens),
                                 .decodes = atomic_load(&s->counters.decodes),
                                 .decoded_tokens = atomic_load(&s->counters.decoded_tokens),
                                 .loads = atomic_load(&s->loads),
                                 .prompt_s = (double)atomic_load(&s->counters.prompt_ns) * 1e-9,
                                 .decode_s = (double)atomic_load(&s->counters.decode_ns) * 1e-9,
                                 .waiting = atomic_load(&s->n_waiting),
                                 .active = atomic_load(&s->n_active),
                                 .n_parallel = s->config.n_parallel};
    pthread_mutex_lock(&s->loaded_lock);
    const lane *l = &s->lanes[TEXT_LANE];
    ret->loaded = l->model != NULL;
    if (ret->loaded) s->config.backend.ops->get_stats(l->model, &ret->engine, &ret->placement);
    pthread_mutex_unlock(&s->loaded_lock);
}
