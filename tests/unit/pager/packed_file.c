#include "packed_file.h"

#include "base/hash.h"

#include <fcntl.h>
#include <string.h>

static int compare(const void *a, const void *b) {
    const hyp_extent *x = &((const hyp_packed_run *)a)->extent, *y = &((const hyp_packed_run *)b)->extent;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Append the extent's pages, zeros beyond the end of its file. */
static void append(packed_file *pf, const fixture *f, const hyp_extent *e, int fd) {
    uint64_t first = e->offset / PAGE * PAGE, end = (e->offset + e->bytes + PAGE - 1) / PAGE * PAGE;
    uint8_t *pages = calloc(1, end - first);
    assert_non_null(pages);
    memcpy(pages, f->content[e->file] + first, HYP_MIN(end, f->bytes[e->file]) - first);
    assert_int_equal(pwrite(fd, pages, end - first, (off_t)pf->bytes), (ssize_t)(end - first));
    pf->runs[pf->packed.n_runs++] =
        (hyp_packed_run){.extent = *e, .at = pf->bytes, .checksum = hyp_hash_pages(pages, end - first)};
    pf->bytes += end - first;
    free(pages);
}

void packed_file_make(packed_file *pf, fixture *f, const char *name, bool shuffle, uint32_t skip_every) {
    *pf = (packed_file){.packed.runs = pf->runs, .packed.path = pf->path};
    const char *dir = getenv("HYPURA_BUILD");
    snprintf(pf->path, sizeof pf->path, "%s/test_pager_packed_%s_%ld", dir != NULL ? dir : ".", name, (long)getpid());
    int fd = open(pf->path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    uint32_t order[FIXTURE_MAX_UNITS] = {0};
    for (uint32_t i = 0; i < f->config.n_units; i++) {
        uint32_t j = shuffle ? (uint32_t)fixture_random(f, i + 1) : i;
        order[i] = order[j];
        order[j] = i;
    }
    for (uint32_t i = 0; i < f->config.n_units; i++) {
        const hyp_unit *u = &f->units[order[i]];
        for (uint32_t e = u->first_extent; e < u->first_extent + u->n_extents && !u->always; e++)
            if (skip_every == 0 || fixture_random(f, skip_every) != 0) append(pf, f, &f->extents[e], fd);
    }
    close(fd);
    qsort(pf->runs, pf->packed.n_runs, sizeof *pf->runs, compare);
    f->config.packed = &pf->packed;
}

void packed_file_spoil(const packed_file *pf, uint64_t at) {
    int fd = open(pf->path, O_RDWR);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

void packed_file_done(packed_file *pf) {
    unlink(pf->path);
}
