/* Tiers: their names, who computes with them, what the pager holds. */
#include "../test.h"
#include "plan/tier.h"

#include <stdio.h>

static void tiers_of_the_host(void **state) {
    (void)state;
    static const struct {
        hyp_tier tier;
        const char *name;
        bool paged;
    } wanted[] = {{HYP_TIER_PINNED, "pinned in RAM", true},
                  {HYP_TIER_CACHE, "RAM cache", true},
                  {HYP_TIER_STREAM, "SSD", true},
                  {HYP_TIER_FILE, "page cache", false}};
    assert_int_equal(sizeof wanted / sizeof *wanted, HYP_TIER_DEVICE);
    for (size_t i = 0; i < HYP_TIER_DEVICE; i++) {
        assert_string_equal(hyp_tier_name(wanted[i].tier), wanted[i].name);
        assert_true(hyp_tier_on_host(wanted[i].tier));
        assert_int_equal(hyp_tier_is_paged(wanted[i].tier), wanted[i].paged);
        assert_int_equal(hyp_tier_site(wanted[i].tier), 0);
    }
}

static void a_tier_a_device(void **state) {
    (void)state;
    for (int d = 0; d < HYP_HARDWARE_MAX_DEVICES; d++) {
        char name[16];
        hyp_tier tier = hyp_tier_of_site((uint8_t)(d + 1));
        snprintf(name, sizeof name, "device %d", d);
        assert_int_equal(tier, HYP_TIER_DEVICE + d);
        assert_string_equal(hyp_tier_name(tier), name);
        assert_int_equal(hyp_tier_site(tier), d + 1);
        assert_false(hyp_tier_on_host(tier));
        assert_false(hyp_tier_is_paged(tier));
    }
    assert_string_equal(hyp_tier_name(HYP_N_TIERS), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tiers_of_the_host), cmocka_unit_test(a_tier_a_device)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
