/* gate.h - the governor of prefetching, and of reading experts whole: whether it pays, found out by trying.
 *
 * A right prediction is not a gain by itself: prefetches take disk and memory from demand reads. So tokens are timed in
 * short alternating episodes with and without it, and the medians of neighbouring episodes compared. Without a clear
 * gain prefetching stays off (it costs reads) and is tried again after a pause that doubles each time; with one it
 * stays on and is tried anew after a fixed pause. Pure logic on reported times: no clock, no allocation. One owner. */
#pragma once
#include "base/err.h"

enum { HYP_GATE_EPISODE = 6, HYP_GATE_PAIRS = 4 };

typedef struct hyp_gate {
    bool trying, on;       /* `on`: the verdict, or while trying the episode under way */
    bool verdict;          /* of the last trial */
    uint32_t n_trials;     /* finished */
    double gain;           /* of the last trial: share of a token's time that prefetching saved; negative: it cost */
    uint32_t n_in_episode; /* tokens reported */
    uint32_t episode;      /* of the trial, counted from 0 */
    uint32_t left;         /* tokens to the next trial */
    uint32_t pause;        /* length of the next pause after a trial without gain */
    double times[HYP_GATE_EPISODE];
    double medians[2 * HYP_GATE_PAIRS];
} hyp_gate;

/* Begin with a trial. */
void hyp_gate_init(hyp_gate *gate);

/* Begin with `verdict` instead, because it is likely for other reasons; the first trial comes soon. */
void hyp_gate_assume(hyp_gate *gate, bool verdict);

/* Should the coming token prefetch? */
bool hyp_gate_on(const hyp_gate *gate);

/* The token that hyp_gate_on() was asked for took `seconds`. Report decoded tokens only, not batches. */
void hyp_gate_report(hyp_gate *gate, double seconds);
