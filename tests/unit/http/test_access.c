/* The tables themselves are tested over the wire (tests/server/test_guard.py); here is what the wire cannot show. */
#include "../test.h"
#include "http/access.h"

static void origins_and_hosts(void **state) {
    (void)state;
    assert_true(hyp_access_origin_allowed("https://x.example", "x.example", NULL));
    assert_false(hyp_access_origin_allowed("https://x.example", NULL, NULL));
    assert_false(hyp_access_origin_allowed("https://x.example", "", ""));
    assert_true(hyp_access_origin_allowed("https://x.example", NULL, " https://y.example , https://x.example/ "));
    assert_true(hyp_access_origin_allowed("https://x.example", NULL, "*"));
    assert_true(hyp_access_origin_allowed("chrome-extension://abcdef", NULL, "chrome-extension://*"));
    assert_false(hyp_access_origin_allowed("https://x.example.evil", NULL, "https://x.example"));
    assert_false(hyp_access_origin_allowed("", NULL, ",,"));
    assert_true(hyp_access_host_allowed(NULL));
    assert_true(hyp_access_host_allowed(""));
    assert_false(hyp_access_host_allowed("[::1"));
    assert_true(hyp_access_is_loopback("localhost") && hyp_access_is_loopback("127.3.2.1") &&
                hyp_access_is_loopback("::1"));
    assert_false(hyp_access_is_loopback("0.0.0.0") || hyp_access_is_loopback("example.org"));
}

static void keys(void **state) {
    (void)state;
    assert_true(hyp_access_key_matches("Bearer k", "k"));
    assert_true(hyp_access_key_matches("bearer k", "k"));
    assert_false(hyp_access_key_matches(NULL, "k") || hyp_access_key_matches("k", "k") ||
                 hyp_access_key_matches("Bearer kk", "k") || hyp_access_key_matches("Bearer ", "k") ||
                 hyp_access_key_matches("Basic k", "k"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(origins_and_hosts), cmocka_unit_test(keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
