#include "plan.h"
#include "arch.h"
#include "base/mem.h"
#include "base/paths.h"
#include "tokenizer.h"

#include <gguf.h>
#include <llama.h>
#include <math.h>
#include <string.h>

enum { MAX_TEMPLATE_BYTES = 1 << 20 };

void hyp_make_plan_free(hyp_make_plan *plan) {
    free(plan->tensors);
    *plan = (hyp_make_plan){0};
}

static hyp_make_tensor *fail(hyp_make_plan *plan, int code) {
    plan->code = code;
    return NULL;
}

hyp_make_tensor *hyp_make_plan_add(hyp_make_plan *plan, int layer, enum ggml_type type, int n_dims, const int64_t *ne,
                                   const char *format, ...) {
    if (plan->code != HYP_OK) return NULL;
    if (plan->n == plan->capacity) {
        size_t capacity = HYP_MAX(plan->capacity * 2, 256);
        hyp_make_tensor *grown = realloc(plan->tensors, capacity * sizeof *grown);
        if (grown == NULL)
            return fail(plan, hyp_err_set(plan->err, HYP_ENOMEM, "out of memory for %zu tensors", capacity));
        plan->tensors = grown;
        plan->capacity = capacity;
    }
    hyp_make_tensor t = {
        .n_dims = n_dims, .type = type, .layer = layer, .fill = HYP_MAKE_FILL_NORMAL, .ne = {1, 1, 1, 1}};
    int length = 0;
    if (layer >= 0) length = snprintf(t.name, sizeof t.name, "blk.%d.", layer);
    va_list args;
    va_start(args, format);
    length += vsnprintf(t.name + length, sizeof t.name - (size_t)length, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof t.name)
        return fail(plan, hyp_err_set(plan->err, HYP_EINVAL, "a tensor's name is too long: %s", t.name));
    for (int i = 0; i < n_dims; i++) {
        if (ne[i] <= 0) return fail(plan, hyp_err_set(plan->err, HYP_EINVAL, "%s would have no elements", t.name));
        t.ne[i] = ne[i];
    }
    if (t.ne[0] % ggml_blck_size(type) != 0)
        return fail(plan,
                    hyp_err_set(plan->err, HYP_EINVAL, "%s: rows of %lld elements are no whole number of %s blocks",
                                t.name, (long long)t.ne[0], ggml_type_name(type)));
    t.n_rows = t.ne[1] * t.ne[2] * t.ne[3];
    t.row_bytes = (int64_t)ggml_row_size(type, t.ne[0]);
    t.bytes = (uint64_t)t.row_bytes * (uint64_t)t.n_rows;
    t.written_rows = t.ne[1];
    t.scale = 1 / sqrtf((float)t.ne[0]);
    plan->bytes += t.bytes;
    plan->tensors[plan->n] = t;
    return &plan->tensors[plan->n++];
}

hyp_make_tensor *hyp_make_plan_vector(hyp_make_plan *plan, int layer, int64_t n, hyp_make_fill fill, double scale,
                                      const char *name) {
    hyp_make_tensor *t = hyp_make_plan_add(plan, layer, GGML_TYPE_F32, 1, &n, "%s", name);
    if (t == NULL) return NULL;
    t->fill = fill;
    t->scale = (float)scale;
    return t;
}

hyp_make_tensor *hyp_make_plan_matrix(hyp_make_plan *plan, const hyp_make_shape *shape, int layer, hyp_make_role role,
                                      int64_t in, int64_t out, const char *name) {
    return hyp_make_plan_add(plan, layer, hyp_make_shape_type(shape, role, in), 2, (int64_t[]){in, out}, "%s.weight",
                             name);
}

void hyp_make_plan_to_residual(const hyp_make_shape *shape, hyp_make_tensor *t, bool attention) {
    if (t == NULL) return;
    t->scale *= (float)shape->residual_scale;
    t->zero = (hyp_make_rows){0, 1};
    t->quiet = (hyp_make_rows){shape->context_from, shape->width};
    t->quiet_others = attention;
}

/* With --sparse, holes; with --sparse-all every large matrix keeps its first rows: enough that hidden states and logits
 * still depend on the token, few enough that the trillion-parameter shape occupies a few hundred megabytes. */
static void sparsify(const hyp_make_shape *shape, hyp_make_plan *plan) {
    enum { DENSE_SHARE = 64, VOCAB_ROWS = 4096 };
    for (size_t i = 0; i < plan->n; i++) {
        hyp_make_tensor *t = &plan->tensors[i];
        if (t->expert && shape->sparse_experts && t->n_dims == 3) t->written_rows = 0;
        if (t->expert || !shape->sparse_all || t->n_dims < 2 || t->fill == HYP_MAKE_FILL_ROUTER) continue;
        int64_t rows = t->layer < 0 ? VOCAB_ROWS : HYP_MAX(t->ne[1] / DENSE_SHARE, 8);
        t->written_rows = HYP_MIN(rows, t->ne[1]);
    }
}

int hyp_make_plan_new(const hyp_make_shape *shape, hyp_make_plan *ret, hyp_err *err) {
    hyp_make_plan plan = {.err = err};
    hyp_make_tensor *t =
        hyp_make_plan_matrix(&plan, shape, -1, HYP_MAKE_EMBED, shape->width, shape->vocab, "token_embd");
    if (t != NULL) {
        t->fill = HYP_MAKE_FILL_EMBED;
        t->scale = shape->arch->embed_scaled ? 1 / sqrtf((float)shape->width) : 1;
    }
    for (int i = 0; i < shape->layers; i++)
        shape->arch->layer(shape, i, &plan);
    hyp_make_plan_vector(&plan, -1, shape->width, HYP_MAKE_FILL_CONSTANT, 1, "output_norm.weight");
    if (!shape->tied) {
        t = hyp_make_plan_matrix(&plan, shape, -1, HYP_MAKE_OUTPUT, shape->width, shape->vocab, "output");
        if (t != NULL) {
            t->scale *= (float)shape->logit_scale;
            /* Logit 0 is never the largest of a vocabulary: greedy text does not end by chance. */
            t->zero = (hyp_make_rows){HYP_MAKE_TOKEN_BOS, HYP_MAKE_TOKEN_MERGES};
        }
    }
    sparsify(shape, &plan);
    if (plan.code != HYP_OK) {
        hyp_make_plan_free(&plan);
        return err != NULL ? err->code : HYP_EINVAL;
    }
    *ret = plan;
    return HYP_OK;
}

static int file_type(enum ggml_type type) {
    static const struct {
        enum ggml_type type;
        enum llama_ftype file;
    } map[] = {{GGML_TYPE_F32, LLAMA_FTYPE_ALL_F32},
               {GGML_TYPE_F16, LLAMA_FTYPE_MOSTLY_F16},
               {GGML_TYPE_BF16, LLAMA_FTYPE_MOSTLY_BF16},
               {GGML_TYPE_Q4_0, LLAMA_FTYPE_MOSTLY_Q4_0},
               {GGML_TYPE_Q4_1, LLAMA_FTYPE_MOSTLY_Q4_1},
               {GGML_TYPE_Q5_0, LLAMA_FTYPE_MOSTLY_Q5_0},
               {GGML_TYPE_Q5_1, LLAMA_FTYPE_MOSTLY_Q5_1},
               {GGML_TYPE_Q8_0, LLAMA_FTYPE_MOSTLY_Q8_0},
               {GGML_TYPE_Q2_K, LLAMA_FTYPE_MOSTLY_Q2_K},
               {GGML_TYPE_Q3_K, LLAMA_FTYPE_MOSTLY_Q3_K_M},
               {GGML_TYPE_Q4_K, LLAMA_FTYPE_MOSTLY_Q4_K_M},
               {GGML_TYPE_Q5_K, LLAMA_FTYPE_MOSTLY_Q5_K_M},
               {GGML_TYPE_Q6_K, LLAMA_FTYPE_MOSTLY_Q6_K},
               {GGML_TYPE_IQ4_NL, LLAMA_FTYPE_MOSTLY_IQ4_NL},
               {GGML_TYPE_IQ4_XS, LLAMA_FTYPE_MOSTLY_IQ4_XS},
               {GGML_TYPE_IQ3_S, LLAMA_FTYPE_MOSTLY_IQ3_S},
               {GGML_TYPE_IQ3_XXS, LLAMA_FTYPE_MOSTLY_IQ3_XXS},
               {GGML_TYPE_IQ2_S, LLAMA_FTYPE_MOSTLY_IQ2_S},
               {GGML_TYPE_IQ2_XS, LLAMA_FTYPE_MOSTLY_IQ2_XS},
               {GGML_TYPE_IQ2_XXS, LLAMA_FTYPE_MOSTLY_IQ2_XXS},
               {GGML_TYPE_IQ1_S, LLAMA_FTYPE_MOSTLY_IQ1_S},
               {GGML_TYPE_IQ1_M, LLAMA_FTYPE_MOSTLY_IQ1_M},
               {GGML_TYPE_TQ1_0, LLAMA_FTYPE_MOSTLY_TQ1_0},
               {GGML_TYPE_TQ2_0, LLAMA_FTYPE_MOSTLY_TQ2_0},
               {GGML_TYPE_MXFP4, LLAMA_FTYPE_MOSTLY_MXFP4_MOE},
               {GGML_TYPE_NVFP4, LLAMA_FTYPE_MOSTLY_NVFP4}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(map); i++)
        if (map[i].type == type) return (int)map[i].file;
    return LLAMA_FTYPE_GUESSED;
}

static void key_name(const hyp_make_shape *shape, const char *key, char *buf, size_t buf_size) {
    snprintf(buf, buf_size, "%s.%s", shape->arch->gguf, key);
}

void hyp_make_key_u32(const hyp_make_shape *shape, struct gguf_context *gguf, const char *key, int value) {
    char name[128];
    key_name(shape, key, name, sizeof name);
    gguf_set_val_u32(gguf, name, (uint32_t)value);
}

void hyp_make_key_f32(const hyp_make_shape *shape, struct gguf_context *gguf, const char *key, double value) {
    char name[128];
    key_name(shape, key, name, sizeof name);
    gguf_set_val_f32(gguf, name, (float)value);
}

void hyp_make_key_bool(const hyp_make_shape *shape, struct gguf_context *gguf, const char *key, bool value) {
    char name[128];
    key_name(shape, key, name, sizeof name);
    gguf_set_val_bool(gguf, name, value);
}

static void keys_common(const hyp_make_shape *shape, struct gguf_context *gguf) {
    char name[128];
    snprintf(name, sizeof name, "Synthetic %s %dx%d", shape->arch->name, shape->layers, shape->width);
    gguf_set_val_str(gguf, "general.architecture", shape->arch->gguf);
    gguf_set_val_str(gguf, "general.type", "model");
    gguf_set_val_str(gguf, "general.name", shape->name != NULL ? shape->name : name);
    gguf_set_val_u32(gguf, "general.quantization_version", GGML_QNT_VERSION);
    gguf_set_val_u32(gguf, "general.file_type",
                     (uint32_t)file_type(shape->type[shape->experts > 0 ? HYP_MAKE_EXPERT : HYP_MAKE_FFN]));
    hyp_make_key_u32(shape, gguf, "block_count", shape->layers);
    hyp_make_key_u32(shape, gguf, "context_length", shape->context);
    hyp_make_key_u32(shape, gguf, "embedding_length", shape->width);
    hyp_make_key_u32(shape, gguf, "feed_forward_length", shape->ffn);
    hyp_make_key_u32(shape, gguf, "attention.head_count", shape->heads);
    hyp_make_key_f32(shape, gguf, "attention.layer_norm_rms_epsilon", 1e-6);
    hyp_make_key_f32(shape, gguf, "rope.freq_base", HYP_MAKE_ROPE_BASE);
    hyp_make_key_u32(shape, gguf, "rope.dimension_count", shape->rope_dim);
    hyp_make_key_u32(shape, gguf, "vocab_size", shape->vocab);
    if (!shape->arch->latent) {
        hyp_make_key_u32(shape, gguf, "attention.head_count_kv", shape->kv_heads);
        hyp_make_key_u32(shape, gguf, "attention.key_length", shape->head_dim);
        hyp_make_key_u32(shape, gguf, "attention.value_length", shape->head_dim);
    }
    if (shape->experts == 0) return;
    hyp_make_key_u32(shape, gguf, "expert_count", shape->experts);
    hyp_make_key_u32(shape, gguf, "expert_used_count", shape->experts_used);
}

int hyp_make_keys_new(const hyp_make_shape *shape, struct gguf_context **ret, hyp_err *err) {
    struct gguf_context *gguf = gguf_init_empty();
    if (gguf == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the metadata");
    keys_common(shape, gguf);
    if (shape->arch->keys != NULL) shape->arch->keys(shape, gguf);
    int r = hyp_make_tokenizer_set(gguf, shape->vocab, err);
    HYP_AUTOFREE char *template = NULL;
    size_t n = 0;
    if (r == HYP_OK && shape->chat_template != NULL)
        r = hyp_paths_read(shape->chat_template, MAX_TEMPLATE_BYTES, &template, &n, err);
    if (template != NULL) gguf_set_val_str(gguf, "tokenizer.chat_template", template);
    if (r != HYP_OK) {
        gguf_free(gguf);
        return r;
    }
    *ret = gguf;
    return HYP_OK;
}
