/* platform_priv.h - what the pager asks of the operating system: an arena of shared memory, and replacing pages of a
 * mapping.
 *
 * The arena is one memory object with a view of all of it. Its offsets are sparse: a page takes memory from the first
 * touch until hyp_arena_punch(). The same pages can be shown at other addresses, which is how a frame that was read
 * through the view comes to stand in the model's mapping.
 *
 * Private to src/pager. Threads: one owner; hyp_arena_prepare() may run beside it. */
#pragma once
#include "base/err.h"

#include <stdatomic.h>

typedef struct hyp_arena {
    int fd;
    uint8_t *view; /* read and write; at least HYP_ARENA_ALIGN aligned */
    uint64_t bytes;
    atomic_uint huge_failures; /* in a row; see hyp_arena_prepare() */
} hyp_arena;

enum { HYP_ARENA_ALIGN = 2 << 20 }; /* what the hardware can map with one large entry */

size_t hyp_platform_page_bytes(void);

/* How many more mappings this process may make; UINT32_MAX where the system sets no limit. */
uint32_t hyp_platform_mappings_left(void);

typedef struct hyp_stretch {
    uint64_t first, end; /* bytes from the base */
} hyp_stretch;

/* Where between `base` and `base + bytes` the file that is mapped at `known` (an address in between) is mapped, byte i
 * at base + i: the stretches that nobody has unmapped or covered with something else. Writes at most `max` of them and
 * returns their number; 0 where the system does not report them. */
size_t hyp_platform_find_stretches(const uint8_t *base, uint64_t bytes, const uint8_t *known, hyp_stretch *ret,
                                   size_t max);

/* Replace the pages at `at` by those of the file, read-only. Atomic for a thread that reads them at that moment.
 * Returns 0 or an errno, when nothing has changed. */
int hyp_platform_map_file(int fd, uint64_t offset, uint64_t bytes, void *at);

/* An arena of `bytes`, none of which takes memory yet. Kept out of core dumps and, where the process may lock memory,
 * out of swap. Errors: HYP_ENOMEM (address space or the system's limits), HYP_EIO. */
HYP_NODISCARD int hyp_arena_open(uint64_t bytes, hyp_arena *ret, hyp_err *err);

/* Pages that were mapped elsewhere stay there. */
void hyp_arena_close(hyp_arena *arena);

/* Replace the pages at `at` by those of the arena, read-only, as hyp_platform_map_file() does. `populate`: fill the
 * page table now instead of by faults. */
int hyp_arena_map(const hyp_arena *arena, uint64_t offset, uint64_t bytes, void *at, bool populate);

/* Give untouched arena memory its pages now, large ones where a whole aligned piece of the range allows it. Advice:
 * what cannot be had is left to the first touch. The content is zero or undefined afterwards. */
void hyp_arena_prepare(hyp_arena *arena, uint64_t offset, uint64_t bytes);

/* Give the memory of these pages back to the system. Nobody may show them. False where the system cannot. */
bool hyp_arena_punch(const hyp_arena *arena, uint64_t offset, uint64_t bytes);

/* Memory the arena takes, as the system counts it; for tests. */
uint64_t hyp_arena_allocated_bytes(const hyp_arena *arena);
