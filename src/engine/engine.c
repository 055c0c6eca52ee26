/* engine.c - open, close, and what was loaded. How a model larger than memory is fed is src/stream. */
#include "engine/engine_priv.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "engine/runtime.h"
#include "engine/setup.h"
#include "host/process.h"

enum { MAX_PARALLEL = 64 };

int hyp_engine_err(hyp_err *err, int code, const char *message) {
    char words[256];
    hyp_runtime_last_error(words, sizeof words);
    return hyp_err_set(err, code, words[0] != '\0' ? "%s: %s" : "%s", message, words);
}

/* What the plan says of the engine. */
static int take_setup(hyp_engine *e, const hyp_engine_config *config, hyp_err *err) {
    const hyp_setup *setup = e->setup = config->setup;
    const bool disk_measured = setup->machine.disk_source != HYP_PROFILE_DEFAULT;
    e->hardware = setup->machine.hardware;
    e->plan = setup->plan;
    e->info.rates_measured = disk_measured && setup->machine.machine_source != HYP_PROFILE_DEFAULT;
    e->may_fall_back = hyp_mode_is_open(e->plan->request.mode);
    if (disk_measured) e->info.disk_bytes_per_s = e->hardware.disk_bytes_per_s;
    e->info.mode = e->plan->mode;
    e->info.budget_bytes = e->plan->budget_bytes;
    snprintf(e->info.reason, sizeof e->info.reason, "%s", e->plan->reason);
    return hyp_offload_make(config->model, &e->hardware, e->plan, &e->offload, err);
}

/* What was asked for and cannot be had: an error where the result would be missing, else a warning. */
static int check_wishes(const hyp_engine *e, const hyp_engine_config *config, hyp_err *err) {
    if (e->plan->request.vram_bytes > 0 && e->hardware.n_devices == 0 && config->warn != NULL)
        config->warn("--vram changes nothing: no device is used beside the CPU", config->warn_user);
    if (config->sidecar_path != NULL && !hyp_engine_is_streaming(e) && config->warn != NULL)
        config->warn("the packed copy is not read: in this mode nothing is streamed", config->warn_user);
    if (config->trace_path == NULL || hyp_mode_routes(e->info.mode)) return HYP_OK;
    hyp_err_set(err, HYP_EUNSUPPORTED, "mode %s has no routing to record", hyp_mode_name(e->info.mode));
    hyp_err_hint(err, config->model->n_experts > 0 ? "--mode experts records what the router chooses"
                                                   : "this model has no experts");
    return HYP_EUNSUPPORTED;
}

static int open_engine(hyp_engine *e, const hyp_engine_config *config, hyp_err *err) {
    if (config->setup->plan->request.n_parallel > MAX_PARALLEL)
        return hyp_err_set(err, HYP_EINVAL, "at most %d sequences run in parallel", MAX_PARALLEL);
    int r = hyp_runtime_start(err);
    if (r == HYP_OK) r = take_setup(e, config, err);
    if (r == HYP_OK) r = check_wishes(e, config, err);
    if (r == HYP_OK) r = hyp_engine_open_mirrors(e, config, err);
    if (r != HYP_OK) return r;
    double start_s = hyp_text_now_s();
    e->model = config->model;
    e->info.threads = config->threads > 0 ? config->threads : hyp_process_default_threads();
    HYP_AUTOFREE void **bases = calloc(config->model->n_files, sizeof *bases);
    if (bases == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for %zu files", config->model->n_files);
    r = hyp_engine_load_model(e, config, bases, err);
    if (r != HYP_OK) return r;
    e->vocab = llama_model_get_vocab(e->llama);
    e->info.n_vocab = llama_vocab_n_tokens(e->vocab);
    e->info.n_embd = llama_model_n_embd_out(e->llama);
    r = hyp_engine_check_vocab(e, err);
    if (r != HYP_OK) return r;
    r = hyp_engine_make_context(e, config, bases, err);
    if (r == HYP_OK) hyp_engine_watch_sources(e);
    e->info.load_s = hyp_text_now_s() - start_s;
    e->read_bytes_at_open = hyp_process_read_bytes();
    e->major_faults_at_open = hyp_process_major_faults();
    return r;
}

bool hyp_engine_keeps_whole_windows(void) {
    return llama_context_default_params().swa_full;
}

int hyp_engine_open(const hyp_engine_config *config, hyp_engine **ret, hyp_err *err) {
    hyp_engine *e = calloc(1, sizeof *e);
    if (e == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the engine");
    int r = open_engine(e, config, err);
    if (r == HYP_OK)
        *ret = e;
    else
        hyp_engine_close(e);
    return r;
}

int hyp_engine_end_trace(hyp_engine *e, hyp_err *err) {
    return e->stream != NULL ? hyp_stream_end_trace(e->stream, err) : HYP_OK;
}

void hyp_engine_close(hyp_engine *e) {
    if (e == NULL) return;
    hyp_engine_free_context(e);
    hyp_stream_free(e->stream); /* puts the file's mapping back before libllama unmaps it */
    hyp_engine_unload_model(e);
    hyp_mirrors_close(&e->mirrors);
    hyp_offload_free(&e->offload);
    hyp_plan_free(e->replanned);
    free(e);
}

const hyp_engine_info *hyp_engine_get_info(const hyp_engine *e) {
    return &e->info;
}

bool hyp_engine_uses_sidecar(const hyp_engine *e, const char **ret_path, const hyp_err **ret_why) {
    if (ret_path != NULL) *ret_path = NULL;
    if (ret_why != NULL) *ret_why = NULL;
    return e->stream != NULL && hyp_stream_uses_sidecar(e->stream, ret_path, ret_why);
}

const hyp_plan *hyp_engine_plan(const hyp_engine *e) {
    return e->plan;
}

const hyp_model *hyp_engine_model(const hyp_engine *e) {
    return e->model;
}
