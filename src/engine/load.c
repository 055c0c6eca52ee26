/* load.c - the weights, mapped through libllama and guarded: a page that cannot be read is an error, not a signal. */
#include "engine/engine_priv.h"

#include "base/mem.h"
#include "engine/runtime.h"
#include "host/hugepages.h"
#include "host/mapping.h"
#include "plan/plan.h"

#include <unistd.h>

typedef struct load_progress {
    const hyp_engine_config *config;
    bool canceled;
} load_progress;

static bool on_progress(float fraction, void *user) {
    load_progress *p = user;
    if (p->config->progress == NULL) return true;
    uint64_t total = p->config->model->tensor_bytes;
    bool go_on = p->config->progress((uint64_t)((double)fraction * (double)total), total, p->config->progress_user);
    p->canceled = !go_on;
    return go_on;
}

static int map_model(hyp_engine *e, const hyp_engine_config *config, void **ret_bases, hyp_err *err) {
    load_progress progress = {config, false};
    struct llama_model_params params = llama_model_default_params();
    /* When streaming, the bar shows our own reading. */
    if (!hyp_engine_is_streaming(e)) {
        params.progress_callback = on_progress;
        params.progress_callback_user_data = &progress;
    }
    hyp_offload_apply(&e->offload, &params);
    params.use_extra_bufts = e->info.mode == HYP_MODE_RESIDENT && !e->plan->request.no_repack;
    params.load_mode = LLAMA_LOAD_MODE_MMAP;
    bool lazy =
        hyp_engine_is_streaming(e) || (e->info.mode == HYP_MODE_MMAP && config->model->bytes > e->info.budget_bytes);
    int r = hyp_mapping_begin(config->model, lazy, err);
    if (r != HYP_OK) return r;
    hyp_hugepages_enable(e->info.mode == HYP_MODE_RESIDENT);
    hyp_runtime_clear_error();
    e->llama = llama_model_load_from_file(config->model->path, params);
    hyp_mapping_end(ret_bases);
    if (e->llama != NULL) return HYP_OK;
    if (progress.canceled) return hyp_err_set(err, HYP_ECANCELED, "loading was interrupted");
    return hyp_engine_err(err, HYP_EENGINE, "llama.cpp cannot load this model");
}

/* The bytes of `file` from the first host tensor to the last: libllama unmaps what is before and behind, and something
 * else may stand there. False when no tensor of the file is on the host. */
static bool host_range(const hyp_engine *e, size_t file, uint64_t *ret_first, uint64_t *ret_end) {
    uint64_t first = UINT64_MAX, end = 0;
    for (size_t i = 0; i < e->model->n_tensors; i++) {
        const hyp_tensor *t = &e->model->tensors[i];
        bool host = e->plan->tensor_tier[i] < HYP_TIER_DEVICE || t->role == HYP_ROLE_EMBEDDING;
        if (t->file != file || !host || t->bytes == 0) continue;
        first = HYP_MIN(first, t->offset);
        end = HYP_MAX(end, t->offset + t->bytes);
    }
    *ret_first = first;
    *ret_end = end;
    return end > first;
}

/* Pages that cannot be read shall stop a computation, not the process. */
static int guard_files(hyp_engine *e, void *const *bases, hyp_err *err) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), first, end;
    e->guards = calloc(e->model->n_files, sizeof *e->guards);
    if (e->guards == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for %zu files", e->model->n_files);
    for (size_t i = 0; i < e->model->n_files; i++) {
        e->guards[i] = (engine_guard){.handle = -1};
        if (bases[i] == NULL || !host_range(e, i, &first, &end)) continue;
        e->guards[i].offset = first / page * page;
        e->guards[i].handle = hyp_mapping_guard((char *)bases[i] + e->guards[i].offset, end - e->guards[i].offset);
        hyp_engine_guard_copies(e, i, e->guards[i].handle, e->guards[i].offset);
    }
    return HYP_OK;
}

int hyp_engine_check_guards(const hyp_engine *e, hyp_err *err) {
    for (size_t i = 0; i < e->model->n_files; i++) {
        uint64_t offset;
        if (!hyp_mapping_faulted(e->guards[i].handle, &offset)) continue;
        hyp_err_set(err, HYP_EIO,
                    "%s could not be read at byte %llu: its disk fails, or the file was changed while in use",
                    e->model->files[i].path, (unsigned long long)(e->guards[i].offset + offset));
        hyp_err_hint(err, "check the disk and the file, then load the model again");
        return HYP_EIO;
    }
    return HYP_OK;
}

int hyp_engine_load_model(hyp_engine *e, const hyp_engine_config *config, void **ret_bases, hyp_err *err) {
    int r = map_model(e, config, ret_bases, err);
    return r == HYP_OK ? guard_files(e, ret_bases, err) : r;
}

void hyp_engine_unload_model(hyp_engine *e) {
    for (size_t i = 0; e->guards != NULL && i < e->model->n_files; i++)
        hyp_mapping_unguard(e->guards[i].handle);
    free(e->guards);
    if (e->llama != NULL) llama_model_free(e->llama);
}
