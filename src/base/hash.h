/* hash.h - a quick 256-bit identity of bytes.
 *
 * Two contents that differ by accident get different identities; nothing is promised against someone who searches for a
 * collision, so it names caches and models and must not guard anything. Four 64-bit lanes of multiply-rotate rounds
 * (xxHash's shape) that also feed their neighbours; about a byte per CPU cycle or better. The result does not depend on
 * how the bytes were cut into updates, nor on the machine's byte order. */
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct hyp_hash {
    uint64_t lane[4];
    uint64_t total;
    unsigned char rest[32]; /* bytes short of a block: total % 32 of them */
} hyp_hash;

enum { HYP_HASH_HEX_SIZE = 65 }; /* 64 digits and the terminator */

void hyp_hash_init(hyp_hash *h);
void hyp_hash_update(hyp_hash *h, const void *data, size_t n);
/* Feed one number, eight bytes little-endian. */
void hyp_hash_update_u64(hyp_hash *h, uint64_t value);
/* Write the identity of all that was fed as lower-case hex. `h` itself is left as it was and may be fed on. */
void hyp_hash_hex(const hyp_hash *h, char ret_hex[static HYP_HASH_HEX_SIZE]);

/* A checksum of `n` bytes, a multiple of 64, for data that is read again and again: sums and sums of sums (Fletcher
 * 1982) in eight lanes of 64 bits, as fast as memory is read, where hyp_hash takes a cycle a byte. Any change within
 * one 8-byte word shows, and so do words that changed places; against accidents only. */
uint64_t hyp_hash_pages(const void *data, size_t n);
