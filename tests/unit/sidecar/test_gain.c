/* What packing is said to gain. */
#include "fixture.h"
#include "hw/hardware.h"
#include "io/probe.h"
#include "plan/plan.h"

#include <math.h>

/* A disk on which a read costs 100 us and 1 ns a byte (10^9 bytes a second), `depth` of them overlapping up to
 * eightfold in what they cost. */
static double rate_of(double size, double depth) {
    return size / (100e-6 / fmin(depth, 8) + size * 1e-9);
}

static size_t make_points(hyp_probe_point *ret) {
    static const uint32_t sizes[] = {64 << 10, 256 << 10, 1 << 20, 4 << 20}, depths[] = {1, 4, 16};
    size_t n = 0;
    for (int s = 0; s < 4; s++)
        for (int d = 0; d < 3; d++)
            ret[n++] = (hyp_probe_point){.backend = HYP_IO_THREADS,
                                         .random = true,
                                         .size_bytes = sizes[s],
                                         .depth = depths[d],
                                         .bytes_per_s = rate_of(sizes[s], depths[d])};
    ret[n++] = (hyp_probe_point){.backend = HYP_IO_THREADS, .size_bytes = 128 << 10, .depth = 4, .bytes_per_s = 1};
    ret[n++] = (hyp_probe_point){
        .backend = HYP_IO_PLAIN, .random = true, .size_bytes = 128 << 10, .depth = 4, .bytes_per_s = 1};
    return n; /* the last two, in sequence and of another backend, do not count */
}

static void assert_near(double a, double b, double share) {
    if (fabs(a - b) > share * b) fail_msg("%g is not near %g", a, b);
}

static void rates_between_the_measured_ones(void **state) {
    (void)state;
    hyp_probe_point points[16];
    size_t n = make_points(points);
    static const double sizes[] = {64 << 10, 100e3, 150e3, 300e3, 1 << 20, 3e6, 4 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int d = 1; d <= 16; d *= 4)
            assert_near(hyp_sidecar_rate(points, n, sizes[i], d), rate_of(sizes[i], d), 1e-6);
    double between = hyp_sidecar_rate(points, n, 64 << 10, 2);
    assert_true(between > rate_of(64 << 10, 1) && between < rate_of(64 << 10, 4));
    assert_near(hyp_sidecar_rate(points, n, 32e3, 4), rate_of(32e3, 4), 1e-6); /* smaller than any that was measured */
    assert_near(hyp_sidecar_rate(points, n, 64e6, 4), rate_of(4 << 20, 4), 1e-6);
    assert_near(hyp_sidecar_rate(points, n, 1 << 20, 64), rate_of(1 << 20, 16), 1e-6);
    assert_true(hyp_sidecar_rate(points, 0, 1 << 20, 4) == 0);
    assert_near(hyp_sidecar_rate(points, 1, 1 << 20, 4), points[0].bytes_per_s, 1e-9);
}

static void what_streams_gains(void **state) {
    (void)state;
    hyp_model *model = fixture_model("gain.gguf", 1, NULL);
    hyp_sidecar *layout = fixture_layout(model, NULL);
    hyp_probe_point points[16];
    size_t n = make_points(points);
    hyp_hardware hw;
    hyp_hardware_default(&hw);
    hw.ram_total_bytes = hw.ram_available_bytes = hw.ram_budget_bytes = (uint64_t)8 << 30;
    hyp_plan_request request = {.mode = HYP_MODE_AUTO};
    hyp_sidecar_gain g;
    hyp_plan *plan = NULL;
    assert_int_equal(hyp_plan_make(model, &hw, &request, &plan, NULL), HYP_OK);
    assert_int_equal(hyp_sidecar_predict(model, layout, &hw, points, n, plan, &g, NULL), HYP_OK);
    assert_true(g.tok_per_s_now == plan->prediction.decode_tok_per_s); /* the plan's own word */
    hyp_plan_free(plan);
    assert_false(g.streams); /* it fits into memory */
    assert_true(g.tok_per_s_now > 0 && g.tok_per_s_then == g.tok_per_s_now);
    assert_int_equal(g.bytes, layout->bytes);
    assert_false(g.too_large);
    assert_true(g.read_bytes_then == 3 * g.read_bytes_now); /* three parts */

    /* Not even the least budget: no plan, and no promise. */
    hw.ram_budget_bytes = 1;
    plan = NULL;
    assert_int_equal(hyp_plan_make(model, &hw, &request, &plan, NULL), HYP_ENOMEM);
    assert_int_equal(hyp_sidecar_predict(model, layout, &hw, points, n, plan, &g, NULL), HYP_OK);
    assert_true(g.tok_per_s_now == 0 && !g.streams);
    hyp_sidecar_free(layout);
    hyp_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_between_the_measured_ones),
        cmocka_unit_test(what_streams_gains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
