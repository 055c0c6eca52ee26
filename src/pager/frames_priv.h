/* frames_priv.h - frames: page runs of the arena, in classes of equal size, under one budget.
 *
 * Each class owns a stretch of the arena's sparse offsets, cut into slots. A slot is a hole (no memory), free (memory,
 * no user) or taken. Free slots are handed out again as they are, the last one given back first: in the steady state
 * taking and giving are two array accesses. While the budget has room, slots are granted some way ahead of their first
 * use, so that they can be prepared. When it has none for a class, free slots of other classes are punched. Budget: the
 * memory of free and taken slots never exceeds it; a slot counts whether or not it was touched yet.
 *
 * Private to src/pager. Threads: one owner. */
#pragma once
#include "pager/prepare_priv.h"

typedef struct hyp_frame_class {
    uint64_t base, bytes; /* where its slots begin in the arena; size of one */
    uint32_t n_slots;
    uint32_t n_used;    /* slots [n_used, n_granted) are free and were never used */
    uint32_t n_granted; /* slots [n_granted, n_slots) take no memory yet */
    uint32_t n_free, n_holes;
    uint32_t *free, *holes; /* stacks, room for n_slots each */
} hyp_frame_class;

typedef struct hyp_frames {
    hyp_arena *arena;
    hyp_preparer *preparer; /* NULL: frames are as they come */
    hyp_frame_class *classes;
    size_t n_classes;
    uint64_t budget_bytes, allocated_bytes, taken_bytes;
} hyp_frames;

/* Give `classes[0..n)` (bytes and n_slots set by the caller; taken over) their places from `base` on. `*ret_end`: where
 * the arena may end. The arena is attached by the caller before the first take. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_frames_init(hyp_frames *frames, hyp_frame_class *classes, size_t n, uint64_t base,
                                  uint64_t budget_bytes, uint64_t *ret_end, hyp_err *err);
void hyp_frames_done(hyp_frames *frames);

/* Have frames prepared from now on, the first of each class at once. The arena is attached. */
void hyp_frames_prepare_ahead(hyp_frames *frames);

/* A frame of class `cls`, or false when the budget has no room even after punching every free slot of other classes. */
bool hyp_frames_take(hyp_frames *frames, uint32_t cls, uint64_t *ret_offset);
void hyp_frames_give(hyp_frames *frames, uint32_t cls, uint64_t offset);
