/* format.c - the bytes of a sidecar's head. Parsing is pure and trusts nothing. */
#include "base/hash.h"
#include "base/mem.h"
#include "sidecar/sidecar_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* --- numbers --- */

static void put(uint8_t *at, uint64_t value, int n) {
    for (int i = 0; i < n; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}
static void put32(uint8_t *at, uint32_t value) {
    put(at, value, 4);
}
static void put64(uint8_t *at, uint64_t value) {
    put(at, value, 8);
}
static uint64_t get64(const uint8_t *at) {
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}
static uint32_t get32(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* --- writing --- */

uint64_t hyp_sidecar_head_bytes(uint32_t n_files, uint32_t n_runs, uint32_t page) {
    uint64_t bytes =
        HYP_SIDECAR_HEAD_BYTES + (uint64_t)n_files * SIDECAR_FILE_RECORD + (uint64_t)n_runs * SIDECAR_RUN_RECORD;
    return (bytes + page - 1) / page * page;
}

uint64_t hyp_sidecar_record_at(const hyp_sidecar *s, uint32_t i) {
    return HYP_SIDECAR_HEAD_BYTES + (uint64_t)s->n_files * SIDECAR_FILE_RECORD + (uint64_t)i * SIDECAR_RUN_RECORD;
}

void hyp_sidecar_encode_head(const hyp_sidecar *s, uint8_t ret[HYP_SIDECAR_HEAD_BYTES]) {
    memset(ret, 0, HYP_SIDECAR_HEAD_BYTES);
    memcpy(ret, SIDECAR_MAGIC, 8);
    put32(ret + 8, HYP_SIDECAR_VERSION);
    put32(ret + 12, s->page_bytes);
    put64(ret + 16, s->bytes);
    put64(ret + 24, s->data_offset);
    put32(ret + 32, s->n_files);
    put32(ret + 36, s->n_units);
    put32(ret + 40, s->n_runs);
    put32(ret + 44, (uint32_t)s->order);
    put32(ret + SIDECAR_AT_STATE, s->complete ? 1 : 0);
    put32(ret + SIDECAR_AT_DONE, s->n_done);
    memcpy(ret + 64, s->digest, 64);
}

void hyp_sidecar_encode_record(const hyp_sidecar *s, uint32_t i, uint8_t ret[SIDECAR_RUN_RECORD]) {
    const hyp_packed_run *run = &s->runs[i];
    put32(ret, run->extent.file);
    put32(ret + 4, s->unit_of[i]);
    put64(ret + 8, run->extent.offset);
    put64(ret + 16, run->extent.bytes);
    put64(ret + 24, run->checksum);
}

/* Of the head and the tables, with the field that holds it 0. `head` is a whole number of pages. */
static uint64_t table_checksum(uint8_t *head, size_t n) {
    put64(head + SIDECAR_AT_CHECKSUM, 0);
    return hyp_hash_pages(head, n);
}

int hyp_sidecar_encode(const hyp_sidecar *s, uint8_t **ret, hyp_err *err) {
    uint8_t *head = calloc(1, s->data_offset);
    if (head == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a sidecar's head");
    hyp_sidecar_encode_head(s, head);
    for (uint32_t i = 0; i < s->n_files; i++) {
        uint8_t *at = head + HYP_SIDECAR_HEAD_BYTES + (size_t)i * SIDECAR_FILE_RECORD;
        put64(at, s->files[i].bytes);
        put64(at + 8, (uint64_t)s->files[i].changed_ns);
    }
    for (uint32_t i = 0; i < s->n_runs; i++)
        hyp_sidecar_encode_record(s, i, head + hyp_sidecar_record_at(s, i));
    put64(head + SIDECAR_AT_CHECKSUM, table_checksum(head, s->data_offset));
    *ret = head;
    return HYP_OK;
}

/* --- reading --- */

static int corrupt(const char *why, hyp_err *err) {
    return hyp_err_set(err, HYP_EFORMAT, "the sidecar is damaged: %s", why);
}

/* The first 128 bytes: enough to know how long the tables are. */
static int parse_head(const uint8_t *data, size_t n, uint64_t file_bytes, hyp_sidecar *s, hyp_err *err) {
    if (n < HYP_SIDECAR_HEAD_BYTES || file_bytes < HYP_SIDECAR_HEAD_BYTES) return corrupt("it is cut short", err);
    if (memcmp(data, SIDECAR_MAGIC, 8) != 0) return hyp_err_set(err, HYP_EFORMAT, "this is no sidecar");
    if (get32(data + 8) != HYP_SIDECAR_VERSION)
        return hyp_err_set(err, HYP_EUNSUPPORTED, "the sidecar has version %u, this program reads %d", get32(data + 8),
                           HYP_SIDECAR_VERSION);
    s->page_bytes = get32(data + 12);
    s->bytes = get64(data + 16);
    s->data_offset = get64(data + 24);
    s->n_files = get32(data + 32);
    s->n_units = get32(data + 36);
    s->n_runs = get32(data + 40);
    s->order = (hyp_sidecar_order)get32(data + 44);
    uint32_t state = get32(data + SIDECAR_AT_STATE), page = s->page_bytes;
    s->complete = state == 1;
    s->n_done = get32(data + SIDECAR_AT_DONE);
    memcpy(s->digest, data + 64, 64);
    for (int i = 0; i < 64; i++)
        if (strchr("0123456789abcdef", s->digest[i]) == NULL || s->digest[i] == '\0')
            return corrupt("its digest is none", err);
    /* Every count has a bound before anything is computed from it: the product below cannot overflow, and nothing is
     * allocated for a number that the file made up. */
    bool sane = page >= SIDECAR_MIN_PAGE && page <= SIDECAR_MAX_PAGE && (page & (page - 1)) == 0 && s->n_files > 0 &&
                s->n_files <= SIDECAR_MAX_FILES && s->n_runs > 0 && s->n_runs <= SIDECAR_MAX_RUNS && s->n_units > 0 &&
                s->n_units <= s->n_runs && (uint32_t)s->order < HYP_SIDECAR_N_ORDERS && state <= 1 &&
                s->n_done <= s->n_runs && (!s->complete || s->n_done == s->n_runs);
    if (!sane || s->data_offset != hyp_sidecar_head_bytes(s->n_files, s->n_runs, page))
        return corrupt("its head makes no sense", err);
    /* An unfinished one need only have its tables: what is missing behind them is still to be copied. */
    if (s->complete ? s->bytes != file_bytes : s->data_offset > file_bytes) return corrupt("it is cut short", err);
    return HYP_OK;
}

static int compare_runs(const void *a, const void *b) {
    const hyp_extent *x = &((const hyp_packed_run *)a)->extent, *y = &((const hyp_packed_run *)b)->extent;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

hyp_packed_run *hyp_sidecar_sorted_runs(const hyp_sidecar *s) {
    hyp_packed_run *runs = malloc(s->n_runs * sizeof *runs);
    if (runs == NULL) return NULL;
    memcpy(runs, s->runs, s->n_runs * sizeof *runs);
    qsort(runs, s->n_runs, sizeof *runs, compare_runs);
    return runs;
}

/* No byte of the model twice: the pager looks runs up by where they begin. */
static int check_distinct(const hyp_sidecar *s, hyp_err *err) {
    HYP_AUTOFREE hyp_packed_run *runs = hyp_sidecar_sorted_runs(s);
    if (runs == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for %u runs", s->n_runs);
    for (uint32_t i = 1; i < s->n_runs; i++)
        if (runs[i].extent.file == runs[i - 1].extent.file &&
            runs[i].extent.offset < runs[i - 1].extent.offset + runs[i - 1].extent.bytes)
            return corrupt("two of its runs overlap", err);
    return HYP_OK;
}

static int parse_tables(const uint8_t *data, hyp_sidecar *s, hyp_err *err) {
    for (uint32_t i = 0; i < s->n_files; i++) {
        const uint8_t *at = data + HYP_SIDECAR_HEAD_BYTES + (size_t)i * SIDECAR_FILE_RECORD;
        s->files[i] = (hyp_sidecar_file){get64(at), (int64_t)get64(at + 8)};
        if (s->files[i].bytes > INT64_MAX) return corrupt("a file's size makes no sense", err);
    }
    uint64_t place = s->data_offset;
    uint32_t n_units = 0;
    for (uint32_t i = 0; i < s->n_runs; i++) {
        const uint8_t *at = data + hyp_sidecar_record_at(s, i);
        hyp_packed_run *run = &s->runs[i];
        *run = (hyp_packed_run){{get32(at), get64(at + 8), get64(at + 16)}, place, get64(at + 24)};
        s->unit_of[i] = get32(at + 4);
        /* Units are numbered as they come: a number that does not follow is a damaged one. */
        if (i == 0 || s->unit_of[i] != s->unit_of[i - 1]) n_units++;
        const hyp_extent *e = &run->extent;
        if (e->file >= s->n_files || e->bytes == 0 || e->offset > s->files[e->file].bytes ||
            e->bytes > s->files[e->file].bytes - e->offset || s->unit_of[i] != n_units - 1)
            return corrupt("a run makes no sense", err);
        place += hyp_sidecar_run_bytes(run, s->page_bytes);
        if (place > s->bytes) return corrupt("its runs are longer than it is", err);
    }
    if (place != s->bytes || n_units != s->n_units) return corrupt("its runs do not fill it", err);
    return check_distinct(s, err);
}

int hyp_sidecar_parse(const void *data, size_t n, uint64_t file_bytes, hyp_sidecar **ret, hyp_err *err) {
    hyp_sidecar *s = calloc(1, sizeof *s);
    if (s == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a sidecar");
    int r = parse_head(data, n, file_bytes, s, err);
    if (r == HYP_OK && n < s->data_offset) r = corrupt("its tables are cut short", err);
    if (r == HYP_OK && s->complete) { /* an unfinished one changes all the time; its runs are compared at the end */
        HYP_AUTOFREE uint8_t *copy = malloc(s->data_offset);
        if (copy == NULL) {
            r = hyp_err_set(err, HYP_ENOMEM, "out of memory for a sidecar's tables");
        } else {
            memcpy(copy, data, s->data_offset);
            if (table_checksum(copy, s->data_offset) != get64((const uint8_t *)data + SIDECAR_AT_CHECKSUM))
                r = corrupt("the checksum of its tables is wrong", err);
        }
    }
    if (r == HYP_OK) {
        s->files = calloc(s->n_files, sizeof *s->files);
        s->runs = calloc(s->n_runs, sizeof *s->runs);
        s->unit_of = calloc(s->n_runs, sizeof *s->unit_of);
        if (s->files == NULL || s->runs == NULL || s->unit_of == NULL)
            r = hyp_err_set(err, HYP_ENOMEM, "out of memory for %u runs", s->n_runs);
    }
    if (r == HYP_OK) r = parse_tables(data, s, err);
    if (r == HYP_OK)
        *ret = s;
    else
        hyp_sidecar_free(s);
    return r;
}

int hyp_sidecar_read_head(int fd, const char *path, hyp_sidecar **ret, hyp_err *err) {
    struct stat st;
    uint8_t first[HYP_SIDECAR_HEAD_BYTES];
    hyp_sidecar s = {0};
    if (fstat(fd, &st) != 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot examine %s", path);
    if (!S_ISREG(st.st_mode)) return hyp_err_set(err, HYP_EFORMAT, "%s is not a regular file", path);
    if (st.st_size < HYP_SIDECAR_HEAD_BYTES) return corrupt("it is cut short", err);
    int r = hyp_sidecar_pread(fd, path, first, sizeof first, 0, err);
    if (r == HYP_OK) r = parse_head(first, sizeof first, (uint64_t)st.st_size, &s, err);
    if (r != HYP_OK) return r;
    HYP_AUTOFREE uint8_t *head = malloc(s.data_offset);
    if (head == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a sidecar's tables");
    r = hyp_sidecar_pread(fd, path, head, s.data_offset, 0, err);
    return r == HYP_OK ? hyp_sidecar_parse(head, s.data_offset, (uint64_t)st.st_size, ret, err) : r;
}

int hyp_sidecar_match(const hyp_sidecar *s, const hyp_model *model, uint32_t page_bytes, hyp_err *err) {
    if (s->page_bytes != page_bytes)
        return hyp_err_set(err, HYP_EINVAL, "it was made for pages of %u bytes, this machine has %u", s->page_bytes,
                           page_bytes);
    if (s->n_files != model->n_files)
        return hyp_err_set(err, HYP_EINVAL, "it was made for a model of %u files", s->n_files);
    for (size_t i = 0; i < model->n_files; i++) {
        hyp_sidecar_file now;
        int r = hyp_sidecar_examine(model->files[i].path, &now, err);
        if (r != HYP_OK) return r;
        if (now.bytes != s->files[i].bytes || now.bytes != model->files[i].bytes)
            return hyp_err_set(err, HYP_EINVAL, "%s had another size", model->files[i].path);
        if (now.changed_ns != s->files[i].changed_ns)
            return hyp_err_set(err, HYP_EINVAL, "%s was written to, or copied, since", model->files[i].path);
    }
    if (strcmp(s->digest, model->digest) != 0) return hyp_err_set(err, HYP_EINVAL, "the model is another one");
    return HYP_OK;
}
