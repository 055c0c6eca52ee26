/* policy_priv.h - private to the policy's files: what the kinds share, and the table each kind fills. */
#pragma once
#include "pager/policy.h"

enum { UNIT_RESIDENT = 1, UNIT_PINNED = 2 };

/* What a kind does; every function gets the state that `new` made. `evictable` says that a unit is resident and not
 * pinned: the kinds never see the two apart. */
typedef struct policy_ops {
    const char *name;
    void *(*new)(const hyp_policy_unit *units, size_t n, uint32_t n_layers);
    void (*free)(void *state);
    void (*enter_layer)(void *state, uint32_t layer);
    void (*touch)(void *state, uint32_t unit, uint32_t n_tokens);
    void (*arrived)(void *state, uint32_t unit); /* became resident; evictable follows */
    void (*set_evictable)(void *state, uint32_t unit, bool evictable);
    void (*prime)(void *state, uint32_t unit, float weight);
    uint32_t (*victim)(void *state);
    bool (*worth)(const void *state, uint32_t unit, uint32_t victim);
} policy_ops;

extern const policy_ops hyp_policy_hypura_ops, hyp_policy_lru_ops, hyp_policy_lfu_ops;
