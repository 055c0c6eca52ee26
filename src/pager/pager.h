/* pager.h - which bytes of a mapped model are in RAM.
 *
 * libllama maps every model file; the mapping always shows the file's bytes. The pager decides which of those bytes are
 * in memory of our own. Frames are page runs of one memfd, seen twice: through the pager's own view, where reads put
 * the bytes, and, once complete, through the model's mapping, where mmap(MAP_FIXED) of the memfd replaces the file's
 * pages. Eviction maps the file over them again. Both replacements are atomic for a thread that reads the mapping, so
 * there is never a hole and never a foreign byte; a miss that nobody predicted is a page fault that the kernel serves
 * from the file.
 *
 * A unit is what is used together (an expert's gate, up and down; a layer's FFN): the policy thinks in units. An extent
 * is one run of file bytes, a unit's part: state and frames are per extent, so that gate can be computed while up is
 * read. Extents are rounded outward to pages; a page shared by two resident neighbours stays mapped until both are
 * gone.
 *
 * Threads: one thread, the one that computes, owns a pager. Only the reads run elsewhere (io/). Every function that
 * evicts is called while no node of the graph computes. */
#pragma once
#include "base/err.h"
#include "io/types.h"
#include "pager/extent.h"
#include "pager/policy_kind.h"

typedef struct hyp_pager hyp_pager;

typedef struct hyp_pager_file {
    const char *path;
    void *base; /* where byte 0 is mapped */
    uint64_t bytes;
} hyp_pager_file;

/* The packed file. An extent that is in no run is read from its own file. */
typedef struct hyp_pager_packed {
    const char *path;
    const hyp_packed_run *runs; /* ascending by the extents' file and offset; used only by hyp_pager_open() */
    size_t n_runs;
} hyp_pager_packed;

typedef struct hyp_pager_config {
    const hyp_pager_file *files; /* copied */
    size_t n_files;
    const hyp_extent *extents; /* copied */
    size_t n_extents;
    const hyp_unit *units; /* copied; the policy's unit numbers are these */
    size_t n_units;
    uint32_t n_layers;
    uint64_t budget_bytes; /* for every frame: pinned, cached and in flight */
    hyp_policy_kind policy;
    hyp_io_config io;
    const hyp_pager_packed *packed; /* NULL: none. One that cannot be opened or read is done without */
} hyp_pager_config;

typedef struct hyp_pager_stats {
    uint64_t budget_bytes, pinned_bytes, cached_bytes; /* frame bytes in use now */
    uint64_t hit_bytes, miss_bytes, evicted_bytes;     /* demanded file bytes found resident, or not; evicted */
    uint64_t prefetch_issued_bytes, prefetch_used_bytes, prefetch_wasted_bytes;
    uint64_t n_demands, n_prefetch_hits; /* prefetch hits: demanded units that a prefetch had brought or was bringing */
    double stall_s;                      /* time spent in hyp_pager_wait() */
    uint64_t packed_bytes;               /* frame bytes that came from the packed file */
    hyp_io_stats io;
} hyp_pager_stats;

/* What the frames of `config` take at least: all `always` units, and the largest other unit. Looks at files, extents
 * and units only; `base` may be NULL. Errors: HYP_EINVAL, HYP_ENOMEM (for the tables). */
HYP_NODISCARD int hyp_pager_measure(const hyp_pager_config *config, uint64_t *ret_always_bytes,
                                    uint64_t *ret_largest_bytes, hyp_err *err);

/* Build the pager; nothing is read yet. Errors: HYP_ENOMEM (also: the budget is below the pinned units plus the largest
 * unit: the message names the least budget), HYP_EIO (also: the file at `path` is not the one that is mapped),
 * HYP_EINVAL (an extent outside its file, two that overlap, one that belongs to two units). */
HYP_NODISCARD int hyp_pager_open(const hyp_pager_config *config, hyp_pager **ret, hyp_err *err);

/* Wait for reads in flight, put the file's mapping back everywhere, free. The mapping stays valid. */
void hyp_pager_close(hyp_pager *pager);

/* Read every `always` unit with large parallel reads and map it. `progress` (may be NULL) gets bytes done and total,
 * and returns false to cancel. May be called again after a failure; what was read stays. Errors: HYP_EIO,
 * HYP_ECANCELED. */
HYP_NODISCARD int hyp_pager_load_always(hyp_pager *pager, bool (*progress)(uint64_t done, uint64_t total, void *user),
                                        void *user, hyp_err *err);

/* The computation is about to use `units[0..n)` of `layer`, `n_tokens[i]` tokens each (NULL: 1). Pins them all, starts
 * reading what is missing (evicting as the policy says), all first extents first, and returns at once. When the budget
 * cannot hold them all, those that do not fit stay unread and fault from the file: slow, never wrong; they are read
 * after all if a frame becomes free while they are pinned. A pin is not counted: demanding again changes nothing.
 * Errors: HYP_EIO (an earlier read of a unit that is still pinned failed and was not reported yet; nothing was pinned),
 * HYP_EINVAL (no such unit or layer). */
HYP_NODISCARD int hyp_pager_demand(hyp_pager *pager, uint32_t layer, const uint32_t *units, const uint32_t *n_tokens,
                                   size_t n, hyp_err *err);

/* Block until the parts of `unit` in `part_mask` (bit i = its i-th extent, HYP_PART_ALL) are resident and mapped.
 * Parts that can find no frame are not waited for. Errors: HYP_EIO: the read failed; the extent still shows the file.
 */
HYP_NODISCARD int hyp_pager_wait(hyp_pager *pager, uint32_t unit, uint8_t part_mask, hyp_err *err);

/* Are those parts resident (no wait needed)? Maps what has arrived meanwhile. */
bool hyp_pager_ready(hyp_pager *pager, uint32_t unit, uint8_t part_mask);

/* The computation has passed: unpin `units`, or with n = SIZE_MAX everything demanded so far. */
void hyp_pager_release(hyp_pager *pager, const uint32_t *units, size_t n);

/* Give the frames of `unit` back now (a streamed dense layer just computed). Does nothing while it is pinned. */
void hyp_pager_drop(hyp_pager *pager, uint32_t unit);

/* The same for some parts of `unit`, pinned or not: the computation has passed them and they come back as free frames.
 */
void hyp_pager_drop_parts(hyp_pager *pager, uint32_t unit, uint8_t part_mask);

/* The computation has passed these parts of pinned units: where other demanded parts found no frame (a layer wider than
 * the cache), they get these frames and are read now. Nothing happens otherwise. */
void hyp_pager_pass(hyp_pager *pager, const uint32_t *units, size_t n, uint8_t part_mask);

/* Advice: `unit` will probably be needed. Takes a free frame, or one whose unit the policy finds worth less; reads
 * behind every demand. Returns whether it was accepted (or is resident already). A failed prefetch is forgotten. */
bool hyp_pager_prefetch(hyp_pager *pager, uint32_t unit);

/* The same for some parts, into free frames only: evicts nothing. Returns the mask of those parts that have a frame
 * now. */
uint8_t hyp_pager_prefetch_free(hyp_pager *pager, uint32_t unit, uint8_t part_mask);

/* Extents of cached units that are being read, or whose reads are queued. */
size_t hyp_pager_n_reading(const hyp_pager *pager);

/* Seconds spent in hyp_pager_wait() so far. */
double hyp_pager_stall_s(const hyp_pager *pager);

/* Cancel prefetches that have not started. */
void hyp_pager_cancel_prefetches(hyp_pager *pager);

/* Map what has arrived, start what waits for a frame; called where the compute thread is between nodes anyway. */
void hyp_pager_poll(hyp_pager *pager);

/* The model's own files fail: show those of a mirror that works (config.io.mirrors) wherever the mapping shows the
 * file, and read no more of the primary's. To be called whenever the stats say that source 0 was dropped, or when a
 * page fault has found it out (`sys_errno` says why). No effect without such a mirror, or the second time. Any time
 * between two operations. */
void hyp_pager_leave_primary(hyp_pager *pager, int sys_errno);

/* Measure what plain mmap would pay: touch the pages of some streamed extents that have no frame, spread over the
 * model, one after the other as a computation does, for at most `max_bytes` and about `max_s` seconds. Returns bytes a
 * second, 0 when every extent has a frame. Evicts nothing. Between two operations; the mapping's guard catches what
 * cannot be read. */
double hyp_pager_measure_faults(const hyp_pager *pager, uint64_t max_bytes, double max_s);

/* Does every unit of the layer hold its frames (or is being read into them)? Then nothing of it need be predicted. */
bool hyp_pager_layer_held(const hyp_pager *pager, uint32_t layer);

/* What earlier runs know of `unit` (a number of the config's `units`): `weight` >= 0 is its expected uses a pass over
 * the layers. Seeds the policy's history, so to be called before the first hyp_pager_demand(); reads nothing. */
void hyp_pager_prime(hyp_pager *pager, uint32_t unit, float weight);

/* From now on read a demand's units `whole`, in the order of the packed file, so that each comes with one read; else
 * (as it begins) all first parts first, so that the first matrix is computed while the rest is read. Which is faster
 * depends on the disk. Without a packed file it changes nothing. */
void hyp_pager_read_whole(hyp_pager *pager, bool whole);

/* Is the packed file being read? When it is not any more, or never was though one was given, `*ret_why` (may be NULL)
 * says why, else it stays NULL. A copy that failed once, or whose bytes were not the model's, is not read again. */
bool hyp_pager_packed_in_use(const hyp_pager *pager, const hyp_err **ret_why);

void hyp_pager_get_stats(const hyp_pager *pager, hyp_pager_stats *ret);

/* Frame bytes that `unit` takes when resident (its extents rounded outward to pages). */
uint64_t hyp_pager_unit_bytes(const hyp_pager *pager, uint32_t unit);
