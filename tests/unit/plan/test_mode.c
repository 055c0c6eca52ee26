/* What sets the modes apart. */
#include "../test.h"
#include "plan/mode.h"

static void every_mode_answers(void **state) {
    (void)state;
    static const struct {
        hyp_mode mode;
        const char *name, *streamed;
        bool routes, resident, mapped, open;
    } wanted[] = {
        {HYP_MODE_AUTO, "auto", NULL, false, false, false, true},
        {HYP_MODE_RESIDENT, "resident", NULL, false, true, false, false},
        {HYP_MODE_EXPERTS, "experts", "routed experts", true, false, false, false},
        {HYP_MODE_FFN, "ffn", "dense FFN", false, false, false, false},
        {HYP_MODE_MMAP, "mmap", NULL, false, false, true, false},
    };
    assert_int_equal(sizeof wanted / sizeof *wanted, HYP_N_MODES);
    for (int i = 0; i < HYP_N_MODES; i++) {
        hyp_mode mode = wanted[i].mode;
        assert_int_equal(mode, i);
        assert_string_equal(hyp_mode_name(mode), wanted[i].name);
        assert_int_equal(hyp_mode_streams(mode), wanted[i].streamed != NULL);
        if (wanted[i].streamed != NULL) assert_string_equal(hyp_mode_streamed(mode), wanted[i].streamed);
        assert_int_equal(hyp_mode_routes(mode), wanted[i].routes);
        assert_int_equal(hyp_mode_is_resident(mode), wanted[i].resident);
        assert_int_equal(hyp_mode_is_mapped(mode), wanted[i].mapped);
        assert_int_equal(hyp_mode_is_open(mode), wanted[i].open);
    }
    assert_string_equal(hyp_mode_name(HYP_N_MODES), "?");
    assert_false(hyp_mode_streams(HYP_N_MODES));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_mode_answers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
