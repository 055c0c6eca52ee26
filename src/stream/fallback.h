/* fallback.h - never worse than mmap: after a measured start, would plain mmap be faster than streaming?
 *
 * Where it can be: the model fits into memory after all (the budget was set below what is free), and its disk, or the
 * way it is read, holds the tokens up. Then the page cache would hold every weight, and a token would take what it
 * takes to compute. Where it cannot be: the model does not fit. A page cache smaller than the model keeps giving up
 * what the next token needs, the weights that every token touches among it, and was seen 2 to 18 times slower than
 * streaming; so however badly streaming does there, it is never given up.
 *
 *   s = seconds a token, streaming;  c = those of them not spent waiting for reads
 *   due:  host weights <= free memory + the frames' own
 *         s > 1.25 c                                   noise of a shared machine must not throw a warm cache away
 *         host weights / fault rate <= 512 (s - c)     reading it all again, by page faults, is paid back within 512
 * tokens
 *
 * The fault rate is not taken from a profile but measured then and there, on the weights themselves: it is that of this
 * disk under what else happens now, and higher where the page cache holds the file already. Pure arithmetic; one owner.
 */
#pragma once
#include "base/err.h"

enum { HYP_FALLBACK_SKIP = 4, HYP_FALLBACK_TOKENS = 32, HYP_FALLBACK_PAYBACK_TOKENS = 512 };

typedef struct hyp_fallback {
    uint32_t n_tokens; /* decoded so far; the verdict falls after HYP_FALLBACK_SKIP + HYP_FALLBACK_TOKENS */
    double seconds, stall_s;
} hyp_fallback;

/* What one decoded token took: seconds, and of these waiting for reads. Returns true once, when there are tokens enough
 * for a verdict. */
bool hyp_fallback_add(hyp_fallback *fallback, double seconds, double stall_s);

/* The first two conditions: might plain mmap do better? Only then need the fault rate be measured. `host_bytes`: of
 * weights computed on the host; `room_bytes`: what the page cache could have once the frames are given back. */
bool hyp_fallback_is_possible(const hyp_fallback *fallback, uint64_t host_bytes, uint64_t room_bytes);

/* The verdict where it is possible: should plain mmap take over? `*ret_mmap_s` is the time a token would take then. */
bool hyp_fallback_is_due(const hyp_fallback *fallback, uint64_t host_bytes, double fault_bytes_per_s,
                         double *ret_mmap_s);
