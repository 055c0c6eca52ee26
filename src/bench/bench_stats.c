/* bench_stats.c - what the runs say together. */
#include "base/mem.h"
#include "bench/bench.h"

#include <math.h>
#include <string.h>

const hyp_bench_figure_info hyp_bench_figures[HYP_BENCH_N_FIGURES] = {
    [HYP_BENCH_DECODE] = {"decode_tok_per_s", "decode, tokens/s", 1, 2, true, true},
    [HYP_BENCH_PREFILL] = {"prefill_tok_per_s", "prefill, tokens/s", 1, 2, true, true},
    [HYP_BENCH_TTFT] = {"ttft_s", "first token, s", 1, 2, false, true},
    [HYP_BENCH_LOAD] = {"load_s", "load, s", 1, 2, false, true},
    [HYP_BENCH_PEAK] = {"peak_rss_bytes", "peak memory, GB", 1e-9, 2, false, true},
    [HYP_BENCH_READ] = {"bytes_read", "read, GB", 1e-9, 2, false, true},
    [HYP_BENCH_FAULTS] = {"major_faults", "major faults", 1, 0, false, false},
    [HYP_BENCH_STALL] = {"stall_s", "waited for reads, s", 1, 2, false, false},
};

uint64_t hyp_bench_safe_bytes(uint64_t machine_bytes) {
    const uint64_t kept = (uint64_t)4 << 30;
    return HYP_MAX(machine_bytes > kept ? machine_bytes - kept : 0, machine_bytes / 2);
}

uint64_t hyp_bench_limit_of(uint64_t ram_bytes) {
    return ram_bytes + HYP_MAX(ram_bytes / 20, (uint64_t)64 << 20);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

hyp_bench_spread hyp_bench_spread_of(double *values, size_t n) {
    bool known = n > 0;
    for (size_t i = 0; i < n; i++)
        known = known && !isnan(values[i]);
    if (!known) return (hyp_bench_spread){NAN, NAN, NAN};
    qsort(values, n, sizeof *values, by_value);
    double median = n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
    return (hyp_bench_spread){median, values[0], values[n - 1]};
}

static void evaluate_side(hyp_bench_side_result *side, double *values) {
    side->repeatable = true;
    for (size_t i = 1; i < side->n; i++)
        side->repeatable = side->repeatable && strcmp(side->runs[i].digest, side->runs[0].digest) == 0;
    side->rates_measured = side->n > 0;
    for (size_t i = 0; i < side->n; i++)
        side->rates_measured = side->rates_measured && side->runs[i].rates_measured;
    for (int f = 0; f < HYP_BENCH_N_FIGURES; f++) {
        for (size_t i = 0; i < side->n; i++)
            values[i] = side->runs[i].figures[f];
        side->figures[f] = hyp_bench_spread_of(values, side->n);
        for (size_t i = 0; i < side->n; i++)
            values[i] = side->runs[i].predicted[f];
        side->predicted[f] = hyp_bench_spread_of(values, side->n).median;
    }
}

static hyp_bench_answer answer(bool yes) {
    return yes ? HYP_BENCH_YES : HYP_BENCH_NO;
}

int hyp_bench_evaluate(hyp_bench *bench, hyp_err *err) {
    hyp_bench_side_result *a = &bench->sides[HYP_BENCH_HYPURA], *b = &bench->sides[HYP_BENCH_BASELINE];
    HYP_AUTOFREE double *values = calloc(HYP_MAX(HYP_MAX(a->n, b->n), 1), sizeof *values);
    if (values == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory evaluating the runs");
    evaluate_side(a, values);
    evaluate_side(b, values);
    size_t rounds = HYP_MIN(a->n, b->n);
    for (int f = 0; f < HYP_BENCH_N_FIGURES; f++) {
        for (size_t i = 0; i < rounds; i++) {
            double x = a->runs[i].figures[f], y = b->runs[i].figures[f];
            values[i] = y > 0 ? x / y : NAN;
        }
        bench->ratios[f] = hyp_bench_figures[f].has_ratio ? hyp_bench_spread_of(values, rounds).median : NAN;
    }
    bench->same_logits = bench->same_text = HYP_BENCH_UNKNOWN;
    if (rounds == 0) return HYP_OK;
    bench->same_logits = answer(strcmp(a->runs[0].digest, b->runs[0].digest) == 0);
    bench->same_text = answer(strcmp(a->runs[0].text, b->runs[0].text) == 0);
    return HYP_OK;
}

bool hyp_bench_output_wrong(const hyp_bench *bench) {
    for (int s = 0; s < HYP_BENCH_N_SIDES; s++)
        if (!bench->sides[s].repeatable) return true;
    return bench->same_logits == HYP_BENCH_NO && bench->same_alike == HYP_BENCH_NO;
}

void hyp_bench_free(hyp_bench *bench) {
    for (int s = 0; s < HYP_BENCH_N_SIDES; s++) {
        for (size_t i = 0; i < bench->sides[s].n; i++)
            hyp_bench_run_free(&bench->sides[s].runs[i]);
        free(bench->sides[s].runs);
    }
    *bench = (hyp_bench){0};
}
