#include "../test.h"
#include "predict/gate.h"

static double noise(uint32_t *state) {
    *state = *state * 1664525 + 1013904223;
    return (double)(*state >> 8) / (1 << 24) - 0.5;
}

/* Run `n` tokens of a model whose token takes 1 s, 1 + `cost` with prefetching, noise and drift on top, now and then an
 * outlier. Returns how many prefetched. */
static uint32_t run(hyp_gate *gate, uint32_t n, double cost, double spread, uint32_t *seed) {
    uint32_t n_on = 0;
    for (uint32_t t = 0; t < n; t++) {
        bool on = hyp_gate_on(gate);
        double seconds = (1 + (on ? cost : 0)) * (1 + spread * noise(seed)) * (1 + 1e-4 * t);
        if (t % 37 == 36) seconds *= 5;
        hyp_gate_report(gate, seconds);
        n_on += on;
    }
    return n_on;
}

static void a_gain_turns_it_on(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed < 20; seed++) {
        hyp_gate gate;
        uint32_t s = seed;
        hyp_gate_init(&gate);
        assert_true(run(&gate, 1000, -0.2, 0.05, &s) > 900);
        assert_true(gate.verdict && gate.gain > 0.1 && gate.gain < 0.3);
    }
}

static void a_loss_turns_it_off_and_trials_grow_rare(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed < 20; seed++) {
        hyp_gate gate;
        uint32_t s = seed;
        hyp_gate_init(&gate);
        uint32_t first = run(&gate, 1000, 0.2, 0.05, &s), then = run(&gate, 10000, 0.2, 0.05, &s);
        assert_uint_in_range(first, HYP_GATE_EPISODE * HYP_GATE_PAIRS, 4 * HYP_GATE_EPISODE * HYP_GATE_PAIRS);
        assert_true(then < 10 * HYP_GATE_EPISODE * HYP_GATE_PAIRS);
        assert_false(gate.verdict);
        assert_true(gate.gain < 0);
    }
}

static void no_difference_is_no_gain(void **state) {
    (void)state;
    hyp_gate gate;
    uint32_t s = 9;
    hyp_gate_init(&gate);
    assert_true(run(&gate, 5000, 0, 0, &s) < 300);
    assert_false(gate.verdict);
}

static void a_change_is_found_out(void **state) {
    (void)state;
    hyp_gate gate;
    uint32_t s = 4;
    hyp_gate_init(&gate);
    run(&gate, 500, 0.2, 0.02, &s);
    assert_false(gate.verdict);
    run(&gate, 2000, -0.2, 0.02, &s);
    assert_true(gate.verdict);
    run(&gate, 3000, 0.2, 0.02, &s);
    assert_false(gate.verdict);
}

static void an_assumed_verdict_is_tried_soon(void **state) {
    (void)state;
    hyp_gate gate;
    hyp_gate_assume(&gate, true);
    for (int i = 0; i < 63; i++) {
        assert_true(hyp_gate_on(&gate) && gate.verdict && !gate.trying);
        hyp_gate_report(&gate, 1);
    }
    hyp_gate_report(&gate, 1);
    assert_true(gate.trying);
    for (int i = 0; i < 2 * HYP_GATE_PAIRS * HYP_GATE_EPISODE; i++)
        hyp_gate_report(&gate, hyp_gate_on(&gate) ? 1.2 : 1); /* it was wrong */
    assert_false(gate.trying || gate.verdict || hyp_gate_on(&gate));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_assumed_verdict_is_tried_soon),
        cmocka_unit_test(a_gain_turns_it_on),
        cmocka_unit_test(a_loss_turns_it_off_and_trials_grow_rare),
        cmocka_unit_test(no_difference_is_no_gain),
        cmocka_unit_test(a_change_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
