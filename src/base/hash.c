#include "base/hash.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { BLOCK = 32 };

/* Odd constants with about half of their bits set: the fractions of the golden ratio and of square roots of primes. */
static const uint64_t mul_in = 0x9e3779b97f4a7c15u, mul_out = 0xbb67ae8584caa73bu;
static const uint64_t seeds[4] = {0x6a09e667f3bcc909u, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u, 0x510e527fade682d1u};

/* To the order of bytes in which words are hashed, and back: a digest is the same on every machine. */
static uint64_t little_endian(uint64_t x) {
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? x : __builtin_bswap64(x);
}

static uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

void hyp_hash_init(hyp_hash *h) {
    *h = (hyp_hash){.total = 0};
    memcpy(h->lane, seeds, sizeof seeds);
}

static void absorb(uint64_t lane[4], const unsigned char *block) {
    uint64_t words[4];
    memcpy(words, block, BLOCK);
    for (int i = 0; i < 4; i++)
        lane[i] = rotate(lane[i] + little_endian(words[i]) * mul_in, 31) * mul_out;
    /* Each step alone can be undone, so no two states ever meet in one; in a row they carry every lane into the others.
     */
    lane[0] += rotate(lane[1], 17);
    lane[1] += rotate(lane[2], 29);
    lane[2] += rotate(lane[3], 43);
    lane[3] += rotate(lane[0], 11);
}

void hyp_hash_update(hyp_hash *h, const void *data, size_t n) {
    const unsigned char *bytes = data;
    size_t held = h->total % BLOCK;
    h->total += n;
    if (held > 0) {
        size_t take = HYP_MIN(BLOCK - held, n);
        if (take > 0) memcpy(h->rest + held, bytes, take);
        if (held + take < BLOCK) return;
        absorb(h->lane, h->rest);
        bytes += take;
        n -= take;
    }
    for (; n >= BLOCK; bytes += BLOCK, n -= BLOCK)
        absorb(h->lane, bytes);
    if (n > 0) memcpy(h->rest, bytes, n);
}

void hyp_hash_update_u64(hyp_hash *h, uint64_t value) {
    uint64_t bytes = little_endian(value);
    hyp_hash_update(h, &bytes, sizeof bytes);
}

static uint64_t finish(uint64_t x) {
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    x = (x ^ x >> 29) * mul_in;
    return x ^ x >> 32;
}

void hyp_hash_hex(const hyp_hash *h, char ret_hex[static HYP_HASH_HEX_SIZE]) {
    uint64_t lane[4];
    unsigned char last[BLOCK] = {0};
    memcpy(lane, h->lane, sizeof lane);
    memcpy(last, h->rest, h->total % BLOCK);
    absorb(lane, last);
    /* The length tells trailing zeros from padding; the empty rounds let the last block reach every digit. */
    for (int i = 0; i < 4; i++)
        lane[i] ^= h->total * (2 * (uint64_t)i + 1);
    memset(last, 0, sizeof last);
    for (int i = 0; i < 4; i++)
        absorb(lane, last);
    for (int i = 0; i < 4; i++)
        snprintf(ret_hex + (size_t)i * 16, 17, "%016llx", (unsigned long long)finish(lane[i]));
}
