#include "../test.h"
#include "base/svg.h"

#include <string.h>

static void text_is_escaped(void **state) {
    (void)state;
    static const struct {
        const char *text, *escaped;
    } cases[] = {{"", ""},
                 {"plain", "plain"},
                 {"a<b & c>d", "a&lt;b &amp; c>d"},
                 {"]]>", "]]&gt;"},
                 {"]>", "]>"},
                 {"\"quoted\" 'too'", "\"quoted\" 'too'"},
                 {"\x1b[31m\n\x7f", "[31m"},
                 {"\xc3\xa4", "\xc3\xa4"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hyp_str out = {0}, want = {0};
        hyp_svg_text(1, 2.25, "", cases[i].text, &out);
        hyp_str_printf(&want, "<text x=\"1.0\" y=\"2.2\">%s</text>\n", cases[i].escaped);
        assert_string_equal(out.data, want.data);
        hyp_str_free(&out);
        hyp_str_free(&want);
    }
}

static void a_picture_is_whole(void **state) {
    (void)state;
    hyp_str out = {0};
    hyp_svg_begin(30, 20, &out);
    hyp_svg_rect(1, 2.5, 100.0 / 3, 18, hyp_svg_colours[0], &out);
    hyp_svg_text(0, 0, "fill=\"#222\"", "x", &out);
    hyp_svg_end(&out);
    assert_false(out.failed);
    assert_memory_equal(out.data, "<svg ", 5);
    assert_non_null(strstr(out.data, "viewBox=\"0 0 30 20\""));
    assert_non_null(strstr(out.data, "<rect x=\"1\" y=\"2.5\" width=\"33.3333\" height=\"18\" fill=\"#0072b2\"/>\n"
                                     "<text x=\"0.0\" y=\"0.0\" fill=\"#222\">x</text>\n</svg>\n"));
    hyp_str_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(text_is_escaped), cmocka_unit_test(a_picture_is_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
