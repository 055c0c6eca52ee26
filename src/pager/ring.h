/* ring.h - streaming units that are used in a fixed cyclic order, as the layers of a dense model are.
 *
 * Access is cyclic, so a recency cache would hit nothing: as many units as fit are pinned for good (`always` units of
 * the pager), spread evenly over the cycle, and the others stream through the frames that are left. While a unit
 * computes, the next ones in the order are read into every free frame, across the end of the cycle, so that the disk
 * never idles.
 *
 * What to pin and how the window moves are pure functions. Threads: the pager's owner. */
#pragma once
#include "pager/pager.h"

/* Choose `n_pinned` of `n` units so that the gaps between the others' turns are as equal as can be:
 * unit i is streamed where floor((i + 1) s / n) > floor(i s / n), s = n - n_pinned. */
void hyp_ring_spread(uint32_t n, uint32_t n_pinned, bool *ret_pinned);

/* Pin as many of `n` units, of `bytes[i]` frame bytes each, as leave room in `budget_bytes` for `n_slots` (at least 1)
 * of the largest streamed one. `*ret_n_pinned` of `ret_pinned[0..n)` are true. Returns false when not even one slot
 * fits; when fewer than `n_slots` do, nothing is pinned. */
bool hyp_ring_fit(const uint64_t *bytes, uint32_t n, uint64_t budget_bytes, uint32_t n_slots, bool *ret_pinned,
                  uint32_t *ret_n_pinned);

/* The consecutive places of a cycle of `n` whose units are held: [head, head + held), modulo n. */
typedef struct hyp_ring_window {
    uint32_t n, head, held;
} hyp_ring_window;

/* The computation enters place `at`. Returns how many places, from the old head on, are to be dropped; the new head is
 * `at` and is held. A window that holds the whole cycle drops nothing; one that does not hold `at` drops all. */
uint32_t hyp_ring_enter(hyp_ring_window *window, uint32_t at);

typedef struct hyp_ring hyp_ring;

/* Stream `units[0..n)` (copied), in this order, through the free frames of `pager`, which must outlive the ring.
 * Errors: HYP_ENOMEM, HYP_EINVAL (an unknown or `always` unit). */
HYP_NODISCARD int hyp_ring_new(hyp_pager *pager, const uint32_t *units, uint32_t n, hyp_ring **ret, hyp_err *err);
void hyp_ring_free(hyp_ring *ring);

/* Start reading the first units of the cycle before anything computes. */
void hyp_ring_start(hyp_ring *ring);

/* The unit at place `at` is about to be used by `n_tokens` tokens: drop the former ones, demand this one, and read
 * ahead. The caller then waits for its parts with hyp_pager_wait(). Any place may follow any other; the next one in the
 * cycle is the one that is ready. Errors: HYP_EIO (as hyp_pager_demand()), HYP_EINVAL. */
HYP_NODISCARD int hyp_ring_step(hyp_ring *ring, uint32_t at, uint32_t n_tokens, hyp_err *err);

/* The computation has passed these parts of the unit at the last step's place: their frames serve what comes next. */
void hyp_ring_pass(hyp_ring *ring, uint8_t part_mask);

/* Units held now, whole or in part, the current one among them; for tests. */
uint32_t hyp_ring_held(const hyp_ring *ring);
