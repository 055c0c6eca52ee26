/* test_slow.c - which reads the log calls slow, and how many lines they make. */
#include "base/log.h"
#include "fixture.h"
#include "io/io_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void slow_is_what_the_rate_does_not_explain(void **state) {
    (void)state;
    assert_false(hyp_io_is_slow(0.09, 0.001)); /* nobody notices */
    assert_true(hyp_io_is_slow(0.11, 0.001));
    assert_true(hyp_io_is_slow(0.41, 0.05));
    assert_false(hyp_io_is_slow(0.39, 0.05)); /* a queue before it */
    assert_false(hyp_io_is_slow(0.9, 0));     /* a drive not known yet */
    assert_true(hyp_io_is_slow(1.1, 0));
    assert_true(hyp_io_is_slow(1.1, 100)); /* a drive that got slower and slower */
}

static void what_is_expected_counts_those_before(void **state) {
    (void)state;
    hyp_balance balance = {0};
    hyp_balance_start(&balance, 0, 1000, 1);
    assert_true(hyp_balance_expected_s(&balance, 0) <= 0);
    hyp_balance_end(&balance, 0, 1000, 1000, 2); /* 1000 bytes a second */
    hyp_balance_start(&balance, 0, 1000, 2);
    hyp_balance_start(&balance, 0, 500, 2);
    double expected_s = hyp_balance_expected_s(&balance, 0);
    assert_true(expected_s > 1.49 && expected_s < 1.51);
}

/* Read `n` distant pages, each with an injected delay of a little more than a second, and return the log. */
static const char *log_of(fixture *f, const char *levels, size_t n) {
    static const hyp_io_faults late = {.delay_every = 1, .delay_us = 1050000, .only_class = -1};
    static char text[4096];
    char path[sizeof f->path + 8];
    hyp_io_request r[8];
    hyp_err err = HYP_ERR_NONE;
    fixture_open(f, (hyp_io_config){.faults = &late});
    snprintf(path, sizeof path, "%s.log", f->path);
    assert_int_equal(hyp_log_open(path, false, &err), HYP_OK);
    assert_int_equal(hyp_log_set_levels(levels, &err), HYP_OK);
    for (size_t i = 0; i < n; i++) {
        r[i] = fixture_request(50 * i, 3);
        hyp_io_submit(f->io, &r[i]);
    }
    fixture_reap_all(f, n, NULL);
    fixture_close(f); /* a line may be written after its request was reaped */
    hyp_log_close();
    for (size_t i = 0; i < n; i++) {
        assert_true(r[i].result == HYP_OK && fixture_matches(r[i].buf, r[i].offset, r[i].bytes));
        free(r[i].buf);
    }
    FILE *log = fopen(path, "r");
    assert_non_null(log);
    text[fread(text, 1, sizeof text - 1, log)] = '\0';
    fclose(log);
    unlink(path);
    return text;
}

static size_t count(const char *text, const char *word) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        n++;
    return n;
}

static void ever_fewer_are_reported(void **state) {
    fixture f;
    fixture_make(&f, *state);
    const char *text = log_of(&f, "io:warn", 7);
    assert_int_equal(count(text, " warn io: slow read file="), 3);
    assert_int_equal(count(text, "\n"), 3);
    assert_int_equal(count(text, f.path), 3);
    assert_int_equal(count(text, " bytes=12288 ms="), 3);
    assert_true(count(text, " count=1\n") == 1 && count(text, " count=2\n") == 1 && count(text, " count=4\n") == 1);
}

static void none_is_reported_unasked(void **state) {
    fixture f;
    fixture_make(&f, *state);
    assert_string_equal(log_of(&f, "info,io:error", 1), "");
}

int main(void) {
    static way threads = {HYP_IO_THREADS, false}, uring = {HYP_IO_URING, false};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_is_what_the_rate_does_not_explain),
        cmocka_unit_test(what_is_expected_counts_those_before),
        cmocka_unit_test_prestate(ever_fewer_are_reported, &threads),
        {"ever_fewer_are_reported (io_uring)", ever_fewer_are_reported, NULL, NULL, &uring},
        cmocka_unit_test_prestate(none_is_reported_unasked, &threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
