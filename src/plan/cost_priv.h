/* cost_priv.h - what a model costs a machine: bytes, seconds and buffers, layer by layer. Pure; README.md has the
 * formulas.
 */
#pragma once
#include "plan/place_priv.h"
#include "plan/plan.h"

/* What each further token of a batch costs in a layer at a site, where the first one costs what hyp_place_layer says;
 * of a bulk of experts, each further token of the same experts. */
typedef struct hyp_cost_wide {
    double base_s[HYP_PLACE_SITES], bulk_s[HYP_PLACE_SITES];
    double attention_one_s; /* on the CPU: a single token looks at every cell of a full context */
    double attention_s;     /* each token of a batch does */
    double repack_s;        /* on the CPU: to bring the weights into the layout they are computed in, once */
} hyp_cost_wide;

typedef struct hyp_cost {
    hyp_mode mode;
    size_t n_layers; /* the model's + 1 */
    hyp_place_layer *layers;
    hyp_cost_wide *wide;
    uint64_t step_bytes;        /* frames that one layer needs at once */
    uint64_t widest_part_bytes; /* largest matrix of an expert, in frames */
    uint32_t n_slices;          /* of tensors: what streams in pieces of its own */
    uint32_t n_parts;           /* matrices of an expert, or of a dense FFN */
    uint64_t token_bytes;       /* weights a token touches */
} hyp_cost;

/* Cost `model` for `mode` (RESIDENT, EXPERTS, FFN or MMAP) with KV caches for `ubatch` wide batches. Freed with
 * hyp_cost_free(). Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_cost_make(const hyp_model *model, const hyp_hardware *hardware, const hyp_plan_request *request,
                                hyp_mode mode, uint32_t ubatch, hyp_cost *ret, hyp_err *err);
void hyp_cost_free(hyp_cost *cost);

/* libllama's compute buffers for batches of `ubatch` tokens. */
uint64_t hyp_cost_compute_bytes(const hyp_model *model, const hyp_plan_request *request, uint32_t ubatch);

/* Memory of the process beside weights, KV cache and compute buffers; of `cost`, page tables and the tables of what
 * streams. */
uint64_t hyp_cost_overhead_bytes(const hyp_model *model, const hyp_plan_request *request, const hyp_cost *cost);

/* Seconds that `values` 32-bit numbers take from one memory to the other, bandwidth alone. Pure. */
double hyp_cost_crossing_s(const hyp_device *device, double values);

/* Contexts of `context_tokens` whose memory is taken: one for all sequences, or one each. Pure. */
static inline uint32_t hyp_cost_contexts(const hyp_plan_request *request) {
    return request->shared_context || request->n_parallel == 0 ? 1 : request->n_parallel;
}

/* Share of the context that a token looks at, half way through the answer. Pure. */
double hyp_cost_context_used(const hyp_plan_request *request);

/* Expected number of distinct experts that `tokens` tokens touch in one layer, uniform routing: N (1 - (1 - k/N)^T). */
double hyp_cost_distinct_experts(uint32_t n_experts, uint32_t n_used, double tokens);

/* Is the tensor read by every token as a whole (false: a row a token, or only by draft layers)? */
bool hyp_cost_is_touched(const hyp_model *model, const hyp_tensor *tensor);
