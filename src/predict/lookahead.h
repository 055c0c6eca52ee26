/* lookahead.h - which experts the next layer will probably choose: its router applied to this layer's router input.
 *
 * The residual stream changes little from one layer to the next, so the next router, given what this one was given,
 * names most of the experts it will name for the true input. The input is normed with this layer's FFN norm; the ratio
 * of the two layers' norm weights, where known, is folded into the router's weights when they are set. The gating
 * function does not matter for who is chosen (softmax and sigmoid are monotone), except where a bias is added after it
 * for selection alone (DeepSeek's score correction). Pure arithmetic; thread rule: one owner. */
#pragma once
#include "base/err.h"

typedef struct hyp_lookahead hyp_lookahead;

typedef enum hyp_gating {
    HYP_GATING_SOFTMAX,
    HYP_GATING_SIGMOID,
} hyp_gating;

typedef struct hyp_router {
    const float *weights; /* [n_experts][n_embd], expert by expert */
    uint32_t n_embd, n_experts;
    const float *norm_ratio;     /* [n_embd] this layer's norm weight / the one before's, or NULL */
    const float *bias;           /* [n_experts] added to the logits, or NULL */
    const float *selection_bias; /* [n_experts] added to the gated scores for selection alone, or NULL */
    hyp_gating gating;           /* read only with `selection_bias` */
} hyp_router;

/* Room for the routers of `n_layers` streamed layers. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_lookahead_new(uint32_t n_layers, hyp_lookahead **ret, hyp_err *err);
void hyp_lookahead_free(hyp_lookahead *lookahead);

/* Set the router of `layer`; everything is copied (n_embd x n_experts floats: 2 MB at 4096 x 128). Errors: HYP_ENOMEM,
 * HYP_EINVAL (layer or sizes out of range). */
HYP_NODISCARD int hyp_lookahead_set_router(hyp_lookahead *lookahead, uint32_t layer, const hyp_router *router,
                                           hyp_err *err);

bool hyp_lookahead_has(const hyp_lookahead *lookahead, uint32_t layer);

/* The `m` experts of `layer` likeliest to be chosen for the router inputs `x` of the layer before, the likeliest first:
 * `n_tokens` rows of the router's n_embd floats, `stride` floats apart. With several tokens an expert counts
 * with the highest of its scores. `ret_scores` (may be NULL) gets logits, or scores where
 * there is a selection bias. Returns how many were written: min(m, n_experts), 0 for a layer without a router. */
uint32_t hyp_lookahead_predict(hyp_lookahead *lookahead, uint32_t layer, const float *x, size_t stride,
                               uint32_t n_tokens, uint32_t m, uint32_t *ret_experts, float *ret_scores);
