#include "cli/word_wrap.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

#include <string.h>
#include <wchar.h>

enum { TAB = 8 };

void hyp_word_wrap_set_columns(hyp_word_wrap *w, int columns) {
    if (columns == w->columns) return;
    /* Where the terminal has put what was written already, nobody knows. */
    w->lost = w->columns > 0 && w->column > 0;
    w->columns = columns;
}

static void forget_word(hyp_word_wrap *w) {
    w->n_word = 0;
    w->word_columns = 0;
    w->loose = false;
}

static void new_line(hyp_word_wrap *w) {
    w->column = 0;
    w->lost = false;
    forget_word(w);
}

/* Break before the word that is being written, if there is one, and go on behind it. */
static void break_line(hyp_word_wrap *w, FILE *out) {
    if (w->word_columns > 0) fprintf(out, "\033[%dD\033[K", w->word_columns);
    fputc('\n', out);
    fwrite(w->word, 1, w->n_word, out);
    w->column = w->word_columns;
}

/* A blank that would stand at the line's end is not shown: the break stands for it. */
static void put_blank(hyp_word_wrap *w, char c, FILE *out) {
    int after = c == '\t' ? (w->column / TAB + 1) * TAB : w->column + 1;
    forget_word(w);
    if (!w->lost && after >= w->columns) return;
    fputc(c, out);
    w->column = after;
}

/* A character of `n` bytes that takes `width` columns: 0 for those that join the one before. */
static void put_letter(hyp_word_wrap *w, const char *c, size_t n, int width, FILE *out) {
    if (width > 1) forget_word(w);
    bool fits = w->column + width < w->columns, whole_line = w->word_columns == w->column;
    if (!fits && !w->lost && !w->loose && w->column > 0) {
        if (whole_line)
            w->loose = true;
        else
            break_line(w, out);
    }
    fwrite(c, 1, n, out);
    /* What is too long for a line the terminal breaks at its last column. */
    w->column = w->column + width > w->columns ? width : w->column + width;
    if (width > 1 || w->loose) return;
    if (w->n_word + n > sizeof w->word) {
        w->n_word = 0;
        w->word_columns = 0;
        w->loose = true;
        return;
    }
    memcpy(w->word + w->n_word, c, n);
    w->n_word += n;
    w->word_columns += width;
}

/* One character, or one byte of what is none. Returns how many bytes it has; 0: its rest is still to come. */
static size_t put(hyp_word_wrap *w, const char *c, size_t n, FILE *out) {
    if (*c == '\n') {
        fputc('\n', out);
        new_line(w);
        return 1;
    }
    if (*c == ' ' || *c == '\t') {
        put_blank(w, *c, out);
        return 1;
    }
    if (hyp_utf8_whole(c, n) == 0) return 0;
    mbstate_t state = {0};
    wchar_t letter;
    size_t length = mbrtowc(&letter, c, n, &state);
    if (length == 0 || length > n) {
        put_letter(w, c, 1, *c != '\0', out);
        return 1;
    }
    int width = wcwidth(letter);
    put_letter(w, c, length, width < 0 ? 0 : width, out);
    return length;
}

static void write_whole(hyp_word_wrap *w, const char *bytes, size_t n, FILE *out) {
    for (size_t done = 0; done < n;) {
        size_t length = put(w, bytes + done, n - done, out);
        if (length == 0) {
            w->n_held = n - done;
            memcpy(w->held, bytes + done, w->n_held);
            return;
        }
        done += length;
    }
}

void hyp_word_wrap_write(hyp_word_wrap *w, const char *bytes, size_t n, FILE *out) {
    if (w->columns < HYP_WORD_WRAP_LEAST_COLUMNS) {
        fwrite(bytes, 1, n, out);
        return;
    }
    /* First the character that was cut, a byte at a time. */
    while (w->n_held > 0 && n > 0) {
        char cut[sizeof w->held];
        size_t n_cut = w->n_held;
        memcpy(cut, w->held, n_cut);
        cut[n_cut++] = *bytes++;
        n--;
        w->n_held = 0;
        write_whole(w, cut, n_cut, out);
    }
    write_whole(w, bytes, n, out);
}

void hyp_word_wrap_end(hyp_word_wrap *w, FILE *out) {
    fwrite(w->held, 1, w->n_held, out);
    w->n_held = 0;
    new_line(w);
}
