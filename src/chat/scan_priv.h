/* scan_priv.h - the smallest readers of text that may be cut off anywhere, shared by output.c and output_calls.c. */
#pragma once
#include "base/err.h"

#include <string.h>

/* What can be said of a text whose end may still be missing. The sign says it too: above zero yes, zero no, below zero
 * not yet known. */
typedef enum hyp_call_status { HYP_CALL_MORE = -1, HYP_CALL_BAD = 0, HYP_CALL_DONE = 1 } hyp_call_status;

/* White space as JSON has it; models write no other around markers. */
static inline bool hyp_scan_is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* Where the first character at or after `i` stands that is no white space; `n` if there is none. */
static inline size_t hyp_scan_skip_space(const char *s, size_t n, size_t i) {
    while (i < n && hyp_scan_is_space(s[i]))
        i++;
    return i;
}

/* Is `word` at s[i], i <= n? HYP_CALL_MORE if the text ends inside it. */
static inline hyp_call_status hyp_scan_at_word(const char *s, size_t n, size_t i, const char *word) {
    size_t len = strlen(word), have = n - i < len ? n - i : len;
    if (memcmp(s + i, word, have) != 0) return HYP_CALL_BAD;
    return have == len ? HYP_CALL_DONE : HYP_CALL_MORE;
}
