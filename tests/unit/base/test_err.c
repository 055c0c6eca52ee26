#include "../test.h"
#include "base/err.h"

#include <errno.h>
#include <string.h>

static void a_failure_is_told_with_or_without_a_listener(void **state) {
    (void)state;
    assert_int_equal(hyp_err_set(NULL, HYP_EIO, "nobody %s", "listens"), HYP_EIO);
    assert_int_equal(hyp_err_set_sys(NULL, HYP_ENOMEM, ENOSPC, "nobody listens"), HYP_ENOMEM);
    hyp_err_hint(NULL, "nobody reads %d", 1);
    hyp_err err = HYP_ERR_NONE;
    hyp_err_hint(&err, "there is no failure yet");
    assert_string_equal(err.hint, "");
    assert_int_equal(hyp_err_set_sys(&err, HYP_EIO, ENOENT, "cannot open %s", "a\nb"), HYP_EIO);
    hyp_err_hint(&err, "look at %s", "it");
    assert_int_equal(err.code, HYP_EIO);
    assert_int_equal(err.sys, ENOENT);
    assert_string_equal(err.message, "cannot open a?b: No such file or directory");
    assert_string_equal(err.hint, "look at it");
}

static void the_first_failure_wins_with_its_hint(void **state) {
    (void)state;
    hyp_err err = HYP_ERR_NONE;
    hyp_err_set(&err, HYP_EIO, "first");
    assert_int_equal(hyp_err_set(&err, HYP_ENOMEM, "second"), HYP_ENOMEM);
    hyp_err_hint(&err, "of the second");
    assert_int_equal(err.code, HYP_EIO);
    assert_string_equal(err.message, "first");
    assert_string_equal(err.hint, "");
}

static void a_failure_is_passed_on_once(void **state) {
    (void)state;
    hyp_err none = HYP_ERR_NONE, why = HYP_ERR_NONE, err = HYP_ERR_NONE;
    assert_int_equal(hyp_err_pass(&err, &none), HYP_OK);
    assert_int_equal(err.code, HYP_OK);
    hyp_err_set(&why, HYP_EFORMAT, "why");
    hyp_err_hint(&why, "do");
    assert_int_equal(hyp_err_pass(NULL, &why), HYP_EFORMAT);
    assert_int_equal(hyp_err_pass(&err, &why), HYP_EFORMAT);
    assert_string_equal(err.message, "why");
    assert_string_equal(err.hint, "do");
    hyp_err other = HYP_ERR_NONE;
    hyp_err_set(&other, HYP_EBUSY, "other");
    assert_int_equal(hyp_err_pass(&err, &other), HYP_EBUSY);
    assert_string_equal(err.message, "why");
}

static void it_prints_two_lines(void **state) {
    (void)state;
    char text[256] = "";
    hyp_err err = HYP_ERR_NONE;
    hyp_err_set(&err, HYP_EINVAL, "no such thing");
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    hyp_err_print(&err, out);
    hyp_err_hint(&err, "take another");
    hyp_err_print(&err, out);
    fclose(out);
    assert_string_equal(text, "hypura: no such thing\nhypura: no such thing\nhint: take another\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_told_with_or_without_a_listener),
        cmocka_unit_test(the_first_failure_wins_with_its_hint),
        cmocka_unit_test(a_failure_is_passed_on_once),
        cmocka_unit_test(it_prints_two_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
