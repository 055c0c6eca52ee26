/* policy_kind.h - the eviction policies that can be asked for; policy.h carries them out. */
#pragma once

typedef enum hyp_policy_kind {
    HYP_POLICY_HYPURA, /* decayed frequency, recency and distance in the layer cycle, with a fixed subset below one
                          cycle */
    HYP_POLICY_LRU,
    HYP_POLICY_LFU,
    HYP_N_POLICIES,
} hyp_policy_kind;

/* "hypura", "lru", "lfu". Static storage. */
const char *hyp_policy_name(hyp_policy_kind kind);
