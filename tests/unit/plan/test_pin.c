/* Which layers of a dense model are pinned: as many as fit, evenly spread. */
#include "../test.h"
#include "base/mem.h"
#include "plan/pin.h"

static void test_spread_is_even(void **state) {
    (void)state;
    bool pinned[100];
    for (uint32_t n = 1; n <= 100; n++)
        for (uint32_t k = 0; k <= n; k++) {
            hyp_pin_spread(n, k, pinned);
            uint32_t count = 0, gap = 0, shortest = UINT32_MAX, longest = 0;
            for (uint32_t i = 0; i < 2 * n; i++) { /* twice round: the gap across the end counts */
                if (i < n) count += pinned[i];
                gap++;
                if (pinned[i % n]) continue;
                if (i >= n) {
                    shortest = HYP_MIN(shortest, gap);
                    longest = HYP_MAX(longest, gap);
                }
                gap = 0;
            }
            assert_int_equal(count, k);
            if (k < n) assert_true(longest - shortest <= 1);
        }
}

static void test_fit(void **state) {
    (void)state;
    bool pinned[4];
    uint32_t n = 0;
    const uint64_t equal[4] = {10, 10, 10, 10};
    assert_true(hyp_pin_fit(equal, 4, 40, 2, pinned, &n));
    assert_int_equal(n, 4); /* everything fits: nothing streams */
    assert_true(hyp_pin_fit(equal, 4, 39, 2, pinned, &n));
    assert_int_equal(n, 1); /* 1 pinned, 2 slots; with 2 pinned only one slot would be left */
    assert_true(hyp_pin_fit(equal, 4, 39, 1, pinned, &n));
    assert_int_equal(n, 2);
    assert_true(hyp_pin_fit(equal, 4, 15, 2, pinned, &n));
    assert_int_equal(n, 0);
    assert_false(hyp_pin_fit(equal, 4, 9, 2, pinned, &n));
    const uint64_t unequal[4] = {10, 30, 10, 10}; /* the slot must hold the largest that streams */
    assert_true(hyp_pin_fit(unequal, 4, 59, 1, pinned, &n));
    uint64_t sum = 0, largest = 0;
    for (int i = 0; i < 4; i++)
        *(pinned[i] ? &sum : &largest) = pinned[i] ? sum + unequal[i] : HYP_MAX(largest, unequal[i]);
    assert_true(n > 0 && sum + largest <= 59);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_spread_is_even), cmocka_unit_test(test_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
