/* utf8.c - characters in UTF-8 text, and the little of Unicode's tables that templates need: white space, what repr()
 * escapes, and the case of Latin, Greek and Cyrillic letters. */
#include "base/utf8.h"
#include "jinja/jinja_priv.h"

uint32_t hyp_hj_utf8_next(const char *s, size_t n, size_t *ret_bytes) {
    const unsigned char *u = (const unsigned char *)s;
    uint32_t cp = u[0];
    size_t bytes = hyp_utf8_decode(s, n, &cp);
    if (bytes == 0 && n >= 3 && u[0] == 0xed && (u[1] & 0xe0) == 0xa0 && (u[2] & 0xc0) == 0x80) {
        /* Half of a surrogate pair, as a literal's "\ud800" makes it: Python's strings hold it as one character. */
        bytes = 3;
        cp = 0xd000u | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
    }
    *ret_bytes = bytes > 0 ? bytes : 1;
    return cp;
}

size_t hyp_hj_utf8_count(const char *s, size_t n) {
    size_t count = 0;
    for (size_t i = 0, step; i < n; i += step, count++)
        hyp_hj_utf8_next(s + i, n - i, &step);
    return count;
}

size_t hyp_hj_utf8_offset(const char *s, size_t n, size_t chars) {
    size_t i = 0;
    for (size_t step; i < n && chars > 0; i += step, chars--)
        hyp_hj_utf8_next(s + i, n - i, &step);
    return i;
}

bool hyp_hj_is_space(uint32_t cp) {
    return (cp >= 9 && cp <= 13) || (cp >= 28 && cp <= 32) || cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f ||
           cp == 0x3000;
}

bool hyp_hj_is_printable(uint32_t cp) {
    if (cp < 32 || (cp >= 0x7f && cp <= 0xa0) || cp == 0xad) return false;
    if (cp == ' ') return true;
    if (hyp_hj_is_space(cp)) return false;
    return !((cp >= 0x200b && cp <= 0x200f) || (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x206f) ||
             (cp >= 0xd800 && cp <= 0xf8ff) || cp == 0xfeff || (cp >= 0xfff9 && cp <= 0xfffb) || cp > 0x10ffff);
}

bool hyp_hj_is_alpha(uint32_t cp) {
    return (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') || cp == 0xaa || cp == 0xb5 || cp == 0xba ||
           (cp >= 0xc0 && cp != 0xd7 && cp != 0xf7 && cp < 0x2000) || (cp >= 0x3040 && cp < 0xd7a4);
}

uint32_t hyp_hj_upper(uint32_t cp) {
    if (cp >= 'a' && cp <= 'z') return cp - 32;
    if (cp < 0xb5) return cp;
    if (cp == 0xb5) return 0x39c;
    if (cp >= 0xe0 && cp <= 0xfe && cp != 0xf7) return cp - 32;
    if (cp == 0xff) return 0x178;
    if ((cp >= 0x100 && cp <= 0x137 && cp != 0x131) || (cp >= 0x14a && cp <= 0x177)) return cp & ~1u;
    if (cp == 0x131) return 'I';
    if ((cp >= 0x139 && cp <= 0x148) || (cp >= 0x179 && cp <= 0x17e)) return (cp & 1) == 0 ? cp - 1 : cp;
    if (cp >= 0x3b1 && cp <= 0x3c9) return cp == 0x3c2 ? 0x3a3 : cp - 32;
    if (cp >= 0x430 && cp <= 0x44f) return cp - 32;
    if (cp >= 0x450 && cp <= 0x45f) return cp - 80;
    return cp;
}

uint32_t hyp_hj_lower(uint32_t cp) {
    if (cp >= 'A' && cp <= 'Z') return cp + 32;
    if (cp < 0xc0) return cp;
    if (cp <= 0xde && cp != 0xd7) return cp + 32;
    if (cp == 0x178) return 0xff;
    if ((cp >= 0x100 && cp <= 0x137 && cp != 0x130) || (cp >= 0x14a && cp <= 0x177)) return cp | 1u;
    if ((cp >= 0x139 && cp <= 0x148) || (cp >= 0x179 && cp <= 0x17e)) return (cp & 1) == 1 ? cp + 1 : cp;
    if (cp >= 0x391 && cp <= 0x3a9 && cp != 0x3a2) return cp + 32;
    if (cp >= 0x410 && cp <= 0x42f) return cp + 32;
    if (cp >= 0x400 && cp <= 0x40f) return cp + 80;
    return cp;
}

size_t hyp_hj_trim_left(const char *s, size_t n) {
    size_t i = 0;
    for (size_t step; i < n && hyp_hj_is_space(hyp_hj_utf8_next(s + i, n - i, &step));)
        i += step;
    return i;
}

size_t hyp_hj_trim_right(const char *s, size_t n) {
    while (n > 0) {
        size_t at = n - 1, step;
        while (at > 0 && n - at < 4 && ((unsigned char)s[at] & 0xc0) == 0x80)
            at--;
        uint32_t cp = hyp_hj_utf8_next(s + at, n - at, &step);
        if (at + step != n || !hyp_hj_is_space(cp)) break;
        n = at;
    }
    return n;
}
