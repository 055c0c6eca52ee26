#include "../test.h"
#include "base/address.h"

#include <string.h>

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
        int r = hyp_address_split(cases[i].text, host, sizeof host, &port, &err);
        assert_int_equal(r, cases[i].host != NULL ? HYP_OK : HYP_EINVAL);
        if (r != HYP_OK) continue;
        assert_string_equal(host, cases[i].host);
        assert_int_equal(port, cases[i].port);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses_are_split)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
