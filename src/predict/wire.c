#include "predict/wire_priv.h"

#include <string.h>

void hyp_wire_get_bytes(wire_reader *r, void *ret, size_t n) {
    if ((size_t)(r->end - r->at) < n) {
        wire_cut(r);
        memset(ret, 0, n);
        return;
    }
    memcpy(ret, r->at, n);
    r->at += n;
}

void hyp_wire_put(hyp_str *s, uint64_t value, size_t n_bytes) {
    char bytes[8];
    for (size_t i = 0; i < n_bytes; i++)
        bytes[i] = (char)(value >> (8 * i) & 0xff);
    hyp_str_append(s, bytes, n_bytes);
}

void hyp_wire_put_varint(hyp_str *s, uint32_t value) {
    char bytes[5];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        bytes[n++] = (char)(0x80 | (value & 0x7f));
    bytes[n++] = (char)value;
    hyp_str_append(s, bytes, n);
}

uint64_t hyp_wire_hash(uint64_t hash, const void *data, size_t n) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}
