#include "shape.h"
#include "arch.h"
#include "base/mem.h"
#include "tokenizer.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#define AT(field) offsetof(hyp_make_shape, field)
#define INT(name, field, max, help)                                                                                    \
    { name, NULL, HYP_OPTION_INT, AT(field), 0, max, "N", NULL, help, 1 }
#define TEXT(name, alias, field, metavar, help)                                                                        \
    { name, alias, HYP_OPTION_STRING, AT(field), 0, 0, metavar, NULL, help, 1 }
#define REAL(name, field, min, max, deflt, help)                                                                       \
    { name, NULL, HYP_OPTION_REAL, AT(field), min, max, "X", deflt, help, 1 }
#define FLAG(name, alias, field, help)                                                                                 \
    { name, alias, HYP_OPTION_FLAG, AT(field), 0, 0, NULL, NULL, help, 1 }
#define QUANT(name, role, help) TEXT(name, NULL, quant_role[role], "TYPE", help)

static const hyp_option rows[] = {
    TEXT("out", "-o", out, "FILE", "the GGUF file to write"),
    TEXT("arch", "-a", arch_name, "NAME", "architecture of a synthetic model; see the list below"),
    TEXT("upcycle", NULL, upcycle, "IN", "instead turn this dense GGUF into a mixture of experts"),
    TEXT("name", NULL, name, "TEXT", "general.name"),
    TEXT("chat-template", NULL, chat_template, "FILE", "the chat template, instead of ChatML"),
    INT("layers", layers, 1024, "number of layers"),
    INT("width", width, 65536, "embedding width"),
    INT("heads", heads, 1024, "attention heads"),
    INT("kv-heads", kv_heads, 1024, "key and value heads"),
    INT("head-dim", head_dim, 4096, "width of a head"),
    INT("ffn", ffn, 1 << 20, "width of the dense FFN"),
    INT("experts", experts, 4096, "routed experts a layer; 0 is dense where the architecture can be"),
    INT("used", experts_used, 4096, "experts used a token"),
    INT("expert-width", expert_width, 1 << 20, "width of a routed expert"),
    INT("shared", shared_experts, 64, "shared experts a layer"),
    INT("shared-width", shared_width, 1 << 20, "width of a shared expert"),
    INT("dense-layers", dense_layers, 1024, "leading layers with a dense FFN"),
    INT("context", context, 1 << 24, "context length the model claims to be trained for"),
    INT("vocab", vocab, 1 << 21, "vocabulary size"),
    {"q-rank", NULL, HYP_OPTION_INT, AT(q_rank), -1, 65536, "N", NULL,
     "latent attention: rank of the query, -1 for none", 1},
    INT("kv-rank", kv_rank, 65536, "latent attention: rank of keys and values"),
    INT("rope-dim", rope_dim, 4096, "rotated elements of a head"),
    INT("value-dim", value_dim, 4096, "latent attention: width of a value head"),
    INT("attention-every", attention_every, 1024, "hybrid: every how many layers one of softmax attention"),
    INT("linear-heads", linear_heads, 1024, "hybrid: value heads of linear attention"),
    INT("linear-key-heads", linear_key_heads, 1024, "hybrid: key heads of linear attention"),
    INT("linear-dim", linear_dim, 4096, "hybrid: width of a linear-attention head"),
    INT("window", window, 1 << 24, "sliding window, where the architecture has one"),
    FLAG("tied", NULL, tied, "the output matrix is the embedding table"),
    FLAG("merge-gate-up", NULL, merge_gate_up, "gate and up of the experts in one tensor, where libllama reads that"),
    {"quant", "-q", HYP_OPTION_STRING, AT(quant), 0, 0, "TYPE", "Q4_K", "type of every matrix not named below", 1},
    QUANT("quant-embed", HYP_MAKE_EMBED, "type of the embedding table"),
    QUANT("quant-output", HYP_MAKE_OUTPUT, "type of the output matrix"),
    QUANT("quant-attn", HYP_MAKE_ATTN, "type of attention"),
    QUANT("quant-ffn", HYP_MAKE_FFN, "type of the dense FFN's gate and up"),
    QUANT("quant-shared", HYP_MAKE_SHARED, "type of shared experts"),
    QUANT("quant-experts", HYP_MAKE_EXPERT, "type of the routed experts' gate and up"),
    QUANT("quant-down", HYP_MAKE_DOWN, "type of down in the dense FFN and the routed experts"),
    QUANT("quant-router", HYP_MAKE_ROUTER, "type of the router (default F32)"),
    REAL("skew", skew, 0, 4, "0", "popularity of experts falls with rank to this power"),
    REAL("sticky", sticky, 0, 1, "0", "share of the routing that follows the recent context instead of the token"),
    REAL("router-scale", router_scale, 0.01, 100, "1", "standard deviation of the router's logits"),
    REAL("residual-scale", residual_scale, 0.001, 100, "1", "how much each layer adds to the hidden state"),
    REAL("logit-scale", logit_scale, 0.01, 100, "3", "standard deviation of the output logits"),
    {"seed", "-s", HYP_OPTION_INT, AT(seed), 0, INT_MAX, "N", "1", "seed of all weights", 1},
    {"split-bytes", NULL, HYP_OPTION_SIZE, AT(split_bytes), 0, 0, "SIZE", NULL, "split into files of at most this size",
     1},
    INT("split-tensors", split_tensors, INT_MAX, "split into files of at most this many tensors"),
    {"alignment", NULL, HYP_OPTION_INT, AT(alignment), 8, 1 << 20, "N", "32",
     "alignment of tensor data, a power of two", 1},
    FLAG("sparse", NULL, sparse_experts, "the routed experts' data are holes"),
    FLAG("sparse-all", NULL, sparse_all, "the same, and of every large matrix only the first rows are written"),
    FLAG("exact", NULL, exact,
         "upcycling: experts are chosen in fixed groups with equal weights, bit for bit the dense model"),
    REAL("vary", vary, 0, 1, "0", "upcycling: experts differ, each row of each scaled by 1 plus this deviation"),
    FLAG("dry-run", NULL, dry_run, "only print what would be written"),
    FLAG("quiet", NULL, quiet, "no progress"),
    FLAG("help", "-h", help, "show this help"),
};
const hyp_options hyp_make_options = {rows, HYP_ARRAY_LEN(rows), NULL, 0};

static bool can_quantise(enum ggml_type type, const struct ggml_type_traits *traits) {
    switch (type) {
    case GGML_TYPE_F32:
    case GGML_TYPE_F16:
    case GGML_TYPE_BF16:
    case GGML_TYPE_IQ1_M: return true;
    case GGML_TYPE_Q8_1:
    case GGML_TYPE_Q8_K: return false; /* for activations: no file holds them */
    default: return traits->is_quantized && (traits->from_float_ref != NULL || ggml_quantize_requires_imatrix(type));
    }
}

int hyp_make_type_parse(const char *text, enum ggml_type *ret, hyp_err *err) {
    char names[192] = "";
    for (int i = 0; i < GGML_TYPE_COUNT; i++) {
        enum ggml_type type = (enum ggml_type)i;
        const struct ggml_type_traits *traits = ggml_get_type_traits(type);
        if (traits->type_name == NULL || traits->blck_size == 0 || !can_quantise(type, traits)) continue;
        if (strcasecmp(traits->type_name, text) == 0) {
            *ret = type;
            return HYP_OK;
        }
        size_t length = strlen(names);
        snprintf(names + length, sizeof names - length, "%s%s", length > 0 ? " " : "", traits->type_name);
    }
    int r = hyp_err_set(err, HYP_EINVAL, "there is no quantisation called \"%s\"", text);
    hyp_err_hint(err, "one of %s", names);
    return r;
}

static int resolve_types(hyp_make_shape *shape, hyp_err *err) {
    enum ggml_type base;
    int r = hyp_make_type_parse(shape->quant, &base, err);
    for (int i = 0; i < HYP_MAKE_N_ROLES && r == HYP_OK; i++) {
        shape->type[i] = i == HYP_MAKE_ROUTER ? GGML_TYPE_F32 : base;
        if (shape->quant_role[i] != NULL) r = hyp_make_type_parse(shape->quant_role[i], &shape->type[i], err);
    }
    return r;
}

/* What was not said comes from the architecture, whose row gives a small model that runs anywhere. */
static void resolve_defaults(hyp_make_shape *shape) {
    static const size_t fields[] = {AT(layers),           AT(width),           AT(heads),
                                    AT(kv_heads),         AT(head_dim),        AT(ffn),
                                    AT(context),          AT(vocab),           AT(experts),
                                    AT(experts_used),     AT(expert_width),    AT(shared_experts),
                                    AT(shared_width),     AT(dense_layers),    AT(q_rank),
                                    AT(kv_rank),          AT(rope_dim),        AT(value_dim),
                                    AT(window),           AT(attention_every), AT(linear_heads),
                                    AT(linear_key_heads), AT(linear_dim)};
    for (size_t i = 0; i < HYP_ARRAY_LEN(fields); i++) {
        int *value = (int *)((char *)shape + fields[i]);
        if (*value == 0) *value = *(const int *)((const char *)&shape->arch->defaults + fields[i]);
    }
    if (shape->kv_heads == 0) shape->kv_heads = shape->heads;
    if (shape->head_dim == 0) shape->head_dim = HYP_MAX(shape->width / shape->heads, 1);
    if (shape->rope_dim == 0) shape->rope_dim = shape->head_dim;
    if (shape->expert_width == 0) shape->expert_width = shape->ffn;
    if (shape->shared_width == 0) shape->shared_width = shape->expert_width * HYP_MAX(shape->shared_experts, 1);
    if (shape->arch->always_tied) shape->tied = true;
    if (shape->sparse_all) shape->sparse_experts = true;
}

static int check_experts(const hyp_make_shape *shape, hyp_err *err) {
    const hyp_make_arch *arch = shape->arch;
    if (shape->experts > 0 && !arch->moe) {
        hyp_err_set(err, HYP_EINVAL, "%s is a dense architecture", arch->name);
        hyp_err_hint(err, "leave out --experts, or choose --arch qwen3moe");
        return HYP_EINVAL;
    }
    if (shape->experts > 0 && (shape->experts_used < 1 || shape->experts_used > shape->experts)) {
        hyp_err_set(err, HYP_EINVAL, "%d experts used of %d is impossible", shape->experts_used, shape->experts);
        hyp_err_hint(err, "give --used between 1 and %d", shape->experts);
        return HYP_EINVAL;
    }
    if (shape->dense_layers >= shape->layers && shape->experts > 0) {
        hyp_err_set(err, HYP_EINVAL, "%d leading dense layers of %d leave no layer of experts", shape->dense_layers,
                    shape->layers);
        hyp_err_hint(err, "give --dense-layers %d or less", shape->layers - 1);
        return HYP_EINVAL;
    }
    if (shape->merge_gate_up && !arch->merged) {
        hyp_err_set(err, HYP_EINVAL, "libllama reads no merged gate and up for %s", arch->name);
        hyp_err_hint(err, "--arch qwen3next and qwen35moe may have it");
        return HYP_EINVAL;
    }
    return HYP_OK;
}

static int check_rows(const hyp_make_shape *shape, hyp_err *err) {
    const struct {
        const char *option;
        int width;
        hyp_make_role role;
        bool used;
    } widths[] = {{"--width", shape->width, HYP_MAKE_EMBED, true},
                  {"--width", shape->width, HYP_MAKE_OUTPUT, !shape->tied},
                  {"--width", shape->width, HYP_MAKE_EXPERT, shape->experts > 0},
                  {"--width", shape->width, HYP_MAKE_FFN, shape->experts == 0},
                  {"--expert-width", shape->expert_width, HYP_MAKE_DOWN, shape->experts > 0},
                  {"--ffn", shape->ffn, HYP_MAKE_DOWN, shape->experts == 0 || shape->dense_layers > 0}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(widths); i++) {
        enum ggml_type type = shape->type[widths[i].role];
        int block = (int)ggml_blck_size(type);
        if (widths[i].used && widths[i].width % block != 0) {
            hyp_err_set(err, HYP_EINVAL, "%s %d is no whole number of %s blocks", widths[i].option, widths[i].width,
                        ggml_type_name(type));
            hyp_err_hint(err, "use a multiple of %d, or a type with smaller blocks such as Q8_0 or F16", block);
            return HYP_EINVAL;
        }
    }
    return HYP_OK;
}

static int check(const hyp_make_shape *shape, hyp_err *err) {
    const hyp_make_arch *arch = shape->arch;
    if (shape->width < 32 || shape->width % 32 != 0) {
        hyp_err_set(err, HYP_EINVAL, "--width %d is impossible", shape->width);
        hyp_err_hint(err, "use a multiple of 32");
        return HYP_EINVAL;
    }
    if (shape->heads % shape->kv_heads != 0) {
        hyp_err_set(err, HYP_EINVAL, "%d heads cannot share %d key heads", shape->heads, shape->kv_heads);
        hyp_err_hint(err, "--kv-heads must divide --heads");
        return HYP_EINVAL;
    }
    if (shape->head_dim < 2 || shape->head_dim % 2 != 0 || shape->rope_dim % 2 != 0 ||
        shape->rope_dim > shape->head_dim) {
        hyp_err_set(err, HYP_EINVAL, "a head of %d elements cannot have %d rotated", shape->head_dim, shape->rope_dim);
        hyp_err_hint(err, "use an even --head-dim such as 64, and --rope-dim no larger");
        return HYP_EINVAL;
    }
    if (arch->wide_heads && (int64_t)shape->heads * shape->head_dim != shape->width) {
        hyp_err_set(err, HYP_EINVAL, "in %s, heads times head width must be the embedding width", arch->name);
        hyp_err_hint(err, "leave out --head-dim and let --heads divide --width (%d)", shape->width);
        return HYP_EINVAL;
    }
    if (shape->vocab < HYP_MAKE_MIN_VOCAB) {
        hyp_err_set(err, HYP_EINVAL, "a vocabulary of %d cannot hold every byte", shape->vocab);
        hyp_err_hint(err, "use --vocab %d or more", HYP_MAKE_MIN_VOCAB);
        return HYP_EINVAL;
    }
    if ((shape->alignment & (shape->alignment - 1)) != 0) {
        hyp_err_set(err, HYP_EINVAL, "--alignment %d is impossible", shape->alignment);
        hyp_err_hint(err, "use a power of two such as 4096");
        return HYP_EINVAL;
    }
    int r = check_experts(shape, err);
    if (r == HYP_OK) r = check_rows(shape, err);
    if (r == HYP_OK && arch->check != NULL) r = arch->check(shape, err);
    return r;
}

int hyp_make_shape_resolve(hyp_make_shape *shape, hyp_err *err) {
    if (shape->arch_name == NULL) shape->arch_name = "llama";
    shape->arch = hyp_make_arch_find(shape->arch_name);
    if (shape->arch == NULL) {
        const char *names[32];
        size_t n = HYP_MIN(hyp_make_n_archs, HYP_ARRAY_LEN(names));
        for (size_t i = 0; i < n; i++)
            names[i] = hyp_make_archs[i]->name;
        const char *near = hyp_options_nearest(shape->arch_name, names, n);
        int r = hyp_err_set(err, HYP_EINVAL, "there is no architecture \"%s\" here", shape->arch_name);
        if (near != NULL)
            hyp_err_hint(err, "did you mean %s?", near);
        else
            hyp_err_hint(err, "--help lists them");
        return r;
    }
    resolve_defaults(shape);
    int r = resolve_types(shape, err);
    if (r == HYP_OK) r = check(shape, err);
    if (r != HYP_OK) return r;
    /* The last quarter of the residual stream is the context part; it begins with a whole block where that can be. */
    int from = shape->width * 3 / 4;
    shape->context_from = from - from % (shape->width >= 1024 ? 256 : 8);
    /* Large enough to steer without an outlier among the weights, small enough not to drown a narrow stream. */
    shape->constant = (float)HYP_MIN(4.0, sqrt(shape->width) / 4);
    return HYP_OK;
}

enum ggml_type hyp_make_shape_type(const hyp_make_shape *shape, hyp_make_role role, int64_t row) {
    enum ggml_type type = shape->type[role];
    if (row % ggml_blck_size(type) == 0) return type;
    return row % ggml_blck_size(GGML_TYPE_Q8_0) == 0 ? GGML_TYPE_Q8_0 : GGML_TYPE_F16;
}

hyp_make_rms hyp_make_shape_rms(const hyp_make_shape *shape, int layer, bool after_attention) {
    /* What a layer adds to each coordinate of its part: attention averages values of unit variance over about ten
     * tokens with --sticky, else over more; silu(g)*u of unit normals has variance 0.36, the mean of k experts 1/k of
     * it. */
    const double scale = shape->residual_scale * shape->residual_scale;
    const double attention = scale * (shape->sticky > 0 ? 0.15 : 0.05);
    double ffn = scale * 0.36;
    if (shape->experts > 0) ffn = ffn / shape->experts_used + (shape->shared_experts > 0 ? ffn : 0);
    const double n = shape->width, n_context = n - shape->context_from, n_token = shape->context_from - 1;
    const double context = (layer + (after_attention ? 1 : 0)) * attention;
    const double token = 1 + layer * ffn;
    const double constant = (double)shape->constant * shape->constant;
    return (hyp_make_rms){.all = sqrt((constant + n_token * token + n_context * context) / n),
                          .token = sqrt(token),
                          .context = sqrt(context)};
}
