#include "../test.h"
#include "base/text.h"

#include <string.h>

static void sizes_are_parsed(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"4096", 4096},
                {"1k", 1024},
                {"8G", 8ull << 30},
                {"1.5GiB", 3ull << 29},
                {"2tb", 2ull << 40},
                {"512M", 512ull << 20}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        uint64_t bytes = 1;
        assert_int_equal(hyp_text_parse_size(good[i].text, &bytes), HYP_OK);
        assert_true(bytes == good[i].bytes);
    }
    static const char *const bad[] = {"", "G", "-1", "8X", "8GG", "1e99", "nan", "0x", "8 G", "inf"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t bytes = 77;
        assert_int_equal(hyp_text_parse_size(bad[i], &bytes), HYP_EINVAL);
        assert_true(bytes == 77);
    }
    assert_int_equal(hyp_text_parse_size(NULL, NULL), HYP_EINVAL);
}

static void bytes_are_formatted(void **state) {
    (void)state;
    char buf[32];
    assert_string_equal(hyp_text_format_bytes(0, buf, sizeof buf), "0 B");
    assert_string_equal(hyp_text_format_bytes(999, buf, sizeof buf), "999 B");
    assert_string_equal(hyp_text_format_bytes(26400000000, buf, sizeof buf), "26.4 GB");
    assert_string_equal(hyp_text_format_bytes(1500, buf, sizeof buf), "1.50 KB");
    assert_string_equal(hyp_text_format_bytes(585000000000, buf, sizeof buf), "585 GB");
    assert_string_equal(hyp_text_format_bytes(UINT64_MAX, buf, sizeof buf), "18447 PB");
    assert_string_equal(hyp_text_format_count(12, buf, sizeof buf), "12");
    assert_string_equal(hyp_text_format_count(134515008, buf, sizeof buf), "135 M");
    assert_string_equal(hyp_text_format_count(46700000000, buf, sizeof buf), "46.7 B");
}

static void strings_grow(void **state) {
    (void)state;
    hyp_str s = {0};
    for (int i = 0; i < 1000; i++)
        hyp_str_printf(&s, "%d,", i);
    hyp_str_append(&s, "x\0y", 3);
    assert_false(s.failed);
    assert_int_equal(s.length, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    assert_memory_equal(s.data + s.length - 3, "x\0y", 4);
    hyp_str_free(&s);
    assert_null(s.data);
}

static void the_last_of_a_character_is_found(void **state) {
    (void)state;
    static const char text[] = "a:b:c";
    assert_ptr_equal(hyp_text_last(text, ':', 5), text + 3);
    assert_ptr_equal(hyp_text_last(text, ':', 3), text + 1);
    assert_null(hyp_text_last(text, ':', 1));
    assert_null(hyp_text_last(text, 'a', 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes_are_parsed), cmocka_unit_test(bytes_are_formatted),
                                       cmocka_unit_test(strings_grow),
                                       cmocka_unit_test(the_last_of_a_character_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
