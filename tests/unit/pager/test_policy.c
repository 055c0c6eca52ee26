#include "../test.h"
#include "pager/policy.h"

#include <stdlib.h>

enum { N_LAYERS = 7, N_EXPERTS = 70, N_UNITS = N_LAYERS * N_EXPERTS };

static uint32_t random_below(uint32_t *state, uint32_t n) {
    *state = *state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)*state * n >> 32);
}

static hyp_policy *make(hyp_policy_kind kind) {
    hyp_policy_unit units[N_UNITS];
    /* Interleaved on purpose: a policy may not rely on units standing layer by layer. */
    for (uint32_t i = 0; i < N_UNITS; i++)
        units[i] = (hyp_policy_unit){i % N_LAYERS, 4096 * (1 + i % 3)};
    hyp_policy *policy;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_policy_new(kind, units, N_UNITS, N_LAYERS, &policy, &err), HYP_OK);
    return policy;
}

/* Any order of calls: the victim is resident and not pinned, and there is one whenever such a unit exists. */
static void victims_are_resident_and_unpinned(void **state) {
    (void)state;
    for (int kind = 0; kind < HYP_N_POLICIES; kind++) {
        hyp_policy *policy = make((hyp_policy_kind)kind);
        bool resident[N_UNITS] = {false}, pinned[N_UNITS] = {false};
        uint32_t seed = 42 + (uint32_t)kind, layer = 0;
        for (int step = 0; step < 60000; step++) {
            uint32_t unit = random_below(&seed, N_UNITS);
            switch (random_below(&seed, 6)) {
            case 0: hyp_policy_set_resident(policy, unit, resident[unit] = random_below(&seed, 3) > 0); break;
            case 1: hyp_policy_set_pinned(policy, unit, pinned[unit] = random_below(&seed, 3) == 0); break;
            case 2: hyp_policy_enter_layer(policy, layer = (layer + 1) % N_LAYERS); break;
            case 3: hyp_policy_prime(policy, unit, (float)random_below(&seed, 100) / 50); break;
            default:
                hyp_policy_touch(policy, layer + N_LAYERS * random_below(&seed, N_EXPERTS), random_below(&seed, 9));
            }
            bool any = false;
            for (uint32_t i = 0; i < N_UNITS; i++)
                any |= resident[i] && !pinned[i];
            uint32_t victim = hyp_policy_victim(policy);
            assert_int_equal(victim != UINT32_MAX, any);
            if (!any) continue;
            assert_true(resident[victim] && !pinned[victim]);
            assert_false(hyp_policy_worth(policy, victim, victim));
            if (random_below(&seed, 4) > 0) continue;
            hyp_policy_set_resident(policy, victim, resident[victim] = false);
        }
        hyp_policy_free(policy);
    }
}

static void lru_gives_up_the_oldest_and_lfu_the_rarest(void **state) {
    (void)state;
    hyp_policy *lru = make(HYP_POLICY_LRU), *lfu = make(HYP_POLICY_LFU);
    for (uint32_t i = 0; i < 3; i++)
        hyp_policy_set_resident(lru, i, true), hyp_policy_set_resident(lfu, i, true);
    const uint32_t touches[] = {0, 0, 1, 2, 2, 1, 1, 0};
    for (size_t i = 0; i < 8; i++)
        hyp_policy_touch(lru, touches[i], 1), hyp_policy_touch(lfu, touches[i], 1);
    assert_int_equal(hyp_policy_victim(lru), 2);
    assert_int_equal(hyp_policy_victim(lfu), 2);
    hyp_policy_touch(lru, 2, 1), hyp_policy_touch(lfu, 2, 5);
    assert_int_equal(hyp_policy_victim(lru), 1);
    assert_int_equal(hyp_policy_victim(lfu), 1);
    hyp_policy_set_pinned(lru, 1, true);
    assert_int_equal(hyp_policy_victim(lru), 0);
    hyp_policy_free(lru);
    hyp_policy_free(lfu);
}

/* All alike, the layer just computed is needed last, and a prefetch for the layer to come may take its place. */
static void the_cycle_decides_among_equals(void **state) {
    (void)state;
    hyp_policy *policy = make(HYP_POLICY_HYPURA);
    for (uint32_t i = 0; i < N_UNITS; i++)
        hyp_policy_prime(policy, i, 1), hyp_policy_set_resident(policy, i, true);
    for (uint32_t l = 0; l < 4; l++) {
        hyp_policy_enter_layer(policy, l);
        for (uint32_t e = 0; e < N_EXPERTS; e++)
            hyp_policy_touch(policy, l + N_LAYERS * e, 1);
    }
    for (int i = 0; i < 30; i++) {
        uint32_t victim = hyp_policy_victim(policy);
        assert_int_equal(victim % N_LAYERS, 3);
        hyp_policy_set_resident(policy, victim, false);
    }
    hyp_policy_set_resident(policy, 4, false);
    assert_true(hyp_policy_worth(policy, 4, hyp_policy_victim(policy)));
    hyp_policy_free(policy);
}

static void a_used_unit_outlives_an_unused_one(void **state) {
    (void)state;
    hyp_policy *policy = make(HYP_POLICY_HYPURA);
    for (uint32_t i = 0; i < N_UNITS; i++)
        hyp_policy_set_resident(policy, i, true);
    for (int pass = 0; pass < 20; pass++) {
        for (uint32_t l = 0; l < N_LAYERS; l++) {
            hyp_policy_enter_layer(policy, l);
            for (uint32_t e = 0; e < 8; e++)
                hyp_policy_touch(policy, l + N_LAYERS * e, 1);
        }
    }
    hyp_policy_enter_layer(policy, 0);
    for (uint32_t i = 0; i < N_LAYERS * (N_EXPERTS - 8); i++) {
        uint32_t victim = hyp_policy_victim(policy);
        assert_true(victim / N_LAYERS >= 8);
        hyp_policy_set_resident(policy, victim, false);
    }
    hyp_policy_free(policy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(victims_are_resident_and_unpinned),
        cmocka_unit_test(lru_gives_up_the_oldest_and_lfu_the_rarest),
        cmocka_unit_test(the_cycle_decides_among_equals),
        cmocka_unit_test(a_used_unit_outlives_an_unused_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
