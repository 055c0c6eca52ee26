/* prepare_priv.h - a thread that gives frames their memory before they are used for the first time.
 *
 * Untouched arena memory has no pages. Left to the read that fills it, each page is found and cleared alone, on the
 * processor time of that read; ahead of it, 2 MiB at a time, it costs a quarter (README.md). The owner of the frames
 * names ranges as it grants them, in the order in which they will be used, and takes back what it gives away again.
 *
 * Private to src/pager. Threads: every function is the owner's; the preparing itself runs beside it. */
#pragma once
#include "pager/platform_priv.h"

typedef struct hyp_preparer hyp_preparer;

/* NULL without memory or a thread: then nothing is prepared, and every first use pays for itself. `arena` must outlive
 * it. */
hyp_preparer *hyp_preparer_new(hyp_arena *arena);

/* Ends the thread; what was not prepared is left as it is. Accepts NULL. */
void hyp_preparer_free(hyp_preparer *p);

/* Prepare these bytes of the arena after those named before. Dropped when too many are waiting. Accepts NULL. */
void hyp_preparer_add(hyp_preparer *p, uint64_t offset, uint64_t bytes);

/* Touch none of these bytes any more; waits for the piece under way (less than a millisecond). Accepts NULL. */
void hyp_preparer_withdraw(hyp_preparer *p, uint64_t offset, uint64_t bytes);

/* These bytes are about to be used: it is too late to prepare them. Does not wait. Accepts NULL. */
void hyp_preparer_skip(hyp_preparer *p, uint64_t offset, uint64_t bytes);

/* Wait until all that was named is prepared; for tests. Accepts NULL. */
void hyp_preparer_drain(hyp_preparer *p);
