/* model.c - opening a model: every part is checked, parsed and closed again; then the tensors of all parts become one
 * table and the metadata of the first one becomes the model's numbers. */
#include "gguf/model.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "gguf/check_priv.h"
#include "gguf/model_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <ggml.h>
#include <gguf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_PARTS = 4096, MAX_NAME_BYTES = 200, MAX_ARCH_BYTES = 64 };

typedef struct parts {
    uint64_t *header_bytes;
    uint64_t n_tensors;
} parts;

static int no_memory(const char *path, hyp_err *err) {
    return hyp_err_set(err, HYP_ENOMEM, "out of memory describing %s", path);
}

/* Open a regular file for reading. A FIFO or a device must not be waited for, so O_NONBLOCK. */
static int open_regular(const char *path, uint64_t *ret_bytes, int *ret_fd, hyp_err *err) {
    HYP_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        int sys = errno, code = sys == ENOENT || sys == ENOTDIR ? HYP_ENOTFOUND : HYP_EIO;
        hyp_err_set_sys(err, code, sys, "cannot open %s", path);
        if (code == HYP_ENOTFOUND)
            hyp_err_hint(err, "name the path of a GGUF file");
        else if (sys == EACCES)
            hyp_err_hint(err, "you need permission to read the file and to enter its folders");
        return code;
    }
    if (S_ISDIR(st.st_mode)) {
        hyp_err_set(err, HYP_EFORMAT, "%s is a folder", path);
        hyp_err_hint(err, "name the GGUF file in it; of a split model, the part -00001-of-...");
        return HYP_EFORMAT;
    }
    if (!S_ISREG(st.st_mode)) {
        hyp_err_set(err, HYP_EFORMAT, "%s is not a regular file", path);
        hyp_err_hint(err, "a model is read again and again: it must be a file on a disk");
        return HYP_EFORMAT;
    }
    *ret_bytes = (uint64_t)st.st_size;
    *ret_fd = fd;
    fd = -1;
    return HYP_OK;
}

/* Check and parse one file. The context is the caller's to free. */
static int read_part(const char *path, hyp_model_file *ret_file, hyp_gguf_header *ret_header,
                     struct gguf_context **ret_gguf, hyp_err *err) {
    HYP_AUTOCLOSE int fd = -1;
    int e = open_regular(path, &ret_file->bytes, &fd, err);
    if (e == HYP_OK) e = hyp_gguf_check(fd, path, ret_file->bytes, ret_header, err);
    if (e != HYP_OK) return e;
    /* The parser gets the very file that was checked, not whatever has the name by now. */
    FILE *f = fdopen(fd, "r");
    if (f == NULL) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot read %s", path);
    fd = -1;
    struct gguf_context *gguf = gguf_init_from_file_ptr(f, (struct gguf_init_params){.no_alloc = true});
    fclose(f);
    if (gguf == NULL || (uint64_t)gguf_get_n_tensors(gguf) != ret_header->n_tensors ||
        gguf_get_data_offset(gguf) != ret_header->data_offset) {
        gguf_free(gguf);
        hyp_err_set(err, HYP_EFORMAT, "%s: ggml cannot parse the header", path);
        hyp_err_hint(err, "the file is damaged: download or convert it again");
        return HYP_EFORMAT;
    }
    ret_file->data_offset = ret_header->data_offset;
    ret_file->path = strdup(path);
    if (ret_file->path == NULL) {
        gguf_free(gguf);
        return no_memory(path, err);
    }
    *ret_gguf = gguf;
    return HYP_OK;
}

static int add_part(hyp_model *model, parts *p, const char *path, hyp_err *err) {
    hyp_gguf_header header;
    size_t i = model->n_files;
    int e = read_part(path, &model->files[i], &header, &model->priv->parts[i], err);
    if (e != HYP_OK) return e;
    p->header_bytes[i] = header.header_bytes;
    p->n_tensors += header.n_tensors;
    model->bytes += model->files[i].bytes;
    model->n_files = model->priv->n_parts = i + 1;
    return HYP_OK;
}

/* A split key, which must be of the type that libllama asks for: its getter aborts on another. */
static int split_number(const struct gguf_context *gguf, const char *path, const char *key, enum gguf_type type,
                        int64_t fallback, int64_t *ret, hyp_err *err) {
    int64_t id = gguf_find_key(gguf, key);
    *ret = fallback;
    if (id < 0) return HYP_OK;
    if (gguf_get_kv_type(gguf, id) != type) {
        hyp_err_set(err, HYP_EFORMAT, "%s: %s is not of the type %s", path, key, gguf_type_name(type));
        hyp_err_hint(err, "split the model again with llama-gguf-split");
        return HYP_EFORMAT;
    }
    *ret = type == GGUF_TYPE_UINT16 ? gguf_get_val_u16(gguf, id) : gguf_get_val_i32(gguf, id);
    return HYP_OK;
}

/* Is `path` the first part, and named so that the others can be found? */
static int check_first_part(const char *path, int64_t no, int64_t count, hyp_gguf_split *ret, hyp_err *err) {
    bool named = hyp_gguf_split_parse(path, ret);
    if (no != 0) {
        char *first = named ? hyp_gguf_split_path(path, ret, 1) : NULL;
        hyp_err_set(err, HYP_EFORMAT, "%s is part %" PRId64 " of %" PRId64 " of a split model", path, no + 1, count);
        hyp_err_hint(err, "name the first part: %s", first != NULL ? first : "the file that ends in -00001-of-...gguf");
        free(first);
        return HYP_EFORMAT;
    }
    if (!named || ret->number != 1 || ret->count != count) {
        hyp_err_set(err, HYP_EFORMAT, "%s is the first of %" PRId64 " parts but is not named so", path, count);
        hyp_err_hint(err, "name the parts NAME-00001-of-%05" PRId64 ".gguf and so on", count);
        return HYP_EFORMAT;
    }
    if (count <= MAX_PARTS) return HYP_OK;
    hyp_err_set(err, HYP_EFORMAT, "%s claims to be the first of %" PRId64 " parts", path, count);
    hyp_err_hint(err, "merge the parts with: llama-gguf-split --merge");
    return HYP_EFORMAT;
}

static int add_further_part(hyp_model *model, parts *p, const hyp_gguf_split *split, uint32_t number, hyp_err *err) {
    HYP_AUTOFREE char *path = hyp_gguf_split_path(model->path, split, number);
    if (path == NULL) return no_memory(model->path, err);
    int64_t no = -1, count = -1;
    hyp_err failure = HYP_ERR_NONE;
    int e = add_part(model, p, path, &failure);
    if (e == HYP_ENOTFOUND) { /* which file is missing is the lesser part of the story */
        hyp_err_set(err, HYP_EFORMAT, "part %" PRIu32 " of %" PRIu32 " is missing: %s", number, split->count, path);
        hyp_err_hint(err, "download all parts into one folder");
        return HYP_EFORMAT;
    }
    hyp_err_pass(err, &failure);
    if (e != HYP_OK) return e;
    const struct gguf_context *gguf = model->priv->parts[number - 1];
    e = split_number(gguf, path, "split.no", GGUF_TYPE_UINT16, -1, &no, err);
    if (e == HYP_OK) e = split_number(gguf, path, "split.count", GGUF_TYPE_UINT16, split->count, &count, err);
    if (e != HYP_OK) return e;
    if (no == number - 1 && count == split->count) return HYP_OK;
    hyp_err_set(err, HYP_EFORMAT, "%s says that it is part %" PRId64 " of %" PRId64, path, no + 1, count);
    hyp_err_hint(err, "the parts were renamed or come from different models: download them again");
    return HYP_EFORMAT;
}

static int read_parts(hyp_model *model, parts *p, hyp_err *err) {
    int64_t no = 0, count = 1, n_tensors = -1;
    hyp_gguf_split split = {0};
    model->files = calloc(MAX_PARTS, sizeof *model->files);
    model->priv->parts = calloc(MAX_PARTS, sizeof(struct gguf_context *));
    p->header_bytes = calloc(MAX_PARTS, sizeof *p->header_bytes);
    if (model->files == NULL || model->priv->parts == NULL || p->header_bytes == NULL)
        return no_memory(model->path, err);
    int e = add_part(model, p, model->path, err);
    if (e != HYP_OK) return e;
    const struct gguf_context *gguf = model->gguf = model->priv->parts[0];
    e = split_number(gguf, model->path, "split.no", GGUF_TYPE_UINT16, 0, &no, err);
    if (e == HYP_OK) e = split_number(gguf, model->path, "split.count", GGUF_TYPE_UINT16, 1, &count, err);
    if (e == HYP_OK) e = split_number(gguf, model->path, "split.tensors.count", GGUF_TYPE_INT32, -1, &n_tensors, err);
    if (e != HYP_OK || count <= 1) return e;
    e = check_first_part(model->path, no, count, &split, err);
    for (uint32_t i = 2; e == HYP_OK && i <= (uint32_t)count; i++)
        e = add_further_part(model, p, &split, i, err);
    if (e != HYP_OK || n_tensors == (int64_t)p->n_tensors) return e;
    hyp_err_set(err, HYP_EFORMAT, "%s announces %" PRId64 " tensors but its parts hold %" PRIu64, model->path,
                n_tensors, p->n_tensors);
    hyp_err_hint(err, "the parts come from different models: download them again");
    return HYP_EFORMAT;
}

/* A copy that can be shown: no control characters, whole UTF-8 (bytes that are not become '?'), at most MAX_NAME_BYTES.
 */
static char *clean_copy(const char *text, size_t n) {
    char *out = strndup(text, HYP_MIN(n, (size_t)MAX_NAME_BYTES));
    if (out == NULL) return NULL;
    for (char *c = out, *end = out + strlen(out); c < end;) {
        uint32_t character = 0;
        size_t length = hyp_utf8_decode(c, (size_t)(end - c), &character);
        /* DEL and the C1 controls too: a terminal may obey them. */
        if (length > 0 && character >= ' ' && (character < 0x7f || character >= 0xa0))
            c += length;
        else
            *c++ = '?';
    }
    return out;
}

static int set_names(hyp_model *model, hyp_err *err) {
    const char *arch = hyp_model_meta_str(model, "general.architecture", "");
    const char *type = hyp_model_meta_str(model, "general.type", "model");
    const char *name = hyp_model_meta_str(model, "general.name", "");
    size_t n = strlen(arch);
    if (n == 0 || n > MAX_ARCH_BYTES ||
        strspn(arch, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != n) {
        hyp_err_set(err, HYP_EFORMAT, "%s does not name an architecture", model->path);
        hyp_err_hint(err, "it may not be a language model: general.architecture is missing or damaged");
        return HYP_EFORMAT;
    }
    if (strcmp(arch, "clip") == 0 || strcmp(type, "mmproj") == 0 || strcmp(type, "adapter") == 0 ||
        strcmp(type, "imatrix") == 0) {
        hyp_err_set(err, HYP_EFORMAT, "%s is not a language model but %s", model->path,
                    strcmp(type, "adapter") == 0   ? "an adapter (LoRA)"
                    : strcmp(type, "imatrix") == 0 ? "an importance matrix"
                                                   : "a projector for images or sound");
        hyp_err_hint(err, "name the model that it belongs to");
        return HYP_EFORMAT;
    }
    if (name[0] != '\0') {
        model->name = clean_copy(name, strlen(name));
    } else {
        const char *slash = strrchr(model->path, '/'), *file = slash != NULL ? slash + 1 : model->path;
        size_t length = strlen(file);
        hyp_gguf_split split;
        if (hyp_gguf_split_parse(model->path, &split))
            length = split.stem_length - (size_t)(file - model->path);
        else if (length > 5 && strcmp(file + length - 5, ".gguf") == 0)
            length -= 5;
        model->name = clean_copy(file, length);
    }
    model->arch = strdup(arch);
    return model->name == NULL || model->arch == NULL ? no_memory(model->path, err) : HYP_OK;
}

/* How many slices of equal size a routed expert's tensor has: its last dimension, which is the third for a weight, the
 * second for a bias and the only one for a scale. */
static uint32_t count_slices(const hyp_tensor *t) {
    static const char bias[] = ".bias", weight[] = ".weight";
    size_t n = strlen(t->name);
    bool is_bias = n > sizeof bias && strcmp(t->name + n - (sizeof bias - 1), bias) == 0;
    bool is_weight = n > sizeof weight && strcmp(t->name + n - (sizeof weight - 1), weight) == 0;
    const int last = is_weight ? 2 : is_bias ? 1 : 0;
    for (int i = last + 1; i < 4; i++)
        if (t->ne[i] != 1) return 0;
    int64_t slices = t->ne[last];
    return slices <= UINT32_MAX && t->bytes % (uint64_t)slices == 0 ? (uint32_t)slices : 0;
}

static int add_tensor(hyp_model *model, uint32_t part, int64_t id, hyp_tensor *ret, hyp_err *err) {
    const struct gguf_context *gguf = model->priv->parts[part];
    const char *rest;
    hyp_tensor t = {.name = gguf_get_tensor_name(gguf, id), .type = (int)gguf_get_tensor_type(gguf, id), .file = part};
    memcpy(t.ne, gguf_get_tensor_ne(gguf, id), sizeof t.ne);
    t.bytes = gguf_get_tensor_size(gguf, id);
    t.offset = model->files[part].data_offset + gguf_get_tensor_offset(gguf, id);
    t.role = hyp_role_of(t.name);
    t.layer = hyp_gguf_layer_of(t.name, &rest);
    if (t.layer >= (int)model->n_layers) {
        hyp_err_set(err, HYP_EFORMAT, "%s: tensor %s is beyond the last of %" PRIu32 " layers", model->path, t.name,
                    model->n_layers);
        hyp_err_hint(err, "the metadata is damaged or from another program: convert the model again");
        return HYP_EFORMAT;
    }
    if (t.role == HYP_ROLE_ROUTED_EXPERT) {
        bool shared_by_several = strstr(rest, "_chexps") != NULL,
             one_each = strstr(rest, "_exps") == NULL && !shared_by_several;
        t.n_experts = one_each ? 1 : count_slices(&t);
        /* The stream indexes a tensor by expert numbers that the router chooses from all the model's experts. */
        if (t.n_experts == 0 || (!shared_by_several && !one_each && t.n_experts != model->n_experts)) {
            hyp_err_set(err, HYP_EFORMAT, "%s: tensor %s is not made of %" PRIu32 " experts, as the metadata says",
                        model->path, t.name, model->n_experts);
            hyp_err_hint(err, "the metadata is damaged or from another program: convert the model again");
            return HYP_EFORMAT;
        }
        t.expert_bytes = t.bytes / t.n_experts;
    }
    *ret = t;
    return HYP_OK;
}

static int compare_names(const void *a, const void *b) {
    return strcmp((*(const hyp_tensor *const *)a)->name, (*(const hyp_tensor *const *)b)->name);
}

static int read_tensors(hyp_model *model, uint64_t n_tensors, hyp_err *err) {
    if (n_tensors == 0) {
        hyp_err_set(err, HYP_EFORMAT, "%s holds no tensors, only metadata", model->path);
        hyp_err_hint(err, "it is a vocabulary or an incomplete model: download the whole model");
        return HYP_EFORMAT;
    }
    model->tensors = calloc(n_tensors, sizeof *model->tensors);
    const hyp_tensor **by_name = model->priv->by_name = calloc(n_tensors, sizeof *by_name);
    if (model->tensors == NULL || by_name == NULL) return no_memory(model->path, err);
    for (uint32_t part = 0; part < model->n_files; part++) {
        int64_t n = gguf_get_n_tensors(model->priv->parts[part]);
        for (int64_t id = 0; id < n; id++) {
            hyp_tensor *t = &model->tensors[model->n_tensors];
            int e = add_tensor(model, part, id, t, err);
            if (e != HYP_OK) return e;
            by_name[model->n_tensors] = t;
            model->n_tensors++;
            model->tensor_bytes += t->bytes;
            model->n_params += (uint64_t)(t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]);
        }
    }
    /* For look-ups, and for finding a name that two parts have: within one file check.c has found it already. */
    qsort(by_name, model->n_tensors, sizeof *by_name, compare_names);
    for (size_t i = 1; i < model->n_tensors; i++) {
        const hyp_tensor *t = by_name[i];
        if (strcmp(t->name, by_name[i - 1]->name) != 0) continue;
        hyp_err_set(err, HYP_EFORMAT, "%s: tensor %s is there twice", model->path, t->name);
        hyp_err_hint(err, "the parts come from different models: download them again");
        return HYP_EFORMAT;
    }
    return HYP_OK;
}

static int describe(hyp_model *model, parts *p, hyp_err *err) {
    int e = read_parts(model, p, err);
    if (e == HYP_OK) e = set_names(model, err);
    if (e == HYP_OK) e = hyp_gguf_read_numbers(model, err);
    if (e == HYP_OK) e = hyp_gguf_check_vocabulary(model, err);
    if (e == HYP_OK) e = read_tensors(model, p->n_tensors, err);
    if (e == HYP_OK) e = hyp_gguf_digest(model, p->header_bytes, err);
    if (e != HYP_OK) return e;
    int64_t tokens = gguf_find_key(model->gguf, "tokenizer.ggml.tokens");
    if (tokens >= 0) model->n_vocab = (uint32_t)gguf_get_arr_n(model->gguf, tokens);
    char quant[32];
    model->quant = strdup(hyp_gguf_quant_name(model, quant, sizeof quant));
    return model->quant != NULL ? HYP_OK : no_memory(model->path, err);
}

int hyp_model_open(const char *path, hyp_model **ret, hyp_err *err) {
    parts p = {0};
    hyp_model *model = calloc(1, sizeof *model);
    if (model != NULL) model->priv = calloc(1, sizeof *model->priv);
    if (model != NULL) model->path = strdup(path);
    int e =
        model == NULL || model->priv == NULL || model->path == NULL ? no_memory(path, err) : describe(model, &p, err);
    free(p.header_bytes);
    if (e == HYP_OK)
        *ret = model;
    else
        hyp_model_free(model);
    return e;
}

void hyp_model_free(hyp_model *model) {
    if (model == NULL) return;
    for (size_t i = 0; model->files != NULL && i < model->n_files; i++)
        free((char *)model->files[i].path);
    if (model->priv != NULL) {
        for (size_t i = 0; i < model->priv->n_parts; i++)
            gguf_free(model->priv->parts[i]);
        free(model->priv->parts);
        free(model->priv->by_name);
    }
    free(model->priv);
    free(model->files);
    free(model->tensors);
    free((char *)model->path);
    free((char *)model->name);
    free((char *)model->arch);
    free((char *)model->quant);
    free(model);
}

const hyp_tensor *hyp_model_tensor(const hyp_model *model, const char *name) {
    size_t low = 0, high = model->n_tensors;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const hyp_tensor *t = model->priv->by_name[mid];
        int order = strcmp(name, t->name);
        if (order == 0) return t;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

uint64_t hyp_tensor_touched_bytes(const hyp_model *model, const hyp_tensor *tensor) {
    if (tensor->layer >= 0 && (uint32_t)tensor->layer >= model->n_layers - model->n_layers_nextn) return 0;
    switch (tensor->role) {
    case HYP_ROLE_EMBEDDING:
        if (strcmp(tensor->name, "token_embd.weight") == 0 && hyp_model_tensor(model, "output.weight") == NULL)
            return tensor->bytes;
        return tensor->bytes / (uint64_t)tensor->ne[1];
    case HYP_ROLE_ROUTED_EXPERT: {
        uint64_t used = hyp_model_meta_u64_at(model, "%s.expert_used_count", (size_t)HYP_MAX(tensor->layer, 0), 0);
        used = HYP_MIN(used, model->n_experts);
        return model->n_experts == 0 ? tensor->bytes
                                     : (uint64_t)((double)tensor->bytes * (double)used / (double)model->n_experts);
    }
    default: return tensor->bytes;
    }
}
