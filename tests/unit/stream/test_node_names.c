#include "../test.h"
#include "stream/node_names_priv.h"

#include <stdio.h>

static void many_names_are_kept(void **state) {
    (void)state;
    hyp_names names = {0};
    char name[32];
    assert_true(hyp_names_get(&names, "anything") == HYP_NAMES_NONE);
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "ffn_moe_topk-%u", i);
        assert_true(hyp_names_put(&names, name, i));
    }
    assert_true(hyp_names_put(&names, "ffn_moe_topk-7", 70));
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "ffn_moe_topk-%u", i);
        assert_int_equal(hyp_names_get(&names, name), i == 7 ? 70 : i);
    }
    assert_true(hyp_names_get(&names, "ffn_moe_topk-5000") == HYP_NAMES_NONE);
    hyp_names_free(&names);
    assert_true(hyp_names_get(&names, "ffn_moe_topk-1") == HYP_NAMES_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_names_are_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
