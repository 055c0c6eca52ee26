#include "../test.h"
#include "base/utf8.h"

#include <string.h>

/* RFC 3629, section 4: the first and the last of every row of its grammar, and what stands right beside them. */
static void well_formed_characters_are_told(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n, length;
        uint32_t character;
    } cases[] = {{"", 0, 0, 0},
                 {"\x00", 1, 1, 0},
                 {"\x7f", 1, 1, 0x7f},
                 {"\x80", 1, 0, 0},
                 {"\xbf", 1, 0, 0},
                 {"\xc0\x80", 2, 0, 0},
                 {"\xc1\xbf", 2, 0, 0},
                 {"\xc2\x80", 2, 2, 0x80},
                 {"\xc2\x7f", 2, 0, 0},
                 {"\xc2\xc0", 2, 0, 0},
                 {"\xdf\xbf", 2, 2, 0x7ff},
                 {"\xe0\x9f\xbf", 3, 0, 0},
                 {"\xe0\xa0\x80", 3, 3, 0x800},
                 {"\xec\xbf\xbf", 3, 3, 0xcfff},
                 {"\xed\x9f\xbf", 3, 3, 0xd7ff},
                 {"\xed\xa0\x80", 3, 0, 0},
                 {"\xed\xbf\xbf", 3, 0, 0},
                 {"\xee\x80\x80", 3, 3, 0xe000},
                 {"\xef\xbf\xbd", 3, 3, 0xfffd},
                 {"\xef\xbf\xbf", 3, 3, 0xffff},
                 {"\xf0\x8f\xbf\xbf", 4, 0, 0},
                 {"\xf0\x90\x80\x80", 4, 4, 0x10000},
                 {"\xf3\xbf\xbf\xbf", 4, 4, 0xfffff},
                 {"\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff},
                 {"\xf4\x90\x80\x80", 4, 0, 0},
                 {"\xf5\x80\x80\x80", 4, 0, 0},
                 {"\xff", 1, 0, 0},
                 {"\xe2\x82\xac", 2, 0, 0},
                 {"\xf0\x9f\x98\x80", 3, 0, 0},
                 {"\xe2\x82\xac\xff", 4, 3, 0x20ac}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t character = 77;
        assert_int_equal(hyp_utf8_length(cases[i].bytes, cases[i].n), cases[i].length);
        assert_int_equal(hyp_utf8_decode(cases[i].bytes, cases[i].n, &character), cases[i].length);
        assert_int_equal(character, cases[i].length > 0 ? cases[i].character : 77);
    }
}

static void every_character_reads_back(void **state) {
    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char bytes[4];
        uint32_t again = 0;
        size_t n = hyp_utf8_encode(c, bytes);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        assert_int_equal(n, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        assert_int_equal(hyp_utf8_decode(bytes, n, &again), surrogate ? 0 : n);
        assert_int_equal(again, surrogate ? 0 : c);
        assert_int_equal(hyp_utf8_is_valid(bytes, n), !surrogate);
    }
}

static void a_text_is_valid_as_a_whole(void **state) {
    (void)state;
    assert_true(hyp_utf8_is_valid("", 0));
    assert_true(hyp_utf8_is_valid("a\0\xc3\xa4\xf0\x9f\x98\x80", 8));
    assert_false(hyp_utf8_is_valid("a\xc3\xa4\xf0\x9f\x98", 6));
    assert_false(hyp_utf8_is_valid("a\x80"
                                   "b",
                                   3));
}

static void characters_are_kept_whole(void **state) {
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
                 {"abc", "abc"},
                 {"a\xf0\x9f\x98\x80z", "a\xf0\x9f\x98\x80z"},
                 {"\xf5\x80\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
                 {"x\xe2\x82", "x\xef\xbf\xbd\xef\xbf\xbd"},
                 {"\xff", "\xef\xbf\xbd"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hyp_str s = {0};
        hyp_utf8_repair(&s, cases[i].bytes, strlen(cases[i].bytes));
        assert_string_equal(s.data != NULL ? s.data : "", cases[i].text);
        hyp_str_free(&s);
    }
}

static void repair_appends(void **state) {
    (void)state;
    hyp_str s = {0};
    hyp_utf8_repair(&s, "", 0);
    assert_null(s.data);
    hyp_str_puts(&s, "<");
    hyp_utf8_repair(&s,
                    "a\0\xff"
                    "b",
                    4);
    assert_int_equal(s.length, 7);
    assert_memory_equal(s.data,
                        "<a\0\xef\xbf\xbd"
                        "b",
                        8);
    hyp_str_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_characters_are_told), cmocka_unit_test(every_character_reads_back),
        cmocka_unit_test(a_text_is_valid_as_a_whole),      cmocka_unit_test(characters_are_kept_whole),
        cmocka_unit_test(what_is_not_utf8_is_replaced),    cmocka_unit_test(repair_appends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
