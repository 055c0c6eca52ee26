#include "plan/tier.h"

#include "base/mem.h"

typedef struct tier_info {
    const char *name;
    bool paged;
    uint8_t site;
} tier_info;

static const tier_info infos[] = {
    [HYP_TIER_PINNED] = {"pinned in RAM", true, 0},
    [HYP_TIER_CACHE] = {"RAM cache", true, 0},
    [HYP_TIER_STREAM] = {"SSD", true, 0},
    [HYP_TIER_FILE] = {"page cache", false, 0},
    [HYP_TIER_DEVICE] = {"device 0", false, 1},
    {"device 1", false, 2},
    {"device 2", false, 3},
    {"device 3", false, 4},
    {"device 4", false, 5},
    {"device 5", false, 6},
    {"device 6", false, 7},
    {"device 7", false, 8},
    {"device 8", false, 9},
    {"device 9", false, 10},
    {"device 10", false, 11},
    {"device 11", false, 12},
    {"device 12", false, 13},
    {"device 13", false, 14},
    {"device 14", false, 15},
    {"device 15", false, 16},
};
_Static_assert(HYP_ARRAY_LEN(infos) == HYP_N_TIERS, "a row a tier");

static const tier_info *info_of(hyp_tier tier) {
    static const tier_info none = {.name = "?"};
    return (unsigned)tier < HYP_N_TIERS ? &infos[tier] : &none;
}

const char *hyp_tier_name(hyp_tier tier) {
    return info_of(tier)->name;
}

bool hyp_tier_on_host(hyp_tier tier) {
    return info_of(tier)->site == 0;
}

bool hyp_tier_is_paged(hyp_tier tier) {
    return info_of(tier)->paged;
}

uint8_t hyp_tier_site(hyp_tier tier) {
    return info_of(tier)->site;
}

hyp_tier hyp_tier_of_site(uint8_t site) {
    return (hyp_tier)(HYP_TIER_DEVICE + site - 1);
}
