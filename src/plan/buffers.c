/* buffers.c - memory that is neither weights nor KV cache: an estimate calibrated against libllama's own log lines
 * ("compute buffer size"); README.md has the comparison. */
#include "base/mem.h"
#include "plan/cost_priv.h"

#include <string.h>

/* Of graphs and tables, a tensor: libllama unrolls recurrences into thousands of nodes (5.8 MB for 139 tensors were
 * seen). */
enum { PAD_TOKENS = 256, GRAPH_BYTES = 2048, RECURRENT_GRAPH_BYTES = 49152 };

static uint64_t widest(const hyp_model *model, hyp_role a, hyp_role b) {
    uint64_t n = 0;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (model->tensors[i].role == a || model->tensors[i].role == b) {
            n = HYP_MAX(n, (uint64_t)model->tensors[i].ne[1]);
            n = HYP_MAX(n, (uint64_t)model->tensors[i].ne[0]);
        }
    return n;
}

/* Activations are 32-bit floats; the allocator reuses a buffer once its last reader ran, so what counts is the widest
 * moment of the graph: the logits of the whole batch (libllama reserves for a batch whose every token has outputs), or
 * the FFN, or the experts, beside the residual stream; and the attention masks, which live throughout. */
uint64_t hyp_cost_compute_bytes(const hyp_model *model, const hyp_plan_request *request, uint32_t ubatch) {
    uint64_t t = ubatch, embd = model->n_embd, used = HYP_MAX(model->n_experts_used, 1u);
    uint64_t logits = (uint64_t)model->n_vocab * t * 4;
    uint64_t dense = widest(model, HYP_ROLE_FFN_UP, HYP_ROLE_SHARED_EXPERT) * t * 4 * 3;
    uint64_t experts = model->n_experts > 0
                           ? (widest(model, HYP_ROLE_ROUTED_EXPERT, HYP_ROLE_ROUTED_EXPERT) * 3 + embd) * used * t * 4
                           : 0;
    uint64_t attention = widest(model, HYP_ROLE_ATTENTION, HYP_ROLE_RECURRENT) * t * 4 * 4;
    uint64_t cells = ((uint64_t)request->context_tokens + PAD_TOKENS - 1) / PAD_TOKENS * PAD_TOKENS;
    uint64_t masks = cells * t * 2;     /* 16-bit */
    uint64_t stream = embd * t * 4 * 6; /* the residual stream and what stands beside it */
    uint64_t widest_moment = HYP_MAX(HYP_MAX(logits, dense), HYP_MAX(experts, attention));
    double estimate = (double)(widest_moment + masks + stream + ((uint64_t)2 << 20));
    return (uint64_t)(request->compute_scale > 0 ? request->compute_scale * estimate : estimate);
}

static bool is_recurrent(const hyp_model *model) {
    for (size_t i = 0; i < model->n_tensors; i++)
        if (model->tensors[i].role == HYP_ROLE_RECURRENT) return true;
    return false;
}

/* An upper bound: a process with a vocabulary of 49152 and 272 tensors was seen to hold under 40 MB beside weights, KV
 * cache and compute buffers (libraries, allocator, thread stacks); a vocabulary entry takes about 300 bytes (text,
 * look-up tables, merges), a tensor some KB in tables and graphs, and the logits come back in a buffer of their own. */
uint64_t hyp_cost_overhead_bytes(const hyp_model *model, const hyp_plan_request *request, const hyp_cost *cost) {
    uint64_t process = ((uint64_t)48 << 20) + (uint64_t)model->n_vocab * (300 + 4 * hyp_cost_contexts(request)) +
                       (uint64_t)model->n_tensors * (is_recurrent(model) ? RECURRENT_GRAPH_BYTES : GRAPH_BYTES);
    if (cost->n_slices == 0) return process;
    /* Beside the frames: their page tables, a page's rounding at both ends of what lies together in a layer, and some
     * 200 bytes for each piece that is read by itself. The cache's own page tables come out of the cache. */
    uint64_t pinned = 2 * cost->step_bytes;
    for (size_t l = 0; l < cost->n_layers; l++)
        pinned += cost->layers[l].base_bytes;
    return process + pinned / (HYP_PLAN_PAGE_TABLE_SHARE - 1) + cost->n_layers * (uint64_t)(4 * 8192) +
           (uint64_t)cost->n_slices * 200;
}
