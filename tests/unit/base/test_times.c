#include "../test.h"
#include "base/times.h"

#include <string.h>

static void durations_are_gos(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {{"0", 0},
                {"5s", 5000000000},
                {"1h30m", 5400000000000},
                {"-1.5h", -5400000000000},
                {"+2ms", 2000000},
                {"300us", 300000},
                {"1\xc2\xb5s", 1000},
                {".5s", 500000000},
                {"1.s", 1000000000},
                {"2h45m0.5s", 9900500000000},
                {"7ns", 7},
                {"-0", 0}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t ns = 1;
        assert_int_equal(hyp_duration_parse(good[i].text, &ns), HYP_OK);
        assert_true(ns == good[i].ns);
    }
    static const char *const bad[] = {"",      "5",    "s",   "5 s",          "1d",  "1h30", "-",
                                      "1..5s", "1e3s", "nan", "99999999999h", "5s ", "ms"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ns = 77;
        assert_int_equal(hyp_duration_parse(bad[i], &ns), HYP_EINVAL);
        assert_true(ns == 77);
    }
}

static void keep_alive_has_many_forms(void **state) {
    (void)state;
    static const struct {
        const char *json;
        int64_t ns; /* -1: an error */
    } cases[] = {{"null", 42},
                 {"0", 0},
                 {"1800", 1800000000000},
                 {"-1", HYP_FOREVER},
                 {"\"5m\"", 300000000000},
                 {"\"-1s\"", HYP_FOREVER},
                 {"\"30\"", 30000000000},
                 {"0.5", 500000000},
                 {"\"0\"", 0},
                 {"1e30", HYP_FOREVER},
                 {"\"soon\"", -1},
                 {"true", -1},
                 {"\"\"", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yyjson_doc *doc = yyjson_read(cases[i].json, strlen(cases[i].json), 0);
        int64_t ns = 0;
        hyp_err err = HYP_ERR_NONE;
        int r = hyp_keep_alive_parse(yyjson_doc_get_root(doc), 42, &ns, &err);
        assert_int_equal(r, cases[i].ns == -1 ? HYP_EFORMAT : HYP_OK);
        if (r == HYP_OK) assert_true(ns == cases[i].ns);
        yyjson_doc_free(doc);
    }
}

static void timestamps_have_six_digits(void **state) {
    (void)state;
    char text[HYP_TIMESTAMP_SIZE];
    assert_string_equal(hyp_timestamp(0, text), "1970-01-01T00:00:00.000000Z");
    assert_string_equal(hyp_timestamp(1740830400123456789, text), "2025-03-01T12:00:00.123456Z");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(durations_are_gos), cmocka_unit_test(keep_alive_has_many_forms),
                                       cmocka_unit_test(timestamps_have_six_digits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
