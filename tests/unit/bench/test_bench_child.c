/* test_bench_child.c - children that report, fail, babble or hang, and reports that are not what they should be. */
#include "../test.h"
#include "base/mem.h"
#include "base/text.h"
#include "bench/bench_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REPORT                                                                                                         \
    "{\"mode\":\"experts\",\"prompt_tokens\":5,\"output_tokens\":7,\"batch_tokens\":64,\"text\":\"hello\",\"load_"     \
    "ms\":250,"                                                                                                        \
    "\"ttft_ms\":1500.5,\"prefill_tok_per_s\":12.5,\"decode_tok_per_s\":3,\"memory\":{\"peak_rss_bytes\":4096},"       \
    "\"io\":{\"bytes_read\":8192,\"stall_ms\":2,\"major_faults\":9},\"logits_digest\":\"0123456789abcdef\"}"

static void a_report_is_read(void **state) {
    (void)state;
    hyp_bench_run run;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_bench_run_parse(REPORT, strlen(REPORT), &run, &err), HYP_OK);
    assert_true(run.figures[HYP_BENCH_DECODE] == 3 && run.figures[HYP_BENCH_PREFILL] == 12.5);
    assert_true(run.figures[HYP_BENCH_LOAD] == 0.25 && run.figures[HYP_BENCH_PEAK] == 4096);
    assert_true(run.figures[HYP_BENCH_READ] == 8192 && run.figures[HYP_BENCH_FAULTS] == 9);
    assert_true(fabs(run.figures[HYP_BENCH_STALL] - 0.002) < 1e-12);
    assert_int_equal(run.prompt_tokens, 5);
    assert_int_equal(run.output_tokens, 7);
    assert_string_equal(run.mode, "experts");
    assert_string_equal(run.digest, "0123456789abcdef");
    assert_string_equal(run.text, "hello");
    hyp_bench_run_free(&run);
}

/* REPORT with `from` replaced by `to`; the caller frees it. */
static char *changed(const char *from, const char *to) {
    hyp_str out = {0};
    const char *at = strstr(REPORT, from);
    assert_non_null(at);
    hyp_str_append(&out, REPORT, (size_t)(at - REPORT));
    hyp_str_puts(&out, to);
    hyp_str_puts(&out, at + strlen(from));
    return out.data;
}

static void a_wrong_report_is_an_error_that_names_the_field(void **state) {
    (void)state;
    static const struct {
        const char *from, *to, *named;
    } cases[] = {
        {"\"decode_tok_per_s\":3", "\"decode_tok_per_s\":\"3\"", "decode_tok_per_s"},
        {"\"decode_tok_per_s\":3", "\"decode_tok_per_s\":-3", "decode_tok_per_s"},
        {"\"load_ms\":250,", "", "load_ms"},
        {"\"io\":{", "\"io\":[],\"x\":{", "bytes_read"},
        {"\"prompt_tokens\":5", "\"prompt_tokens\":5.5", "prompt_tokens"},
        {"\"batch_tokens\":64", "\"batch_tokens\":{}", "batch_tokens"},
        {"\"output_tokens\":7", "\"output_tokens\":-7", "output_tokens"},
        {"experts", "fast", "mode"},
        {"0123456789abcdef", "0123456789ABCDEF", "logits_digest"},
        {"0123456789abcdef", "0123456789abcdef0", "logits_digest"},
        {"\"hello\"", "null", "text"},
        {"{\"mode\"", "[{\"mode\"", "JSON object"},
    };
    for (size_t i = 0; i < HYP_ARRAY_LEN(cases); i++) {
        HYP_AUTOFREE char *text = changed(cases[i].from, cases[i].to);
        hyp_bench_run run = {.prompt_tokens = 77};
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(hyp_bench_run_parse(text, strlen(text), &run, &err), HYP_EFORMAT);
        if (strstr(err.message, cases[i].named) == NULL) fail_msg("%s: %s", cases[i].to, err.message);
        assert_int_equal(run.prompt_tokens, 77);
    }
}

static void only_the_pager_knows_stalls(void **state) {
    (void)state;
    HYP_AUTOFREE char *text = changed("experts", "mmap");
    hyp_bench_run run;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_bench_run_parse(text, strlen(text), &run, &err), HYP_OK);
    assert_true(isnan(run.figures[HYP_BENCH_STALL]));
    hyp_bench_run_free(&run);
}

static int shell(const char *script, bool (*stop)(void *), hyp_bench_run *run, hyp_err *err) {
    char name[] = "sh", option[] = "-c", *argv[] = {name, option, (char *)(uintptr_t)script, NULL};
    hyp_bench_child child = {.program = "/bin/sh", .argv = argv, .group_fd = -1, .stop = stop, .name = "run 1"};
    *err = HYP_ERR_NONE;
    return hyp_bench_child_run(&child, run, err);
}

static void a_child_reports(void **state) {
    (void)state;
    hyp_bench_run run;
    hyp_err err;
    assert_int_equal(shell("echo noise >&2; printf '%s' '" REPORT "'", NULL, &run, &err), HYP_OK);
    assert_string_equal(run.text, "hello");
    hyp_bench_run_free(&run);
}

static void a_failing_child_is_quoted(void **state) {
    (void)state;
    hyp_bench_run run;
    hyp_err err;
    int r = shell("echo note >&2; printf 'hypura: no \\033 room\\nhint: buy some\\n' >&2; exit 3", NULL, &run, &err);
    assert_int_equal(r, HYP_EENGINE);
    assert_string_equal(err.message, "run 1 failed with status 3: no ? room");
    assert_string_equal(err.hint, "buy some");
    assert_int_equal(shell("kill -9 $$", NULL, &run, &err), HYP_EENGINE);
    assert_string_equal(err.message, "run 1 was killed by signal 9");
    assert_int_not_equal(err.hint[0], '\0');
    assert_int_equal(shell("exit 0", NULL, &run, &err), HYP_EFORMAT);
}

static void a_babbling_child_is_ended(void **state) {
    (void)state;
    hyp_bench_run run;
    hyp_err err;
    assert_int_equal(shell("exec tr '\\0' x </dev/zero", NULL, &run, &err), HYP_ELIMIT);
}

static bool at_once(void *user) {
    (void)user;
    return true;
}

static void a_child_can_be_stopped(void **state) {
    (void)state;
    hyp_bench_run run;
    hyp_err err;
    double start = hyp_text_now_s();
    assert_int_equal(shell("exec sleep 60", at_once, &run, &err), HYP_ECANCELED);
    assert_true(hyp_text_now_s() - start < 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_report_is_read),
                                       cmocka_unit_test(a_wrong_report_is_an_error_that_names_the_field),
                                       cmocka_unit_test(only_the_pager_knows_stalls),
                                       cmocka_unit_test(a_child_reports),
                                       cmocka_unit_test(a_failing_child_is_quoted),
                                       cmocka_unit_test(a_babbling_child_is_ended),
                                       cmocka_unit_test(a_child_can_be_stopped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
