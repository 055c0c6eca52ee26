#include "../test.h"
#include "engine/fallback.h"

static hyp_fallback measured(double seconds, double stall_s, uint64_t bytes) {
    hyp_fallback f = {0};
    int verdicts = 0;
    for (int i = 0; i < 100; i++)
        verdicts += hyp_fallback_add(&f, i < HYP_FALLBACK_SKIP ? 99 : seconds, stall_s, bytes);
    assert_int_equal(verdicts, 1);
    return f;
}

static void streaming_stays_while_it_is_faster(void **state) {
    (void)state;
    /* 1 GB a token, half of it in memory: mmap reads 0.5 GB at 0.5 GB/s, 1 s beside 0.1 s of computing. */
    hyp_fallback f = measured(0.6, 0.5, 1000000000);
    double mmap_s = 0;
    assert_false(hyp_fallback_is_due(&f, 5, 10, 0.5e9, &mmap_s));
    assert_true(mmap_s > 1.09 && mmap_s < 1.11);
}

static void a_clearly_slower_stream_gives_way(void **state) {
    (void)state;
    hyp_fallback f = measured(2.0, 1.9, 1000000000);
    double mmap_s = 0;
    assert_true(hyp_fallback_is_due(&f, 5, 10, 0.5e9, &mmap_s));
    /* A little slower is noise. */
    f = measured(1.2, 1.1, 1000000000);
    assert_false(hyp_fallback_is_due(&f, 5, 10, 0.5e9, &mmap_s));
}

static void without_a_measured_disk_there_is_no_verdict(void **state) {
    (void)state;
    hyp_fallback f = measured(9, 8, 1000);
    double mmap_s = 0;
    assert_false(hyp_fallback_is_due(&f, 5, 10, 0, &mmap_s));
    assert_false(hyp_fallback_is_due(&f, 5, 0, 1e9, &mmap_s));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(streaming_stays_while_it_is_faster),
                                       cmocka_unit_test(a_clearly_slower_stream_gives_way),
                                       cmocka_unit_test(without_a_measured_disk_there_is_no_verdict)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
