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

bool lane_holds(const lane *l, const hyp_job *job) {
    return l->model != NULL && strcmp(l->entry->path, job->entry->path) == 0;
}

bool lane_busy(const lane *l) {
    return l->embedding != NULL || slots_busy(&l->slots) > 0;
}

void lane_unload(hyp_scheduler *s, lane *l) {
    pthread_mutex_lock(&s->loaded_lock);
    void *model = l->model;
    hyp_entry *entry = l->entry;
    l->model = NULL;
    l->entry = NULL;
    pthread_mutex_unlock(&s->loaded_lock);
    if (model != NULL) HYP_LOG(SESSION, INFO, "unloading %s", entry->path);
    slots_close(&l->slots);
    hyp_template_free(l->template);
    hyp_template_free(l->tool_template);
    l->template = l->tool_template = NULL;
    if (model != NULL) s->config.backend.ops->close(model);
    hyp_entry_unref(entry);
}

/* The batch that all lanes fill, one after the other. */
static int grow_batch(hyp_scheduler *s, size_t n, hyp_err *err) {
    if (n <= s->batch_capacity) return HYP_OK;
    hyp_input *batch = realloc(s->batch, n * sizeof *batch);
    if (batch == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    s->batch = batch;
    s->batch_capacity = n;
    return HYP_OK;
}

int lane_load(hyp_scheduler *s, lane *l, hyp_job *job, hyp_err *err) {
    const hyp_backend_ops *ops = s->config.backend.ops;
    lane_unload(s, l);
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
    r = grow_batch(s, info.max_batch, err);
    if (r == HYP_OK && !l->embeddings) {
        r = slots_open(&l->slots, ops, model, info.n_parallel, info.needs_checkpoints, err);
        if (r == HYP_OK) r = hyp_template_open(info.chat_template, NULL, NULL, &l->template, NULL, err);
        if (r == HYP_OK && info.tool_template != NULL) {
            hyp_err ignored = HYP_ERR_NONE; /* what is not understood: the other one serves for all */
            if (hyp_template_compile(info.tool_template, strlen(info.tool_template), NULL, &l->tool_template,
                                     &ignored) == HYP_ENOMEM)
                r = hyp_err_set(err, HYP_ENOMEM, "out of memory");
        }
    }
    if (r != HYP_OK) {
        slots_close(&l->slots);
        ops->close(model);
        return r;
    }
    l->load_ns = hyp_mono_ns() - start;
    HYP_LOG(SESSION, INFO, "loaded %s in %.2f s, mode %s, %u x %u tokens", job->entry->path, (double)l->load_ns * 1e-9,
            hyp_mode_name(info.mode), info.n_parallel, info.context_tokens);
    l->info = info;
    atomic_fetch_add(&s->loads, 1);
    pthread_mutex_lock(&s->loaded_lock);
    l->model = model;
    l->entry = hyp_entry_ref(job->entry);
    l->expires_ns = HYP_FOREVER; /* until a request ended */
    pthread_mutex_unlock(&s->loaded_lock);
    return HYP_OK;
}

void lane_touch(hyp_scheduler *s, lane *l, hyp_job *job) {
    if (!lane_holds(l, job)) return;
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
