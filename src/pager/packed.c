/* packed.c - reading from the packed file, in which the parts of a unit stand one after the other.
 *
 * Only where a read comes from differs: spans, frames and states are the same, and each span still has a request of its
 * own. Requests of neighbours in the packed file are submitted together, so that the io layer makes one vectored read
 * of them. The file is a copy, and a copy can be wrong: the first time a span is read, its pages are compared with the
 * checksum that was taken when the copy was made. A failed read or a wrong byte ends the use of the copy; the span is
 * then read from the model's own file. */
#include "pager/pager_priv.h"

#include "base/hash.h"
#include "io/io.h"

#include <assert.h>
#include <errno.h>

/* Up to here a unit is read as one and in the order of the packed file. Larger reads are no faster (src/io/README.md),
 * and part by part the first matrix can be computed while the others are still being read. */
enum { WHOLE_UNIT_BYTES = 2 << 20 };

static int compare_extents(const void *a, const void *b) {
    const hyp_extent *x = a, *y = b;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int hyp_packed_attach(hyp_pager *p, const hyp_pager_config *c, hyp_err *err) {
    const hyp_pager_packed *packed = c->packed;
    _Static_assert(offsetof(hyp_packed_run, extent) == 0, "a run is found by its extent");
    for (size_t i = 0; i < packed->n_runs; i++)
        if (packed->runs[i].at % p->page != 0 ||
            (i > 0 && compare_extents(&packed->runs[i - 1], &packed->runs[i]) >= 0))
            return hyp_err_set(err, HYP_EINVAL, "the runs of %s are out of order", packed->path);
    p->packed_order = calloc(p->n_units, sizeof *p->packed_order);
    if (p->packed_order == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the places of %zu units", p->n_units);
    for (size_t i = 0; i < c->n_extents; i++) {
        if (p->span_of[i] == NONE || p->spans[p->span_of[i]].unit == NONE) continue;
        const hyp_packed_run *run =
            bsearch(&c->extents[i], packed->runs, packed->n_runs, sizeof *packed->runs, compare_extents);
        if (run == NULL || run->extent.bytes != c->extents[i].bytes) continue;
        p->spans[p->span_of[i]].packed_at = run->at;
        p->spans[p->span_of[i]].checksum = run->checksum;
    }
    p->packed_on = true;
    return HYP_OK;
}

void hyp_packed_aim(hyp_pager *p, uint32_t index, hyp_io_request *request) {
    pager_span *s = &p->spans[index];
    s->from_packed = p->packed_on && s->packed_at != NOT_PACKED;
    if (!s->from_packed) return;
    request->file = (uint32_t)p->n_files;
    request->offset = s->packed_at;
}

void hyp_packed_flush(hyp_pager *p) {
    if (p->n_batch > 0) hyp_io_submit_many(p->io, p->batch, p->n_batch);
    p->n_batch = 0;
}

void hyp_packed_submit(hyp_pager *p, uint32_t s) {
    hyp_io_request *request = &p->requests[s];
    const hyp_io_request *last = p->n_batch > 0 ? p->batch[p->n_batch - 1] : NULL;
    bool next = last != NULL && p->spans[s].from_packed && request->offset == last->offset + last->bytes;
    if (!next || p->n_batch == MAX_BATCH) hyp_packed_flush(p);
    if (p->spans[s].from_packed)
        p->batch[p->n_batch++] = request;
    else
        hyp_io_submit(p->io, request);
}

bool hyp_packed_check(hyp_pager *p, uint32_t index, const hyp_io_request *request) {
    pager_span *s = &p->spans[index];
    hyp_err why = HYP_ERR_NONE;
    if (request->result != HYP_OK)
        (void)!hyp_io_describe(p->io, request, &why);
    else if (s->proven || hyp_hash_pages(request->buf, request->bytes) == s->checksum)
        s->proven = true;
    else
        hyp_err_set(&why, HYP_EIO, "%llu bytes at %llu of the packed copy are not the model's",
                    (unsigned long long)request->bytes, (unsigned long long)request->offset);
    if (why.code == 0) {
        p->stats.packed_bytes += request->bytes;
        return true;
    }
    if (p->packed_failure.code == 0) p->packed_failure = why;
    p->packed_on = false;
    return false;
}

static int compare_places(const void *a, const void *b) {
    const packed_unit *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

bool hyp_packed_sort(hyp_pager *p, const uint32_t *units, size_t n) {
    if (!p->packed_on || !p->whole_units || n > p->n_units) return false;
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        const pager_unit *u = &p->units[units[i]];
        if (u->frame_bytes > WHOLE_UNIT_BYTES) return false;
        bytes += u->frame_bytes;
        p->packed_order[i] = (packed_unit){u->always ? 0 : p->spans[unit_span(p, u, 0)].packed_at, units[i]};
    }
    /* A layer wider than the cache: its first parts must be there first, the others take their frames one after the
     * other. */
    if (bytes > p->frames.budget_bytes) return false;
    qsort(p->packed_order, n, sizeof *p->packed_order, compare_places);
    return true;
}

void hyp_pager_read_whole(hyp_pager *p, bool whole) {
    p->whole_units = whole;
}

bool hyp_pager_packed_in_use(const hyp_pager *p, const hyp_err **ret_why) {
    if (ret_why != NULL) *ret_why = p->packed_failure.code != 0 ? &p->packed_failure : NULL;
    return p->packed_on;
}
