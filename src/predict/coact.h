/* coact.h - what was learned about a model's routing: how often each expert is used, which experts of a layer are used
 * together, which of the next layer follow. Kept between runs.
 *
 * Memory is bounded and small (about 40 bytes an expert): frequencies decay, and of partners and followers each expert
 * keeps the few most frequent (Misra and Gries' counters, halved when one is full). The file is untrusted: one that
 * does not fit is ignored with a note, for all it holds can be learned again. One owner. */
#pragma once
#include "base/err.h"

typedef struct hyp_coact hyp_coact;

typedef struct hyp_coact_shape {
    const char *digest;        /* hyp_model.digest: whose statistics these are */
    uint32_t n_layers;         /* streamed layers, at most 4096 */
    const uint32_t *n_experts; /* [n_layers], at most 65534 each */
} hyp_coact_shape;

/* Empty statistics. `shape` is copied. Errors: HYP_ENOMEM, HYP_EINVAL (out of range). */
HYP_NODISCARD int hyp_coact_new(const hyp_coact_shape *shape, hyp_coact **ret, hyp_err *err);
void hyp_coact_free(hyp_coact *coact);

/* Statistics from the file at `path`, or empty ones when it is missing, and also when it is corrupt, of another version
 * or another model: then `note` (may be NULL) says so and 0 is returned all the same. Errors: those of hyp_coact_new().
 */
HYP_NODISCARD int hyp_coact_load(const char *path, const hyp_coact_shape *shape, hyp_coact **ret, hyp_err *note,
                                 hyp_err *err);

/* Write the file whole or not at all. Call at exit, not while generating. Errors: HYP_EIO, HYP_ENOMEM. */
HYP_NODISCARD int hyp_coact_save(const hyp_coact *coact, const char *path, hyp_err *err);

/* Where the statistics of the model `digest` are kept in the user's cache folder. Errors: those of
 * hyp_paths_cache_dir(). */
HYP_NODISCARD int hyp_coact_path(const char *digest, char *ret_path, size_t size, hyp_err *err);

/* `layer` used `experts[0..n)`, distinct, `counts[i]` tokens each (NULL: 1), in a batch of `n_tokens`. Layers come in
 * order. Single tokens teach everything, batches frequencies only. */
void hyp_coact_observe(hyp_coact *coact, uint32_t layer, uint32_t n_tokens, const uint32_t *experts,
                       const uint32_t *counts, size_t n);

/* Tokens seen by `layer` over all runs, decayed. 0: nothing is known. */
double hyp_coact_weight_of_layer(const hyp_coact *coact, uint32_t layer);

/* Expected uses of an expert by a token, within [0, 1]: what hyp_pager_prime() takes. */
float hyp_coact_frequency(const hyp_coact *coact, uint32_t layer, uint32_t expert);

/* Predictions: the `m` likeliest experts, the likeliest first, with scores that compare within one answer (`ret_scores`
 * may be NULL). Return how many were written.
 * _followers: of `layer`, when the layer before used `before[0..n)`.
 * _partners:  of `layer`, beside `known[0..n)` of the same layer, which are left out. */
uint32_t hyp_coact_followers(hyp_coact *coact, uint32_t layer, const uint32_t *before, size_t n, uint32_t m,
                             uint32_t *ret_experts, float *ret_scores);
uint32_t hyp_coact_partners(hyp_coact *coact, uint32_t layer, const uint32_t *known, size_t n, uint32_t m,
                            uint32_t *ret_experts, float *ret_scores);

typedef struct hyp_coact_unit {
    uint32_t layer, expert;
    float frequency;
} hyp_coact_unit;

/* The experts worth having in memory at the start, the most used first: at most `max`, none that was never used.
 * Returns how many were written. */
size_t hyp_coact_warm_list(const hyp_coact *coact, hyp_coact_unit *ret, size_t max);
