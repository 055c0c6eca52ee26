/* lane.c - loading and unloading the model of a lane. */
#include "base/log.h"
#include "base/mem.h"
#include "base/times.h"
#include "session/scheduler_priv.h"

#include <string.h>

enum { EMBED_PARALLEL = 16 }; /* inputs of one batch; they share one context */

typedef struct load_watch {
    hyp_scheduler *scheduler;
    hyp_job *job;
} load_watch;

static bool keep_loading(uint64_t done, uint64_t total, void *user) {
    (void)done, (void)total;
    const load_watch *watch = user;
    return !atomic_load(&watch->scheduler->closed) && !atomic_load(&watch->job->cancelled);
}

bool hyp_lane_holds(const lane *l, const hyp_job *job) {
    return l->model != NULL && strcmp(l->entry->path, job->entry->path) == 0;
}

size_t hyp_lane_active(const lane *l) {
    return (l->embedding != NULL) + (l->session != NULL ? hyp_session_busy(l->session) : 0);
}

bool hyp_lane_busy(const lane *l) {
    return hyp_lane_active(l) > 0 || l->n_prepared > 0;
}

void hyp_lane_abort(lane *l, int status, const char *message) {
    if (l->session != NULL) hyp_session_abort(l->session, status, message);
    if (l->embedding == NULL) return;
    hyp_job_fail(l->embedding, status, "%s", message);
    hyp_job_unref(l->embedding);
    l->embedding = NULL;
}

void hyp_lane_unload(hyp_scheduler *s, lane *l) {
    pthread_mutex_lock(&s->loaded_lock);
    void *model = l->model;
    hyp_entry *entry = l->entry;
    l->model = NULL;
    l->entry = NULL;
    pthread_mutex_unlock(&s->loaded_lock);
    if (model != NULL) HYP_LOG(SESSION, INFO, "unloading %s", entry->path);
    hyp_session_close(HYP_TAKE(l->session));
    free(HYP_TAKE(l->batch));
    if (model != NULL) s->config.backend.ops->close(model);
    hyp_entry_unref(entry);
}

/* A slot of the session has let its job go. */
static void on_ended(void *user, hyp_job *job) {
    hyp_scheduler *s = user;
    hyp_lane_touch(s, &s->lanes[TEXT_LANE], job);
}

static int open_session(hyp_scheduler *s, lane *l, void *model, const hyp_backend_info *info, hyp_err *err) {
    hyp_session_config config = {.ops = s->config.backend.ops,
                                 .model = model,
                                 .info = info,
                                 .counters = &s->counters,
                                 .ended = on_ended,
                                 .user = s};
    if (!l->embeddings) return hyp_session_open(&config, &l->session, err);
    l->batch = malloc(info->max_batch * sizeof *l->batch);
    return l->batch != NULL ? HYP_OK : hyp_err_set(err, HYP_ENOMEM, "out of memory");
}

int hyp_lane_load(hyp_scheduler *s, lane *l, hyp_job *job, hyp_err *err) {
    const hyp_backend_ops *ops = s->config.backend.ops;
    hyp_lane_unload(s, l);
    load_watch watch = {s, job};
    hyp_backend_open request = {.path = job->entry->path,
                                .embeddings = l->embeddings,
                                .context_tokens = hyp_scheduler_context(s, job->entry),
                                .n_parallel = l->embeddings ? EMBED_PARALLEL : s->config.n_parallel,
                                .progress = keep_loading,
                                .progress_user = &watch};
    hyp_backend_info info = {0};
    void *model = NULL;
    int64_t start = hyp_mono_ns();
    int r = ops->open(s->config.backend.self, &request, &model, &info, err);
    if (r != HYP_OK) {
        HYP_LOG(SESSION, ERROR, "cannot load %s: %s", job->entry->path, err->message);
        return r;
    }
    r = open_session(s, l, model, &info, err);
    if (r != HYP_OK) {
        ops->close(model);
        return r;
    }
    job->load_ns = hyp_mono_ns() - start;
    HYP_LOG(SESSION, INFO, "loaded %s in %.2f s, mode %s, %u x %u tokens", job->entry->path,
            (double)job->load_ns * 1e-9, hyp_mode_name(info.mode), info.n_parallel, info.context_tokens);
    l->info = info;
    atomic_fetch_add(&s->loads, 1);
    pthread_mutex_lock(&s->loaded_lock);
    l->model = model;
    l->entry = hyp_entry_ref(job->entry);
    l->expires_ns = HYP_FOREVER; /* until a request ended */
    pthread_mutex_unlock(&s->loaded_lock);
    return HYP_OK;
}

void hyp_lane_touch(hyp_scheduler *s, lane *l, const hyp_job *job) {
    if (!hyp_lane_holds(l, job)) return;
    int64_t now = hyp_mono_ns();
    pthread_mutex_lock(&s->loaded_lock);
    l->keep_alive_ns = job->keep_alive_ns;
    l->expires_ns = job->keep_alive_ns >= HYP_FOREVER - now ? HYP_FOREVER : now + job->keep_alive_ns;
    if (l->entry != job->entry) {
        hyp_entry *old = l->entry;
        l->entry = hyp_entry_ref(job->entry); /* listed under the name it was last called by */
        hyp_entry_unref(old);
    }
    pthread_mutex_unlock(&s->loaded_lock);
}
