/* fallback.h - never worse than mmap: after a measured start, is plain mmap expected to be faster than streaming?
 *
 * What plain mmap would do cannot be measured without throwing the cache away, so it is bounded from its favourable side:
 * the page cache is granted as much memory as the frames have and the best hit rate that uniform use allows (capacity over
 * all streamed bytes), and it pays only for the rest, at the rate at which page faults are served on this disk. Only when
 * streaming is clearly slower than even that is it given up. Pure arithmetic; one owner. */
#pragma once
#include "base/err.h"

enum { HYP_FALLBACK_SKIP = 4, HYP_FALLBACK_TOKENS = 32 };

typedef struct hyp_fallback {
    uint32_t n_tokens; /* decoded so far; the verdict falls after HYP_FALLBACK_SKIP + HYP_FALLBACK_TOKENS */
    double seconds, stall_s;
    uint64_t used_bytes; /* streamed bytes the tokens used, found in memory or not */
} hyp_fallback;

/* What one decoded token took: seconds, of these waiting, and the streamed bytes it used. Returns true once, when there are
 * tokens enough for a verdict. */
bool hyp_fallback_add(hyp_fallback *fallback, double seconds, double stall_s, uint64_t used_bytes);

/* The verdict: should plain mmap take over? `capacity_bytes` of `streamed_bytes` fit in memory; `fault_bytes_per_s` is the
 * measured rate of page faults. `*ret_mmap_s` is the time a token would take there, at best. */
bool hyp_fallback_is_due(const hyp_fallback *fallback, uint64_t capacity_bytes, uint64_t streamed_bytes,
                         double fault_bytes_per_s, double *ret_mmap_s);
