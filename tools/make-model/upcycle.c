#include "upcycle.h"
#include "base/mem.h"
#include "rng.h"

#include <errno.h>
#include <fcntl.h>
#include <gguf.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

struct hyp_make_upcycle {
    const char *path;
    int fd;
    struct gguf_context *input, *keys;
    hyp_make_plan plan;
    uint64_t seed;
    double vary;
    int group; /* so many experts in a row share a router row: 1, or with --exact as many as are used */
};

/* Dense architectures, and the mixture that computes the same from the same tensors. */
static const struct {
    const char *dense, *mixture;
    bool width_key; /* the experts' width has a key of its own */
} forms[] = {{"llama", "llama", false}, {"qwen3", "qwen3moe", true}};

void hyp_make_upcycle_free(hyp_make_upcycle *up) {
    if (up == NULL) return;
    if (up->fd >= 0) close(up->fd);
    gguf_free(up->input);
    gguf_free(up->keys);
    hyp_make_plan_free(&up->plan);
    free(up);
}

const hyp_make_plan *hyp_make_upcycle_plan(const hyp_make_upcycle *up) {
    return &up->plan;
}

struct gguf_context *hyp_make_upcycle_keys(hyp_make_upcycle *up) {
    return up->keys;
}

static int open_input(hyp_make_upcycle *up, hyp_err *err) {
    up->fd = open(up->path, O_RDONLY | O_CLOEXEC);
    if (up->fd < 0)
        return hyp_err_set_sys(err, errno == ENOENT ? HYP_ENOTFOUND : HYP_EIO, errno, "cannot open %s", up->path);
    up->input = gguf_init_from_file(up->path, (struct gguf_init_params){.no_alloc = true});
    if (up->input == NULL) return hyp_err_set(err, HYP_EFORMAT, "%s is not a GGUF file", up->path);
    struct stat st;
    if (fstat(up->fd, &st) != 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot look at %s", up->path);
    for (int64_t i = 0; i < gguf_get_n_tensors(up->input); i++)
        if (gguf_get_data_offset(up->input) + gguf_get_tensor_offset(up->input, i) +
                gguf_get_tensor_size(up->input, i) >
            (uint64_t)st.st_size)
            return hyp_err_set(err, HYP_EFORMAT, "%s is cut short", up->path);
    if (gguf_find_key(up->input, "split.count") >= 0) {
        hyp_err_set(err, HYP_EUNSUPPORTED, "%s is one part of a split model", up->path);
        hyp_err_hint(err, "merge it first: llama-gguf-split --merge");
        return HYP_EUNSUPPORTED;
    }
    return HYP_OK;
}

static const char *text_key(const struct gguf_context *gguf, const char *key) {
    int64_t id = gguf_find_key(gguf, key);
    return id >= 0 && gguf_get_kv_type(gguf, id) == GGUF_TYPE_STRING ? gguf_get_val_str(gguf, id) : "";
}

static uint32_t u32_key(const struct gguf_context *gguf, const char *arch, const char *key) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s", arch, key);
    int64_t id = gguf_find_key(gguf, name);
    return id >= 0 && gguf_get_kv_type(gguf, id) == GGUF_TYPE_UINT32 ? gguf_get_val_u32(gguf, id) : 0;
}

/* Copy one key under another name. Architecture keys are numbers, texts, or arrays of numbers. */
static void copy_key(const struct gguf_context *from, int64_t id, struct gguf_context *to, const char *name) {
    switch (gguf_get_kv_type(from, id)) {
    case GGUF_TYPE_UINT32: gguf_set_val_u32(to, name, gguf_get_val_u32(from, id)); break;
    case GGUF_TYPE_INT32: gguf_set_val_i32(to, name, gguf_get_val_i32(from, id)); break;
    case GGUF_TYPE_FLOAT32: gguf_set_val_f32(to, name, gguf_get_val_f32(from, id)); break;
    case GGUF_TYPE_BOOL: gguf_set_val_bool(to, name, gguf_get_val_bool(from, id)); break;
    case GGUF_TYPE_STRING: gguf_set_val_str(to, name, gguf_get_val_str(from, id)); break;
    case GGUF_TYPE_ARRAY:
        if (gguf_get_arr_type(from, id) != GGUF_TYPE_STRING)
            gguf_set_arr_data(to, name, gguf_get_arr_type(from, id), gguf_get_arr_data(from, id),
                              gguf_get_arr_n(from, id));
        break;
    default: break;
    }
}

static int make_keys(hyp_make_upcycle *up, const hyp_make_shape *shape, size_t form, hyp_err *err) {
    const char *dense = forms[form].dense, *mixture = forms[form].mixture;
    up->keys = gguf_init_empty();
    if (up->keys == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the metadata");
    gguf_set_kv(up->keys, up->input);
    const size_t length = strlen(dense);
    char name[256];
    for (int64_t i = 0; i < gguf_get_n_kv(up->input) && strcmp(dense, mixture) != 0; i++) {
        const char *key = gguf_get_key(up->input, i);
        if (strncmp(key, dense, length) != 0 || key[length] != '.') continue;
        snprintf(name, sizeof name, "%s%s", mixture, key + length);
        copy_key(up->input, i, up->keys, name);
        gguf_remove_key(up->keys, key);
    }
    gguf_set_val_str(up->keys, "general.architecture", mixture);
    snprintf(name, sizeof name, "%s %dx", text_key(up->input, "general.name"), shape->experts);
    gguf_set_val_str(up->keys, "general.name", shape->name != NULL ? shape->name : name);
    snprintf(name, sizeof name, "%s.expert_count", mixture);
    gguf_set_val_u32(up->keys, name, (uint32_t)shape->experts);
    snprintf(name, sizeof name, "%s.expert_used_count", mixture);
    gguf_set_val_u32(up->keys, name, (uint32_t)shape->experts_used);
    if (forms[form].width_key) {
        snprintf(name, sizeof name, "%s.expert_feed_forward_length", mixture);
        gguf_set_val_u32(up->keys, name, u32_key(up->input, dense, "feed_forward_length"));
    }
    gguf_remove_key(up->keys, GGUF_KEY_GENERAL_ALIGNMENT); /* the writer sets its own */
    return HYP_OK;
}

/* Which FFN matrix `name` is ("blk.3.ffn_up.weight"): its layer, and "up" into `ret_part`; -1 if none. */
static int ffn_layer(const char *name, char *ret_part, bool *ret_bias) {
    int layer, end = 0;
    char part[8], kind[8];
    if (sscanf(name, "blk.%d.ffn_%7[a-z].%7s%n", &layer, part, kind, &end) != 3 || name[end] != '\0') return -1;
    if (strcmp(part, "gate") != 0 && strcmp(part, "up") != 0 && strcmp(part, "down") != 0) return -1;
    memcpy(ret_part, part, sizeof part);
    *ret_bias = strcmp(kind, "bias") == 0;
    return layer;
}

static int plan_tensor(hyp_make_upcycle *up, const hyp_make_shape *shape, int64_t id, hyp_err *err) {
    const char *name = gguf_get_tensor_name(up->input, id);
    const enum ggml_type type = gguf_get_tensor_type(up->input, id);
    int64_t ne[4];
    memcpy(ne, gguf_get_tensor_ne(up->input, id), sizeof ne);
    int n_dims = 4;
    while (n_dims > 1 && ne[n_dims - 1] == 1)
        n_dims--;
    char part[8];
    bool bias = false;
    const int layer = ffn_layer(name, part, &bias);
    hyp_make_tensor *t;
    if (layer < 0) {
        t = hyp_make_plan_add(&up->plan, -1, type, n_dims, ne, "%s", name);
    } else if (bias || n_dims != 2) {
        return hyp_err_set(err, HYP_EUNSUPPORTED, "%s: experts have no place for it", name);
    } else {
        if (strcmp(part, "gate") == 0) {
            t = hyp_make_plan_add(&up->plan, layer, GGML_TYPE_F32, 2, (int64_t[]){ne[0], shape->experts},
                                  "ffn_gate_inp.weight");
            if (t != NULL) {
                t->fill = HYP_MAKE_FILL_ROUTER;
                t->scale *= (float)shape->router_scale;
            }
        }
        ne[2] = shape->experts;
        t = hyp_make_plan_add(&up->plan, layer, type, 3, ne, "ffn_%s_exps.weight", part);
        if (t != NULL) t->expert = true;
    }
    if (t == NULL) return err != NULL ? err->code : HYP_EINVAL;
    t->fill = HYP_MAKE_FILL_COPY;
    t->source = id;
    return HYP_OK;
}

static int make_plan(hyp_make_upcycle *up, const hyp_make_shape *shape, hyp_err *err) {
    const char *arch = text_key(up->input, "general.architecture");
    size_t form = 0;
    while (form < HYP_ARRAY_LEN(forms) && strcmp(forms[form].dense, arch) != 0)
        form++;
    if (form == HYP_ARRAY_LEN(forms)) {
        hyp_err_set(err, HYP_EUNSUPPORTED, "%s: architecture \"%s\" has no mixture of experts of the same form",
                    up->path, arch);
        hyp_err_hint(err, "llama and qwen3 models can be upcycled");
        return HYP_EUNSUPPORTED;
    }
    if (u32_key(up->input, arch, "expert_count") > 0) {
        hyp_err_set(err, HYP_EUNSUPPORTED, "%s is a mixture of experts already", up->path);
        hyp_err_hint(err, "give a dense model");
        return HYP_EUNSUPPORTED;
    }
    int r = make_keys(up, shape, form, err);
    up->plan.err = err;
    for (int64_t i = 0; i < gguf_get_n_tensors(up->input) && r == HYP_OK; i++)
        r = plan_tensor(up, shape, i, err);
    return r;
}

int hyp_make_upcycle_new(const hyp_make_shape *shape, hyp_make_upcycle **ret, hyp_err *err) {
    if (shape->experts < 1 || shape->experts_used < 1 || shape->experts_used > shape->experts) {
        hyp_err_set(err, HYP_EINVAL, "%d experts used of %d is impossible", shape->experts_used, shape->experts);
        hyp_err_hint(err, "for example --experts 8 --used 2");
        return HYP_EINVAL;
    }
    if (shape->exact &&
        ((shape->experts_used & (shape->experts_used - 1)) != 0 || shape->experts % shape->experts_used != 0)) {
        hyp_err_set(err, HYP_EINVAL, "%d of %d experts cannot be chosen in equal groups without rounding",
                    shape->experts_used, shape->experts);
        hyp_err_hint(err, "with --exact, --used must be a power of two that divides --experts");
        return HYP_EINVAL;
    }
    if (shape->exact && shape->vary > 0)
        return hyp_err_set(err, HYP_EINVAL,
                           "experts that differ do not compute what the dense model does: --exact, or --vary");
    hyp_make_upcycle *up = calloc(1, sizeof *up);
    if (up == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    up->path = shape->upcycle;
    up->fd = -1;
    up->group = shape->exact ? shape->experts_used : 1;
    up->vary = shape->vary;
    up->seed = hyp_make_mix((uint64_t)shape->seed);
    int r = open_input(up, err);
    if (r == HYP_OK) r = make_plan(up, shape, err);
    if (r != HYP_OK) {
        hyp_make_upcycle_free(up);
        return r;
    }
    *ret = up;
    return HYP_OK;
}

static void router_rows(const hyp_make_upcycle *up, const hyp_make_tensor *t, int64_t row, int64_t n_rows, float *dst) {
    for (int64_t i = row; i < row + n_rows; i++) {
        uint64_t state = hyp_make_mix(up->seed ^ hyp_make_hash_text(t->name) ^ hyp_make_mix((uint64_t)(i / up->group)));
        for (int64_t c = 0; c < t->ne[0]; c++)
            *dst++ = hyp_make_normal(&state) * t->scale;
    }
}

/* Rows [from, from + n) of expert `e`, each scaled by a factor of its own. */
static int vary_rows(const hyp_make_upcycle *up, const hyp_make_tensor *t, int64_t e, int64_t from, int64_t n,
                     uint8_t *rows, hyp_err *err) {
    const struct ggml_type_traits *traits = ggml_get_type_traits(t->type);
    if (ggml_quantize_requires_imatrix(t->type) || (traits->to_float == NULL && t->type != GGML_TYPE_F32))
        return hyp_err_set(err, HYP_EUNSUPPORTED, "%s: rows of %s cannot be written anew", t->name, traits->type_name);
    HYP_AUTOFREE float *row = malloc((size_t)t->ne[0] * sizeof *row);
    if (row == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    for (int64_t i = 0; i < n; i++, rows += t->row_bytes) {
        uint64_t which = (uint64_t)(e * t->ne[1] + from + i);
        uint64_t state = hyp_make_mix(up->seed ^ hyp_make_hash_text(t->name) ^ hyp_make_mix(which));
        float factor = 1 + (float)up->vary * hyp_make_normal(&state);
        if (traits->to_float != NULL)
            traits->to_float(rows, row, t->ne[0]);
        else
            memcpy(row, rows, (size_t)t->row_bytes);
        for (int64_t c = 0; c < t->ne[0]; c++)
            row[c] *= factor;
        ggml_quantize_chunk(t->type, row, rows, 0, 1, t->ne[0], NULL);
    }
    return HYP_OK;
}

int hyp_make_upcycle_rows(void *source, const hyp_make_tensor *t, int64_t row, int64_t n_rows, void *dst,
                          hyp_err *err) {
    hyp_make_upcycle *up = source;
    if (t->fill == HYP_MAKE_FILL_ROUTER) {
        router_rows(up, t, row, n_rows, dst);
        return HYP_OK;
    }
    const uint64_t start = gguf_get_data_offset(up->input) + gguf_get_tensor_offset(up->input, t->source);
    /* Of an expert's matrix the input has one copy: rows count on within it. */
    const int64_t have = t->expert ? t->ne[1] : t->n_rows;
    uint8_t *out = dst;
    while (n_rows > 0) {
        const int64_t from = row % have, n = HYP_MIN(n_rows, have - from);
        const size_t bytes = (size_t)(n * t->row_bytes);
        ssize_t r = pread(up->fd, out, bytes, (off_t)(start + (uint64_t)(from * t->row_bytes)));
        if (r < 0 && errno == EINTR) continue;
        if (r != (ssize_t)bytes)
            return hyp_err_set_sys(err, HYP_EIO, r < 0 ? errno : 0, "cannot read %s of %s", t->name, up->path);
        if (t->expert && up->vary > 0) {
            int status = vary_rows(up, t, row / have, from, n, out, err);
            if (status != HYP_OK) return status;
        }
        out += bytes;
        row += n;
        n_rows -= n;
    }
    return HYP_OK;
}
