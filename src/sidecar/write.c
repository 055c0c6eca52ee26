/* write.c - writing a sidecar: begin or go on, copy, read back and compare, finish.
 *
 * While it is unfinished, the file's head says "partial" and how many runs are done; that number is raised only after
 * the pages and checksums it speaks of are on the device, so that a crash at any point costs at most what came after
 * the last checkpoint. What an earlier call left is believed as far as it goes, and compared with the model at the end.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "base/platform.h"
#include "io/io.h"
#include "sidecar/sidecar_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { BATCH_BYTES = 16 << 20, CHECKPOINT_BYTES = 256 << 20 };

typedef struct writer {
    const hyp_sidecar_job *job;
    hyp_sidecar *side; /* a copy of the layout, in the order that is written */
    char partial[HYP_SIDECAR_PATH_SIZE];
    int fd;
    uint32_t n_inherited; /* runs that were there already */
    uint8_t *pages;       /* room for a batch, and one more where copy and model are compared */
    uint64_t batch_bytes, checkpoint_bytes;
    hyp_io_request *requests, **list; /* n_requests: the most runs of a batch */
    uint32_t n_requests;
} writer;

static void writer_done(writer *w) {
    if (w->fd >= 0) close(w->fd);
    hyp_sidecar_free(w->side);
    free(w->pages);
    free(w->requests);
    free(w->list);
}

/* --- beginning, or going on --- */

static hyp_sidecar *copy_of(const hyp_sidecar *from) {
    hyp_sidecar *s = malloc(sizeof *s);
    if (s == NULL) return NULL;
    *s = *from;
    s->files = malloc(s->n_files * sizeof *s->files);
    s->runs = malloc(s->n_runs * sizeof *s->runs);
    s->unit_of = malloc(s->n_runs * sizeof *s->unit_of);
    if (s->files == NULL || s->runs == NULL || s->unit_of == NULL) {
        hyp_sidecar_free(s);
        return NULL;
    }
    memcpy(s->files, from->files, s->n_files * sizeof *s->files);
    memcpy(s->runs, from->runs, s->n_runs * sizeof *s->runs);
    memcpy(s->unit_of, from->unit_of, s->n_runs * sizeof *s->unit_of);
    return s;
}

static bool same_extents(const hyp_packed_run *a, const hyp_packed_run *b, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (a[i].extent.file != b[i].extent.file || a[i].extent.offset != b[i].extent.offset ||
            a[i].extent.bytes != b[i].extent.bytes)
            return false;
    return true;
}

/* Is `found` the beginning of what is to be written? */
static bool fits(const hyp_sidecar *found, const hyp_sidecar *wanted, bool any_order) {
    if (found->bytes != wanted->bytes || found->page_bytes != wanted->page_bytes || found->n_files != wanted->n_files ||
        found->n_runs != wanted->n_runs || found->n_units != wanted->n_units ||
        strcmp(found->digest, wanted->digest) != 0)
        return false;
    for (uint32_t i = 0; i < found->n_files; i++)
        if (found->files[i].bytes != wanted->files[i].bytes) return false;
    if (same_extents(found->runs, wanted->runs, found->n_runs)) return true;
    if (!any_order) return false;
    HYP_AUTOFREE hyp_packed_run *a = hyp_sidecar_sorted_runs(found), *b = hyp_sidecar_sorted_runs(wanted);
    return a != NULL && b != NULL && same_extents(a, b, found->n_runs);
}

/* An outdated sidecar of the same shape (the model was touched or copied) is worth as much as an unfinished one. */
static void take_over_finished(const writer *w) {
    HYP_AUTOCLOSE int fd = open(w->job->path, O_RDONLY | O_CLOEXEC);
    hyp_sidecar *found = NULL;
    if (fd < 0 || hyp_sidecar_read_head(fd, w->job->path, &found, NULL) != HYP_OK) return;
    char partial[HYP_SIDECAR_PATH_SIZE];
    snprintf(partial, sizeof partial, "%s", w->partial);
    if (found->complete && fits(found, w->side, w->job->any_order)) (void)!rename(w->job->path, partial);
    hyp_sidecar_free(found);
}

static int write_head(const writer *w, hyp_err *err) {
    uint8_t head[HYP_SIDECAR_HEAD_BYTES];
    hyp_sidecar_encode_head(w->side, head);
    int r = hyp_sidecar_pwrite(w->fd, w->partial, head, sizeof head, 0, err);
    return r == HYP_OK ? hyp_sidecar_sync(w->fd, w->partial, err) : r;
}

/* All tables anew, as far as they are known; `n_done` says how far that is. */
static int begin(writer *w, hyp_err *err) {
    HYP_AUTOFREE uint8_t *head = NULL;
    int r = hyp_sidecar_encode(w->side, &head, err);
    if (r != HYP_OK) return r;
    if (w->n_inherited == 0 && ftruncate(w->fd, 0) != 0)
        return hyp_err_set_sys(err, HYP_EIO, errno, "cannot write %s", w->partial);
    /* Reserved now: a full disk is an error at the start, not after an hour, and the file lies in few pieces. */
    if (hyp_platform_reserve(w->fd, w->side->bytes) == ENOSPC)
        return hyp_err_set_sys(err, HYP_ENOMEM, ENOSPC, "cannot make room for %s", w->partial);
    if (ftruncate(w->fd, (off_t)w->side->bytes) != 0)
        return hyp_err_set_sys(err, HYP_EIO, errno, "cannot write %s", w->partial);
    r = hyp_sidecar_pwrite(w->fd, w->partial, head, w->side->data_offset, 0, err);
    return r == HYP_OK ? hyp_sidecar_sync(w->fd, w->partial, err) : r;
}

static int begin_or_go_on(writer *w, hyp_err *err) {
    /* An unfinished file goes before an outdated whole one: it is the later attempt. */
    if (access(w->partial, F_OK) != 0) take_over_finished(w);
    int r = hyp_sidecar_open_partial(w->job->path, w->partial, &w->fd, err);
    if (r != HYP_OK) return r;
    hyp_sidecar *found = NULL;
    if (hyp_sidecar_read_head(w->fd, w->partial, &found, NULL) == HYP_OK && fits(found, w->side, w->job->any_order)) {
        /* The files' times are today's: what was inherited is compared with the model as it is now. */
        memcpy(found->files, w->side->files, found->n_files * sizeof *found->files);
        hyp_sidecar_free(w->side);
        w->side = HYP_TAKE(found);
        w->n_inherited = w->side->n_done;
        w->side->complete = false;
    } else {
        w->side->n_done = 0;
    }
    hyp_sidecar_free(found);
    r = hyp_sidecar_check_space(w->job->path, w->side->bytes, err);
    return r == HYP_OK ? begin(w, err) : r;
}

/* --- reading batches --- */

/* The end of the batch that begins at run `first`: as many as there is room for, one at least. */
static uint32_t batch_end(const writer *w, uint32_t first, uint32_t limit) {
    uint64_t bytes = 0;
    uint32_t i = first;
    while (i < limit && i - first < w->n_requests) {
        bytes += hyp_sidecar_run_bytes(&w->side->runs[i], w->side->page_bytes);
        if (i > first && bytes > w->batch_bytes) break;
        i++;
    }
    return i;
}

/* Read the runs [first, end) into `to`: from the model, or as file 0 from the copy. */
static int read_runs(writer *w, hyp_io *io, bool from_copy, uint32_t first, uint32_t end, uint8_t *to, hyp_err *err) {
    const uint32_t page = w->side->page_bytes;
    uint64_t base = w->side->runs[first].at;
    for (uint32_t i = first; i < end; i++) {
        const hyp_packed_run *run = &w->side->runs[i];
        hyp_io_request *q = &w->requests[i - first];
        *q = (hyp_io_request){.file = from_copy ? 0 : run->extent.file,
                              .offset = from_copy ? run->at : run->extent.offset / page * page,
                              .bytes = hyp_sidecar_run_bytes(run, page),
                              .buf = to + (run->at - base),
                              .cls = HYP_IO_DEMAND};
        w->list[i - first] = q;
    }
    hyp_io_submit_many(io, w->list, end - first);
    int r = HYP_OK;
    for (hyp_io_request *q; (q = hyp_io_reap(io, true)) != NULL;)
        if (q->result != HYP_OK && r == HYP_OK) r = hyp_io_describe(io, q, err);
    return r;
}

static uint64_t place_of(const hyp_sidecar *s, uint32_t run) {
    return run < s->n_runs ? s->runs[run].at : s->bytes;
}

static int report(const writer *w, const char *what, uint32_t run, hyp_err *err) {
    const hyp_sidecar *s = w->side;
    uint64_t done = place_of(s, run) - s->data_offset, total = s->bytes - s->data_offset;
    if (w->job->progress == NULL || w->job->progress(what, done, total, w->job->user)) return HYP_OK;
    return hyp_sidecar_stopped(w->partial, place_of(s, s->n_done) - s->data_offset, total, err);
}

/* --- copying --- */

/* The pages of the runs [n_done, end) are written. Their records follow, then both are synced, and only then is the
 * number in the head raised, by a second sync: whenever the power fails, the runs that the head counts are on the
 * device. */
static int checkpoint(writer *w, uint32_t end, hyp_err *err) {
    hyp_sidecar *s = w->side;
    if (end == s->n_done) return HYP_OK;
    size_t n = (size_t)(end - s->n_done) * SIDECAR_RUN_RECORD;
    HYP_AUTOFREE uint8_t *records = malloc(n);
    if (records == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for %u records", end - s->n_done);
    for (uint32_t i = s->n_done; i < end; i++)
        hyp_sidecar_encode_record(s, i, records + (size_t)(i - s->n_done) * SIDECAR_RUN_RECORD);
    int r = hyp_sidecar_pwrite(w->fd, w->partial, records, n, hyp_sidecar_record_at(s, s->n_done), err);
    if (r == HYP_OK) r = hyp_sidecar_sync(w->fd, w->partial, err);
    if (r != HYP_OK) return r;
#ifdef POSIX_FADV_DONTNEED
    /* Nobody reads it through the page cache; other files' pages are worth more. */
    posix_fadvise(w->fd, (off_t)place_of(s, s->n_done), (off_t)(place_of(s, end) - place_of(s, s->n_done)),
                  POSIX_FADV_DONTNEED);
#endif
    s->n_done = end;
    return write_head(w, err);
}

static int copy_batch(writer *w, hyp_io *io, uint32_t first, uint32_t end, hyp_err *err) {
    hyp_sidecar *s = w->side;
    uint64_t base = s->runs[first].at;
    int r = read_runs(w, io, false, first, end, w->pages, err);
    if (r != HYP_OK) return r;
    for (uint32_t i = first; i < end; i++)
        s->runs[i].checksum =
            hyp_hash_pages(w->pages + (s->runs[i].at - base), hyp_sidecar_run_bytes(&s->runs[i], s->page_bytes));
    return hyp_sidecar_pwrite(w->fd, w->partial, w->pages, place_of(s, end) - base, base, err);
}

static int copy(writer *w, hyp_io *io, hyp_err *err) {
    hyp_sidecar *s = w->side;
    uint32_t end = s->n_done;
    int r = HYP_OK;
    while (r == HYP_OK && end < s->n_runs) {
        uint32_t first = end;
        end = batch_end(w, first, s->n_runs);
        r = copy_batch(w, io, first, end, err);
        if (r != HYP_OK) return r;
        bool due = place_of(s, end) - place_of(s, s->n_done) >= w->checkpoint_bytes || end == s->n_runs;
        if (due) r = checkpoint(w, end, err);
        hyp_err stopped = HYP_ERR_NONE, ignored = HYP_ERR_NONE;
        if (r == HYP_OK) r = report(w, "copying", end, &stopped);
        if (r != HYP_ECANCELED) continue;
        /* Stopped by the user: keep what is there, and say how much that is. Where even this checkpoint fails, what was
         * kept is what `stopped` names: the runs up to the last one. */
        if (checkpoint(w, end, &ignored) != HYP_OK) return hyp_err_pass(err, &stopped);
        return hyp_sidecar_stopped(w->partial, place_of(s, end) - s->data_offset, s->bytes - s->data_offset, err);
    }
    return r;
}

/* --- reading back --- */

static int check_batch(writer *w, hyp_io *copy, hyp_io *model, uint32_t first, uint32_t end, hyp_err *err) {
    const hyp_sidecar *s = w->side;
    uint64_t base = s->runs[first].at;
    uint8_t *original = w->pages + w->batch_bytes;
    const bool inherited = first < w->n_inherited;
    int r = read_runs(w, copy, true, first, end, w->pages, err);
    /* What this call copied has a checksum of the model's bytes as they were read. What an earlier call left has only
     * its own word: those runs are read from the model once more. */
    if (r == HYP_OK && inherited) r = read_runs(w, model, false, first, end, original, err);
    for (uint32_t i = first; r == HYP_OK && i < end; i++) {
        uint64_t n = hyp_sidecar_run_bytes(&s->runs[i], s->page_bytes), at = s->runs[i].at - base;
        if (hyp_hash_pages(w->pages + at, n) == s->runs[i].checksum &&
            (!inherited || memcmp(w->pages + at, original + at, n) == 0))
            continue;
        r = hyp_err_set(err, HYP_EIO, "what was read back from %s at %llu is not the model's", w->partial,
                        (unsigned long long)s->runs[i].at);
        hyp_err_hint(err, "it was deleted; if this happens again, the disk is failing");
        unlink(w->partial);
    }
    return r;
}

static int check(writer *w, hyp_io *model, hyp_err *err) {
    const char *path = w->partial;
    hyp_io *io = NULL;
    int r = hyp_io_open(&path, 1, &w->job->io, &io, err);
    uint32_t end = 0;
    while (r == HYP_OK && end < w->side->n_runs) {
        uint32_t first = end;
        /* No batch holds both kinds: they are checked differently. */
        end = batch_end(w, first, first < w->n_inherited ? w->n_inherited : w->side->n_runs);
        r = check_batch(w, io, model, first, end, err);
        if (r == HYP_OK) r = report(w, "checking", end, err);
    }
    hyp_io_close(io);
    return r;
}

/* --- all of it --- */

static int make_buffers(writer *w, hyp_err *err) {
    w->batch_bytes = w->job->batch_bytes > 0 ? w->job->batch_bytes : BATCH_BYTES;
    w->checkpoint_bytes = w->job->checkpoint_bytes > 0 ? w->job->checkpoint_bytes : CHECKPOINT_BYTES;
    uint64_t page = w->side->page_bytes;
    for (uint32_t i = 0; i < w->side->n_runs; i++)
        w->batch_bytes = HYP_MAX(w->batch_bytes, hyp_sidecar_run_bytes(&w->side->runs[i], w->side->page_bytes));
    w->batch_bytes = (w->batch_bytes + page - 1) / page * page;
    w->n_requests = (uint32_t)HYP_MIN((uint64_t)w->side->n_runs, w->batch_bytes / page);
    void *pages = NULL;
    if (posix_memalign(&pages, page, 2 * w->batch_bytes) == 0) w->pages = pages;
    w->requests = calloc(w->n_requests, sizeof *w->requests);
    w->list = calloc(w->n_requests, sizeof(hyp_io_request *));
    if (w->pages != NULL && w->requests != NULL && w->list != NULL) return HYP_OK;
    return hyp_err_set(err, HYP_ENOMEM, "out of memory copying %llu bytes at a time",
                       (unsigned long long)w->batch_bytes);
}

static int open_model(const hyp_sidecar_job *job, hyp_io **ret, hyp_err *err) {
    HYP_AUTOFREE const char **paths = calloc(job->model->n_files, sizeof *paths);
    if (paths == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for %zu files", job->model->n_files);
    for (size_t i = 0; i < job->model->n_files; i++)
        paths[i] = job->model->files[i].path;
    return hyp_io_open(paths, job->model->n_files, &job->io, ret, err);
}

/* Every page is there and right: the head says so, and the file gets its name. */
static int finish(writer *w, hyp_io *model, hyp_err *err) {
    HYP_AUTOFREE uint8_t *head = NULL;
    hyp_sidecar *again = NULL;
    w->side->complete = true;
    /* The model may have been written to while it was copied: then the copy is of no version that ever existed. */
    int r = hyp_io_verify(model, err);
    if (r == HYP_OK) r = hyp_sidecar_match(w->side, w->job->model, w->side->page_bytes, err);
    if (r == HYP_OK) r = hyp_sidecar_encode(w->side, &head, err);
    if (r == HYP_OK) r = hyp_sidecar_pwrite(w->fd, w->partial, head, w->side->data_offset, 0, err);
    if (r == HYP_OK) r = hyp_sidecar_read_head(w->fd, w->partial, &again, err); /* would the next run accept it? */
    if (r == HYP_OK) r = hyp_sidecar_finish(w->fd, w->partial, w->job->path, err);
    hyp_sidecar_free(again);
    if (r == HYP_OK) hyp_sidecar_remember_place(w->job->model, w->job->path);
    return r;
}

int hyp_sidecar_write(const hyp_sidecar_job *job, hyp_sidecar_written *ret, hyp_err *err) {
    HYP_CLEANUP(writer_done) writer w = {.job = job, .fd = -1, .side = copy_of(job->layout)};
    if (w.side == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a layout");
    if (snprintf(w.partial, sizeof w.partial, "%s.partial", job->path) >= (int)sizeof w.partial)
        return hyp_err_set(err, HYP_ELIMIT, "the path %s is too long", job->path);
    hyp_io *model = NULL;
    int r = open_model(job, &model, err);
    if (r == HYP_OK) r = begin_or_go_on(&w, err);
    if (r == HYP_OK) r = make_buffers(&w, err);
    if (r == HYP_OK) r = copy(&w, model, err);
    if (r == HYP_OK) r = check(&w, model, err);
    if (r == HYP_OK) r = finish(&w, model, err);
    hyp_io_close(model);
    if (r != HYP_OK) return r;
    ret->bytes = w.side->bytes;
    ret->resumed_bytes = place_of(w.side, w.n_inherited) - w.side->data_offset;
    return HYP_OK;
}
