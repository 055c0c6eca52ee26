/* check.c - see check_priv.h. The layout that is walked here is described at the top of ggml's gguf.h. */
#include "gguf/check_priv.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <ggml.h>
#include <gguf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 1 << 16, TENSOR_ALIGNMENT = 32 };

/* A name that was met, to find the same one again. */
typedef struct mark {
    uint64_t hash;
    uint64_t index;
} mark;

/* The part of the file that is being looked at. */
typedef struct reader {
    int fd;
    const char *path;
    uint64_t file_bytes;
    uint64_t at; /* the next byte to hand out */
    uint64_t window_at;
    size_t window_bytes;
    hyp_err *err;
    unsigned char window[WINDOW];
} reader;

static const char again[] = "the file is damaged: download or convert it again";

static int bad(reader *r, const char *format, ...) HYP_PRINTF(2, 3);
static int bad(reader *r, const char *format, ...) {
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    hyp_err_set(r->err, HYP_EFORMAT, "%s: %s", r->path, what);
    hyp_err_hint(r->err, "%s", again);
    return HYP_EFORMAT;
}

int hyp_gguf_pread(int fd, const char *path, uint64_t offset, void *data, size_t n, hyp_err *err) {
    for (size_t got = 0; got < n;) {
        ssize_t k = pread(fd, (char *)data + got, n - got, (off_t)(offset + got));
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot read %s", path);
        if (k == 0) return hyp_err_set(err, HYP_EFORMAT, "%s became shorter while it was read", path);
        got += (size_t)k;
    }
    return HYP_OK;
}

static int fill(reader *r) {
    size_t n = (size_t)HYP_MIN((uint64_t)WINDOW, r->file_bytes - r->at);
    int e = hyp_gguf_pread(r->fd, r->path, r->at, r->window, n, r->err);
    if (e != HYP_OK) return e;
    r->window_at = r->at;
    r->window_bytes = n;
    return HYP_OK;
}

/* Make sure that `n` more bytes exist and may belong to the header. */
static int expect(reader *r, uint64_t n) {
    /* In this order: `n` may be anything up to 2^64, and only a bounded one can be added without overflow below. */
    if (n > HYP_GGUF_MAX_HEADER_BYTES) return bad(r, "an entry of the header claims to be %" PRIu64 " bytes long", n);
    if (n > r->file_bytes - r->at) {
        bad(r, "the file ends inside its header (%" PRIu64 " bytes are missing)", n - (r->file_bytes - r->at));
        hyp_err_hint(r->err, "the download is incomplete: fetch the file again");
        return HYP_EFORMAT;
    }
    if (r->at + n > HYP_GGUF_MAX_HEADER_BYTES)
        return bad(r, "the header claims to be longer than %d MB", HYP_GGUF_MAX_HEADER_BYTES >> 20);
    return HYP_OK;
}

static int take(reader *r, void *ret, size_t n) {
    int e = expect(r, n);
    for (size_t got = 0; e == HYP_OK && got < n;) {
        size_t into = (size_t)(r->at - r->window_at); /* skip() moves `at` past the window without reading */
        if (r->at < r->window_at || into >= r->window_bytes) {
            e = fill(r);
            continue;
        }
        size_t k = HYP_MIN(n - got, r->window_bytes - into);
        memcpy((char *)ret + got, r->window + into, k);
        got += k;
        r->at += k;
    }
    return e;
}

static int skip(reader *r, uint64_t n) {
    int e = expect(r, n);
    if (e == HYP_OK) r->at += n;
    return e;
}

static int take_u32(reader *r, uint32_t *ret) {
    return take(r, ret, sizeof *ret);
}

static int take_u64(reader *r, uint64_t *ret) {
    return take(r, ret, sizeof *ret);
}

/* A name: not empty, at most `size` - 1 bytes, without control characters (an embedded zero would cut it short for
 * everyone who reads it as a C string). `what` and `index` say in messages which one. */
static int take_name(reader *r, const char *what, uint64_t index, char *ret, size_t size) {
    uint64_t n = 0;
    int e = take_u64(r, &n);
    if (e != HYP_OK) return e;
    if (n == 0) return bad(r, "%s %" PRIu64 " has no name", what, index);
    if (n >= size) return bad(r, "%s %" PRIu64 " has a name of %" PRIu64 " bytes", what, index, n);
    e = take(r, ret, (size_t)n);
    ret[n] = '\0';
    for (size_t i = 0; e == HYP_OK && i < n; i++)
        if ((unsigned char)ret[i] < ' ' || ret[i] == 0x7f)
            return bad(r, "the name of %s %" PRIu64 " holds control characters", what, index);
    return e;
}

/* Mixed FNV-1a: 65,536 different names collide by chance in one of 10^10 files. */
static mark mark_name(const char *name, uint64_t index) {
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *c = name; *c != '\0'; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    return (mark){h ^ h >> 32, index};
}

static int compare_marks(const void *a, const void *b) {
    const mark *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Refuse names that occur twice, before ggml's parser does it with a message on standard error. */
static int check_unique(reader *r, const char *what, mark *marks, uint64_t n) {
    if (n > 0) qsort(marks, n, sizeof *marks, compare_marks);
    for (uint64_t i = 1; i < n; i++)
        if (marks[i].hash == marks[i - 1].hash)
            return bad(r, "%s %" PRIu64 " and %" PRIu64 " have the same name", what, marks[i - 1].index,
                       marks[i].index);
    return HYP_OK;
}

static size_t scalar_bytes(uint32_t type) {
    switch (type) {
    case GGUF_TYPE_UINT8:
    case GGUF_TYPE_INT8:
    case GGUF_TYPE_BOOL: return 1;
    case GGUF_TYPE_UINT16:
    case GGUF_TYPE_INT16: return 2;
    case GGUF_TYPE_UINT32:
    case GGUF_TYPE_INT32:
    case GGUF_TYPE_FLOAT32: return 4;
    case GGUF_TYPE_UINT64:
    case GGUF_TYPE_INT64:
    case GGUF_TYPE_FLOAT64: return 8;
    default: return 0;
    }
}

static int skip_string(reader *r) {
    uint64_t n = 0;
    int e = take_u64(r, &n);
    return e == HYP_OK ? skip(r, n) : e;
}

static int skip_array(reader *r, const char *key) {
    uint32_t type = 0;
    uint64_t n = 0;
    int e = take_u32(r, &type);
    if (e == HYP_OK) e = take_u64(r, &n);
    if (e != HYP_OK) return e;
    if (type == GGUF_TYPE_STRING) {
        /* Each string takes at least its length: what the file cannot hold, ggml must not allocate for. */
        if (n > HYP_GGUF_MAX_ARRAY_STRINGS || n * 8 > r->file_bytes - r->at)
            return bad(r, "%.200s claims to hold %" PRIu64 " strings", key, n);
        for (uint64_t i = 0; e == HYP_OK && i < n; i++)
            e = skip_string(r);
        return e;
    }
    if (scalar_bytes(type) == 0) return bad(r, "%.200s is an array of an unknown type (%" PRIu32 ")", key, type);
    if (n > HYP_GGUF_MAX_HEADER_BYTES) return bad(r, "%.200s claims to hold %" PRIu64 " values", key, n);
    return skip(r, n * scalar_bytes(type));
}

static int check_key(reader *r, uint64_t index, mark *ret_mark, uint64_t *alignment) {
    char key[HYP_GGUF_MAX_KEY_BYTES] = {0};
    uint32_t type = 0;
    int e = take_name(r, "metadata key", index, key, sizeof key);
    if (e == HYP_OK) e = take_u32(r, &type);
    if (e != HYP_OK) return e;
    *ret_mark = mark_name(key, index);
    if (strcmp(key, GGUF_KEY_GENERAL_ALIGNMENT) == 0) {
        uint32_t value = 0;
        if (type != GGUF_TYPE_UINT32) return bad(r, "%s is not a 32-bit number", key);
        e = take_u32(r, &value);
        if (e == HYP_OK && (value == 0 || (value & (value - 1)) != 0))
            return bad(r, "%s is %" PRIu32 ", not a power of two", key, value);
        *alignment = value;
        return e;
    }
    if (type == GGUF_TYPE_STRING) return skip_string(r);
    if (type == GGUF_TYPE_ARRAY) return skip_array(r, key);
    if (scalar_bytes(type) == 0) return bad(r, "%.200s has an unknown type (%" PRIu32 ")", key, type);
    return skip(r, scalar_bytes(type));
}

/* Bytes of a tensor, without overflow. */
static int tensor_bytes(reader *r, const char *name, const int64_t ne[4], uint32_t type, uint64_t *ret) {
    if (type >= GGML_TYPE_COUNT || ggml_type_size((enum ggml_type)type) == 0 ||
        ggml_blck_size((enum ggml_type)type) == 0) {
        bad(r, "tensor %s has the type %" PRIu32 ", which this version of ggml does not know", name, type);
        hyp_err_hint(r->err, "a newer llama.cpp may read it; else quantize the model again");
        return HYP_EFORMAT;
    }
    int64_t block = ggml_blck_size((enum ggml_type)type), elements = 1, bytes = 0;
    if (ne[0] % block != 0)
        return bad(r, "tensor %s has rows of %" PRId64 " elements, which %s cannot hold", name, ne[0],
                   ggml_type_name((enum ggml_type)type));
    for (int i = 0; i < 4; i++)
        if (__builtin_mul_overflow(elements, ne[i], &elements)) return bad(r, "tensor %s is impossibly large", name);
    if (__builtin_mul_overflow(elements / block, (int64_t)ggml_type_size((enum ggml_type)type), &bytes))
        return bad(r, "tensor %s is impossibly large", name);
    *ret = (uint64_t)bytes;
    return HYP_OK;
}

/* What the entries read so far come to. */
typedef struct layout {
    uint64_t alignment;
    uint64_t next; /* where the next tensor must begin, from the start of the data */
    uint64_t end;  /* of the last tensor, without padding */
    bool odd;      /* some tensor does not begin at a multiple of TENSOR_ALIGNMENT */
} layout;

static int check_tensor(reader *r, uint64_t index, mark *ret_mark, layout *l) {
    char name[GGML_MAX_NAME] = {0};
    uint32_t n_dims = 0, type = 0;
    uint64_t offset = 0, bytes = 0;
    int64_t ne[GGML_MAX_DIMS] = {1, 1, 1, 1};
    int e = take_name(r, "tensor", index, name, sizeof name);
    if (e == HYP_OK) e = take_u32(r, &n_dims);
    if (e == HYP_OK && n_dims > GGML_MAX_DIMS) return bad(r, "tensor %s has %" PRIu32 " dimensions", name, n_dims);
    for (uint32_t i = 0; e == HYP_OK && i < n_dims; i++) {
        e = take(r, &ne[i], sizeof ne[i]);
        if (e == HYP_OK && ne[i] <= 0) return bad(r, "tensor %s has a dimension of %" PRId64 " elements", name, ne[i]);
    }
    if (e == HYP_OK) e = take_u32(r, &type);
    if (e == HYP_OK) e = take_u64(r, &offset);
    if (e == HYP_OK) e = tensor_bytes(r, name, ne, type, &bytes);
    if (e != HYP_OK) return e;
    *ret_mark = mark_name(name, index);
    if (offset != l->next)
        return bad(r, "tensor %s begins at byte %" PRIu64 " of the data instead of %" PRIu64, name, offset, l->next);
    l->odd = l->odd || offset % TENSOR_ALIGNMENT != 0;
    if (__builtin_add_overflow(offset, bytes, &l->end) || l->end > INT64_MAX - l->alignment)
        return bad(r, "tensor %s is impossibly large", name);
    l->next = (l->end + l->alignment - 1) / l->alignment * l->alignment;
    return HYP_OK;
}

/* What the file is when it is no GGUF file: the commonest mistakes get an answer of their own. */
static int not_gguf(reader *r, const unsigned char magic[4]) {
    static const struct {
        const char *begins, *is, *hint;
    } known[] = {
        {"vers", "a Git LFS pointer, not the model itself", "fetch the content with: git lfs pull"},
        {"PK\3\4", "a ZIP or PyTorch file, not GGUF", "convert it with llama.cpp's convert_hf_to_gguf.py"},
        {"<!do", "a web page, not a model", "use the download link, not the page that shows the file"},
        {"<!DO", "a web page, not a model", "use the download link, not the page that shows the file"},
        {"<htm", "a web page, not a model", "use the download link, not the page that shows the file"},
        {"tjgg", "a GGML file from before GGUF", "download the model as GGUF: llama.cpp reads nothing else"},
        {"lmgg", "a GGML file from before GGUF", "download the model as GGUF: llama.cpp reads nothing else"},
        {"FUGG", "a big-endian GGUF file", "download the little-endian one"},
    };
    unsigned char head[9] = {0};
    if (r->file_bytes >= sizeof head && hyp_gguf_pread(r->fd, r->path, 0, head, sizeof head, NULL) == HYP_OK &&
        head[8] == '{' && head[5] == 0 && head[6] == 0 && head[7] == 0) {
        hyp_err_set(r->err, HYP_EFORMAT, "%s is a safetensors file, not GGUF", r->path);
        hyp_err_hint(r->err, "convert it with llama.cpp's convert_hf_to_gguf.py");
        return HYP_EFORMAT;
    }
    for (size_t i = 0; i < HYP_ARRAY_LEN(known); i++) {
        if (memcmp(magic, known[i].begins, 4) != 0) continue;
        hyp_err_set(r->err, HYP_EFORMAT, "%s is %s", r->path, known[i].is);
        hyp_err_hint(r->err, "%s", known[i].hint);
        return HYP_EFORMAT;
    }
    hyp_err_set(r->err, HYP_EFORMAT, "%s is not a GGUF file", r->path);
    hyp_err_hint(r->err, "a model is one file that ends in .gguf");
    return HYP_EFORMAT;
}

static int check_counts(reader *r, uint64_t *ret_n_tensors, uint64_t *ret_n_keys) {
    unsigned char magic[4] = {0};
    uint32_t version = 0;
    if (r->file_bytes == 0) {
        hyp_err_set(r->err, HYP_EFORMAT, "%s is empty", r->path);
        hyp_err_hint(r->err, "the download is incomplete: fetch the file again");
        return HYP_EFORMAT;
    }
    if (r->file_bytes < sizeof magic) return not_gguf(r, magic);
    int e = take(r, magic, sizeof magic);
    if (e != HYP_OK) return e;
    if (memcmp(magic, GGUF_MAGIC, sizeof magic) != 0) return not_gguf(r, magic);
    e = take_u32(r, &version);
    if (e == HYP_OK) e = take_u64(r, ret_n_tensors);
    if (e == HYP_OK) e = take_u64(r, ret_n_keys);
    if (e != HYP_OK) return e;
    if (version < 2 || version > GGUF_VERSION) {
        bool swapped = version != 0 && (version & 0xffff) == 0;
        hyp_err_set(r->err, HYP_EFORMAT, "%s is GGUF version %" PRIu32 "; 2 and 3 can be read", r->path, version);
        hyp_err_hint(r->err, "%s",
                     swapped                  ? "it was written for big-endian machines: download the little-endian one"
                     : version > GGUF_VERSION ? "a newer program wrote it: update hypura and its libraries"
                                              : "download or convert the model again");
        return HYP_EFORMAT;
    }
    /* The least a key takes is its length, one letter, its type and one byte; a tensor: its length, a letter, the
     * number of dimensions, its type and its offset. */
    if (*ret_n_keys > HYP_GGUF_MAX_KEYS || *ret_n_keys * 14 > r->file_bytes)
        return bad(r, "the header claims %" PRIu64 " metadata keys", *ret_n_keys);
    if (*ret_n_tensors > HYP_GGUF_MAX_TENSORS || *ret_n_tensors * 25 > r->file_bytes)
        return bad(r, "the header claims %" PRIu64 " tensors", *ret_n_tensors);
    return HYP_OK;
}

static int check_extent(reader *r, const layout *l, hyp_gguf_header *header) {
    header->header_bytes = header->data_offset = r->at;
    if (header->n_tensors == 0) return HYP_OK; /* the first part of a split model may hold metadata alone */
    header->data_offset = (r->at + l->alignment - 1) / l->alignment * l->alignment;
    if (header->data_offset > r->file_bytes || l->end > r->file_bytes - header->data_offset) {
        char has[32], needs[32];
        hyp_text_format_bytes(r->file_bytes, has, sizeof has);
        hyp_text_format_bytes(header->data_offset + l->end, needs, sizeof needs);
        hyp_err_set(r->err, HYP_EFORMAT, "%s has %s (%" PRIu64 " bytes) but its tensors need %s (%" PRIu64 " bytes)",
                    r->path, has, r->file_bytes, needs, header->data_offset + l->end);
        hyp_err_hint(r->err, "the download is incomplete: fetch the file again");
        return HYP_EFORMAT;
    }
    if (l->odd || header->data_offset % TENSOR_ALIGNMENT != 0) {
        bad(r, "tensors are aligned to %" PRIu64 " bytes, but ggml can only map multiples of %d", l->alignment,
            TENSOR_ALIGNMENT);
        hyp_err_hint(r->err, "convert the model again with the usual general.alignment of 32");
        return HYP_EFORMAT;
    }
    return HYP_OK;
}

int hyp_gguf_check(int fd, const char *path, uint64_t file_bytes, hyp_gguf_header *ret, hyp_err *err) {
    HYP_AUTOFREE reader *r = calloc(1, sizeof *r);
    if (r == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory reading %s", path);
    r->fd = fd;
    r->path = path;
    r->file_bytes = file_bytes;
    r->err = err;
    hyp_gguf_header header = {0};
    layout l = {.alignment = GGUF_DEFAULT_ALIGNMENT};
    uint64_t n_keys = 0;
    int e = check_counts(r, &header.n_tensors, &n_keys);
    /* The counts are bounded by now. */
    HYP_AUTOFREE mark *marks = e == HYP_OK ? calloc(HYP_MAX(n_keys, header.n_tensors) + 1, sizeof *marks) : NULL;
    if (e == HYP_OK && marks == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory reading %s", path);
    for (uint64_t i = 0; e == HYP_OK && i < n_keys; i++)
        e = check_key(r, i, &marks[i], &l.alignment);
    if (e == HYP_OK) e = check_unique(r, "metadata keys", marks, n_keys);
    for (uint64_t i = 0; e == HYP_OK && i < header.n_tensors; i++)
        e = check_tensor(r, i, &marks[i], &l);
    if (e == HYP_OK) e = check_unique(r, "tensors", marks, header.n_tensors);
    if (e == HYP_OK) e = check_extent(r, &l, &header);
    if (e == HYP_OK) *ret = header;
    return e;
}
