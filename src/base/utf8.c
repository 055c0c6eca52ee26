#include "base/utf8.h"

size_t hyp_utf8_length(const char *bytes, size_t n) {
    const unsigned char *p = (const unsigned char *)bytes;
    if (n == 0) return 0;
    if (p[0] < 0x80) return 1;
    /* 0x80 to 0xbf only continue, 0xc0 and 0xc1 could only begin overlong forms, 0xf5 and more are beyond U+10FFFF. */
    if (p[0] < 0xc2 || p[0] > 0xf4) return 0;
    size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (length > n) return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] > 0x9f;
    bool beyond = p[0] == 0xf4 && p[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : length;
}

size_t hyp_utf8_decode(const char *bytes, size_t n, uint32_t *ret_character) {
    const unsigned char *p = (const unsigned char *)bytes;
    size_t length = hyp_utf8_length(bytes, n);
    if (length == 0) return 0;
    uint32_t character = length == 1 ? p[0] : p[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++)
        character = character << 6 | (p[i] & 0x3f);
    *ret_character = character;
    return length;
}

size_t hyp_utf8_encode(uint32_t character, char out[4]) {
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, character >>= 6)
        out[i] = (char)(0x80 | (character & 0x3f));
    out[0] = (char)(((0xf00u >> length) & 0xff) | character);
    return length;
}

bool hyp_utf8_is_valid(const char *bytes, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t length = hyp_utf8_length(bytes + i, n - i);
        if (length == 0) return false;
        i += length;
    }
    return true;
}

size_t hyp_utf8_whole(const char *bytes, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)bytes[n - back];
        if ((c & 0xc0) == 0x80) continue; /* a continuation byte: look further back for its lead */
        size_t need = c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        if (c >= 0xf8) need = 1;
        return need > back ? n - back : n;
    }
    return n;
}

void hyp_utf8_repair(hyp_str *out, const char *bytes, size_t n) {
    size_t from = 0; /* what is good is appended in runs, not by character */
    for (size_t i = 0; i < n;) {
        size_t length = hyp_utf8_length(bytes + i, n - i);
        if (length > 0) {
            i += length;
            continue;
        }
        hyp_str_append(out, bytes + from, i - from);
        hyp_str_puts(out, "\xef\xbf\xbd");
        from = ++i;
    }
    if (n > from) hyp_str_append(out, bytes + from, n - from);
}
