/* map.c - which pages of the model's mapping show a frame.
 *
 * Spans are rounded outward to pages, so a page can belong to several: two neighbours, or many when they are smaller than
 * a page. Each resident frame holds the file's bytes of all its pages, so that any of them may stand on a shared page;
 * exactly one does, and it alone has the `owns` flag of that page. The rule that keeps foreign bytes out: a frame is given
 * up only after every page it owns shows something else, a resident neighbour's copy or the file. */
#include "pager/pager_priv.h"

#include <assert.h>

static bool shows(const pager_span *s, uint64_t page) {
    return (page == s->first && s->owns_first) || (page == s->last && s->owns_last);
}

static void set_shows(pager_span *s, uint64_t page, bool on) {
    if (page == s->first) s->owns_first = on;
    if (page == s->last) s->owns_last = on;
}

static bool contains(const hyp_pager *p, size_t other, const pager_span *s, uint64_t page) {
    const pager_span *o = &p->spans[other];
    return o->file == s->file && o->first <= page && page <= o->last;
}

/* The resident span other than `s` that `page`, the first or last of `s`, may show: the one that owns it if there is one.
 * Spans that share a page are neighbours in the table. */
static uint32_t resident_neighbour(const hyp_pager *p, uint32_t s, uint64_t page) {
    uint32_t found = NONE;
    for (size_t i = s; i-- > 0 && contains(p, i, &p->spans[s], page);) {
        if (p->spans[i].state != SPAN_RESIDENT) continue;
        found = (uint32_t)i;
        if (shows(&p->spans[i], page)) return found;
    }
    for (size_t i = s + 1; i < p->n_spans && contains(p, i, &p->spans[s], page); i++) {
        if (p->spans[i].state != SPAN_RESIDENT) continue;
        found = (uint32_t)i;
        if (shows(&p->spans[i], page)) return found;
    }
    return found;
}

static int show_frame(const hyp_pager *p, const pager_span *s, uint64_t first, uint64_t last, bool populate) {
    uint8_t *at = p->files[s->file].base + first * p->page;
    uint64_t offset = s->frame + (first - s->first) * p->page;
    return hyp_arena_map(&p->arena, offset, (last - first + 1) * p->page, at, populate);
}

static int show_file(const hyp_pager *p, const pager_span *s, uint64_t first, uint64_t last) {
    const mapped_file *f = &p->files[s->file];
    return hyp_platform_map_file(f->fd, first * p->page, (last - first + 1) * p->page, f->base + first * p->page);
}

bool span_map(hyp_pager *p, uint32_t index, bool populate) {
    pager_span *s = &p->spans[index];
    assert(s->state == SPAN_ARRIVED);
    /* What a neighbour shows already stays: it is the same bytes, and one page less to hand over when this one leaves. */
    bool own_first = resident_neighbour(p, index, s->first) == NONE;
    bool own_last = s->first == s->last ? own_first : resident_neighbour(p, index, s->last) == NONE;
    uint64_t a = own_first ? s->first : s->first + 1, b = own_last ? s->last + 1 : s->last;
    if (a < b && show_frame(p, s, a, b - 1, populate) != 0) {
        span_set_state(p, index, SPAN_ON_DISK);
        return false;
    }
    s->owns_first = own_first;
    s->owns_last = own_last;
    span_set_state(p, index, SPAN_RESIDENT);
    return true;
}

/* Hand a shared page over. True also when there is no neighbour to take it: the page is then still owned. */
static bool hand_over(hyp_pager *p, uint32_t index, uint64_t page) {
    pager_span *s = &p->spans[index];
    if (!shows(s, page)) return true;
    uint32_t heir = resident_neighbour(p, index, page);
    if (heir == NONE) return true;
    if (show_frame(p, &p->spans[heir], page, page, true) != 0) return false;
    set_shows(s, page, false);
    set_shows(&p->spans[heir], page, true);
    return true;
}

bool span_unmap(hyp_pager *p, uint32_t index) {
    pager_span *s = &p->spans[index];
    assert(s->state == SPAN_RESIDENT);
    if (!hand_over(p, index, s->first) || !hand_over(p, index, s->last)) return false;
    uint64_t a = s->owns_first ? s->first : s->first + 1, b = s->owns_last ? s->last + 1 : s->last;
    if (a < b && show_file(p, s, a, b - 1) != 0) return false;
    s->owns_first = s->owns_last = false;
    span_set_state(p, index, SPAN_ON_DISK);
    return true;
}
