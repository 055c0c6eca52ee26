#include "write.h"
#include "base/mem.h"
#include "base/text.h"
#include "stream.h"

#include <errno.h>
#include <gguf.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { CHUNK_BYTES = 1 << 20 };

/* One run of the writer. */
typedef struct writer {
    const hyp_make_plan *plan;
    const hyp_make_output *output;
    struct gguf_context *keys;
    struct ggml_context *ggml; /* descriptors of the tensors, no data */
    uint8_t *chunk;
    size_t chunk_bytes;
    uint64_t done;
    hyp_err *err;
} writer;

static uint64_t pad(uint64_t bytes, int alignment) {
    return (bytes + (uint64_t)alignment - 1) / (uint64_t)alignment * (uint64_t)alignment;
}

size_t hyp_make_split(const hyp_make_plan *plan, const hyp_make_output *output, size_t *ret_first) {
    size_t n = 0, count = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < plan->n; i++) {
        const uint64_t size = pad(plan->tensors[i].bytes, output->alignment);
        bool full = (output->split_bytes > 0 && bytes + size > output->split_bytes) ||
                    (output->split_tensors > 0 && count >= (size_t)output->split_tensors);
        if (i == 0 || (full && count > 0)) {
            ret_first[n++] = i;
            bytes = count = 0;
        }
        bytes += size;
        count++;
    }
    return n;
}

static int part_path(const hyp_make_output *output, size_t part, size_t n_parts, char *buf, size_t buf_size,
                     hyp_err *err) {
    const char *path = output->path;
    int length = (int)strlen(path), n;
    if (n_parts == 1) {
        n = snprintf(buf, buf_size, "%s", path);
    } else {
        if (length > 5 && strcmp(path + length - 5, ".gguf") == 0) length -= 5;
        n = snprintf(buf, buf_size, "%.*s-%05zu-of-%05zu.gguf", length, path, part + 1, n_parts);
    }
    if (n > 0 && (size_t)n < buf_size) return HYP_OK;
    return hyp_err_set(err, HYP_EINVAL, "the path is too long: %s", path);
}

/* An empty GGUF whose tensors will stand at multiples of `alignment`. gguf.h has no setter for it: it is believed only
 * where it is read, so a file of nothing but that key is read. */
static struct gguf_context *empty_gguf(int alignment) {
    static const char key[] = GGUF_KEY_GENERAL_ALIGNMENT;
    const uint32_t version = GGUF_VERSION, type = GGUF_TYPE_UINT32, value = (uint32_t)alignment;
    const uint64_t n_tensors = 0, n_keys = 1, length = sizeof key - 1;
    const struct {
        const void *bytes;
        size_t n;
    } parts[] = {{GGUF_MAGIC, 4}, {&version, 4},         {&n_tensors, 8}, {&n_keys, 8},
                 {&length, 8},    {key, sizeof key - 1}, {&type, 4},      {&value, 4}};
    uint8_t file[128];
    size_t n = 0;
    for (size_t i = 0; i < HYP_ARRAY_LEN(parts); i++) {
        memcpy(file + n, parts[i].bytes, parts[i].n);
        n += parts[i].n;
    }
    return gguf_init_from_buffer(file, n, (struct gguf_init_params){.no_alloc = true});
}

/* Metadata of one part: all keys in the first, what split files need in each. */
static struct gguf_context *part_gguf(writer *w, size_t part, size_t n_parts, size_t from, size_t to) {
    const int alignment = w->output->alignment;
    struct gguf_context *gguf = alignment == GGUF_DEFAULT_ALIGNMENT ? gguf_init_empty() : empty_gguf(alignment);
    if (gguf == NULL) return NULL;
    if (part == 0) gguf_set_kv(gguf, w->keys);
    if (n_parts > 1) {
        gguf_set_val_u16(gguf, "split.no", (uint16_t)part);
        gguf_set_val_u16(gguf, "split.count", (uint16_t)n_parts);
        gguf_set_val_i32(gguf, "split.tensors.count", (int32_t)w->plan->n);
    }
    for (size_t i = from; i < to; i++) {
        const hyp_make_tensor *t = &w->plan->tensors[i];
        struct ggml_tensor *g = ggml_new_tensor(w->ggml, t->type, t->n_dims, t->ne);
        ggml_set_name(g, t->name);
        gguf_add_tensor(gguf, g);
    }
    return gguf;
}

static int write_rows(writer *w, const hyp_make_tensor *t, int64_t row, int64_t n, hyp_make_stream *stream) {
    const int64_t most = HYP_MAX((int64_t)w->chunk_bytes / t->row_bytes, 1);
    for (int64_t end = row + n; row < end; row += most) {
        const int64_t now = HYP_MIN(most, end - row);
        const size_t bytes = (size_t)(now * t->row_bytes);
        int r = w->output->rows(w->output->source, t, row, now, w->chunk, w->err);
        if (r == HYP_OK) r = hyp_make_stream_append(stream, w->chunk, bytes, w->err);
        if (r != HYP_OK) return r;
        w->done += bytes;
        if (w->output->progress != NULL) w->output->progress(w->output->progress_arg, w->done, w->plan->bytes);
    }
    return HYP_OK;
}

static int write_tensor(writer *w, const hyp_make_tensor *t, hyp_make_stream *stream, uint64_t offset) {
    const int64_t n_matrices = t->n_rows / t->ne[1];
    for (int64_t m = 0; m < n_matrices && t->written_rows > 0; m++) {
        const int64_t row = m * t->ne[1];
        int r = hyp_make_stream_seek(stream, offset + (uint64_t)(row * t->row_bytes), w->err);
        if (r == HYP_OK) r = write_rows(w, t, row, t->written_rows, stream);
        if (r != HYP_OK) return r;
    }
    w->done += t->bytes - (uint64_t)(n_matrices * t->written_rows * t->row_bytes);
    return HYP_OK;
}

static int write_part(writer *w, const struct gguf_context *gguf, size_t from, size_t to, const char *path,
                      uint64_t *bytes) {
    const size_t header_bytes = gguf_get_meta_size(gguf);
    HYP_AUTOFREE void *header = malloc(header_bytes);
    if (header == NULL) return hyp_err_set(w->err, HYP_ENOMEM, "out of memory for a header of %zu bytes", header_bytes);
    gguf_get_meta_data(gguf, header);
    HYP_CLEANUP(hyp_make_stream_close) hyp_make_stream stream;
    int r = hyp_make_stream_open(&stream, path, w->err);
    if (r == HYP_OK) r = hyp_make_stream_append(&stream, header, header_bytes, w->err);
    uint64_t end = header_bytes;
    for (size_t i = from; i < to && r == HYP_OK; i++) {
        const hyp_make_tensor *t = &w->plan->tensors[i];
        const uint64_t offset = header_bytes + gguf_get_tensor_offset(gguf, (int64_t)(i - from));
        r = write_tensor(w, t, &stream, offset);
        end = offset + pad(t->bytes, w->output->alignment);
    }
    if (r == HYP_OK) r = hyp_make_stream_finish(&stream, end, w->err);
    if (r == HYP_OK) *bytes += end;
    return r;
}

static int write_parts(writer *w, const size_t *first, size_t n_parts, hyp_make_written *written) {
    char path[4096], temporary[4096 + 8];
    size_t part = 0;
    int r = HYP_OK;
    for (; part < n_parts && r == HYP_OK; part++) {
        const size_t to = part + 1 < n_parts ? first[part + 1] : w->plan->n;
        struct gguf_context *gguf = part_gguf(w, part, n_parts, first[part], to);
        if (gguf == NULL) return hyp_err_set(w->err, HYP_ENOMEM, "out of memory for the metadata");
        r = part_path(w->output, part, n_parts, path, sizeof path, w->err);
        snprintf(temporary, sizeof temporary, "%s.part", path);
        if (r == HYP_OK) r = write_part(w, gguf, first[part], to, temporary, &written->bytes);
        gguf_free(gguf);
    }
    /* All parts are whole: give them their names. On failure remove what was written. */
    for (size_t i = 0; i < part; i++) {
        if (part_path(w->output, i, n_parts, path, sizeof path, w->err) != HYP_OK) break;
        snprintf(temporary, sizeof temporary, "%s.part", path);
        if (r != HYP_OK)
            unlink(temporary);
        else if (rename(temporary, path) != 0)
            r = hyp_err_set_sys(w->err, HYP_EIO, errno, "cannot rename %s", temporary);
    }
    if (r != HYP_OK) return r;
    written->n_files = n_parts;
    return part_path(w->output, 0, n_parts, written->path, sizeof written->path, w->err);
}

/* Refuse before writing hours' worth of data what the disk cannot hold. */
static int check_space(const hyp_make_plan *plan, const char *path, hyp_err *err) {
    char folder[4096];
    const char *slash = strrchr(path, '/');
    int n = slash == NULL ? snprintf(folder, sizeof folder, ".")
                          : snprintf(folder, sizeof folder, "%.*s/", (int)(slash - path), path);
    if (n < 0 || (size_t)n >= sizeof folder) return hyp_err_set(err, HYP_EINVAL, "the path is too long: %s", path);
    struct statvfs fs;
    if (statvfs(folder, &fs) != 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot write to %s", folder);
    uint64_t needed = 0;
    for (size_t i = 0; i < plan->n; i++) {
        const hyp_make_tensor *t = &plan->tensors[i];
        needed += (uint64_t)(t->n_rows / t->ne[1] * t->written_rows * t->row_bytes);
    }
    const uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (needed <= available) return HYP_OK;
    char need[32], have[32];
    int r = hyp_err_set(err, HYP_ENOMEM, "%s needs %s, and %s are free", path,
                        hyp_text_format_bytes(needed, need, sizeof need),
                        hyp_text_format_bytes(available, have, sizeof have));
    hyp_err_hint(err, "choose another folder, fewer layers, or --sparse");
    return r;
}

/* A device or a pipe would be replaced by the file. */
static int check_target(const char *path, hyp_err *err) {
    struct stat st;
    if (stat(path, &st) != 0 || S_ISREG(st.st_mode)) return HYP_OK;
    return hyp_err_set(err, HYP_EINVAL, "%s is there already, and is no file", path);
}

int hyp_make_write(const hyp_make_plan *plan, struct gguf_context *keys, const hyp_make_output *output,
                   hyp_make_written *ret, hyp_err *err) {
    int r = check_target(output->path, err);
    if (r == HYP_OK) r = check_space(plan, output->path, err);
    if (r != HYP_OK) return r;
    writer w = {.plan = plan, .output = output, .keys = keys, .err = err, .chunk_bytes = CHUNK_BYTES};
    for (size_t i = 0; i < plan->n; i++)
        w.chunk_bytes = HYP_MAX(w.chunk_bytes, (size_t)plan->tensors[i].row_bytes);
    hyp_make_written written = {0};
    HYP_AUTOFREE size_t *first = calloc(plan->n + 1, sizeof *first);
    HYP_AUTOFREE uint8_t *chunk = malloc(w.chunk_bytes);
    w.chunk = chunk;
    w.ggml = ggml_init((struct ggml_init_params){.mem_size = (plan->n + 1) * ggml_tensor_overhead(), .no_alloc = true});
    if (first == NULL || chunk == NULL || w.ggml == NULL) {
        ggml_free(w.ggml);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory writing %zu tensors", plan->n);
    }
    const size_t n_parts = hyp_make_split(plan, output, first);
    if (n_parts > UINT16_MAX)
        r = hyp_err_set(err, HYP_EINVAL, "a split into %zu files is impossible", n_parts);
    else
        r = write_parts(&w, first, n_parts, &written);
    ggml_free(w.ggml);
    if (r == HYP_OK && ret != NULL) *ret = written;
    return r;
}
