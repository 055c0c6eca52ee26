/* balance_priv.h - from which of several copies of a file to read: the one that will have finished first.
 *
 * A source is a place that holds a copy of every file: a disk. What a source would need for one read more is estimated
 * as (bytes outstanding there + bytes of the read) / its rate, the rule of shortest expected delay. The rate is what
 * the source delivered while it was busy in its last fractions of a second. So a source that is ten times slower gets
 * about a tenth of the bytes, whatever the number of reads in flight, and one that slows down gets less at once. One
 * that is idle because it was slow is tried again from time to time: such probes take at most a 64th of the time.
 *
 * Pure arithmetic over a clock that the caller reads. Not thread-safe. */
#pragma once
#include "io/types.h"

typedef struct hyp_balance_source {
    uint64_t outstanding_bytes;
    uint32_t n_outstanding;
    bool dropped;          /* not to be read from any more */
    double busy_from_s;    /* when it became busy, or finished its last read while more were outstanding */
    double last_s;         /* when it finished a read last */
    double bytes, seconds; /* decayed sums: what it delivered while busy */
    uint64_t total_bytes;  /* delivered since the beginning */
} hyp_balance_source;

typedef struct hyp_balance {
    hyp_balance_source sources[HYP_IO_MAX_SOURCES];
} hyp_balance;

/* The source to read `bytes` from at `now_s`, among those in the mask `candidates` (not 0; bit i = source i). Those
 * that were dropped are passed over while there is another. */
uint32_t hyp_balance_choose(const hyp_balance *balance, uint32_t candidates, uint64_t bytes, double now_s);

/* A read of `bytes` from `source` starts; it has ended and brought `read_bytes` (0: it failed, which says nothing of
 * the rate). */
void hyp_balance_start(hyp_balance *balance, uint32_t source, uint64_t bytes, double now_s);
void hyp_balance_end(hyp_balance *balance, uint32_t source, uint64_t bytes, uint64_t read_bytes, double now_s);

/* How long a read that has just started at `source` should take, with those before it; 0 while its rate is unknown. */
double hyp_balance_expected_s(const hyp_balance *balance, uint32_t source);

/* Bytes a second that `source` delivers while it is busy; 0 before its first read has ended. */
double hyp_balance_rate(const hyp_balance *balance, uint32_t source);
