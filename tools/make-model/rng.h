/* rng.h - small seeded random numbers, the same on every machine. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* One step of splitmix64 (Steele, Lea, Flood 2014): a good hash of `x`, too. */
static inline uint64_t hyp_make_mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static inline uint64_t hyp_make_next(uint64_t *state) {
    uint64_t r = hyp_make_mix(*state);
    *state += 0x9e3779b97f4a7c15ull;
    return r;
}

/* In [0, 1). */
static inline double hyp_make_uniform(uint64_t *state) {
    return (double)(hyp_make_next(state) >> 11) * 0x1p-53;
}

/* Nearly normal, mean 0, variance 1, within +-3.46: the sum of four uniform 16-bit numbers (Irwin-Hall), whose variance
 * is 4/12. Exact in floats, so the same everywhere. */
static inline float hyp_make_normal(uint64_t *state) {
    uint64_t r = hyp_make_next(state);
    float sum = (float)((r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48));
    return (sum * 0x1p-16f - 2.0f + 2 * 0x1p-16f) * 1.7320508f;
}

/* The hash of a text, to seed by name (64-bit FNV-1a). */
static inline uint64_t hyp_make_hash_text(const char *text) {
    uint64_t h = 14695981039346656037ull;
    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211ull;
    return h;
}
