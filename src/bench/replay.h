/* replay.h - what a cache of experts would do on a recorded trace, on hardware that is not there.
 *
 * The trace's visits are replayed in order against an eviction policy and a simple clock: the disk serves one read
 * after another at a fixed rate, demanded experts hold the computation up, predicted ones are read while the disk would
 * be idle. A simulation of bytes and time, not of the operating system; pure, no I/O. Thread-safe on distinct objects.
 */
#pragma once
#include "pager/policy.h"
#include "predict/trace.h"

/* A policy of policy.h, or Belady's: evict what is needed last. It knows the future; with experts of one size nothing
 * can do better without prefetching; with several sizes it is an approximation, since it ignores sizes. */
enum { HYP_REPLAY_BELADY = HYP_N_POLICIES, HYP_REPLAY_N_POLICIES };

typedef struct hyp_replay_config {
    int policy;              /* hyp_policy_kind or HYP_REPLAY_BELADY */
    uint64_t cache_bytes;    /* for experts alone: without what is always in memory */
    double disk_bytes_per_s; /* at the size of an expert */
    double compute_s;        /* of a pass, reads apart; 0: the disk alone */
    bool prefetch;           /* use what the trace says was predicted */
} hyp_replay_config;

typedef struct hyp_replay_result {
    uint64_t n_tokens;              /* decoded, a pass each; batches warm the cache and are not counted below */
    uint64_t hit_bytes, miss_bytes; /* demanded and found in the cache (or on the way to it), or not */
    uint64_t late_hit_bytes, late_miss_bytes; /* the same, of the second half: the cache is warm */
    uint64_t evicted_bytes;                   /* from here on: batches included */
    uint64_t peak_bytes;                      /* most ever in the cache */
    uint64_t cycle_bytes;                     /* what a token touches: the mean */
    uint64_t all_bytes;                       /* every expert of every layer */
    uint64_t prefetch_issued_bytes, prefetch_used_bytes;
    uint64_t n_predicted, n_predicted_right,
        n_predictable; /* precision = right/predicted, recall = right/predictable */
    double decode_s;   /* simulated, all tokens */
    double stall_s;    /* of it, waiting for the disk */
} hyp_replay_result;

/* Replay `trace`. Errors: HYP_ENOMEM, HYP_EINVAL (no rate, no room for one expert). */
HYP_NODISCARD int hyp_replay_run(const hyp_trace *trace, const hyp_replay_config *config, hyp_replay_result *ret,
                                 hyp_err *err);

/* Shares of bytes, 0 when nothing was demanded. */
double hyp_replay_hit_rate(const hyp_replay_result *result);
double hyp_replay_late_hit_rate(const hyp_replay_result *result);

/* Bytes read from the disk for a decoded token, prefetches that nobody used included. */
double hyp_replay_bytes_per_token(const hyp_replay_result *result);

const char *hyp_replay_policy_name(int policy);
