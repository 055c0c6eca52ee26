/* gguf_copy.c - a model as one GGUF file whose tensors begin at pages: first what every token needs, then layer by
 * layer what is streamed, side by side. Within a tensor nothing moves (the format has no place to say so), so every
 * byte of every tensor is the same and any llama.cpp computes the same.
 *
 * The file is a function of the model alone: an unfinished one is compared with what it should hold and continued. */
#include "base/mem.h"
#include "base/platform.h"
#include "sidecar/sidecar_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <ggml.h>
#include <gguf.h>
#include <string.h>
#include <sys/stat.h>

enum { ALIGNMENT = 4096, BLOCK_BYTES = 8 << 20 };

typedef struct gguf_writer {
    const hyp_model *model;
    const hyp_sidecar_job *job;
    struct ggml_context *ggml; /* descriptors of tensors, no data */
    struct gguf_context *gguf;
    size_t *order;     /* indices into model->tensors, as they stand in the new file */
    uint64_t *offsets; /* parallel: where in the new file */
    uint8_t *header;
    uint64_t header_bytes, bytes;
    char partial[HYP_SIDECAR_PATH_SIZE];
    int fd, *inputs; /* inputs: of the model's files */
    uint8_t *expected, *found;
    size_t cursor; /* the first tensor that ends after the last block */
    uint64_t kept_bytes;
} gguf_writer;

static void gguf_writer_done(gguf_writer *w) {
    if (w->gguf != NULL) gguf_free(w->gguf);
    ggml_free(w->ggml);
    for (size_t i = 0; w->inputs != NULL && i < w->model->n_files; i++)
        if (w->inputs[i] >= 0) close(w->inputs[i]);
    if (w->fd >= 0) close(w->fd);
    free(w->inputs);
    free(w->order);
    free(w->offsets);
    free(w->header);
    free(w->expected);
    free(w->found);
}

/* --- the header --- */

/* An empty GGUF with that alignment. gguf.h has no setter for it; only a header that is read can set it. */
static struct gguf_context *aligned_gguf(void) {
    static const char key[] = GGUF_KEY_GENERAL_ALIGNMENT;
    uint8_t file[128] = GGUF_MAGIC;
    size_t at = 4;
    const uint64_t numbers[] = {GGUF_VERSION, 0, 1, sizeof key - 1}; /* version, tensors, keys, the key's length */
    for (size_t i = 0; i < HYP_ARRAY_LEN(numbers); i++) {
        size_t n = i == 0 ? 4 : 8;
        for (size_t b = 0; b < n; b++)
            file[at++] = (uint8_t)(numbers[i] >> (8 * b));
    }
    memcpy(file + at, key, sizeof key - 1);
    at += sizeof key - 1;
    const uint32_t value[] = {GGUF_TYPE_UINT32, ALIGNMENT};
    for (size_t i = 0; i < HYP_ARRAY_LEN(value); i++)
        for (size_t b = 0; b < 4; b++)
            file[at++] = (uint8_t)(value[i] >> (8 * b));
    return gguf_init_from_buffer(file, at, (struct gguf_init_params){.no_alloc = true});
}

/* What is always needed in the file's order, then the layers. */
static int make_order(gguf_writer *w, hyp_err *err) {
    const hyp_model *m = w->model;
    HYP_CLEANUP(hyp_units_free) hyp_units units = {0};
    w->order = calloc(m->n_tensors + 1, sizeof *w->order);
    w->offsets = calloc(m->n_tensors + 1, sizeof *w->offsets);
    if (w->order == NULL || w->offsets == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for %zu tensors", m->n_tensors);
    int r = hyp_units_of_model(m, &units, err);
    if (r != HYP_OK) return r;
    size_t n = 0;
    for (size_t i = 0; i < m->n_tensors; i++)
        if (units.tensors[i].layer == HYP_UNITS_NONE) w->order[n++] = i;
    for (uint32_t i = 0; i < units.n_layers; i++)
        for (uint32_t part = 0; part < units.layers[i].n_parts; part++)
            w->order[n++] = units.layers[i].tensors[part];
    return HYP_OK;
}

static int add_tensors(gguf_writer *w, hyp_err *err) {
    const hyp_model *m = w->model;
    struct ggml_init_params params = {.mem_size = (m->n_tensors + 1) * ggml_tensor_overhead(), .no_alloc = true};
    w->ggml = ggml_init(params);
    if (w->ggml == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for %zu tensors", m->n_tensors);
    for (size_t i = 0; i < m->n_tensors; i++) {
        const hyp_tensor *t = &m->tensors[w->order[i]];
        int dims = GGML_MAX_DIMS;
        while (dims > 1 && t->ne[dims - 1] == 1)
            dims--;
        struct ggml_tensor *g = ggml_new_tensor(w->ggml, (enum ggml_type)t->type, dims, t->ne);
        ggml_set_name(g, t->name);
        gguf_add_tensor(w->gguf, g);
        if (ggml_nbytes(g) != t->bytes)
            return hyp_err_set(err, HYP_EUNSUPPORTED, "tensor %s has an unusual size", t->name);
    }
    return HYP_OK;
}

static int make_header(gguf_writer *w, hyp_err *err) {
    int r = make_order(w, err);
    if (r != HYP_OK) return r;
    w->gguf = aligned_gguf();
    if (w->gguf == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a header");
    gguf_set_kv(w->gguf, w->model->gguf);
    gguf_set_val_u32(w->gguf, GGUF_KEY_GENERAL_ALIGNMENT, ALIGNMENT);
    static const char *const of_parts[] = {"split.no", "split.count", "split.tensors.count"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(of_parts); i++)
        gguf_remove_key(w->gguf, of_parts[i]);
    r = add_tensors(w, err);
    if (r != HYP_OK) return r;
    w->header_bytes = gguf_get_meta_size(w->gguf);
    w->bytes = w->header_bytes;
    for (size_t i = 0; i < w->model->n_tensors; i++) {
        w->offsets[i] = w->header_bytes + gguf_get_tensor_offset(w->gguf, (int64_t)i);
        w->bytes = w->offsets[i] + (w->model->tensors[w->order[i]].bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    w->header = malloc(w->header_bytes);
    if (w->header == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a header");
    gguf_get_meta_data(w->gguf, w->header);
    return HYP_OK;
}

int hyp_sidecar_gguf_bytes(const hyp_model *model, uint64_t *ret, hyp_err *err) {
    HYP_CLEANUP(gguf_writer_done) gguf_writer w = {.model = model, .fd = -1};
    int r = make_header(&w, err);
    if (r == HYP_OK) *ret = w.bytes;
    return r;
}

/* --- blocks of the new file --- */

/* What the new file holds at [at, at + n), into w->expected. Blocks come in ascending order. */
static int make_block(gguf_writer *w, uint64_t at, uint64_t n, hyp_err *err) {
    memset(w->expected, 0, n);
    if (at < w->header_bytes) memcpy(w->expected, w->header + at, HYP_MIN(n, w->header_bytes - at));
    for (size_t i = w->cursor; i < w->model->n_tensors && w->offsets[i] < at + n; i++) {
        const hyp_tensor *t = &w->model->tensors[w->order[i]];
        uint64_t begin = HYP_MAX(at, w->offsets[i]), end = HYP_MIN(at + n, w->offsets[i] + t->bytes);
        if (end <= begin) continue;
        int r = hyp_sidecar_pread(w->inputs[t->file], w->model->files[t->file].path, w->expected + (begin - at),
                                  end - begin, t->offset + (begin - w->offsets[i]), err);
        if (r != HYP_OK) return r;
    }
    while (w->cursor < w->model->n_tensors &&
           w->offsets[w->cursor] + w->model->tensors[w->order[w->cursor]].bytes <= at + n)
        w->cursor++;
    return HYP_OK;
}

/* Write the block unless it is there already. */
static int write_block(gguf_writer *w, uint64_t at, uint64_t n, uint64_t existing, hyp_err *err) {
    if (at + n <= existing) {
        int r = hyp_sidecar_pread(w->fd, w->partial, w->found, n, at, err);
        if (r != HYP_OK) return r;
        if (memcmp(w->expected, w->found, n) == 0) {
            w->kept_bytes += n;
            return HYP_OK;
        }
    }
    return hyp_sidecar_pwrite(w->fd, w->partial, w->expected, n, at, err);
}

static int check_block(gguf_writer *w, uint64_t at, uint64_t n, hyp_err *err) {
    int r = hyp_sidecar_pread(w->fd, w->partial, w->found, n, at, err);
    if (r != HYP_OK || memcmp(w->expected, w->found, n) == 0) return r;
    hyp_err_set(err, HYP_EIO, "what was read back from %s near %llu is not the model's", w->partial,
                (unsigned long long)at);
    hyp_err_hint(err, "it was deleted; if this happens again, the disk is failing");
    unlink(w->partial);
    return HYP_EIO;
}

static int run_blocks(gguf_writer *w, const char *what, uint64_t existing, hyp_err *err) {
    const bool checking = existing == UINT64_MAX;
    w->cursor = 0;
    for (uint64_t at = 0; at < w->bytes;) {
        uint64_t n = HYP_MIN((uint64_t)BLOCK_BYTES, w->bytes - at);
        int r = make_block(w, at, n, err);
        if (r == HYP_OK) r = checking ? check_block(w, at, n, err) : write_block(w, at, n, existing, err);
        if (r != HYP_OK) return r;
        at += n;
        if (w->job->progress != NULL && !w->job->progress(what, at, w->bytes, w->job->user))
            return hyp_sidecar_stopped(w->partial, checking ? w->bytes : at, w->bytes, err);
    }
    return HYP_OK;
}

/* --- all of it --- */

static int prepare_files(gguf_writer *w, hyp_err *err) {
    w->inputs = malloc(w->model->n_files * sizeof *w->inputs);
    w->expected = malloc(BLOCK_BYTES);
    w->found = malloc(BLOCK_BYTES);
    if (w->inputs == NULL || w->expected == NULL || w->found == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory copying");
    for (size_t i = 0; i < w->model->n_files; i++)
        w->inputs[i] = -1;
    for (size_t i = 0; i < w->model->n_files; i++) {
        w->inputs[i] = open(w->model->files[i].path, O_RDONLY | O_CLOEXEC);
        if (w->inputs[i] < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot open %s", w->model->files[i].path);
    }
    int r = hyp_sidecar_open_partial(w->job->path, w->partial, &w->fd, err);
    return r == HYP_OK ? hyp_sidecar_check_space(w->job->path, w->bytes, err) : r;
}

/* It must be a model to us, as large as the one it was made from. */
static int check_model(const gguf_writer *w, hyp_err *err) {
    hyp_model *copy = NULL;
    int r = hyp_model_open(w->partial, &copy, err);
    if (r != HYP_OK) return r;
    if (copy->n_tensors != w->model->n_tensors || copy->tensor_bytes != w->model->tensor_bytes)
        r = hyp_err_set(err, HYP_EFORMAT, "%s is not the whole model", w->partial);
    hyp_model_free(copy);
    return r;
}

int hyp_sidecar_write_gguf(const hyp_sidecar_job *job, hyp_sidecar_written *ret, hyp_err *err) {
    HYP_CLEANUP(gguf_writer_done) gguf_writer w = {.model = job->model, .job = job, .fd = -1};
    int r = make_header(&w, err);
    if (r == HYP_OK) r = prepare_files(&w, err);
    struct stat st = {0};
    if (r == HYP_OK && fstat(w.fd, &st) != 0) r = hyp_err_set_sys(err, HYP_EIO, errno, "cannot examine %s", w.partial);
    /* Room now rather than an error later. */
    if (r == HYP_OK && hyp_platform_reserve(w.fd, w.bytes) == ENOSPC)
        r = hyp_err_set_sys(err, HYP_ENOMEM, ENOSPC, "cannot make room for %s", w.partial);
    if (r == HYP_OK) r = run_blocks(&w, "copying", (uint64_t)st.st_size, err);
    if (r == HYP_OK && ftruncate(w.fd, (off_t)w.bytes) != 0)
        r = hyp_err_set_sys(err, HYP_EIO, errno, "cannot write %s", w.partial);
    if (r == HYP_OK) r = hyp_sidecar_sync(w.fd, w.partial, err);
#ifdef POSIX_FADV_DONTNEED
    /* What is compared shall come from the device. */
    if (r == HYP_OK) posix_fadvise(w.fd, 0, 0, POSIX_FADV_DONTNEED);
#endif
    if (r == HYP_OK) r = run_blocks(&w, "checking", UINT64_MAX, err);
    if (r == HYP_OK) r = check_model(&w, err);
    if (r == HYP_OK) r = hyp_sidecar_finish(w.fd, w.partial, job->path, err);
    if (r != HYP_OK) return r;
    *ret = (hyp_sidecar_written){w.bytes, w.kept_bytes};
    return HYP_OK;
}
