#include "../test.h"
#include "base/utf8.h"
#include "engine/stops.h"

#include <stdlib.h>
#include <string.h>

/* Feed `text` in pieces of `step` bytes and collect what comes out. */
static void run(const char *text, size_t step, const char *const *strings, size_t n, hyp_str *out, bool *ret_stopped) {
    hyp_stops stops = {.strings = strings, .n = n};
    const char *piece;
    size_t piece_n;
    *ret_stopped = false;
    for (size_t i = 0, len = strlen(text); i < len && !*ret_stopped; i += step) {
        size_t take = len - i < step ? len - i : step;
        *ret_stopped = hyp_stops_push(&stops, text + i, take, &piece, &piece_n);
        assert_int_equal(hyp_utf8_whole(piece, piece_n), piece_n);
        hyp_str_append(out, piece, piece_n);
    }
    hyp_stops_flush(&stops, &piece, &piece_n);
    hyp_str_append(out, piece, piece_n);
    hyp_stops_free(&stops);
}

static void any_chunking_gives_the_same(void **state) {
    (void)state;
    static const char *const strings[] = {"STOP", "</s>", "ÄÖ", ""};
    static const struct {
        const char *text, *out;
        bool stopped;
    } cases[] = {
        {"hello", "hello", false},
        {"hello STOP never", "hello ", true},
        {"hello STO", "hello STO", false},
        {"a</s>b", "a", true},
        {"a</", "a</", false},
        {"x ÄÖ y", "x ", true},
        {"x Ä y ä€😀", "x Ä y ä€😀", false},
        {"SSTOP", "S", true},
        {"</STOP", "</", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step < 9; step++) {
            hyp_str out = {0};
            bool stopped;
            run(cases[i].text, step, strings, 4, &out, &stopped);
            assert_string_equal(out.data != NULL ? out.data : "", cases[i].out);
            assert_int_equal(stopped, cases[i].stopped);
            hyp_str_free(&out);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_chunking_gives_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
