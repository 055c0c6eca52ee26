/* extent.h - what the pager moves: runs of file bytes, the units that they make up, and their place in a packed copy.
 * Pure data. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct hyp_extent {
    uint32_t file;
    uint64_t offset, bytes; /* in the file, before rounding */
} hyp_extent;

typedef struct hyp_unit {
    uint32_t first_extent, n_extents; /* at most 8 extents */
    uint32_t layer;                   /* position in the cycle of streamed layers */
    bool always;                      /* pinned from start to end, outside the policy */
} hyp_unit;

enum { HYP_UNIT_MAX_EXTENTS = 8, HYP_PART_ALL = 0xff };

/* A copy of extents' pages in one more file, the packed one, where the parts of a unit stand one after the other: one
 * vectored read brings them all. What an extent's outward rounding takes in of its neighbours stands there too. */
typedef struct hyp_packed_run {
    hyp_extent extent;
    uint64_t at;       /* of its first page in the packed file; a multiple of the page */
    uint64_t checksum; /* hyp_hash_pages() of its pages */
} hyp_packed_run;
