/* build.c - from the caller's extents to units and spans. */
#include "pager/pager_priv.h"

#include <string.h>

typedef struct item {
    const hyp_extent *extent;
    uint32_t index; /* of the extent */
    uint32_t unit;
    bool always;
} item;

static int compare_items(const void *a, const void *b) {
    const hyp_extent *x = ((const item *)a)->extent, *y = ((const item *)b)->extent;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int check_extent(const hyp_pager_config *c, size_t i, hyp_err *err) {
    const hyp_extent *e = &c->extents[i];
    if (e->file >= c->n_files)
        return hyp_err_set(err, HYP_EINVAL, "extent %zu names file %u of %zu", i, e->file, c->n_files);
    const hyp_pager_file *f = &c->files[e->file];
    if (e->bytes == 0 || e->offset > f->bytes || e->bytes > f->bytes - e->offset)
        return hyp_err_set(err, HYP_EINVAL, "%llu bytes at %llu are not inside %s of %llu bytes",
                           (unsigned long long)e->bytes, (unsigned long long)e->offset, f->path,
                           (unsigned long long)f->bytes);
    return HYP_OK;
}

/* Copy the units and list their extents in `items`. */
static int collect(hyp_pager *p, const hyp_pager_config *c, item *items, size_t *ret_n, hyp_err *err) {
    size_t n = 0;
    for (size_t i = 0; i < c->n_units; i++) {
        const hyp_unit *from = &c->units[i];
        if (from->n_extents == 0 || from->n_extents > HYP_UNIT_MAX_EXTENTS || from->first_extent > c->n_extents ||
            from->n_extents > c->n_extents - from->first_extent || (!from->always && from->layer >= c->n_layers))
            return hyp_err_set(err, HYP_EINVAL, "unit %zu has %u extents from %u on in layer %u, which is not possible",
                               i, from->n_extents, from->first_extent, from->layer);
        p->units[i] = (pager_unit){.first_extent = from->first_extent,
                                   .layer = from->layer,
                                   .n_extents = (uint8_t)from->n_extents,
                                   .always = from->always};
        for (uint32_t e = from->first_extent; e < from->first_extent + from->n_extents; e++) {
            int r = check_extent(c, e, err);
            if (r != HYP_OK) return r;
            if (p->span_of[e] != NONE) return hyp_err_set(err, HYP_EINVAL, "extent %u belongs to two units", e);
            p->span_of[e] = 0; /* taken; the number follows */
            items[n++] = (item){&c->extents[e], e, (uint32_t)i, from->always};
            p->units[i].file_bytes += c->extents[e].bytes;
        }
    }
    *ret_n = n;
    return HYP_OK;
}

/* Can this extent be appended to `s`? Only runs of `always` extents grow, so that they cost few mappings and reads. */
static bool joins(const hyp_pager *p, const pager_span *s, const item *it) {
    return s->unit == NONE && it->always && s->file == it->extent->file && it->extent->offset / p->page <= s->last + 1;
}

static int make_spans(hyp_pager *p, const item *items, size_t n, hyp_err *err) {
    for (size_t i = 0; i < n; i++) {
        const hyp_extent *e = items[i].extent, *before = i > 0 ? items[i - 1].extent : NULL;
        if (before != NULL && before->file == e->file && before->offset + before->bytes > e->offset)
            return hyp_err_set(err, HYP_EINVAL, "extents %u and %u overlap", items[i - 1].index, items[i].index);
        uint64_t first = e->offset / p->page, last = (e->offset + e->bytes - 1) / p->page;
        pager_span *s = p->n_spans > 0 ? &p->spans[p->n_spans - 1] : NULL;
        if (s != NULL && joins(p, s, &items[i])) { /* `last` cannot shrink: extents ascend and do not overlap */
            s->last = last;
        } else {
            s = &p->spans[p->n_spans++];
            *s = (pager_span){.file = e->file,
                              .unit = items[i].always ? NONE : items[i].unit,
                              .first = first,
                              .last = last,
                              .packed_at = NOT_PACKED};
        }
        s->file_bytes += e->bytes;
        p->span_of[items[i].index] = (uint32_t)(p->n_spans - 1);
    }
    for (size_t i = 0; i < p->n_spans; i++)
        if (p->spans[i].unit == NONE) p->always_bytes += span_bytes(p, &p->spans[i]);
    return HYP_OK;
}

int hyp_tables_build(hyp_pager *p, const hyp_pager_config *c, hyp_err *err) {
    if (c->n_files == 0 || c->n_units == 0 || c->n_units >= NONE || c->n_extents >= NONE)
        return hyp_err_set(err, HYP_EINVAL, "no files or no units to page");
    p->page = hyp_platform_page_bytes();
    p->n_units = c->n_units;
    p->n_extents = c->n_extents;
    p->n_layers = HYP_MAX(c->n_layers, 1u);
    p->budget_bytes = c->budget_bytes;
    HYP_AUTOFREE item *items = calloc(c->n_extents + 1, sizeof *items);
    p->units = calloc(c->n_units, sizeof *p->units);
    p->spans = calloc(c->n_extents + 1, sizeof *p->spans);
    p->span_of = malloc((c->n_extents + 1) * sizeof *p->span_of);
    p->n_away = calloc(p->n_layers, sizeof *p->n_away);
    if (items == NULL || p->n_away == NULL || p->units == NULL || p->spans == NULL || p->span_of == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the tables of %zu extents", c->n_extents);
    memset(p->span_of, 0xff, (c->n_extents + 1) * sizeof *p->span_of);
    size_t n = 0;
    int r = collect(p, c, items, &n, err);
    if (r != HYP_OK) return r;
    qsort(items, n, sizeof *items, compare_items);
    r = make_spans(p, items, n, err);
    for (size_t s = 0; s < p->n_spans && r == HYP_OK; s++)
        if (p->spans[s].unit != NONE) p->n_away[p->units[p->spans[s].unit].layer]++;
    return r;
}

void hyp_tables_free(hyp_pager *p) {
    free(p->units);
    free(p->spans);
    free(p->span_of);
    free(p->n_away);
}
