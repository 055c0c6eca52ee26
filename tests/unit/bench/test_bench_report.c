/* test_bench_report.c - statistics, the verdict and the reports of runs that were made up. */
#include "../test.h"
#include "base/mem.h"
#include "bench/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

static void spread_is_median_least_and_most(void **state) {
    (void)state;
    double odd[] = {5, 1, 3}, even[] = {4, 1, 2, 9}, one[] = {7}, gap[] = {1, NAN};
    hyp_bench_spread s = hyp_bench_spread_of(odd, 3);
    assert_true(s.median == 3 && s.min == 1 && s.max == 5);
    s = hyp_bench_spread_of(even, 4);
    assert_true(s.median == 3 && s.min == 1 && s.max == 9);
    s = hyp_bench_spread_of(one, 1);
    assert_true(s.median == 7 && s.min == 7 && s.max == 7);
    assert_true(isnan(hyp_bench_spread_of(gap, 2).median));
    assert_true(isnan(hyp_bench_spread_of(NULL, 0).max));
}

static void plain_mmap_leaves_4_gib_or_half(void **state) {
    (void)state;
    const uint64_t gib = (uint64_t)1 << 30;
    assert_int_equal(hyp_bench_safe_bytes(24 * gib), 20 * gib);
    assert_int_equal(hyp_bench_safe_bytes(8 * gib), 4 * gib);
    assert_int_equal(hyp_bench_safe_bytes(2 * gib), gib);
    assert_int_equal(hyp_bench_limit_of(100 * gib), 105 * gib);
    assert_int_equal(hyp_bench_limit_of(gib), gib + gib / 16); /* 64 MiB */
}

static hyp_bench_run made_up_run(const char *mode, double decode, const char *digest, const char *text) {
    hyp_bench_run run = {.prompt_tokens = 512, .output_tokens = 128, .text = strdup(text)};
    for (int f = 0; f < HYP_BENCH_N_FIGURES; f++)
        run.figures[f] = 10 * (f + 1);
    for (int f = 0; f < HYP_BENCH_N_FIGURES; f++)
        run.predicted[f] = strcmp(mode, "mmap") == 0 ? NAN : f <= HYP_BENCH_LOAD ? run.figures[f] * 1.1 : NAN;
    run.figures[HYP_BENCH_DECODE] = decode;
    run.figures[HYP_BENCH_PEAK] = 2.5e9;
    if (strcmp(mode, "mmap") == 0) run.figures[HYP_BENCH_STALL] = NAN;
    snprintf(run.mode, sizeof run.mode, "%s", mode);
    snprintf(run.digest, sizeof run.digest, "%s", digest);
    return run;
}

#define DIGEST "0123456789abcdef"
#define OTHER "fedcba9876543210"

static hyp_bench made_up(const char *mode, const char *digest, const char *text) {
    hyp_bench b = {0};
    for (int s = 0; s < HYP_BENCH_N_SIDES; s++) {
        b.sides[s].runs = calloc(3, sizeof *b.sides[s].runs);
        assert_non_null(b.sides[s].runs);
        b.sides[s].n = 3;
    }
    /* Ratios by round: 2, 4, 3. The ratio of the medians would be 2. */
    static const double ours[] = {2, 16, 6}, theirs[] = {1, 4, 2};
    for (size_t i = 0; i < 3; i++) {
        b.sides[HYP_BENCH_HYPURA].runs[i] = made_up_run(mode, ours[i], digest, text);
        b.sides[HYP_BENCH_BASELINE].runs[i] = made_up_run("mmap", theirs[i], DIGEST, "a text");
    }
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_bench_evaluate(&b, &err), HYP_OK);
    return b;
}

static void ratios_are_of_rounds(void **state) {
    (void)state;
    hyp_bench b = made_up("experts", DIGEST, "a text");
    assert_true(b.ratios[HYP_BENCH_DECODE] == 3);
    assert_true(b.ratios[HYP_BENCH_PREFILL] == 1);
    assert_true(isnan(b.ratios[HYP_BENCH_STALL]));
    assert_true(b.sides[0].figures[HYP_BENCH_DECODE].median == 6);
    assert_true(isnan(b.sides[1].figures[HYP_BENCH_STALL].median));
    hyp_bench_free(&b);
}

static void expect_verdict(hyp_bench *b, const char *part, bool wrong) {
    hyp_str text = {0};
    hyp_bench_write_verdict(b, &text);
    if (strstr(text.data, part) == NULL) fail_msg("missing: %s\nin: %s", part, text.data);
    assert_int_equal(hyp_bench_output_wrong(b), wrong);
    hyp_str_free(&text);
    hyp_bench_free(b);
}

static void the_verdict_says_what_was_compared(void **state) {
    (void)state;
    hyp_bench b = made_up("experts", DIGEST, "a text");
    expect_verdict(&b, "identical output: yes, every logit of every token\n", false);
    b = made_up("experts", OTHER, "a text");
    expect_verdict(&b,
                   "not known, the check failed. As timed, the logits differ and hypura (experts) gave the same text\n",
                   false);
    b = made_up("resident", OTHER, "another");
    b.same_alike = HYP_BENCH_YES;
    expect_verdict(&b, "identical output: yes, every logit, when both compute alike", false);
    b = made_up("resident", OTHER, "another");
    b.same_alike = HYP_BENCH_YES;
    expect_verdict(&b, "As timed, hypura (resident) rounds differently and gave another text\n", false);
    b = made_up("resident", OTHER, "a text");
    b.same_alike = HYP_BENCH_NO;
    expect_verdict(&b,
                   "identical output: NO, not even when both compute alike. As timed, hypura (resident) gave the same "
                   "text\n",
                   true);
    b = made_up("experts", DIGEST, "a text");
    memcpy(b.sides[0].runs[1].digest, OTHER, 17);
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_bench_evaluate(&b, &err), HYP_OK);
    expect_verdict(&b, "not repeatable: the runs of hypura (experts) computed different logits\n", true);
}

static const hyp_model model = {
    .name = "A\x1b[31m <model>", .path = "dir/a.gguf", .arch = "llama", .quant = "Q4_0", .bytes = 26400000000};
static const hyp_bench_config config = {
    .model = &model, .runs = 3, .prompt_tokens = 512, .max_tokens = 128, .context_tokens = 2048, .mode = "auto"};

static void the_table_holds_every_figure(void **state) {
    (void)state;
    hyp_bench b = made_up("experts", DIGEST, "a text");
    b.limit_bytes = 12600000000;
    hyp_str text = {0};
    hyp_bench_write_markdown(&config, &b, &text);
    assert_false(text.failed);
    static const char *const parts[] = {
        ("A?[31m <model> (Q4_0, 26.4 GB), 3 runs each, in turns, cold page cache: prompt of 512 tokens, answer of 128, "
         "context of 2048\n"),
        "memory, page cache included: 12.6 GB in a control group\n",
        "| median (least to most) | hypura (experts) | llama.cpp mmap | ratio |\n|---|---|---|---|\n",
        "| decode, tokens/s | 6.00 (2.00 to 16.00) | 2.00 (1.00 to 4.00) | 3.00 |\n",
        "| peak memory, GB | 2.50 (2.50 to 2.50) | 2.50 (2.50 to 2.50) | 1.00 |\n",
        "| waited for reads, s | 80.00 (80.00 to 80.00) | - | - |\n",
        "predicted for hypura (experts): decode, tokens/s 11.00 (+83 %), prefill, tokens/s 22.00 (+10 %), first token, "
        "s "
        "33.00 (+10 %); rates assumed: \"hypura profile MODEL\" measures them\nidentical output: yes",
    };
    for (size_t i = 0; i < HYP_ARRAY_LEN(parts); i++)
        if (strstr(text.data, parts[i]) == NULL) fail_msg("missing: %s\nin:\n%s", parts[i], text.data);
    hyp_str_free(&text);
    hyp_bench_free(&b);
}

static void one_side_has_no_ratio(void **state) {
    (void)state;
    hyp_bench b = made_up("experts", DIGEST, "a text");
    for (size_t i = 0; i < 3; i++)
        hyp_bench_run_free(&b.sides[HYP_BENCH_HYPURA].runs[i]);
    b.sides[HYP_BENCH_HYPURA].n = 0;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_bench_evaluate(&b, &err), HYP_OK);
    assert_int_equal(b.same_logits, HYP_BENCH_UNKNOWN);
    hyp_str text = {0};
    hyp_bench_write_markdown(&config, &b, &text);
    assert_non_null(
        strstr(text.data, "| median (least to most) | llama.cpp mmap |\n|---|---|\n| decode, tokens/s | 2.00 "));
    assert_null(strstr(text.data, "ratio"));
    assert_non_null(strstr(text.data, "identical output: not compared"));
    hyp_str_free(&text);
    hyp_bench_free(&b);
}

static void the_json_reads_back(void **state) {
    (void)state;
    hyp_bench b = made_up("experts", DIGEST, "a text");
    hyp_bench_warn(&b.warnings, "a %s", "warning");
    hyp_str text = {0};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_bench_write_json(&config, &b, &text, &err), HYP_OK);
    yyjson_doc *doc = yyjson_read(text.data, text.length, YYJSON_READ_ALLOW_INVALID_UNICODE);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_non_null(root);
    assert_true(yyjson_get_num(yyjson_ptr_get(root, "/sides/0/figures/decode_tok_per_s/max")) == 16);
    assert_true(yyjson_get_num(yyjson_ptr_get(root, "/sides/1/runs/1/decode_tok_per_s")) == 4);
    assert_true(yyjson_is_null(yyjson_ptr_get(root, "/sides/1/figures/stall_s/median")));
    assert_true(yyjson_get_num(yyjson_ptr_get(root, "/ratios/decode_tok_per_s")) == 3);
    assert_true(yyjson_get_bool(yyjson_ptr_get(root, "/output/same_logits")));
    assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/warnings/0")), "a warning");
    yyjson_doc_free(doc);
    hyp_str_free(&text);
    hyp_bench_free(&b);
}

static void the_chart_has_a_bar_for_each_known_figure(void **state) {
    (void)state;
    hyp_bench b = made_up("experts", DIGEST, "a text");
    hyp_str svg = {0};
    hyp_bench_write_svg(&config, &b, &svg);
    size_t bars = 0;
    for (const char *at = svg.data; (at = strstr(at, "height=\"18\"")) != NULL; at++)
        bars++;
    assert_int_equal(bars, 2 * HYP_BENCH_N_FIGURES - 1);
    assert_non_null(strstr(svg.data, "&lt;model>"));
    assert_null(strchr(svg.data, '\x1b'));
    assert_null(strstr(svg.data, "nan"));
    hyp_str_free(&svg);
    hyp_bench_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(spread_is_median_least_and_most),
                                       cmocka_unit_test(plain_mmap_leaves_4_gib_or_half),
                                       cmocka_unit_test(ratios_are_of_rounds),
                                       cmocka_unit_test(the_verdict_says_what_was_compared),
                                       cmocka_unit_test(the_table_holds_every_figure),
                                       cmocka_unit_test(one_side_has_no_ratio),
                                       cmocka_unit_test(the_json_reads_back),
                                       cmocka_unit_test(the_chart_has_a_bar_for_each_known_figure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
