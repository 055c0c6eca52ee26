/* Words broken where the terminal's line ends, as a terminal shows them. */
#include "../test.h"
#include "base/text.h"
#include "cli/word_wrap.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { ROWS = 40, MOST_COLUMNS = 80, CELL = 8 };

/* What a terminal makes of text, "\n", and the two sequences that erase a word. It wraps when a character no longer
 * fits. */
typedef struct screen {
    int columns, row, column;
    char cells[ROWS][MOST_COLUMNS][CELL];
} screen;

static size_t show(screen *s, const char *c, size_t n) {
    mbstate_t state = {0};
    wchar_t letter;
    if (*c == '\n') {
        s->row++;
        s->column = 0;
        return 1;
    }
    if (*c == '\033') {
        char *end;
        long back = strtol(c + 2, &end, 10);
        if (*end == 'D')
            s->column -= (int)back;
        else
            memset(s->cells[s->row][s->column], 0, (size_t)(s->columns - s->column) * CELL);
        return (size_t)(end + 1 - c);
    }
    size_t length = mbrtowc(&letter, c, n, &state);
    assert_true(length > 0 && length <= 4);
    int width = wcwidth(letter);
    if (width == 0) {
        strncat(s->cells[s->row][s->column - 1], c, length);
        return length;
    }
    if (s->column + width > s->columns) s->row++, s->column = 0;
    memcpy(s->cells[s->row][s->column], c, length);
    s->column += width;
    assert_true(s->row < ROWS - 1);
    return length;
}

/* The lines of the screen after `text`, given in pieces of `step` bytes, each line ended by "|". */
static char *shown(const char *text, int columns, size_t step) {
    static char lines[8192];
    char *written = NULL;
    size_t n_written = 0, n = strlen(text);
    hyp_word_wrap w = {0};
    FILE *out = open_memstream(&written, &n_written);
    assert_non_null(out);
    for (size_t i = 0; i < n; i += step) {
        hyp_word_wrap_set_columns(&w, columns);
        hyp_word_wrap_write(&w, text + i, n - i < step ? n - i : step, out);
    }
    hyp_word_wrap_end(&w, out);
    fclose(out);
    screen *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->columns = columns;
    for (size_t i = 0; i < n_written;)
        i += show(s, written + i, n_written - i);
    lines[0] = '\0';
    for (int row = 0; row <= s->row; row++) {
        for (int column = 0; column < columns; column++)
            strcat(lines, s->cells[row][column]);
        strcat(lines, "|");
    }
    free(s);
    free(written);
    return lines;
}

static void test_lines(void **state) {
    (void)state;
    static const struct {
        const char *text, *lines;
    } cases[] = {
        {"short", "short|"},
        {"", "|"},
        {"one two three four five six seven", "one two three four |five six seven|"},
        {"a line\nand another\n\nend", "a line|and another||end|"},
        {"aaaaaaaaaaaaaaaaaaa bbb", "aaaaaaaaaaaaaaaaaaa|bbb|"},
        /* Blanks at the line's end are the break. */
        {"aaaaaaaaaaaaaaaaaaa   bbb", "aaaaaaaaaaaaaaaaaaa|bbb|"},
        {"aaaaaaaaaaaaaaaaaaa \nbbb", "aaaaaaaaaaaaaaaaaaa|bbb|"},
        {"  indented by two, and long", "  indented by two, |and long|"},
        /* What is longer than a line goes to the next and is left to the terminal. */
        {"see https://example.org/a/long/path now", "see |https://example.org/|a/long/path now|"},
        {"Größe über Straße fährt müde", "Größe über Straße |fährt müde|"},
        {"nai\u0308ve nai\u0308ve nai\u0308ve nai\u0308ve", "nai\u0308ve nai\u0308ve nai\u0308ve |nai\u0308ve|"},
        /* Between characters of two columns a line may end anywhere. */
        {"日本語日本語日本語日本語", "日本語日本語日本語|日本語|"},
        {"word 日本語日本語日word more", "word 日本語日本語日|word more|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step < 30; step++)
            assert_string_equal(shown(cases[i].text, 20, step), cases[i].lines);
}

static void test_passes_unchanged(void **state) {
    (void)state;
    static const char text[] = "one two three four five six\tseven \xff\xfe\xc3";
    for (int columns = 0; columns < HYP_WORD_WRAP_LEAST_COLUMNS; columns += 19) {
        char *written = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&written, &n);
        hyp_word_wrap w = {0};
        hyp_word_wrap_set_columns(&w, columns);
        hyp_word_wrap_write(&w, text, sizeof text - 1, out);
        hyp_word_wrap_end(&w, out);
        fclose(out);
        assert_int_equal(n, sizeof text - 1);
        assert_memory_equal(written, text, n);
        free(written);
    }
}

/* Nothing is lost of what is no UTF-8, nor of a character that never ends. */
static void test_other_bytes(void **state) {
    (void)state;
    static const char text[] = "a\xff\xfe\x80z \xe2\x82";
    char *written = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&written, &n);
    hyp_word_wrap w = {0};
    hyp_word_wrap_set_columns(&w, 40);
    for (size_t i = 0; i < sizeof text - 1; i++)
        hyp_word_wrap_write(&w, text + i, 1, out);
    hyp_word_wrap_end(&w, out);
    fclose(out);
    assert_int_equal(n, sizeof text - 1);
    assert_memory_equal(written, text, n);
    free(written);
}

/* After the terminal's width has changed nothing is moved before the line has ended. */
static void test_another_width(void **state) {
    (void)state;
    char *written = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&written, &n);
    hyp_word_wrap w = {0};
    hyp_word_wrap_set_columns(&w, 40);
    hyp_word_wrap_write(&w, "some words here", 15, out);
    hyp_word_wrap_set_columns(&w, 20);
    hyp_word_wrap_write(&w, " and some more words\none two three four five", 44, out);
    hyp_word_wrap_end(&w, out);
    fclose(out);
    assert_string_equal(written, "some words here and some more words\none two three four \nfive");
    free(written);
}

int main(void) {
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL) return 77; /* meson: skipped */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_passes_unchanged),
        cmocka_unit_test(test_other_bytes),
        cmocka_unit_test(test_another_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
