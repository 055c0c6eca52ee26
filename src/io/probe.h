/* probe.h - how fast a file can be read, through the very code that feeds the engine.
 *
 * A point is one way of reading (method, page cache or not, size, depth, order) and the rate it reached. A quick probe
 * measures a dozen points in 2 to 4 seconds, enough to choose the settings; a full one measures them all. Read-only;
 * the cached pages of this one file are dropped before the points that must be cold, nothing else is touched.
 *
 * Caveats: a rate is that of this file on this drive now. A virtual machine's host or the drive itself may cache what
 * was read before; points read at places drawn anew for each run, and a file much larger than that cache is the cure.
 * Holes of a sparse file are not on the drive: `hole_bytes` tells. */
#pragma once
#include "base/err.h"
#include "io/types.h"

typedef enum hyp_probe_cache {
    HYP_PROBE_DIRECT, /* O_DIRECT: past the page cache; buffered where the file system refuses it */
    HYP_PROBE_COLD,   /* through the page cache, which does not have the data */
    HYP_PROBE_WARM,   /* through the page cache, which has it */
} hyp_probe_cache;

typedef struct hyp_probe_point {
    hyp_io_backend backend; /* never AUTO in a result */
    hyp_probe_cache cache;
    uint32_t size_bytes;  /* of a request */
    uint32_t chunk_bytes; /* of a read; equal to size_bytes but for expert-sized requests */
    uint32_t depth;       /* reads in flight */
    bool random;          /* scattered over the file, else one after the other */
    bool expert;          /* request size and alignment are the caller's expert's */
    /* Measured: */
    double bytes_per_s;
    double cpu_s_per_gb; /* processor time, user and system, of this process for 10^9 bytes */
} hyp_probe_point;

typedef struct hyp_probe_result {
    hyp_probe_point *points; /* in the order measured */
    size_t n_points;
    bool direct; /* the file system takes direct reads */
    uint64_t file_bytes, hole_bytes;
    uint64_t bytes_read;
    /* The settings for hyp_io_config: the reads that reach 95 % of the best rate for scattered data with few bytes in
     * flight. `prefetch_depth` of them are enough for that rate; `depth` leaves as many places to demands. */
    hyp_io_backend backend;
    uint32_t chunk_bytes, prefetch_depth, depth;
    double bytes_per_s;            /* scattered, with that chunk size and prefetch_depth reads in flight */
    double sequential_bytes_per_s; /* the same one after the other */
    double best_bytes_per_s;       /* the best that scattered reads reached: the median of the five best points */
} hyp_probe_result;

typedef struct hyp_probe_config {
    bool quick;
    double seconds_per_point; /* at most, in two goes of which the better counts; 0: 0.2 quick, 0.3 full */
    uint64_t bytes_per_point; /* at most in each go; 0: 1 GiB */
    uint64_t expert_bytes;    /* of one part (gate, up or down) of an expert; 0: no such points */
    /* Called before each measurement (`point` says of what) and, with point = NULL, at the end. False cancels. May be
     * NULL. */
    bool (*progress)(size_t done, size_t total, const hyp_probe_point *point, void *user);
    void *user;
} hyp_probe_config;

/* Measure how fast `path` can be read. Blocks for seconds; uses up to 128 MiB of memory; the caller frees the result's
 * points with hyp_probe_free(). Not to run beside another probe of the same drive.
 * Errors: HYP_EIO (cannot be opened or read), HYP_EINVAL (smaller than 1 MiB), HYP_ENOMEM, HYP_ECANCELED. */
HYP_NODISCARD int hyp_disk_probe(const char *path, const hyp_probe_config *config, hyp_probe_result *ret, hyp_err *err);
void hyp_probe_free(hyp_probe_result *result);

/* Choose backend, chunk_bytes, depth and the rates of `result` from its points. Pure; hyp_disk_probe() has done it. */
void hyp_probe_recommend(hyp_probe_result *result);
