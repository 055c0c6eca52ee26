/* memory.h - how much memory this process may use: the machine's, and what every enclosing control group leaves of it.
 *
 * A container or a `systemd-run -p MemoryMax=` sees the whole machine in /proc/meminfo; what kills it is the limit of
 * its control group or of any group above it. So the answer is the smallest of MemAvailable and, for every enclosing
 * group of version 1 and 2, the limit less what is used and cannot be reclaimed. */
#pragma once
#include "base/err.h"

enum { HYP_MEMORY_MAX_GROUPS = 16, HYP_MEMORY_NO_GROUP = -1 };

typedef struct hyp_memory_group {
    char path[192];             /* the group's folder, as mounted; its tail when longer */
    int version;                /* 1 or 2 */
    uint64_t limit_bytes;       /* memory.limit_in_bytes; the smaller of memory.max and memory.high */
    uint64_t usage_bytes;       /* of the group and its children */
    uint64_t reclaimable_bytes; /* page cache in that usage, which the kernel drops on demand */
    uint64_t available_bytes;   /* limit - (usage - reclaimable), at least 0 */
} hyp_memory_group;

typedef struct hyp_memory {
    uint64_t total_bytes;            /* the machine's RAM */
    uint64_t system_available_bytes; /* the kernel's MemAvailable; on macOS what is free, inactive or purgeable */
    uint64_t swap_total_bytes, swap_free_bytes;
    hyp_memory_group groups[HYP_MEMORY_MAX_GROUPS]; /* those that have a limit, innermost first */
    size_t n_groups;
    uint64_t available_bytes; /* the smallest of all */
    int limited_by;           /* index of the group that makes it so, or HYP_MEMORY_NO_GROUP */
} hyp_memory;

/* Look at the machine now. Reads a dozen small files, well under a millisecond. Thread-safe.
 * Errors: HYP_EIO (the system does not report its memory). A group that cannot be read is left out. */
HYP_NODISCARD int hyp_memory_probe(hyp_memory *ret, hyp_err *err);

/* The same over a copy of Linux' files: `root` stands before /proc/... and before every mount point ("" is the system).
 * Only in the Linux build. */
HYP_NODISCARD int hyp_memory_probe_at(const char *root, hyp_memory *ret, hyp_err *err);

/* What `--ram` defaults to: available_bytes less hyp_memory_headroom(). Pure. */
uint64_t hyp_memory_budget(const hyp_memory *memory);

/* What is left to others: 5 % of what is available, at least 512 MiB, at most 4 GiB, never more than a quarter of what
 * is available. The 5 % covers the growth of other programs and the page tables of large mappings (1/512 of what they
 * map); the 512 MiB keeps the page cache alive that serves the token embedding, the program and its libraries, without
 * which a machine thrashes long before anything is killed. Pure. */
uint64_t hyp_memory_headroom(uint64_t available_bytes);
