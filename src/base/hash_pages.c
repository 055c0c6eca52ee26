/* hash_pages.c - hyp_hash_pages() alone: a loop that the compiler must turn into vector instructions. */
#include "base/hash.h"

#include <string.h>

enum { LANES = 8 };

static inline uint64_t little_endian(uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(word);
#else
    return word;
#endif
}

uint64_t hyp_hash_pages(const void *data, size_t n) {
    uint64_t sum[LANES], sums[LANES] = {0};
    for (size_t i = 0; i < LANES; i++)
        sum[i] = 0x9e3779b97f4a7c15u * (i + 1); /* so that zeros count */
    const unsigned char *bytes = data;
    for (size_t at = 0; at + sizeof sum <= n; at += sizeof sum) {
        uint64_t words[LANES];
        memcpy(words, bytes + at, sizeof words);
        for (size_t i = 0; i < LANES; i++) {
            sum[i] += little_endian(words[i]);
            sums[i] += sum[i];
        }
    }
    uint64_t mixed = n;
    for (size_t i = 0; i < 2 * LANES; i++) {
        mixed = (mixed ^ (i < LANES ? sum[i] : sums[i - LANES])) * 0xd6e8feb86659fd93u;
        mixed ^= mixed >> 32; /* each step can be undone: a lane that differs differs in the end */
    }
    return mixed;
}
