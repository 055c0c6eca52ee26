/* hyp_argmax() against the plain loop that llama.cpp's greedy sampler runs. */
#include "engine/argmax_priv.h"

#include <cmocka.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

static int32_t plain(const float *logits, int32_t n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static void same_as_the_plain_loop(void **state) {
    (void)state;
    const float odd[] = {NAN, -INFINITY, INFINITY, 0, -0.0f, 1, 1, -1};
    unsigned seed = 1;
    float logits[100];
    for (int round = 0; round < 20000; round++) {
        int32_t n = 1 + rand_r(&seed) % 100;
        for (int32_t i = 0; i < n; i++) {
            int r = rand_r(&seed);
            logits[i] = r % 8 == 0 && round % 2 ? odd[r / 8 % 8] : (float)(r % 40) - 20; /* many ties */
        }
        assert_int_equal(hyp_argmax(logits, n), plain(logits, n));
    }
}

static void every_place_of_the_largest(void **state) {
    (void)state;
    float logits[67] = {0};
    for (int32_t i = 0; i < 67; i++) {
        logits[i] = 1;
        assert_int_equal(hyp_argmax(logits, 67), i);
        logits[i] = 0;
    }
}

static void nothing_but_impossible_tokens(void **state) {
    (void)state;
    const float none[3] = {-INFINITY, -INFINITY, -INFINITY}, nan_first[3] = {NAN, 5, 7};
    assert_int_equal(hyp_argmax(none, 3), 0);
    assert_int_equal(hyp_argmax(nan_first, 3), plain(nan_first, 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_the_plain_loop),
        cmocka_unit_test(every_place_of_the_largest),
        cmocka_unit_test(nothing_but_impossible_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
