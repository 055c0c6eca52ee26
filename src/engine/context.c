/* context.c - making the context, and of what memory it leaves, the stream. */
#include "engine/engine_priv.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "engine/runtime.h"
#include "host/process.h"
#include "plan/plan.h"

/* Beside the heap, the context and the frames: the program's and its libraries' pages, the sampler's candidates, rows
 * of the token embedding in the page cache. A control group of the budget was never filled: 156 of 262 MB, 1928 of 2097
 * MB used. */
enum { STREAM_SLACK_BYTES = 20 << 20 };

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
    if (hyp_engine_is_streaming(e) && !config->embeddings) params.n_outputs_max = params.n_seq_max;
    params.embeddings = config->embeddings;
    params.no_perf = true;
    params.abort_callback = on_abort;
    params.abort_callback_data = e;
    if (hyp_engine_is_streaming(e)) {
        params.cb_eval = on_node;
        params.cb_eval_user_data = e;
    }
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
    return e->batch.token != NULL ? HYP_OK : hyp_err_set(err, HYP_ENOMEM, "out of memory for a batch");
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
    hyp_err failure = HYP_ERR_NONE;
    int r = hyp_stream_new(&stream, &e->stream, &least, &failure);
    if (r == HYP_ENOMEM && least > stream.budget_bytes) {
        /* The stream knows its frames alone; what the user sets is the whole budget, so that is what this speaks of. */
        char have[24], need[24];
        hyp_err_set(err, r, "a budget of %s is too small for this model in mode %s",
                    hyp_text_format_bytes(e->info.budget_bytes, have, sizeof have), hyp_mode_name(e->info.mode));
        uint64_t all = taken + least + least / (HYP_PLAN_PAGE_TABLE_SHARE - 1) + 1;
        hyp_err_hint(err, "it needs at least %s (--ram), or a shorter --context",
                     hyp_text_format_bytes(hyp_text_round_bytes_up(all), need, sizeof need));
        return r;
    }
    hyp_err_pass(err, &failure);
    return r == HYP_OK ? hyp_stream_load(e->stream, config->progress, config->progress_user, err) : r;
}

void hyp_engine_free_context(hyp_engine *e) {
    if (e->batch.token != NULL) llama_batch_free(e->batch);
    if (e->ctx != NULL) llama_free(e->ctx);
    e->batch = (struct llama_batch){0};
    e->ctx = NULL;
    hyp_process_trim_heap();
}

/* libllama's log has changed its words: said to whoever reads our log, and to the user where a budget depends on it. */
static void tell_flaw(const hyp_engine *e, const hyp_engine_config *config, const char *flaw, const char *line) {
    char text[320];
    snprintf(text, sizeof text,
             "what the context takes cannot be read from libllama's log, the plan's figures stand: %s%s", flaw, line);
    HYP_LOG(LLAMA, WARN, "%s", text);
    if (hyp_engine_is_streaming(e) && config->warn != NULL) config->warn(text, config->warn_user);
}

/* What of the budget is taken once the context stands, `heap_bytes` of it before it was made.
 *
 * Its buffers need not have been touched yet, so libllama's word counts, not what is resident. Address space it
 * reserves for graphs is a thousand times what it uses. Where its word is missing, and where a device's driver keeps
 * memory of its own, the plan's figures hold: `*ret_known` is false. */
static uint64_t taken_bytes(const hyp_engine *e, const hyp_engine_config *config, uint64_t heap_bytes,
                            bool *ret_known) {
    const hyp_context_memory memory = hyp_runtime_context_memory();
    const char *flaw = hyp_context_memory_flaw(&memory);
    if (flaw != NULL) tell_flaw(e, config, flaw, memory.not_understood);
    *ret_known = e->plan->n_gpu_layers == 0 && flaw == NULL && memory.host_bytes > 0;
    if (!*ret_known) return e->plan->kv_bytes + e->plan->compute_bytes + e->plan->overhead_bytes - STREAM_SLACK_BYTES;
    /* Beside the cache, which is cleared at once, what has grown are graphs; the first pass uses as much again. */
    uint64_t grown = hyp_process_anonymous_bytes(), before = heap_bytes + e->plan->kv_bytes;
    return heap_bytes + memory.host_bytes + 2 * (grown > before ? grown - before : 0);
}

/* The context first, since only then it is known what it takes (some architectures' compute buffers are far larger than
 * any formula): should that leave less for the frames than planned, it is planned again, perhaps for narrower batches;
 * and should it leave too little whatever the plan, still narrower ones need smaller buffers. */
int hyp_engine_make_context(hyp_engine *e, const hyp_engine_config *config, void *const *bases, hyp_err *err) {
    for (uint32_t ubatch = e->plan->ubatch_tokens;;) {
        hyp_err failure = HYP_ERR_NONE;
        uint64_t heap_bytes = hyp_process_anonymous_bytes();
        hyp_runtime_clear_context_memory();
        int r = make_context(e, config, ubatch, &failure);
        bool known = false;
        uint64_t taken = r == HYP_OK ? taken_bytes(e, config, heap_bytes, &known) : 0;
        if (known && hyp_engine_is_streaming(e) && ubatch == e->plan->ubatch_tokens &&
            hyp_engine_plan_again(e, taken + STREAM_SLACK_BYTES) && e->plan->ubatch_tokens < ubatch) {
            hyp_engine_free_context(e);
            ubatch = e->plan->ubatch_tokens;
            continue;
        }
        if (r == HYP_OK && hyp_engine_is_streaming(e)) r = make_stream(e, config, bases, taken, &failure);
        if (r == HYP_OK) return r;
        if (r != HYP_ENOMEM || ubatch < 16 || !hyp_engine_is_streaming(e)) {
            hyp_err_pass(err, &failure);
            return r;
        }
        hyp_engine_free_context(e);
        ubatch /= 4;
    }
}
