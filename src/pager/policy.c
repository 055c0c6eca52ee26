/* policy.c - the policy's public face: keeps who is resident and who is pinned, and hands the rest to one of the kinds.
 */
#include "pager/policy_priv.h"

#include "base/mem.h"

#include <assert.h>

struct hyp_policy {
    const policy_ops *ops;
    void *state;
    size_t n;
    uint32_t n_layers;
    uint8_t flags[]; /* UNIT_... of each unit */
};

static const policy_ops *const kinds[HYP_N_POLICIES] = {
    [HYP_POLICY_HYPURA] = &hyp_policy_hypura_ops,
    [HYP_POLICY_LRU] = &hyp_policy_lru_ops,
    [HYP_POLICY_LFU] = &hyp_policy_lfu_ops,
};

int hyp_policy_new(hyp_policy_kind kind, const hyp_policy_unit *units, size_t n, uint32_t n_layers, hyp_policy **ret,
                   hyp_err *err) {
    assert(kind < HYP_N_POLICIES && n < UINT32_MAX);
    for (size_t i = 0; i < n; i++)
        assert(units[i].layer < n_layers);
    hyp_policy *policy = calloc(1, sizeof *policy + n);
    void *state = policy != NULL ? kinds[kind]->new (units, n, n_layers) : NULL;
    if (state == NULL) {
        free(policy);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the eviction policy of %zu units", n);
    }
    policy->ops = kinds[kind];
    policy->state = state;
    policy->n = n;
    policy->n_layers = n_layers;
    *ret = policy;
    return HYP_OK;
}

void hyp_policy_free(hyp_policy *policy) {
    if (policy == NULL) return;
    policy->ops->free(policy->state);
    free(policy);
}

void hyp_policy_enter_layer(hyp_policy *policy, uint32_t layer) {
    assert(layer < policy->n_layers);
    policy->ops->enter_layer(policy->state, layer);
}

void hyp_policy_touch(hyp_policy *policy, uint32_t unit, uint32_t n_tokens) {
    assert(unit < policy->n);
    if (n_tokens > 0) policy->ops->touch(policy->state, unit, n_tokens);
}

static void set_flag(hyp_policy *policy, uint32_t unit, uint8_t flag, bool on) {
    assert(unit < policy->n);
    uint8_t old = policy->flags[unit], new = on ? old | flag : old &(uint8_t)~flag;
    if (old == new) return;
    policy->flags[unit] = new;
    /* First arrived, then evictable: it must have its rank before it can be named as a victim. */
    if (flag == UNIT_RESIDENT && on) policy->ops->arrived(policy->state, unit);
    bool was = old == UNIT_RESIDENT, is = new == UNIT_RESIDENT;
    if (was != is) policy->ops->set_evictable(policy->state, unit, is);
}

void hyp_policy_set_resident(hyp_policy *policy, uint32_t unit, bool resident) {
    set_flag(policy, unit, UNIT_RESIDENT, resident);
}

void hyp_policy_set_pinned(hyp_policy *policy, uint32_t unit, bool pinned) {
    set_flag(policy, unit, UNIT_PINNED, pinned);
}

void hyp_policy_prime(hyp_policy *policy, uint32_t unit, float weight) {
    assert(unit < policy->n);
    if (weight >= 0) policy->ops->prime(policy->state, unit, weight);
}

uint32_t hyp_policy_victim(hyp_policy *policy) {
    return policy->ops->victim(policy->state);
}

bool hyp_policy_worth(const hyp_policy *policy, uint32_t unit, uint32_t victim) {
    if (unit >= policy->n || victim >= policy->n || unit == victim) return false;
    return policy->ops->worth(policy->state, unit, victim);
}

const char *hyp_policy_name(hyp_policy_kind kind) {
    assert(kind < HYP_N_POLICIES);
    return kinds[kind]->name;
}
