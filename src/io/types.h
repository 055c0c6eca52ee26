/* types.h - how files shall be read, and what reading them came to: for those who configure or report, and read nothing
 * themselves. io.h reads. Pure data. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { HYP_IO_MAX_SOURCES = 4 }; /* the primary and up to three mirrors */

typedef enum hyp_io_backend { HYP_IO_AUTO, HYP_IO_URING, HYP_IO_THREADS, HYP_IO_PLAIN } hyp_io_backend;
typedef enum hyp_io_class {
    HYP_IO_DEMAND,   /* a token waits for it */
    HYP_IO_PREFETCH, /* advice: starts only when no demand request waits, may be cancelled */
    HYP_IO_N_CLASSES,
} hyp_io_class;

/* "auto", "io_uring", "threads", "plain". Static storage. */
const char *hyp_io_backend_name(hyp_io_backend backend);

/* Fault injection, for tests: every Nth started read (0 = never) fails with EIO, returns half of what was asked for (a
 * real short read, to be continued), ends early as if the file had been truncated, or waits `delay_us` first (a random
 * share of it when `random_delay`). Counted over all reads that reach the device, those that continue a short read
 * among them; `only_class` >= 0 and `sources` other than 0 count and hit those alone. The Nth, 2Nth, ... are hit; a
 * `seed` other than 0 starts each of the four counts somewhere else and draws the random delays. */
typedef struct hyp_io_faults {
    uint64_t fail_every, short_every, truncate_every, delay_every;
    uint64_t die_after;   /* from this read on every one fails with EIO, as if the disk were gone; 0 = never */
    uint64_t bytes_per_s; /* a disk no faster than this: reads wait for those before them; 0 = no limit */
    uint32_t delay_us;
    bool random_delay;
    uint64_t seed;
    int only_class;                   /* hyp_io_class, or -1 for both */
    uint32_t sources;                 /* bit i: source i; 0 = all */
    const struct hyp_io_faults *next; /* more of them with counts of their own, or NULL; at most four are used */
} hyp_io_faults;

/* Copies of the files in another place. The size of each must be its original's; that the content is the same is the
 * caller's word. */
typedef struct hyp_io_mirror {
    const char *const *paths; /* parallel to those given at open; NULL: no copy of that file */
} hyp_io_mirror;

typedef struct hyp_io_config {
    hyp_io_backend backend; /* AUTO: threads (README.md) */
    uint32_t depth;         /* device reads in flight, at most 256; 0 = 16 */
    /* Chunks of prefetches in flight. Reads smaller than a chunk count by their bytes, and leave a quarter of `depth`
     * to demands. 0 = as many as make 2 MiB, 2 to `depth` / 2. */
    uint32_t prefetch_depth;
    uint32_t chunk_bytes;         /* a request is read in pieces of about this size; 0 = 1 MiB */
    bool buffered;                /* never O_DIRECT; what is read stays in the page cache */
    const hyp_io_faults *faults;  /* NULL = none; copied */
    const hyp_io_mirror *mirrors; /* used at open only; `prefetch_depth` of 0 then counts for each source */
    uint32_t n_mirrors;           /* less than HYP_IO_MAX_SOURCES */
} hyp_io_config;

typedef struct hyp_io_source_stats {
    uint64_t bytes;     /* read from it */
    double bytes_per_s; /* lately, while it was busy */
    int dropped_errno;  /* why it is not read any more; 0: it is */
} hyp_io_source_stats;

typedef struct hyp_io_stats {
    uint64_t demand_bytes, prefetch_bytes; /* read from the device, by the class they were started as */
    uint64_t n_reads, n_cancelled;
    double busy_s; /* time with at least one read in flight */
    hyp_io_source_stats sources[HYP_IO_MAX_SOURCES];
    uint32_t n_sources;
} hyp_io_stats;
