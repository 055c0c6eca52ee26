/* load.c - the `always` units: read once, in large parallel reads, shown until the pager is closed. */
#include "pager/pager_priv.h"

#include "io/io.h"

/* Requests of this size, cut at its multiples in the arena so that large pages stay whole, so many at a time: the reads
 * of several are in flight while the memory of the next is being prepared. */
enum { CHUNK_BYTES = 16 << 20, WINDOW = 8 };

typedef struct load {
    hyp_pager *pager;
    hyp_io_request requests[WINDOW];
    uint32_t span_of[WINDOW];
    uint32_t free[WINDOW]; /* stack of unused requests */
    uint32_t n_free;
    size_t next_span;
    uint64_t next_offset;  /* in that span */
    uint32_t *chunks_left; /* of each span: submitted and not finished */
    uint64_t done, total;
    int result;
} load;

void hyp_always_place(hyp_pager *p, uint64_t *ret_end) {
    uint64_t at = 0;
    for (size_t i = 0; i < p->n_spans; i++) {
        pager_span *s = &p->spans[i];
        if (s->unit != NONE) continue;
        /* Large pages can be mapped where the address and the place in the arena agree modulo their size. */
        uint64_t want = ((uintptr_t)p->files[s->file].base + s->first * p->page) % HYP_ARENA_ALIGN;
        at += (want + HYP_ARENA_ALIGN - at % HYP_ARENA_ALIGN) % HYP_ARENA_ALIGN;
        s->frame = at;
        at += span_bytes(p, s);
    }
    *ret_end = at;
}

/* Cut the next request off the runs that are still on disk. False when there is none. */
static bool submit_next(load *l) {
    hyp_pager *p = l->pager;
    while (l->next_span < p->n_spans &&
           (p->spans[l->next_span].unit != NONE || p->spans[l->next_span].state == SPAN_RESIDENT ||
            l->next_offset == span_bytes(p, &p->spans[l->next_span]))) {
        l->next_span++;
        l->next_offset = 0;
    }
    if (l->next_span == p->n_spans) return false;
    pager_span *s = &p->spans[l->next_span];
    uint64_t at = s->frame + l->next_offset;
    uint64_t end = HYP_MIN((at / CHUNK_BYTES + 1) * CHUNK_BYTES, s->frame + span_bytes(p, s));
    uint32_t r = l->free[--l->n_free];
    l->span_of[r] = (uint32_t)l->next_span;
    l->requests[r] = (hyp_io_request){.file = s->file,
                                      .offset = s->first * p->page + l->next_offset,
                                      .bytes = end - at,
                                      .buf = p->arena.view + at,
                                      .cls = HYP_IO_DEMAND};
    if (l->next_offset == 0) hyp_span_set_state(p, (uint32_t)l->next_span, SPAN_READING);
    l->chunks_left[l->next_span]++;
    l->next_offset += end - at;
    hyp_arena_prepare(&p->arena, at, end - at); /* while the chunks before it are being read */
    hyp_io_submit(p->io, &l->requests[r]);
    return true;
}

static void finish(load *l, hyp_io_request *request, hyp_err *err) {
    hyp_pager *p = l->pager;
    uint32_t r = (uint32_t)(request - l->requests), s = l->span_of[r];
    l->free[l->n_free++] = r;
    l->done += request->bytes;
    l->chunks_left[s]--;
    if (request->result != HYP_OK && l->result == HYP_OK) l->result = hyp_io_describe(p->io, request, err);
    /* Chunks finish in any order: the run is there when all of it was submitted and none is left. */
    bool whole = s < l->next_span || l->next_offset == span_bytes(p, &p->spans[s]);
    if (l->chunks_left[s] > 0 || !whole || l->result != HYP_OK) return;
    hyp_span_set_state(p, s, SPAN_ARRIVED);
    hyp_span_map(p, s, false);
}

int hyp_pager_load_always(hyp_pager *p, bool (*progress)(uint64_t done, uint64_t total, void *user), void *user,
                          hyp_err *err) {
    /* The loop below reaps whatever finishes, and takes it for one of its own requests. */
    while (p->n_reading > 0)
        hyp_reads_collect(p, true);
    load l = {.pager = p};
    HYP_AUTOFREE uint32_t *chunks_left = calloc(p->n_spans + 1, sizeof *chunks_left);
    if (chunks_left == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for loading");
    l.chunks_left = chunks_left;
    while (l.n_free < WINDOW) {
        l.free[l.n_free] = l.n_free;
        l.n_free++;
    }
    for (size_t i = 0; i < p->n_spans; i++) {
        if (p->spans[i].unit != NONE) continue;
        l.total += span_bytes(p, &p->spans[i]);
        if (p->spans[i].state == SPAN_RESIDENT) l.done += span_bytes(p, &p->spans[i]);
    }
    for (;;) {
        while (l.result == HYP_OK && l.n_free > 0 && submit_next(&l))
            continue;
        hyp_io_request *request = hyp_io_reap(p->io, true);
        if (request == NULL) break;
        finish(&l, request, err);
        if (l.result == HYP_OK && progress != NULL && !progress(l.done, l.total, user))
            l.result = hyp_err_set(err, HYP_ECANCELED, "loading was interrupted");
    }
    /* What did not get whole goes back; its frame stays reserved for the next try. */
    for (uint32_t i = 0; i < p->n_spans; i++)
        if (p->spans[i].unit == NONE && p->spans[i].state == SPAN_READING) hyp_span_set_state(p, i, SPAN_ON_DISK);
    return l.result;
}
