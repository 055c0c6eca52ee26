/* check.c - recomputes what the pager counts, and looks for contradictions; used by tests. */
#include "pager/pager_priv.h"

static bool shown_by(const pager_span *s, uint64_t page) {
    if (s->state != SPAN_RESIDENT || page < s->first || page > s->last) return false;
    if (page == s->first) return s->owns_first;
    if (page == s->last) return s->owns_last;
    return true;
}

/* A page that resident spans share is shown by exactly one of them. */
static const char *check_edges(const hyp_pager *p, size_t index) {
    const pager_span *s = &p->spans[index];
    const uint64_t edges[2] = {s->first, s->last};
    for (int e = 0; e < 2 && s->state == SPAN_RESIDENT; e++) {
        unsigned n = 0;
        for (size_t i = 0; i < p->n_spans; i++)
            n += p->spans[i].file == s->file && shown_by(&p->spans[i], edges[e]);
        if (n != 1) return n == 0 ? "a resident page is shown by nobody" : "a page is shown by two frames";
    }
    if (s->state != SPAN_RESIDENT && (s->owns_first || s->owns_last)) return "a span that is not resident owns a page";
    if (s->first == s->last && s->owns_first != s->owns_last) return "a page is owned in part";
    return NULL;
}

static const char *check_units(const hyp_pager *p) {
    for (size_t i = 0; i < p->n_units; i++) {
        const pager_unit *u = &p->units[i];
        unsigned held = 0, reading = 0;
        for (uint32_t part = 0; part < u->n_extents && !u->always; part++) {
            const pager_span *s = &p->spans[unit_span(p, u, part)];
            held += s->state != SPAN_ON_DISK;
            reading += s->state == SPAN_READING;
            if (s->starved && !u->pinned) return "a part of an unpinned unit starves";
            if (s->starved && !s->in_starved) return "a starving part is not listed";
        }
        if (held != u->n_held || reading != u->n_reading) return "a unit miscounts its parts";
        if (u->pinned && p->pinned[u->pinned_at] != i) return "the list of pins is wrong";
    }
    return NULL;
}

const char *hyp_pager_check(const hyp_pager *p) {
    uint64_t taken = 0, allocated = 0, guessed = 0;
    size_t held = 0, reading = 0, loose = 0, failed = 0, away = 0;
    for (size_t i = 0; i < p->n_spans; i++) {
        const pager_span *s = &p->spans[i];
        const char *wrong = check_edges(p, i);
        if (wrong != NULL) return wrong;
        if (s->unit == NONE) continue;
        if (s->state == SPAN_ON_DISK) away++;
        failed += s->failed;
        if (s->state == SPAN_ON_DISK) continue;
        held++;
        taken += p->frames.classes[s->cls].bytes;
        if (span_bytes(p, s) > p->frames.classes[s->cls].bytes) return "a span is larger than its frame";
        if (s->guessed) guessed += s->file_bytes;
        for (size_t j = 0; j < i; j++) /* frames are whole slots: two are the same or apart */
            if (p->spans[j].unit != NONE && p->spans[j].state != SPAN_ON_DISK && p->spans[j].frame == s->frame)
                return "two spans have one frame";
        if (s->state != SPAN_READING) continue;
        if (p->reading[s->reading_at] != i) return "the list of reads is wrong";
        reading++;
        loose += !p->units[s->unit].pinned;
    }
    for (size_t i = 0; i < p->frames.n_classes; i++) {
        const hyp_frame_class *c = &p->frames.classes[i];
        allocated += (uint64_t)(c->n_granted - c->n_holes) * c->bytes;
    }
    if (taken != p->frames.taken_bytes || allocated != p->frames.allocated_bytes) return "the frames are miscounted";
    if (p->always_bytes + allocated > p->budget_bytes) return "over budget";
    if (held != p->n_held || reading != p->n_reading || loose != p->n_reading_loose) return "the spans are miscounted";
    for (uint32_t i = 0; i < p->n_layers; i++)
        away -= p->n_away[i];
    if (away != 0) return "a layer miscounts what is away";
    if (held > p->max_held) return "more spans than the system has mappings for";
    if (failed != p->n_failed) return "the failures are miscounted";
    const hyp_pager_stats *st = &p->stats;
    if (st->prefetch_issued_bytes != st->prefetch_used_bytes + st->prefetch_wasted_bytes + guessed)
        return "prefetched bytes are neither used nor wasted";
    return check_units(p);
}
