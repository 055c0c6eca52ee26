/* meta.c - looking things up in the metadata. ggml's getters abort on a key of another type, so every one is asked for
 * its type first. */
#include "gguf/model_priv.h"

#include <gguf.h>
#include <math.h>
#include <string.h>

typedef union scalar {
    uint64_t u;
    int64_t i;
    double f;
} scalar;

/* Which of the union's fields `type` is held in: 'u', 'i', 'f', or 0 for strings. */
static char load(enum gguf_type type, const void *data, size_t index, scalar *ret) {
#define ELEMENT(ctype) (((const ctype *)data)[index])
    switch (type) {
    case GGUF_TYPE_UINT8: ret->u = ELEMENT(uint8_t); return 'u';
    case GGUF_TYPE_UINT16: ret->u = ELEMENT(uint16_t); return 'u';
    case GGUF_TYPE_UINT32: ret->u = ELEMENT(uint32_t); return 'u';
    case GGUF_TYPE_UINT64: ret->u = ELEMENT(uint64_t); return 'u';
    case GGUF_TYPE_BOOL: ret->u = ELEMENT(int8_t) != 0; return 'u';
    /* NOLINTNEXTLINE(bugprone-signed-char-misuse): the sign is wanted */
    case GGUF_TYPE_INT8: ret->i = ELEMENT(int8_t); return 'i';
    case GGUF_TYPE_INT16: ret->i = ELEMENT(int16_t); return 'i';
    case GGUF_TYPE_INT32: ret->i = ELEMENT(int32_t); return 'i';
    case GGUF_TYPE_INT64: ret->i = ELEMENT(int64_t); return 'i';
    case GGUF_TYPE_FLOAT32: ret->f = (double)ELEMENT(float); return 'f';
    case GGUF_TYPE_FLOAT64: ret->f = ELEMENT(double); return 'f';
    default: return 0;
    }
#undef ELEMENT
}

static int64_t find(const hyp_model *model, const char *key) {
    char full[256];
    if (strncmp(key, "%s.", 3) != 0) return gguf_find_key(model->gguf, key);
    int n = snprintf(full, sizeof full, "%s%s", model->arch, key + 2);
    return n > 0 && (size_t)n < sizeof full ? gguf_find_key(model->gguf, full) : -1;
}

/* The scalar under `key`, or element `index` of the array there. A scalar answers for every index. */
static char look_up(const hyp_model *model, const char *key, size_t index, scalar *ret) {
    int64_t id = find(model, key);
    if (id < 0) return 0;
    enum gguf_type type = gguf_get_kv_type(model->gguf, id);
    if (type == GGUF_TYPE_STRING) return 0;
    if (type != GGUF_TYPE_ARRAY) return load(type, gguf_get_val_data(model->gguf, id), 0, ret);
    type = gguf_get_arr_type(model->gguf, id);
    if (type == GGUF_TYPE_STRING || index >= gguf_get_arr_n(model->gguf, id)) return 0;
    return load(type, gguf_get_arr_data(model->gguf, id), index, ret);
}

uint64_t hyp_model_meta_u64_at(const hyp_model *model, const char *key, size_t index, uint64_t fallback) {
    scalar value = {0};
    switch (look_up(model, key, index, &value)) {
    case 'u': return value.u;
    case 'i': return value.i >= 0 ? (uint64_t)value.i : fallback;
    default: return fallback;
    }
}

uint64_t hyp_model_meta_u64(const hyp_model *model, const char *key, uint64_t fallback) {
    return hyp_model_meta_u64_at(model, key, 0, fallback);
}

double hyp_model_meta_f64(const hyp_model *model, const char *key, double fallback) {
    scalar value = {0};
    switch (look_up(model, key, 0, &value)) {
    case 'u': return (double)value.u;
    case 'i': return (double)value.i;
    case 'f': return isfinite(value.f) ? value.f : fallback;
    default: return fallback;
    }
}

const char *hyp_model_meta_str(const hyp_model *model, const char *key, const char *fallback) {
    int64_t id = find(model, key);
    if (id < 0 || gguf_get_kv_type(model->gguf, id) != GGUF_TYPE_STRING) return fallback;
    return gguf_get_val_str(model->gguf, id);
}
