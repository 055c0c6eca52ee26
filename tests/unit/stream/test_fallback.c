#include "../test.h"
#include "stream/fallback.h"

#define GB 1000000000ull

static hyp_fallback measured(double seconds, double stall_s) {
    hyp_fallback f = {0};
    int verdicts = 0;
    for (int i = 0; i < 100; i++)
        verdicts += hyp_fallback_add(&f, i < HYP_FALLBACK_SKIP ? 99 : seconds, stall_s);
    assert_int_equal(verdicts, 1);
    assert_int_equal(f.n_tokens, HYP_FALLBACK_SKIP + HYP_FALLBACK_TOKENS);
    return f;
}

static void streaming_stays_while_it_hardly_waits(void **state) {
    (void)state;
    hyp_fallback f = measured(1.0, 0.1);
    assert_false(hyp_fallback_is_possible(&f, 10 * GB, 20 * GB));
    f = measured(1.0, 0.19);
    assert_false(hyp_fallback_is_possible(&f, 10 * GB, 20 * GB));
    f = measured(1.0, 0.21); /* 1.27 times what it takes to compute */
    assert_true(hyp_fallback_is_possible(&f, 10 * GB, 20 * GB));
}

static void a_clearly_slower_stream_gives_way(void **state) {
    (void)state;
    hyp_fallback f = measured(2.0, 1.5);
    double mmap_s = 0;
    assert_true(hyp_fallback_is_possible(&f, 10 * GB, 10 * GB));
    assert_true(hyp_fallback_is_due(&f, 10 * GB, 0.5e9, &mmap_s));
    assert_true(mmap_s > 0.499 && mmap_s < 0.501);
}

static void it_never_falls_into_thrashing(void **state) {
    (void)state;
    hyp_fallback f = measured(1000, 999); /* as bad as can be: but the model does not fit */
    assert_false(hyp_fallback_is_possible(&f, 10 * GB, 10 * GB - 1));
    assert_false(hyp_fallback_is_possible(&f, 600 * GB, 24 * GB));
}

static void reading_it_all_must_pay(void **state) {
    (void)state;
    hyp_fallback f = measured(0.010, 0.005); /* 5 ms a token, 2.56 s in 512 tokens */
    double mmap_s = 0;
    assert_true(hyp_fallback_is_due(&f, 1 * GB, 0.5e9, &mmap_s));
    assert_false(hyp_fallback_is_due(&f, 2 * GB, 0.5e9, &mmap_s));
    assert_true(hyp_fallback_is_due(&f, 2 * GB, 5e9, &mmap_s)); /* most of it is cached */
    assert_false(hyp_fallback_is_due(&f, 1, 0, &mmap_s));       /* not measured */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streaming_stays_while_it_hardly_waits), cmocka_unit_test(a_clearly_slower_stream_gives_way),
        cmocka_unit_test(it_never_falls_into_thrashing), cmocka_unit_test(reading_it_all_must_pay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
