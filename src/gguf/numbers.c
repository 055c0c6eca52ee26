/* numbers.c - the model's shape from its metadata. libllama aborts the process on several contradictions here
 * (GGML_ASSERTs in llama_model::load_hparams); they are reported as errors instead. */
#include "gguf/model_priv.h"

#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

enum {
    MAX_LAYERS = 512,  /* LLAMA_MAX_LAYERS */
    MAX_EXPERTS = 1024 /* LLAMA_MAX_EXPERTS */
};

static const char contradiction[] = "the metadata is damaged or from another program: convert the model again";

int hyp_gguf_damaged(const hyp_model *model, hyp_err *err, const char *hint, const char *format, ...) {
    char what[200];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    hyp_err_set(err, HYP_EFORMAT, "%s: %s", model->path, what);
    hyp_err_hint(err, "%s", hint);
    return HYP_EFORMAT;
}

/* A key that must fit 32 bits. A negative number counts as too large, as it does for libllama. */
static int number(const hyp_model *model, const char *key, uint32_t fallback, uint32_t *ret, hyp_err *err) {
    uint64_t value = hyp_model_meta_u64(model, key, fallback);
    if (value > INT32_MAX)
        return hyp_gguf_damaged(model, err, contradiction, "%s%s is %" PRIu64, model->arch, key + 2, value);
    *ret = (uint32_t)value;
    return HYP_OK;
}

static int read_layers(hyp_model *model, hyp_err *err) {
    uint32_t posnet = 0, convnext = 0;
    int e = number(model, "%s.block_count", 0, &model->n_layers, err);
    if (e == HYP_OK) e = number(model, "%s.nextn_predict_layers", 0, &model->n_layers_nextn, err);
    if (e == HYP_OK) e = number(model, "%s.posnet.block_count", 0, &posnet, err);
    if (e == HYP_OK) e = number(model, "%s.convnext.block_count", 0, &convnext, err);
    if (e != HYP_OK) return e;
    if (model->n_layers == 0)
        return hyp_gguf_damaged(model, err, contradiction, "%s.block_count is missing or 0", model->arch);
    if (model->n_layers > MAX_LAYERS)
        return hyp_gguf_damaged(model, err, contradiction,
                                "%s.block_count is %" PRIu32 "; at most %d layers can be run", model->arch,
                                model->n_layers, MAX_LAYERS);
    if (model->n_layers_nextn > model->n_layers || posnet > model->n_layers || convnext > model->n_layers)
        return hyp_gguf_damaged(model, err, contradiction,
                                "the metadata counts more special layers than layers (%" PRIu32 ")", model->n_layers);
    return HYP_OK;
}

static int read_experts(hyp_model *model, hyp_err *err) {
    uint32_t groups = 0, groups_used = 0;
    int e = number(model, "%s.expert_count", 0, &model->n_experts, err);
    if (e == HYP_OK) e = number(model, "%s.expert_group_count", 0, &groups, err);
    if (e == HYP_OK) e = number(model, "%s.expert_group_used_count", 0, &groups_used, err);
    if (e != HYP_OK) return e;
    for (uint32_t i = 0; i < model->n_layers; i++) {
        uint64_t used = hyp_model_meta_u64_at(model, "%s.expert_used_count", i, 0);
        if (used > MAX_EXPERTS)
            return hyp_gguf_damaged(model, err, contradiction, "%s.expert_used_count is %" PRIu64, model->arch, used);
        model->n_experts_used = HYP_MAX(model->n_experts_used, (uint32_t)used);
    }
    /* Dense Hunyuan models say that they have one expert; libllama takes it for none. */
    if (strncmp(model->arch, "hunyuan", 7) == 0 && model->n_experts <= 1) model->n_experts = model->n_experts_used = 0;
    uint32_t n = model->n_experts, used = model->n_experts_used;
    if (n > MAX_EXPERTS || used > n || (n > 0 && used == 0))
        return hyp_gguf_damaged(model, err, contradiction,
                                "%" PRIu32 " of %" PRIu32 " experts are to be used (at most %d can be)", used, n,
                                MAX_EXPERTS);
    if (groups > 0 && (groups >= n || (groups > 1 && (n % groups != 0 || groups_used == 0 || groups_used >= groups))))
        return hyp_gguf_damaged(model, err, contradiction,
                                "%" PRIu32 " experts cannot form %" PRIu32 " groups with %" PRIu32 " used", n, groups,
                                groups_used);
    return HYP_OK;
}

static int check_rope(const hyp_model *model, hyp_err *err) {
    static const char *const known[] = {"none", "linear", "yarn", "longrope"};
    const char *type = hyp_model_meta_str(model, "%s.rope.scaling.type", "none");
    for (size_t i = 0; i < HYP_ARRAY_LEN(known); i++)
        if (strcmp(type, known[i]) == 0) return HYP_OK;
    return hyp_gguf_damaged(model, err, contradiction,
                            "%s.rope.scaling.type is \"%.40s\", which libllama does not know", model->arch, type);
}

int hyp_gguf_read_numbers(hyp_model *model, hyp_err *err) {
    int e = read_layers(model, err);
    if (e == HYP_OK) e = read_experts(model, err);
    if (e == HYP_OK) e = number(model, "%s.embedding_length", 0, &model->n_embd, err);
    if (e == HYP_OK) e = number(model, "%s.context_length", 0, &model->n_ctx_train, err);
    if (e == HYP_OK) e = number(model, "%s.vocab_size", 0, &model->n_vocab, err);
    if (e == HYP_OK) e = check_rope(model, err);
    return e;
}
