/* open.c - opening and closing a pager: files, frame classes, policy and io. */
#include "pager/pager_priv.h"

#include "io/io.h"
#include "pager/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
    SPARE_MAPPINGS = 4096, /* of what the system allows, left to the rest of the process */
    MERGE_PAGES = 16,      /* from so many pages on, sizes that differ by one page share a class */
};

/* --- frame classes --- */

static int compare_sizes(const void *a, const void *b) { /* falling */
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Equal tensors whose offsets differ are one page apart after rounding: they share a class, or frames of the one would
 * be useless for the other. */
static bool same_class(const hyp_pager *p, uint64_t class_bytes, uint64_t bytes) {
    return class_bytes == bytes || (class_bytes - bytes == p->page && class_bytes >= MERGE_PAGES * p->page);
}

/* `sizes`: room for one a span. Returns the number of classes, whose sizes are then sizes[0..n), falling. */
static size_t find_classes(hyp_pager *p, uint64_t *sizes) {
    size_t n = 0, n_classes = 0;
    for (size_t i = 0; i < p->n_spans; i++)
        if (p->spans[i].unit != NONE) sizes[n++] = span_bytes(p, &p->spans[i]);
    qsort(sizes, n, sizeof *sizes, compare_sizes);
    for (size_t i = 0; i < n; i++)
        if (n_classes == 0 || !same_class(p, sizes[n_classes - 1], sizes[i])) sizes[n_classes++] = sizes[i];
    return n_classes;
}

/* The class of a span: the last one that is large enough. */
static uint32_t class_of(const uint64_t *sizes, size_t n, uint64_t bytes) {
    size_t low = 0, high = n; /* sizes[low] >= bytes, sizes[high] < bytes */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (sizes[middle] >= bytes)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

/* Fill in the class of each span, the frame bytes of each unit, and the classes themselves without their slots. */
static int assign_classes(hyp_pager *p, hyp_frame_class **ret, size_t *ret_n, hyp_err *err) {
    HYP_AUTOFREE uint64_t *sizes = calloc(p->n_spans + 1, sizeof *sizes);
    size_t n = sizes != NULL ? find_classes(p, sizes) : 0;
    hyp_frame_class *classes = calloc(n + 1, sizeof *classes);
    if (sizes == NULL || classes == NULL) {
        free(classes);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the tables of %zu extents", p->n_extents);
    }
    for (size_t i = 0; i < n; i++)
        classes[i].bytes = sizes[i];
    for (size_t i = 0; i < p->n_spans; i++) {
        pager_span *s = &p->spans[i];
        if (s->unit == NONE) continue;
        s->cls = class_of(sizes, n, span_bytes(p, s));
        classes[s->cls].n_slots++;
        p->units[s->unit].frame_bytes += classes[s->cls].bytes;
    }
    *ret = classes;
    *ret_n = n;
    return HYP_OK;
}

static uint64_t largest_unit(const hyp_pager *p) {
    uint64_t largest = 0;
    for (size_t i = 0; i < p->n_units; i++)
        largest = HYP_MAX(largest, p->units[i].frame_bytes);
    return largest;
}

int hyp_pager_measure(const hyp_pager_config *config, uint64_t *ret_always, uint64_t *ret_largest, hyp_err *err) {
    hyp_pager p = {0};
    hyp_frame_class *classes = NULL;
    size_t n = 0;
    int r = hyp_tables_build(&p, config, err);
    if (r == HYP_OK) r = assign_classes(&p, &classes, &n, err);
    if (r == HYP_OK) {
        *ret_always = p.always_bytes;
        *ret_largest = largest_unit(&p);
    }
    free(classes);
    hyp_tables_free(&p);
    return r;
}

static int check_budget(const hyp_pager *p, hyp_err *err) {
    uint64_t largest = largest_unit(p), least = p->always_bytes + largest;
    if (p->budget_bytes >= least) return HYP_OK;
    hyp_err_set(err, HYP_ENOMEM, "a budget of %llu bytes for weights is too small: the least is %llu",
                (unsigned long long)p->budget_bytes, (unsigned long long)least);
    hyp_err_hint(err, "%llu bytes are needed at all times, and %llu for the largest unit that is streamed",
                 (unsigned long long)p->always_bytes, (unsigned long long)largest);
    return HYP_ENOMEM;
}

static int make_frames(hyp_pager *p, hyp_err *err) {
    hyp_frame_class *classes = NULL;
    size_t n = 0;
    int r = assign_classes(p, &classes, &n, err);
    if (r != HYP_OK) return r;
    r = check_budget(p, err);
    if (r != HYP_OK) {
        free(classes);
        return r;
    }
    uint64_t base = 0, end = 0, budget = p->budget_bytes - p->always_bytes;
    for (size_t i = 0; i < n; i++) /* until here n_slots counts the spans of the class */
        classes[i].n_slots = (uint32_t)HYP_MIN(classes[i].n_slots, budget / classes[i].bytes);
    hyp_always_place(p, &base);
    r = hyp_frames_init(&p->frames, classes, n, base, budget, &end, err);
    if (r == HYP_OK) r = hyp_arena_open(HYP_MAX(end, (uint64_t)p->page), &p->arena, err);
    p->frames.arena = &p->arena; /* on failure too: hyp_pager_close() takes both apart */
    if (r == HYP_OK) hyp_frames_prepare_ahead(&p->frames);
    return r;
}

/* --- files --- */

/* A page of the mapping must hold what the file holds: the paths were opened after libllama had mapped the files, and
 * what lies there may have been replaced meanwhile. */
static int compare_page(const hyp_pager *p, const mapped_file *f, uint64_t page, hyp_err *err) {
    HYP_AUTOFREE uint8_t *buf = malloc(p->page);
    if (buf == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a page");
    uint64_t offset = page * p->page;
    size_t want = (size_t)HYP_MIN((uint64_t)p->page, f->bytes - offset), got = 0;
    while (got < want) {
        ssize_t n = pread(f->fd, buf + got, want - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return hyp_err_set_sys(err, HYP_EIO, n < 0 ? errno : ENODATA, "cannot read %s", f->path);
        got += (size_t)n;
    }
    if (memcmp(buf, f->base + offset, want) == 0) return HYP_OK;
    hyp_err_set(err, HYP_EIO, "%s is not the file that was loaded", f->path);
    hyp_err_hint(err, "do not change a model's file while it is being loaded; start again");
    return HYP_EIO;
}

/* Of each file the first and the last page that is paged: all of it would mean reading the model twice. */
static int check_files(hyp_pager *p, hyp_err *err) {
    for (size_t i = 0; i < p->n_spans; i++) {
        const pager_span *s = &p->spans[i];
        mapped_file *f = &p->files[s->file];
        if (f->base == NULL || (uintptr_t)f->base % p->page != 0)
            return hyp_err_set(err, HYP_EINVAL, "%s is not mapped at a page", f->path);
        bool first = i == 0 || s[-1].file != s->file, last = i + 1 == p->n_spans || s[1].file != s->file;
        int r = first ? compare_page(p, f, s->first, err) : HYP_OK;
        if (first)
            f->n_stretches = hyp_platform_find_stretches(f->base, f->bytes, f->base + s->first * p->page, f->stretches,
                                                         MAX_STRETCHES);
        if (r == HYP_OK && last) r = compare_page(p, f, s->last, err);
        if (r != HYP_OK) return r;
    }
    return HYP_OK;
}

static int open_file(mapped_file *f, const hyp_pager_file *from, const hyp_io *io, uint32_t index, hyp_err *err) {
    f->base = from->base;
    f->bytes = from->bytes;
    f->path = strdup(from->path);
    if (f->path == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a path");
    f->fd = open(from->path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot open %s", from->path);
    struct stat st;
    hyp_io_file_info info;
    hyp_io_get_file(io, index, &info);
    /* The path was opened three times: by libllama, by the io layer and here. All three must be one file. */
    if (fstat(f->fd, &st) != 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot examine %s", from->path);
    if ((uint64_t)st.st_size == from->bytes && info.bytes == from->bytes && info.ino == (uint64_t)st.st_ino &&
        info.dev == (uint64_t)st.st_dev)
        return HYP_OK;
    hyp_err_set(err, HYP_EIO, "%s was replaced or changed its size while it was being loaded", from->path);
    hyp_err_hint(err, "start again");
    return HYP_EIO;
}

/* The packed file is one more file of the primary, and no mirror has it. Failures go to packed_failure: the pager works
 * without. */
static int open_io_with_packed(hyp_pager *p, const hyp_pager_config *c, const char *const *paths) {
    hyp_io_mirror mirrors[HYP_IO_MAX_SOURCES] = {0};
    const char **lists[HYP_IO_MAX_SOURCES] = {0};
    hyp_io_config config = c->io;
    config.mirrors = mirrors;
    int r = HYP_OK;
    for (uint32_t i = 0; i < HYP_MIN(config.n_mirrors, (uint32_t)HYP_IO_MAX_SOURCES); i++) {
        mirrors[i].paths = lists[i] = calloc(c->n_files + 1, sizeof *lists[i]);
        if (lists[i] == NULL)
            r = hyp_err_set(&p->packed_failure, HYP_ENOMEM, "out of memory for %zu paths", c->n_files);
        else
            memcpy(lists[i], c->io.mirrors[i].paths, c->n_files * sizeof *lists[i]);
    }
    if (r == HYP_OK) r = hyp_io_open(paths, c->n_files + 1, &config, &p->io, &p->packed_failure);
    for (uint32_t i = 0; i < HYP_IO_MAX_SOURCES; i++)
        free(lists[i]);
    return r;
}

/* `paths`: of the files, with room for one more. */
static int open_io(hyp_pager *p, const hyp_pager_config *c, const char **paths, hyp_err *err) {
    if (c->packed != NULL) {
        paths[c->n_files] = c->packed->path;
        int r = hyp_packed_attach(p, c, &p->packed_failure);
        if (r == HYP_OK) r = open_io_with_packed(p, c, paths);
        if (r == HYP_OK) return HYP_OK;
        p->packed_on = false;
    }
    return hyp_io_open(paths, c->n_files, &c->io, &p->io, err);
}

static int open_files(hyp_pager *p, const hyp_pager_config *c, hyp_err *err) {
    HYP_AUTOFREE const char **paths = calloc(c->n_files + 1, sizeof *paths);
    p->files = calloc(c->n_files, sizeof *p->files);
    if (paths == NULL || p->files == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for %zu files", c->n_files);
    for (size_t i = 0; i < c->n_files; i++) {
        paths[i] = c->files[i].path;
        p->files[i].fd = -1;
    }
    p->n_files = c->n_files;
    int r = open_io(p, c, paths, err);
    for (size_t i = 0; i < c->n_files && r == HYP_OK; i++)
        r = open_file(&p->files[i], &c->files[i], p->io, (uint32_t)i, err);
    return r != HYP_OK ? r : check_files(p, err);
}

/* --- the pager --- */

static int make_policy(hyp_pager *p, hyp_policy_kind kind, hyp_err *err) {
    HYP_AUTOFREE hyp_policy_unit *units = calloc(p->n_units, sizeof *units);
    if (units == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the eviction policy");
    for (size_t i = 0; i < p->n_units; i++) {
        const pager_unit *u = &p->units[i];
        units[i] = (hyp_policy_unit){.layer = u->always ? 0 : u->layer, .bytes = u->always ? 0 : u->frame_bytes};
    }
    return hyp_policy_new(kind, units, p->n_units, p->n_layers, &p->policy, err);
}

static int make_lists(hyp_pager *p, hyp_err *err) {
    p->requests = calloc(p->n_spans + 1, sizeof *p->requests);
    p->reading = calloc(p->n_spans + 1, sizeof *p->reading);
    p->starved = calloc(p->n_spans + 1, sizeof *p->starved);
    p->arrived = calloc(p->n_spans + 1, sizeof *p->arrived);
    p->pinned = calloc(p->n_units + 1, sizeof *p->pinned);
    if (p->requests == NULL || p->reading == NULL || p->starved == NULL || p->arrived == NULL || p->pinned == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the tables of %zu extents", p->n_extents);
    return HYP_OK;
}

/* May the pages [first, end) between two spans be mapped again? Only where the file is mapped: libllama unmaps what it
 * does not need, and something else may stand there now. */
static bool bridges(const hyp_pager *p, const mapped_file *f, uint64_t first, uint64_t end) {
    if (end <= first) return true;
    for (size_t i = 0; i < f->n_stretches; i++)
        if (f->stretches[i].first <= first * p->page && end * p->page <= f->stretches[i].end) return true;
    return false;
}

/* Show the files in every span and between them, in as few mappings as can be. At open: the kernel joins neighbouring
 * mappings only if they are of the same opened file, so that where libllama's own mapping stayed, each eviction would
 * leave two cuts for ever. At close: what the system refuses to replace keeps its memory and its bytes, the file's, as
 * long as the mapping lives. */
static int show_files(hyp_pager *p) {
    int sys = 0;
    for (size_t i = 0; i < p->n_spans;) {
        const pager_span *s = &p->spans[i++];
        const mapped_file *f = &p->files[s->file];
        uint64_t last = s->last;
        while (i < p->n_spans && p->spans[i].file == s->file && bridges(p, f, last + 1, p->spans[i].first))
            last = p->spans[i++].last;
        uint64_t at = s->first * p->page;
        int r = hyp_platform_map_file(f->fd, at, (last - s->first + 1) * p->page, f->base + at);
        if (sys == 0) sys = r;
    }
    return sys;
}

static int take_over_mapping(hyp_pager *p, hyp_err *err) {
    int sys = show_files(p);
    if (sys == 0) return HYP_OK;
    hyp_err_set_sys(err, HYP_EIO, sys, "cannot replace the mapping of the model");
    hyp_err_hint(err, "raise vm.max_map_count");
    return HYP_EIO;
}

/* A resident span can cut a mapping twice: once where it begins, once where it ends. */
static void limit_mappings(hyp_pager *p) {
    uint64_t left = hyp_platform_mappings_left(), taken = SPARE_MAPPINGS;
    for (size_t i = 0; i < p->n_spans; i++)
        taken += p->spans[i].unit == NONE ? 2 : 0;
    uint64_t most = left > taken ? (left - taken) / 2 : 0;
    p->max_held = (uint32_t)HYP_MAX(most, (uint64_t)HYP_UNIT_MAX_EXTENTS);
}

int hyp_pager_open(const hyp_pager_config *config, hyp_pager **ret, hyp_err *err) {
    hyp_pager *p = calloc(1, sizeof *p);
    if (p == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the pager");
    int r = hyp_tables_build(p, config, err);
    if (r == HYP_OK) r = open_files(p, config, err);
    if (r == HYP_OK) r = make_frames(p, err);
    if (r == HYP_OK) r = make_policy(p, config->policy, err);
    if (r == HYP_OK) r = make_lists(p, err);
    if (r == HYP_OK) r = take_over_mapping(p, err);
    if (r != HYP_OK) {
        hyp_pager_close(p);
        return r;
    }
    p->opened = true;
    limit_mappings(p); /* after the take-over, which has joined mappings: what is used now is what stays used */
    *ret = p;
    return HYP_OK;
}

void hyp_pager_close(hyp_pager *p) {
    if (p == NULL) return;
    /* The order: no read may write into a frame (io), no page may show one (show_files), nobody may prepare one
     * (hyp_frames_done ends the thread), and only then may their memory go. */
    for (size_t i = 0; i < p->n_reading; i++)
        hyp_io_cancel(p->io, &p->requests[p->reading[i]]);
    while (p->io != NULL && hyp_io_reap(p->io, true) != NULL)
        continue;
    hyp_io_close(p->io);
    if (p->opened) (void)show_files(p);
    hyp_frames_done(&p->frames);
    hyp_arena_close(&p->arena);
    hyp_policy_free(p->policy);
    for (size_t i = 0; i < p->n_files; i++) {
        if (p->files[i].fd >= 0) close(p->files[i].fd);
        free(p->files[i].path);
    }
    free(p->files);
    free(p->requests);
    free(p->reading);
    free(p->starved);
    free(p->arrived);
    free(p->pinned);
    free(p->packed_order);
    hyp_tables_free(p);
    free(p);
}
