/* frames.c - see frames_priv.h. */
#include "pager/frames_priv.h"

#include "base/mem.h"

#include <assert.h>

/* Slots are granted so far ahead of their first use, at most this share of the budget in all. 128 MiB is what a drive
 * of 7 GB/s fills in 20 ms and the preparer gets ready in 30. */
enum { AHEAD_BYTES = 128 << 20, AHEAD_BUDGET_SHARE = 16 };

int hyp_frames_init(hyp_frames *frames, hyp_frame_class *classes, size_t n, uint64_t base, uint64_t budget_bytes,
                    uint64_t *ret_end, hyp_err *err) {
    *frames = (hyp_frames){.classes = classes, .n_classes = n, .budget_bytes = budget_bytes};
    for (size_t i = 0; i < n; i++) {
        hyp_frame_class *c = &classes[i];
        base = (base + HYP_ARENA_ALIGN - 1) / HYP_ARENA_ALIGN * HYP_ARENA_ALIGN;
        c->base = base;
        base += c->bytes * c->n_slots;
        c->free = calloc(c->n_slots + 1, sizeof *c->free);
        c->holes = calloc(c->n_slots + 1, sizeof *c->holes);
        if (c->free == NULL || c->holes == NULL)
            return hyp_err_set(err, HYP_ENOMEM, "out of memory for the table of %u frames", c->n_slots);
    }
    *ret_end = base;
    return HYP_OK;
}

void hyp_frames_done(hyp_frames *frames) {
    hyp_preparer_free(frames->preparer);
    for (size_t i = 0; i < frames->n_classes; i++) {
        free(frames->classes[i].free);
        free(frames->classes[i].holes);
    }
    free(frames->classes);
    *frames = (hyp_frames){0};
}

static uint64_t room(const hyp_frames *f) {
    return f->budget_bytes - f->allocated_bytes;
}

static uint64_t spare_slots(const hyp_frame_class *c) {
    return c->n_free + (uint64_t)(c->n_granted - c->n_used);
}

/* Give back the memory of one free slot, one that was never used if there is one. */
static bool punch_one(hyp_frames *f, hyp_frame_class *c) {
    bool unused = c->n_granted > c->n_used;
    uint32_t slot = unused ? c->n_granted - 1 : c->free[c->n_free - 1];
    uint64_t at = c->base + slot * c->bytes;
    hyp_preparer_withdraw(f->preparer, at, c->bytes); /* or it would give the hole its memory back */
    if (!hyp_arena_punch(f->arena, at, c->bytes)) return false;
    if (unused) {
        c->n_granted--;
    } else {
        c->n_free--;
        c->holes[c->n_holes++] = slot;
    }
    f->allocated_bytes -= c->bytes;
    return true;
}

/* Make room for `bytes` out of free slots of classes other than `cls`, those with the most free memory first. */
static bool make_room(hyp_frames *f, uint32_t cls, uint64_t bytes) {
    uint64_t reach = room(f); /* looked at first: punching costs, and half the room is no use */
    for (size_t i = 0; i < f->n_classes; i++)
        if (i != cls) reach += spare_slots(&f->classes[i]) * f->classes[i].bytes;
    if (reach < bytes) return false;
    while (room(f) < bytes) {
        hyp_frame_class *most = NULL;
        for (size_t i = 0; i < f->n_classes; i++) {
            hyp_frame_class *c = &f->classes[i];
            if (i == cls || spare_slots(c) == 0) continue;
            if (most == NULL || spare_slots(c) * c->bytes > spare_slots(most) * most->bytes) most = c;
        }
        if (most == NULL || !punch_one(f, most)) return false;
    }
    return true;
}

/* Grant slots until `bytes` of them were never used, as far as the budget has room. */
static void grant(hyp_frames *f, hyp_frame_class *c, uint64_t bytes) {
    uint32_t first = c->n_granted;
    while (c->n_granted < c->n_slots && (c->n_granted - c->n_used) * c->bytes < bytes && room(f) >= c->bytes) {
        c->n_granted++;
        f->allocated_bytes += c->bytes;
    }
    if (c->n_granted > first)
        hyp_preparer_add(f->preparer, c->base + first * c->bytes, (c->n_granted - first) * c->bytes);
}

static uint64_t ahead_bytes(const hyp_frames *f) {
    if (f->preparer == NULL) return 0;
    return HYP_MIN((uint64_t)AHEAD_BYTES, f->budget_bytes / AHEAD_BUDGET_SHARE) / f->n_classes;
}

void hyp_frames_prepare_ahead(hyp_frames *f) {
    f->preparer = f->n_classes > 0 ? hyp_preparer_new(f->arena) : NULL;
    for (size_t i = 0; i < f->n_classes; i++)
        grant(f, &f->classes[i], ahead_bytes(f));
}

static void fill_hole(hyp_frames *f, hyp_frame_class *c) {
    uint32_t slot = c->holes[--c->n_holes];
    c->free[c->n_free++] = slot;
    f->allocated_bytes += c->bytes;
}

/* A slot that was never used. Those for later uses are granted half a stretch at a time, not one by one. */
static uint32_t first_use(hyp_frames *f, hyp_frame_class *c) {
    uint32_t slot = c->n_used++;
    hyp_preparer_skip(f->preparer, c->base + slot * c->bytes, c->bytes);
    uint64_t ahead = ahead_bytes(f);
    if ((c->n_granted - c->n_used) * c->bytes < ahead / 2) grant(f, c, ahead);
    return slot;
}

bool hyp_frames_take(hyp_frames *f, uint32_t cls, uint64_t *ret_offset) {
    hyp_frame_class *c = &f->classes[cls];
    if (spare_slots(c) == 0) {
        if (!make_room(f, cls, c->bytes)) return false;
        if (c->n_holes > 0)
            fill_hole(f, c);
        else if (c->n_granted < c->n_slots)
            grant(f, c, c->bytes);
        else
            return false;
    }
    /* The frame given back last: its pages exist, and are the likeliest to be in the processor's cache. */
    uint32_t slot = c->n_free > 0 ? c->free[--c->n_free] : first_use(f, c);
    *ret_offset = c->base + slot * c->bytes;
    f->taken_bytes += c->bytes;
    assert(f->allocated_bytes <= f->budget_bytes && f->taken_bytes <= f->allocated_bytes);
    return true;
}

void hyp_frames_give(hyp_frames *f, uint32_t cls, uint64_t offset) {
    hyp_frame_class *c = &f->classes[cls];
    assert(offset >= c->base && (offset - c->base) % c->bytes == 0 && c->n_free < c->n_granted);
    c->free[c->n_free++] = (uint32_t)((offset - c->base) / c->bytes);
    f->taken_bytes -= c->bytes;
}
