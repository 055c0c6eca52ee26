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

static void utf8_is_kept_whole(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t whole;
    } cases[] = {{"", 0},         {"abc", 3},          {"a\xc3", 1},         {"a\xc3\xa4", 3},
                 {"\xe2\x82", 0}, {"\xe2\x82\xac", 3}, {"x\xf0\x9f\x98", 1}, {"\xf0\x9f\x98\x80", 4},
                 {"\x80\x80", 2}, {"\xff", 1},         {"\xf0\x9f", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(hyp_utf8_whole(cases[i].bytes, strlen(cases[i].bytes)), cases[i].whole);
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

static void what_is_not_utf8_is_replaced(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *text;
    } cases[] = {{"", ""},
                 {"a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
                 {"x\x80y", "x\xef\xbf\xbdy"},
                 {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
                 {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                 {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                 {"ab\xe2\x82", "ab\xef\xbf\xbd\xef\xbf\xbd"},
                 {"\xff", "\xef\xbf\xbd"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hyp_str s = {0};
        hyp_str_append_utf8(&s, cases[i].bytes, strlen(cases[i].bytes));
        assert_string_equal(s.data != NULL ? s.data : "", cases[i].text);
        hyp_str_free(&s);
    }
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes_are_parsed),
                                       cmocka_unit_test(bytes_are_formatted),
                                       cmocka_unit_test(utf8_is_kept_whole),
                                       cmocka_unit_test(strings_grow),
                                       cmocka_unit_test(what_is_not_utf8_is_replaced),
                                       cmocka_unit_test(the_last_of_a_character_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
