/* engine.c - open, close, decode, and the memory of sequences. How a model larger than memory is fed is stream.c. */
#include "engine/engine_priv.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "engine/runtime.h"
#include "engine/setup.h"
#include "host/hugepages.h"
#include "host/mapping.h"
#include "host/process.h"
#include "hw/memory.h"

#include <string.h>
#include <unistd.h>

enum { MAX_PARALLEL = 64 };

/* Beside the heap, the context and the frames: the program's and its libraries' pages, the sampler's candidates, rows
 * of the token embedding in the page cache. A control group of the budget was never filled: 156 of 262 MB, 1928 of 2097
 * MB used. */
enum { STREAM_SLACK_BYTES = 20 << 20 };

/* How much of the model is touched to learn what page faults cost here and now, once in a run at most. */
enum { FAULT_SAMPLE_BYTES = 32 << 20 };
static const double FAULT_SAMPLE_S = 0.25;

int hyp_engine_err(hyp_err *err, int code, const char *message) {
    char words[256];
    hyp_runtime_last_error(words, sizeof words);
    return hyp_err_set(err, code, words[0] != '\0' ? "%s: %s" : "%s", message, words);
}

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

static bool is_streaming(const hyp_engine *e) {
    return e->info.mode == HYP_MODE_EXPERTS || e->info.mode == HYP_MODE_FFN;
}

/* Map the model through libllama. `ret_bases` gets where each file is, or NULL. */
static int load_model(hyp_engine *e, const hyp_engine_config *config, void **ret_bases, hyp_err *err) {
    load_progress progress = {config, false};
    struct llama_model_params params = llama_model_default_params();
    /* When streaming, the bar shows our own reading. */
    if (!is_streaming(e)) params.progress_callback = on_progress, params.progress_callback_user_data = &progress;
    hyp_offload_apply(&e->offload, &params);
    params.use_extra_bufts = e->info.mode == HYP_MODE_RESIDENT && !e->plan->request.no_repack;
    params.load_mode = LLAMA_LOAD_MODE_MMAP;
    bool lazy = is_streaming(e) || (e->info.mode == HYP_MODE_MMAP && config->model->bytes > e->info.budget_bytes);
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

static int guard_files(hyp_engine *e, void *const *bases, hyp_err *err) {
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), first, end;
    e->guards = calloc(e->model->n_files, sizeof *e->guards);
    if (e->guards == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for %zu files", e->model->n_files);
    for (size_t i = 0; i < e->model->n_files; i++) {
        e->guards[i] = (engine_guard){.handle = -1};
        if (bases[i] == NULL || !host_range(e, i, &first, &end)) continue;
        e->guards[i].offset = first / page * page;
        e->guards[i].handle = hyp_mapping_guard((char *)bases[i] + e->guards[i].offset, end - e->guards[i].offset);
        hyp_engine_guard_copies(e, i, e->guards[i].handle, e->guards[i].offset);
    }
    return HYP_OK;
}

/* A page of the mapping could not be read: what was computed since is void. */
static int check_guards(const hyp_engine *e, hyp_err *err) {
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

static bool on_abort(void *user) {
    const hyp_engine *e = user;
    if (e->stream != NULL && hyp_stream_failed(e->stream)) return true;
    return atomic_load_explicit(&e->interrupted, memory_order_relaxed);
}

/* The stream is made after the context, whose memory it must leave room for: hence the detour over the engine. */
static bool on_node(struct ggml_tensor *node, bool ask, void *user) {
    const hyp_engine *e = user;
    return e->stream == NULL ? !ask : hyp_stream_on_node(node, ask, e->stream);
}

static int make_context(hyp_engine *e, const hyp_engine_config *config, uint32_t ubatch_tokens, hyp_err *err) {
    struct llama_context_params params = llama_context_default_params();
    const hyp_plan_request *planned = &e->plan->request;
    params.n_seq_max = planned->n_parallel;
    /* Embeddings of several texts are one batch, which one context's length bounds. */
    params.kv_unified = planned->shared_context;
    params.n_ctx = planned->context_tokens * (planned->shared_context ? 1 : planned->n_parallel);
    params.n_ubatch = ubatch_tokens;
    params.n_batch = HYP_MAX(params.n_ubatch, 2048u);
    params.n_threads = params.n_threads_batch = e->info.threads;
    params.op_offload = false;
    /* Only a sequence's last token has logits: while streaming, their buffer (vocabulary times outputs) need not be as
     * wide as the batch. Where memory suffices it is: a bound here costs a tenth of the prefill (1110 against 1250
     * tok/s). */
    if (is_streaming(e) && !config->embeddings) params.n_outputs_max = params.n_seq_max;
    params.embeddings = config->embeddings;
    params.no_perf = true;
    params.abort_callback = on_abort;
    params.abort_callback_data = e;
    if (is_streaming(e)) params.cb_eval = on_node, params.cb_eval_user_data = e;
    hyp_runtime_clear_error();
    e->ctx = llama_init_from_model(e->llama, params);
    if (e->ctx == NULL) {
        hyp_engine_err(err, HYP_EENGINE, "llama.cpp cannot make a context for this model");
        hyp_err_hint(err, "a shorter --context needs less memory");
        return HYP_EENGINE;
    }
    e->batch = llama_batch_init((int32_t)params.n_batch, 0, 1);
    e->info.context_tokens = llama_n_ctx_seq(e->ctx);
    e->info.n_parallel = params.n_seq_max;
    e->info.batch_tokens = llama_n_ubatch(e->ctx);
    return e->batch.token != NULL ? HYP_OK : hyp_err_set(err, HYP_ENOMEM, "no memory for a batch");
}

/* What is left of the budget for frames once the context has taken its part. */
static int make_stream(hyp_engine *e, const hyp_engine_config *config, void *const *bases, uint64_t context_bytes,
                       hyp_err *err) {
    uint64_t taken = context_bytes + STREAM_SLACK_BYTES, least = 0;
    uint64_t room = e->info.budget_bytes > taken ? e->info.budget_bytes - taken : 0;
    hyp_stream_config stream = {
        .model = config->model,
        .plan = e->plan,
        .bases = bases,
        .budget_bytes = room - room / HYP_PLAN_PAGE_TABLE_SHARE,
        .policy = config->policy,
        .prefetch = !config->no_prefetch,
        .trace_path = config->trace_path,
        .no_memory = config->no_memory,
        .io = config->io,
        .sidecar_path = config->sidecar_path,
        .no_sidecar = config->no_sidecar,
    };
    hyp_io_mirror mirrors[HYP_ARRAY_LEN(e->mirrors.items)];
    for (uint32_t i = 0; i < e->mirrors.n; i++)
        mirrors[i].paths = (const char *const *)e->mirrors.items[i].files;
    stream.io.mirrors = mirrors;
    stream.io.n_mirrors = e->mirrors.n;
    /* Pieces of the size at which the disk saturates, and at least as many of them in flight; never fewer than the
     * usual 16, which small parts of experts need. */
    if (e->info.disk_bytes_per_s > 0 && stream.io.depth == 0) {
        stream.io.chunk_bytes = e->hardware.disk_request_bytes;
        stream.io.depth = HYP_MAX(2 * HYP_MIN(e->hardware.disk_depth, 128u), 16u);
    }
    int r = hyp_stream_new(&stream, &e->stream, &least, err);
    if (r == HYP_ENOMEM && least > stream.budget_bytes && err != NULL) {
        char have[24], need[24];
        *err = HYP_ERR_NONE;
        hyp_err_set(err, r, "a budget of %s is too small for this model in mode %s",
                    hyp_text_format_bytes(e->info.budget_bytes, have, sizeof have), hyp_mode_name(e->info.mode));
        uint64_t all = taken + least + least / (HYP_PLAN_PAGE_TABLE_SHARE - 1) + 1;
        hyp_err_hint(err, "it needs at least %s (--ram), or a shorter --context",
                     hyp_text_format_bytes(hyp_text_round_bytes_up(all), need, sizeof need));
    }
    return r == HYP_OK ? hyp_stream_load(e->stream, config->progress, config->progress_user, err) : r;
}

/* What the plan says of the engine. */
static int take_setup(hyp_engine *e, const hyp_engine_config *config, hyp_err *err) {
    const hyp_setup *setup = e->setup = config->setup;
    const bool disk_measured = setup->machine.disk_source != HYP_PROFILE_DEFAULT;
    e->hardware = setup->machine.hardware;
    e->plan = setup->plan;
    e->info.rates_measured = disk_measured && setup->machine.machine_source != HYP_PROFILE_DEFAULT;
    e->may_fall_back = e->plan->request.mode == HYP_MODE_AUTO;
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
    if (config->sidecar_path != NULL && !is_streaming(e) && config->warn != NULL)
        config->warn("the packed copy is not read: in this mode nothing is streamed", config->warn_user);
    if (config->trace_path == NULL || e->info.mode == HYP_MODE_EXPERTS) return HYP_OK;
    hyp_err_set(err, HYP_EUNSUPPORTED, "mode %s has no routing to record", hyp_mode_name(e->info.mode));
    hyp_err_hint(err, config->model->n_experts > 0 ? "--mode experts records what the router chooses"
                                                   : "this model has no experts");
    return HYP_EUNSUPPORTED;
}

static void free_context(hyp_engine *e) {
    if (e->batch.token != NULL) llama_batch_free(e->batch);
    if (e->ctx != NULL) llama_free(e->ctx);
    e->batch = (struct llama_batch){0};
    e->ctx = NULL;
    hyp_process_trim_heap();
}

/* The context first, since only then it is known what it takes (some architectures' compute buffers are far larger than
 * any formula): should that leave less for the frames than planned, it is planned again, perhaps for narrower batches;
 * and should it leave too little whatever the plan, still narrower ones need smaller buffers. */
static int make_context_and_stream(hyp_engine *e, const hyp_engine_config *config, void *const *bases, hyp_err *err) {
    for (uint32_t ubatch = e->plan->ubatch_tokens;;) {
        hyp_err failure = HYP_ERR_NONE;
        /* Its buffers need not have been touched yet, so libllama's word counts, not what is resident. Address space it
         * reserves for graphs is a thousand times what it uses. Where it says nothing, and where a device's driver
         * keeps memory of its own, the plan's figures hold. */
        uint64_t heap = hyp_process_anonymous_bytes();
        hyp_runtime_clear_host_buffers();
        int r = make_context(e, config, ubatch, &failure);
        uint64_t buffers = hyp_runtime_host_buffers(), grown = hyp_process_anonymous_bytes();
        /* Beside the cache, which is cleared at once, what has grown are graphs; the first pass uses as much again. */
        uint64_t graphs = grown > heap + e->plan->kv_bytes ? grown - heap - e->plan->kv_bytes : 0;
        uint64_t taken = heap + buffers + 2 * graphs;
        const bool guessed = e->plan->n_gpu_layers > 0 || buffers == 0;
        if (guessed) taken = e->plan->kv_bytes + e->plan->compute_bytes + e->plan->overhead_bytes - STREAM_SLACK_BYTES;
        if (r == HYP_OK && is_streaming(e) && !guessed && ubatch == e->plan->ubatch_tokens &&
            hyp_engine_plan_again(e, taken + STREAM_SLACK_BYTES) && e->plan->ubatch_tokens < ubatch) {
            free_context(e);
            ubatch = e->plan->ubatch_tokens;
            continue;
        }
        if (r == HYP_OK && is_streaming(e)) r = make_stream(e, config, bases, taken, &failure);
        if (r == HYP_OK) return r;
        if (r != HYP_ENOMEM || ubatch < 16 || !is_streaming(e)) {
            hyp_err_pass(err, &failure);
            return r;
        }
        free_context(e);
        ubatch /= 4;
    }
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
    if (bases == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for %zu files", config->model->n_files);
    r = load_model(e, config, bases, err);
    if (r == HYP_OK) r = guard_files(e, bases, err);
    if (r != HYP_OK) return r;
    e->vocab = llama_model_get_vocab(e->llama);
    e->info.n_vocab = llama_vocab_n_tokens(e->vocab);
    e->info.n_embd = llama_model_n_embd_out(e->llama);
    r = hyp_engine_check_vocab(e, err);
    if (r != HYP_OK) return r;
    r = make_context_and_stream(e, config, bases, err);
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
    if (e == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for the engine");
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
    free_context(e);
    hyp_stream_free(e->stream); /* puts the file's mapping back before libllama unmaps it */
    for (size_t i = 0; e->guards != NULL && i < e->model->n_files; i++)
        hyp_mapping_unguard(e->guards[i].handle);
    free(e->guards);
    if (e->llama != NULL) llama_model_free(e->llama);
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

int hyp_engine_predict(const hyp_engine *e, uint32_t prompt_tokens, uint32_t output_tokens, hyp_prediction *ret,
                       hyp_err *err) {
    hyp_plan_run run = {
        .prompt_tokens = prompt_tokens, .output_tokens = output_tokens, .ubatch_tokens = e->info.batch_tokens};
    if (e->stream != NULL) {
        hyp_stream_stats stream;
        hyp_stream_get_stats(e->stream, &stream);
        run.pinned_bytes = stream.pager.pinned_bytes;
        run.cache_bytes = stream.pager.budget_bytes - stream.pager.pinned_bytes;
    }
    return hyp_plan_predict(e->model, &e->hardware, e->plan, &run, ret, err);
}

const hyp_model *hyp_engine_model(const hyp_engine *e) {
    return e->model;
}

size_t hyp_engine_max_batch(const hyp_engine *e) {
    return llama_n_batch(e->ctx);
}

/* Weights that are computed on the host: what the page cache would have to hold. */
static uint64_t host_bytes(const hyp_engine *e) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < e->model->n_tensors; i++)
        if (e->plan->tensor_tier[i] < HYP_TIER_DEVICE) bytes += e->model->tensors[i].bytes;
    return bytes;
}

/* After a measured start, streaming that is clearly slower than plain mmap would be is given up: the mapping shows the
 * file again, and the page cache gets the frames' memory. */
static void consider_mmap(hyp_engine *e, double seconds, const hyp_pager_stats *before) {
    hyp_stream_stats now;
    hyp_memory memory;
    hyp_stream_get_stats(e->stream, &now);
    const hyp_pager_stats *p = &now.pager;
    double mmap_s = 0;
    if (!hyp_fallback_add(&e->fallback, seconds, p->stall_s - before->stall_s)) return;
    hyp_err ignored = HYP_ERR_NONE;
    if (hyp_memory_probe(&memory, &ignored) != HYP_OK) return;
    uint64_t host = host_bytes(e), room = hyp_memory_budget(&memory) + p->pinned_bytes + p->cached_bytes;
    if (!hyp_fallback_is_possible(&e->fallback, host, room)) return;
    double fault_rate = hyp_stream_measure_faults(e->stream, FAULT_SAMPLE_BYTES, FAULT_SAMPLE_S);
    if (!hyp_fallback_is_due(&e->fallback, host, fault_rate, &mmap_s)) return;
    snprintf(e->info.reason, sizeof e->info.reason, "streaming gave %.2f tok/s, plain mmap should give %.2f",
             HYP_FALLBACK_TOKENS / e->fallback.seconds, 1 / mmap_s);
    HYP_LOG(STREAM, INFO, "falling back to mmap: %s", e->info.reason);
    e->info.mode = HYP_MODE_MMAP;
    hyp_stream_free(e->stream);
    e->stream = NULL;
    for (size_t i = 0; i < e->model->n_files; i++)
        hyp_mapping_rescue_whole(e->guards[i].handle);
}

int hyp_engine_decode(hyp_engine *e, const hyp_input *inputs, size_t n, hyp_err *err) {
    if (n == 0 || n > llama_n_batch(e->ctx))
        return hyp_err_set(err, HYP_EINVAL, "a batch of %zu tokens cannot be decoded", n);
    struct llama_batch *b = &e->batch;
    for (size_t i = 0; i < n; i++) {
        b->token[i] = inputs[i].token;
        b->pos[i] = inputs[i].pos;
        b->n_seq_id[i] = 1;
        b->seq_id[i][0] = inputs[i].seq;
        b->logits[i] = inputs[i].output;
    }
    b->n_tokens = (int32_t)n;
    hyp_runtime_clear_error();
    hyp_stream_stats before = {0};
    if (e->stream != NULL) hyp_stream_begin(e->stream), hyp_stream_get_stats(e->stream, &before);
    double start_s = hyp_text_now_s();
    int r = llama_decode(e->ctx, *b);
    double seconds = hyp_text_now_s() - start_s;
    /* A graph that the callback stopped can still look complete: its own word decides. */
    int streamed = e->stream != NULL ? hyp_stream_end(e->stream, seconds, (uint32_t)n, err) : HYP_OK;
    hyp_engine_watch_sources(e);
    int faulted = check_guards(e, err);
    if (faulted != HYP_OK) return faulted;
    if (streamed != HYP_OK) return streamed;
    if (r == 0 && n == 1 && e->stream != NULL && e->may_fall_back) consider_mmap(e, seconds, &before.pager);
    if (r == 0) return HYP_OK;
    if (atomic_load_explicit(&e->interrupted, memory_order_relaxed))
        return hyp_err_set(err, HYP_ECANCELED, "interrupted");
    if (r == 1) {
        hyp_err_set(err, HYP_ENOMEM, "the context is full");
        hyp_err_hint(err, "a larger --context holds more");
        return HYP_ENOMEM;
    }
    return hyp_engine_err(err, HYP_EENGINE, "llama.cpp could not evaluate the tokens");
}

const float *hyp_engine_logits(hyp_engine *e, int32_t index) {
    return llama_get_logits_ith(e->ctx, index);
}

const float *hyp_engine_embedding(hyp_engine *e, int32_t seq) {
    return llama_get_embeddings_seq(e->ctx, seq);
}

void hyp_engine_interrupt(hyp_engine *e) {
    atomic_store_explicit(&e->interrupted, true, memory_order_relaxed);
}

void hyp_engine_clear_interrupt(hyp_engine *e) {
    atomic_store_explicit(&e->interrupted, false, memory_order_relaxed);
}

/* --- a sequence's memory --- */

bool hyp_engine_seq_truncate(hyp_engine *e, int32_t seq, int32_t from) {
    return llama_memory_seq_rm(llama_get_memory(e->ctx), seq, from <= 0 ? -1 : from, -1);
}

void hyp_engine_seq_copy(hyp_engine *e, int32_t from_seq, int32_t to_seq, int32_t n) {
    /* libllama copies between sequences' separate buffers only whole; what is beyond n is cut off after. */
    llama_memory_seq_cp(llama_get_memory(e->ctx), from_seq, to_seq, -1, -1);
    llama_memory_seq_rm(llama_get_memory(e->ctx), to_seq, n, -1);
}

int32_t hyp_engine_seq_length(const hyp_engine *e, int32_t seq) {
    return llama_memory_seq_pos_max(llama_get_memory(e->ctx), seq) + 1;
}

bool hyp_engine_seq_shift(hyp_engine *e, int32_t seq, int32_t from, int32_t to) {
    llama_memory_t memory = llama_get_memory(e->ctx);
    if (!llama_memory_can_shift(memory) || !llama_memory_seq_rm(memory, seq, from, to)) return false;
    llama_memory_seq_add(memory, seq, to, -1, from - to);
    return true;
}

static llama_state_seq_flags state_flags(bool partial) {
    return partial ? LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY : LLAMA_STATE_SEQ_FLAGS_NONE;
}

int hyp_engine_seq_save(hyp_engine *e, int32_t seq, bool partial, void **ret, size_t *ret_bytes, hyp_err *err) {
    size_t size = llama_state_seq_get_size_ext(e->ctx, seq, state_flags(partial));
    void *data = malloc(HYP_MAX(size, (size_t)1));
    if (data == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for a checkpoint of %zu bytes", size);
    size_t written = llama_state_seq_get_data_ext(e->ctx, data, size, seq, state_flags(partial));
    if (written == 0 && size > 0) {
        free(data);
        return hyp_err_set(err, HYP_EENGINE, "llama.cpp could not save the state of sequence %d", seq);
    }
    *ret = data;
    *ret_bytes = written;
    return HYP_OK;
}

int hyp_engine_seq_restore(hyp_engine *e, int32_t seq, bool partial, const void *data, size_t bytes, hyp_err *err) {
    if (llama_state_seq_set_data_ext(e->ctx, data, bytes, seq, state_flags(partial)) > 0) return HYP_OK;
    return hyp_err_set(err, HYP_EENGINE, "llama.cpp could not restore the state of sequence %d", seq);
}

bool hyp_engine_needs_checkpoints(const hyp_engine *e) {
    return llama_model_is_recurrent(e->llama) || llama_model_is_hybrid(e->llama) || llama_model_n_swa(e->llama) > 0;
}

void hyp_engine_get_stats(hyp_engine *e, hyp_engine_stats *ret) {
    *ret = (hyp_engine_stats){
        .bytes_read = hyp_process_read_bytes() - e->read_bytes_at_open,
        .major_faults = hyp_process_major_faults() - e->major_faults_at_open,
    };
    if (e->stream == NULL) return;
    hyp_stream_stats stream;
    hyp_stream_get_stats(e->stream, &stream);
    const hyp_pager_stats p = stream.pager;
    ret->n_sources = p.io.n_sources;
    memcpy(ret->sources, p.io.sources, sizeof ret->sources);
    ret->demand_bytes = p.io.demand_bytes;
    ret->prefetch_bytes = p.io.prefetch_bytes;
    ret->stall_s = p.stall_s;
    ret->cache_capacity_bytes = p.budget_bytes - p.pinned_bytes;
    ret->pinned_bytes = p.pinned_bytes;
    ret->frame_bytes = p.pinned_bytes + p.cached_bytes;
    ret->hit_bytes = p.hit_bytes;
    ret->miss_bytes = p.miss_bytes;
    ret->evicted_bytes = p.evicted_bytes;
    ret->prefetch_issued_bytes = p.prefetch_issued_bytes;
    ret->prefetch_used_bytes = p.prefetch_used_bytes;
    ret->prefetch_wasted_bytes = p.prefetch_wasted_bytes;
    ret->prefetch_on = stream.prefetch_on;
    ret->prefetch_recall = stream.recall;
    ret->prefetch_precision = stream.precision;
    ret->n_reads = p.io.n_reads;
    ret->sidecar_bytes = p.packed_bytes;
    ret->whole_experts = stream.whole_units && p.packed_bytes > 0;
    if (p.io.busy_s > 0) ret->disk_bytes_per_s = (double)(p.io.demand_bytes + p.io.prefetch_bytes) / p.io.busy_s;
}
