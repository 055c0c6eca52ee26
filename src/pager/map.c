/* map.c - which pages of the model's mapping show a frame.
 *
 * Spans are rounded outward to pages, so a page can belong to several: two neighbours, or many when they are smaller
 * than a page. Each resident frame holds the file's bytes of all its pages, so that any of them may stand on a shared
 * page; exactly one does, and it alone has the `owns` flag of that page. The rule that keeps foreign bytes out: a frame
 * is given back only after every page it owns shows something else, a resident neighbour's copy or the file. */
#include "base/text.h"
#include "io/io.h"
#include "pager/pager_priv.h"

#include <assert.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* The resident span other than `s` that `page`, the first or last of `s`, may show: the one that owns it if there is
 * one. Spans that share a page are neighbours in the table. */
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

double hyp_pager_measure_faults(const hyp_pager *p, uint64_t max_bytes, double max_s) {
    enum { SAMPLES = 64, LEAST_PAGES = 256 }; /* less than 1 MiB says nothing */
    /* A stride over all spans, then the same one further on: at any moment the samples lie all over the model, for what
     * lies together may happen to be in the page cache. */
    size_t step = HYP_MAX(p->n_spans / SAMPLES, (size_t)1);
    uint64_t pages = 0;
    double start_s = hyp_text_now_s(), now_s = start_s;
    for (size_t first = 0; first < step; first++)
        for (size_t i = first; i < p->n_spans; i += step) {
            const pager_span *s = &p->spans[i];
            if (s->unit == NONE || s->state == SPAN_RESIDENT) continue;
            for (uint64_t page = s->first; page <= s->last && pages * p->page < max_bytes; page++, pages++)
                (void)*(volatile const uint8_t *)(p->files[s->file].base + page * p->page);
            now_s = hyp_text_now_s();
            if (pages * p->page >= max_bytes || now_s - start_s > max_s) goto done;
        }
done:
    return pages >= LEAST_PAGES && now_s > start_s ? (double)(pages * p->page) / (now_s - start_s) : 0;
}

/* --- another file under the mapping --- */

/* Refused: the pages stay as they are, and the mapping's fault guard (src/host) replaces them one by one. */
static void show_pages(const hyp_pager *p, const mapped_file *f, uint64_t first, uint64_t end) {
    if (first < end)
        (void)hyp_platform_map_file(f->fd, first * p->page, (end - first) * p->page, f->base + first * p->page);
}

/* Show `file` in the pages [first, end) but for those that show a frame. Spans are in file order, and no page is owned
 * twice. */
static void show_file_around(const hyp_pager *p, uint32_t file, uint64_t first, uint64_t end) {
    for (size_t i = 0; i < p->n_spans; i++) {
        const pager_span *s = &p->spans[i];
        if (s->file != file || s->state != SPAN_RESIDENT) continue;
        uint64_t a = s->owns_first ? s->first : s->first + 1, b = s->owns_last ? s->last + 1 : s->last;
        if (a >= b || b <= first || a >= end) continue;
        show_pages(p, &p->files[file], first, a);
        first = b;
    }
    show_pages(p, &p->files[file], first, end);
}

void hyp_pager_leave_primary(hyp_pager *p, int sys_errno) {
    hyp_io_drop_source(p->io, 0, sys_errno);
    for (size_t i = 0; i < p->n_files && !p->left_primary; i++) {
        mapped_file *f = &p->files[i];
        int fd = hyp_io_living_fd(p->io, (uint32_t)i);
        struct stat now, old;
        if (fd < 0 || fstat(fd, &now) != 0 || fstat(f->fd, &old) != 0) return;
        if (now.st_dev == old.st_dev && now.st_ino == old.st_ino) return; /* there is no other */
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);                               /* the io layer closes its own */
        if (fd < 0) return;
        close(f->fd); /* mappings of the old file hold it open until each is replaced */
        f->fd = fd;
        for (size_t k = 0; k < f->n_stretches; k++)
            show_file_around(p, (uint32_t)i, f->stretches[k].first / p->page,
                             (f->stretches[k].end + p->page - 1) / p->page);
    }
    p->left_primary = true;
}

bool hyp_span_map(hyp_pager *p, uint32_t index, bool populate) {
    pager_span *s = &p->spans[index];
    assert(s->state == SPAN_ARRIVED);
    /* What a neighbour shows already stays: it is the same bytes, and one page less to hand over when this one leaves.
     */
    bool own_first = resident_neighbour(p, index, s->first) == NONE;
    bool own_last = s->first == s->last ? own_first : resident_neighbour(p, index, s->last) == NONE;
    uint64_t a = own_first ? s->first : s->first + 1, b = own_last ? s->last + 1 : s->last;
    if (a < b && show_frame(p, s, a, b - 1, populate) != 0) { /* too many mappings: these bytes fault from the file */
        hyp_span_set_state(p, index, SPAN_ON_DISK);
        return false;
    }
    s->owns_first = own_first;
    s->owns_last = own_last;
    hyp_span_set_state(p, index, SPAN_RESIDENT);
    return true;
}

/* Hand a shared page over. True also when there is no neighbour to take it: the page is then still owned. */
static bool hand_over(hyp_pager *p, uint32_t index, uint64_t page) {
    pager_span *s = &p->spans[index];
    if (!shows(s, page)) return true;
    uint32_t heir = resident_neighbour(p, index, page);
    if (heir == NONE) return true;
    /* Populated: one page costs less than the fault that the next computing thread would take on it. */
    if (show_frame(p, &p->spans[heir], page, page, true) != 0) return false;
    set_shows(s, page, false);
    set_shows(&p->spans[heir], page, true);
    return true;
}

bool hyp_span_unmap(hyp_pager *p, uint32_t index) {
    pager_span *s = &p->spans[index];
    assert(s->state == SPAN_RESIDENT);
    /* Shared pages first, then the file over what is still owned, and only then is the frame given back: at no moment
     * does the mapping show a frame that can be read into again. A refusal half-way needs no undoing, since a page that
     * was handed over shows the same bytes. */
    if (!hand_over(p, index, s->first) || !hand_over(p, index, s->last)) return false;
    uint64_t a = s->owns_first ? s->first : s->first + 1, b = s->owns_last ? s->last + 1 : s->last;
    if (a < b && show_file(p, s, a, b - 1) != 0) return false;
    s->owns_first = s->owns_last = false;
    hyp_span_set_state(p, index, SPAN_ON_DISK);
    return true;
}
