/* The tables themselves are tested over the wire (tests/server/test_guard.py); here is what the wire cannot show. */
#include "../test.h"
#include "http/access.h"

static void origins_and_hosts(void **state) {
    (void)state;
    assert_true(hyp_guard_origin_allowed("https://x.example", "x.example", NULL));
    assert_false(hyp_guard_origin_allowed("https://x.example", NULL, NULL));
    assert_false(hyp_guard_origin_allowed("https://x.example", "", ""));
    assert_true(hyp_guard_origin_allowed("https://x.example", NULL, " https://y.example , https://x.example/ "));
    assert_true(hyp_guard_origin_allowed("https://x.example", NULL, "*"));
    assert_true(hyp_guard_origin_allowed("chrome-extension://abcdef", NULL, "chrome-extension://*"));
    assert_false(hyp_guard_origin_allowed("https://x.example.evil", NULL, "https://x.example"));
    assert_false(hyp_guard_origin_allowed("", NULL, ",,"));
    assert_true(hyp_guard_host_allowed(NULL));
    assert_true(hyp_guard_host_allowed(""));
    assert_false(hyp_guard_host_allowed("[::1"));
    assert_true(hyp_guard_is_loopback("localhost") && hyp_guard_is_loopback("127.3.2.1") &&
                hyp_guard_is_loopback("::1"));
    assert_false(hyp_guard_is_loopback("0.0.0.0") || hyp_guard_is_loopback("example.org"));
}

static void keys(void **state) {
    (void)state;
    assert_true(hyp_guard_key_matches("Bearer k", "k"));
    assert_true(hyp_guard_key_matches("bearer k", "k"));
    assert_false(hyp_guard_key_matches(NULL, "k") || hyp_guard_key_matches("k", "k") ||
                 hyp_guard_key_matches("Bearer kk", "k") || hyp_guard_key_matches("Bearer ", "k") ||
                 hyp_guard_key_matches("Basic k", "k"));
}

static void addresses_are_split(void **state) {
    (void)state;
    static const struct {
        const char *text, *host; /* host NULL: an error */
        int port;
    } cases[] = {
        {"", "", 0},           {"1.2.3.4", "1.2.3.4", 0}, {":8000", "", 8000},      {"h:1", "h", 1},
        {"http://h", "h", 80}, {"https://h/", "h", 443},  {"http://h:9/x", "h", 9}, {"[::1]:11434", "::1", 11434},
        {"[::1]", "::1", 0},   {"::1", "::1", 0},         {" \"h:2\" ", "h", 2},    {"h:99999", NULL, 0},
        {"h:x", NULL, 0},      {"[::1", NULL, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char host[64];
        int port = -1;
        hyp_err err = HYP_ERR_NONE;
        int r = hyp_guard_split_host(cases[i].text, host, sizeof host, &port, &err);
        assert_int_equal(r, cases[i].host != NULL ? HYP_OK : HYP_EINVAL);
        if (r != HYP_OK) continue;
        assert_string_equal(host, cases[i].host);
        assert_int_equal(port, cases[i].port);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(origins_and_hosts), cmocka_unit_test(keys),
                                       cmocka_unit_test(addresses_are_split)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
