/* policy.h - which resident unit to evict: pure bookkeeping, no memory, no I/O, no clock; used by the pager, and
 * replayed over recorded traces on its own.
 *
 * A unit (an expert of a layer) is known by its number; units of one layer are visited once a pass over the layers.
 * Time is counted in passes and layers, so that a policy can use the cyclic order: an expert of the layer just computed
 * is needed last. Thread rule: one owner. */
#pragma once
#include "base/err.h"
#include "pager/policy_kind.h"

typedef struct hyp_policy hyp_policy;

typedef struct hyp_policy_unit {
    uint32_t layer; /* position in the cycle, 0-based, dense over the streamed layers */
    uint64_t bytes; /* frame bytes */
} hyp_policy_unit;

/* A table for `n` units over `n_layers` streamed layers, however much room there is: what a frame is worth shows in
 * what has to be evicted. `units` is copied. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_policy_new(hyp_policy_kind kind, const hyp_policy_unit *units, size_t n, uint32_t n_layers,
                                 hyp_policy **ret, hyp_err *err);
void hyp_policy_free(hyp_policy *policy);

/* The computation enters `layer`; going from the last to the first begins a new pass. */
void hyp_policy_enter_layer(hyp_policy *policy, uint32_t layer);

/* `unit` is used now by `n_tokens` of the batch. Call once a unit a layer visit, resident or not, for all the visit's
 * units before asking for a victim: the layer's other units are judged by what it did not use. */
void hyp_policy_touch(hyp_policy *policy, uint32_t unit, uint32_t n_tokens);

/* `unit` became or ceased to be resident, or pinned. A victim is always resident and not pinned. */
void hyp_policy_set_resident(hyp_policy *policy, uint32_t unit, bool resident);
void hyp_policy_set_pinned(hyp_policy *policy, uint32_t unit, bool pinned);

/* Seed the history before the first pass: `weight` >= 0 is the unit's expected uses a pass. */
void hyp_policy_prime(hyp_policy *policy, uint32_t unit, float weight);

/* The resident unpinned unit to evict, or UINT32_MAX when there is none. */
uint32_t hyp_policy_victim(hyp_policy *policy);

/* Whether a prefetch of `unit` may take the place of `victim`: false when `victim` is needed sooner. */
bool hyp_policy_worth(const hyp_policy *policy, uint32_t unit, uint32_t victim);
