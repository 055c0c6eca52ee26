/* reuse_priv.h - how probable it is that a unit is used at the next visit of its layer.
 *
 * For every unit several exponentially decayed frequencies are kept, from "used in the last visit" to the average of a
 * thousand. The estimate is a linear mix of them and of the layer's mean. The mix is the same for all units and learned
 * while they are used, by weighted least squares on what is seen anyway: whether routing is uniform (the mean takes all
 * the weight), skewed (the slow averages) or sticky (the fast ones) need not be known beforehand, and may change. A
 * linear mix is exact for the common models: independent draws by weight, and a chance of keeping the last token's
 * experts. Thread rule: one owner. */
#pragma once
#include "base/err.h"

enum { REUSE_N_DECAYS = 6, REUSE_N_FEATURES = REUSE_N_DECAYS + 1 };

typedef struct reuse reuse;

/* A table for units 0..n of one or more layers: `first[l]` is the first unit of layer l, `first[n_layers]` = n. Copied.
 * NULL without memory. */
reuse *hyp_reuse_new(const uint32_t *first, uint32_t n_layers);
void hyp_reuse_free(reuse *r);

/* `unit` is used by `n_tokens` in the visit of its layer that is under way. */
void hyp_reuse_count(reuse *r, uint32_t unit, uint32_t n_tokens);

/* The visit of `layer` is over: age its units, and write their new estimates (first[l+1] - first[l] of them, within
 * [0, 1]) to `ret_p`. False, and `ret_p` untouched, when nothing was counted. */
bool hyp_reuse_finish_visit(reuse *r, uint32_t layer, float *ret_p);

/* Seed a unit's history with `weight` uses a visit. `hyp_reuse_estimate` gives the estimate as it stands. */
void hyp_reuse_prime(reuse *r, uint32_t unit, float weight);
float hyp_reuse_estimate(const reuse *r, uint32_t unit);
