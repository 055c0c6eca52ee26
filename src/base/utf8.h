/* utf8.h - characters of UTF-8 as RFC 3629 defines them: no overlong form, no surrogate, nothing above U+10FFFF.
 * Everything here is pure but for the string that hyp_utf8_repair() appends to. Any thread. */
#pragma once
#include "base/text.h"

/* The bytes of the well-formed character that `n` bytes at `bytes` begin with (1 to 4); 0 when there is none. */
size_t hyp_utf8_length(const char *bytes, size_t n);

/* The same, with the character in `*ret_character`, which stays untouched when 0 is returned. */
size_t hyp_utf8_decode(const char *bytes, size_t n, uint32_t *ret_character);

/* Write `character` to `out` and return how many bytes it took. A surrogate or a value above U+10FFFF is written by the
 * same rule, as bytes that are not well-formed: the caller decides whether it may be there. At most 21 bits count. */
size_t hyp_utf8_encode(uint32_t character, char out[4]);

/* Whether all of the `n` bytes are well-formed characters. */
bool hyp_utf8_is_valid(const char *bytes, size_t n);

/* How many leading bytes of `bytes` are whole characters: what follows is the start of a character whose rest is still
 * to come (at most 3 bytes). An invalid byte counts as whole, so that a stream never stalls on it. */
size_t hyp_utf8_whole(const char *bytes, size_t n);

/* Append `n` bytes of what should be UTF-8, every byte that is not part of a well-formed character replaced by U+FFFD:
 * what goes into JSON must be valid whatever a model says. `out` fails as in text.h. */
void hyp_utf8_repair(hyp_str *out, const char *bytes, size_t n);
