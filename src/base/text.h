/* text.h - sizes and times between people and numbers, and a growable string. */
#pragma once
#include "base/err.h"

/* Parse "8G", "512M", "1.5GiB", "4096" (bytes; K, M, G, T are powers of 1024, case and "iB"/"B" ignored) into bytes.
 * Errors: HYP_EINVAL (not a size, negative, or beyond 2^63-1); `*ret_bytes` is then untouched. */
HYP_NODISCARD int hyp_text_parse_size(const char *text, uint64_t *ret_bytes);

/* Write `bytes` for a person ("26.4 GB", "512 KB", powers of 1000) into `buf`, and return `buf`. */
const char *hyp_text_format_bytes(uint64_t bytes, char *buf, size_t buf_size);

/* The same of a number of things: "46.7 B", "135 M", "12". */
const char *hyp_text_format_count(uint64_t n, char *buf, size_t buf_size);

/* The least number of bytes, at least `bytes`, that hyp_text_format_bytes() prints exactly: for what "at least" names.
 * Pure. */
uint64_t hyp_text_round_bytes_up(uint64_t bytes);

/* The last `c` among `n` bytes, or NULL. */
const char *hyp_text_last(const char *bytes, char c, size_t n);

/* Seconds of the monotonic clock, for durations. */
double hyp_text_now_s(void);

/* A growable string. `data` is always terminated once `length` > 0 or anything was appended; free with hyp_str_free().
 * Appending never fails short of memory exhaustion, when `failed` is set and the content stays as it was. */
typedef struct hyp_str {
    char *data;
    size_t length, capacity;
    bool failed;
} hyp_str;

void hyp_str_append(hyp_str *s, const char *bytes, size_t n);
void hyp_str_puts(hyp_str *s, const char *text);
void hyp_str_printf(hyp_str *s, const char *format, ...) HYP_PRINTF(2, 3);
void hyp_str_free(hyp_str *s);
