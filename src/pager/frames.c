/* frames.c - see frames.h. */
#include "pager/frames.h"

#include "base/mem.h"

#include <assert.h>

/* Slots are made in runs of about so many bytes, so that their memory can come as large pages. */
enum { RUN_BYTES = 32 << 20, RUN_BUDGET_SHARE = 64 };

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
            return hyp_err_set(err, HYP_ENOMEM, "no memory for the table of %u frames", c->n_slots);
    }
    *ret_end = base;
    return HYP_OK;
}

void hyp_frames_done(hyp_frames *frames) {
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

static bool punch_one(hyp_frames *f, hyp_frame_class *c) {
    uint32_t slot = c->free[c->n_free - 1];
    if (!hyp_arena_punch(f->arena, c->base + slot * c->bytes, c->bytes)) return false;
    c->n_free--;
    c->holes[c->n_holes++] = slot;
    f->allocated_bytes -= c->bytes;
    return true;
}

/* Make room for `bytes` out of free slots of classes other than `cls`, those with the most free memory first. */
static bool make_room(hyp_frames *f, uint32_t cls, uint64_t bytes) {
    uint64_t reach = room(f);
    for (size_t i = 0; i < f->n_classes; i++)
        if (i != cls) reach += f->classes[i].n_free * f->classes[i].bytes;
    if (reach < bytes) return false;
    while (room(f) < bytes) {
        hyp_frame_class *most = NULL;
        for (size_t i = 0; i < f->n_classes; i++) {
            hyp_frame_class *c = &f->classes[i];
            if (i == cls || c->n_free == 0) continue;
            if (most == NULL || c->n_free * c->bytes > most->n_free * most->bytes) most = c;
        }
        if (most == NULL || !punch_one(f, most)) return false;
    }
    return true;
}

/* Make fresh slots free: one, or a run of them while the budget is far from used up. */
static void grow(hyp_frames *f, hyp_frame_class *c) {
    uint64_t want = HYP_MIN((uint64_t)RUN_BYTES, f->budget_bytes / RUN_BUDGET_SHARE);
    uint64_t n = HYP_MAX(want / c->bytes, 1u);
    n = HYP_MIN(n, room(f) / c->bytes);
    n = HYP_MIN(n, c->n_slots - c->n_fresh);
    for (uint64_t i = n; i > 0; i--) /* the first one is taken first */
        c->free[c->n_free++] = c->n_fresh + (uint32_t)i - 1;
    c->n_fresh += (uint32_t)n;
    f->allocated_bytes += n * c->bytes;
}

static void fill_hole(hyp_frames *f, hyp_frame_class *c) {
    uint32_t slot = c->holes[--c->n_holes];
    c->free[c->n_free++] = slot;
    f->allocated_bytes += c->bytes;
}

bool hyp_frames_take(hyp_frames *f, uint32_t cls, uint64_t *ret_offset) {
    hyp_frame_class *c = &f->classes[cls];
    if (c->n_free == 0) {
        if (!make_room(f, cls, c->bytes)) return false;
        if (c->n_holes > 0)
            fill_hole(f, c);
        else if (c->n_fresh < c->n_slots)
            grow(f, c);
        else
            return false;
    }
    *ret_offset = c->base + c->free[--c->n_free] * c->bytes;
    f->taken_bytes += c->bytes;
    assert(f->allocated_bytes <= f->budget_bytes && f->taken_bytes <= f->allocated_bytes);
    return true;
}

void hyp_frames_give(hyp_frames *f, uint32_t cls, uint64_t offset) {
    hyp_frame_class *c = &f->classes[cls];
    assert(offset >= c->base && (offset - c->base) % c->bytes == 0 && c->n_free < c->n_fresh);
    c->free[c->n_free++] = (uint32_t)((offset - c->base) / c->bytes);
    f->taken_bytes -= c->bytes;
}
