/* pin.h - which layers of a dense model stay in RAM when not all fit.
 *
 * Access is cyclic, so a recency cache would hit nothing: as many layers as fit are pinned for good, spread evenly over
 * the cycle so that between two reads there is always something to compute, and the others stream through the frames
 * that are left (pager/ring.h). The planner and the stream ask the same functions: with the frames that were planned
 * they pin the same layers. Pure. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Frames kept for what streams, in layers: one computes while the next is read. More would only pin fewer. */
enum { HYP_PIN_SLOTS = 2 };

/* Choose `n_pinned` of `n` layers so that the gaps between the others' turns are as equal as can be:
 * layer i is streamed where floor((i + 1) s / n) > floor(i s / n), s = n - n_pinned. */
void hyp_pin_spread(uint32_t n, uint32_t n_pinned, bool *ret_pinned);

/* Pin as many of `n` layers, of `bytes[i]` frame bytes each, as leave room in `budget_bytes` for `n_slots`
 * of the largest streamed one (0: its frames are counted elsewhere); all of them when that is what fits.
 * `*ret_n_pinned` of `ret_pinned[0..n)` are true. Returns false when not even one slot fits; when fewer than `n_slots`
 * do, nothing is pinned. */
bool hyp_pin_fit(const uint64_t *bytes, uint32_t n, uint64_t budget_bytes, uint32_t n_slots, bool *ret_pinned,
                 uint32_t *ret_n_pinned);
