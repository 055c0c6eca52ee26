/* word_wrap.h - text that comes in pieces, broken between words where the terminal's line ends.
 *
 * Every piece is shown at once, for a model may be slow. When a word turns out not to fit, what stands of it is erased
 * and written again on the next line, as Ollama does. Only characters of one column are ever moved so; a wide one may
 * be broken before, as is usual in the scripts that have them. A word longer than a line is left to the terminal, which
 * keeps it whole for copying. Not for output that is no terminal. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { HYP_WORD_WRAP_LEAST_COLUMNS = 20, HYP_WORD_WRAP_WORD_BYTES = 256 };

/* All zero: text passes unchanged. */
typedef struct hyp_word_wrap {
    int columns; /* of the terminal; fewer than HYP_WORD_WRAP_LEAST_COLUMNS: nothing is broken */
    int column;  /* where the cursor is, from 0 */
    char word[HYP_WORD_WRAP_WORD_BYTES]; /* what stands of the word that is being written */
    size_t n_word;
    int word_columns;
    bool loose;   /* the word cannot be moved: it began too long ago */
    bool lost;    /* the width has changed, the line's beginning may be anywhere: up to its end nothing is broken */
    char held[4]; /* the beginning of a character whose rest is still to come */
    size_t n_held;
} hyp_word_wrap;

/* The terminal has `columns` columns now; 0: break nothing. Cheap: for every piece. */
void hyp_word_wrap_set_columns(hyp_word_wrap *w, int columns);

/* Write `n` bytes of UTF-8 to `out`, which must be at the place that `w` believes it is. What is no UTF-8 is passed on.
 * The locale must be one of UTF-8 (hyp_terminal_use_utf8()). Errors are those of `out`: ferror(). */
void hyp_word_wrap_write(hyp_word_wrap *w, const char *bytes, size_t n, FILE *out);

/* The text has ended, or something else is written: pass on what was held back. The next text begins at a line's start.
 */
void hyp_word_wrap_end(hyp_word_wrap *w, FILE *out);
