/* wire_priv.h - private to src/predict: little-endian fields and variable-length integers in byte strings.
 *
 * A reader never passes its end: what is missing or malformed reads as 0 and sets `bad`, which sticks; `cut` says that
 * it was missing, not malformed. */
#pragma once
#include "base/text.h"

typedef struct wire_reader {
    const uint8_t *at, *end;
    bool bad, cut;
} wire_reader;

static inline void wire_fail(wire_reader *r) {
    r->bad = true;
    r->at = r->end;
}
static inline void wire_cut(wire_reader *r) {
    r->bad = r->cut = true;
    r->at = r->end;
}

static inline uint64_t wire_get(wire_reader *r, size_t n_bytes) {
    uint64_t value = 0;
    if ((size_t)(r->end - r->at) < n_bytes) {
        wire_cut(r);
        return 0;
    }
    for (size_t i = 0; i < n_bytes; i++)
        value |= (uint64_t)r->at[i] << (8 * i);
    r->at += n_bytes;
    return value;
}

/* Seven bits a byte, the lowest first, the high bit set on all but the last; at most `max`. */
static inline uint32_t wire_get_varint(wire_reader *r, uint32_t max) {
    uint64_t value = 0;
    for (int shift = 0; shift < 35 && r->at < r->end; shift += 7) { /* five bytes hold 32 bits; more are malformed */
        uint8_t byte = *r->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte >= 0x80) continue;
        if (value <= max) return (uint32_t)value;
        wire_fail(r);
        return 0;
    }
    if (r->at == r->end)
        wire_cut(r);
    else
        wire_fail(r);
    return 0;
}

/* Copy `n` bytes, or zeroes when they are not there. */
void hyp_wire_get_bytes(wire_reader *r, void *ret, size_t n);

void hyp_wire_put(hyp_str *s, uint64_t value, size_t n_bytes);
void hyp_wire_put_varint(hyp_str *s, uint32_t value);

/* FNV-1a, 64 bits, going on from `hash` (WIRE_HASH at first): against accidents, not against forgers. */
#define WIRE_HASH UINT64_C(0xcbf29ce484222325)
uint64_t hyp_wire_hash(uint64_t hash, const void *data, size_t n);
