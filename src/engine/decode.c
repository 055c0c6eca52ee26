/* decode.c - computing a batch: what stopped it, its results, and the fall back to mmap where streaming is slower. */
#include "engine/engine_priv.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "engine/runtime.h"
#include "host/mapping.h"
#include "hw/memory.h"
#include "plan/plan.h"

/* How much of the model is touched to learn what page faults cost here and now, once in a run at most. */
enum { FAULT_SAMPLE_BYTES = 32 << 20 };
static const double FAULT_SAMPLE_S = 0.25;

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
    if (e->stream != NULL) {
        hyp_stream_begin(e->stream);
        hyp_stream_get_stats(e->stream, &before);
    }
    double start_s = hyp_text_now_s();
    int r = llama_decode(e->ctx, *b);
    double seconds = hyp_text_now_s() - start_s;
    /* A graph that the callback stopped can still look complete: its own word decides. */
    int streamed = e->stream != NULL ? hyp_stream_end(e->stream, seconds, (uint32_t)n, err) : HYP_OK;
    hyp_engine_watch_sources(e);
    int faulted = hyp_engine_check_guards(e, err);
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
