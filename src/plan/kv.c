#include "plan/kv_priv.h"

#include "base/mem.h"

#include <ggml.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_PAD = 256 }; /* libllama rounds the number of cells up to this */

/* What a layer remembers, by the weights it has. */
typedef struct layer_kind {
    bool attention, recurrent;
} layer_kind;

static uint64_t pad(uint64_t n) {
    return (n + CELL_PAD - 1) / CELL_PAD * CELL_PAD;
}

static uint64_t row_bytes(int type, uint64_t n) {
    if (type < 0 || type >= GGML_TYPE_COUNT) type = GGML_TYPE_F16;
    return n * ggml_type_size((enum ggml_type)type) / (uint64_t)ggml_blck_size((enum ggml_type)type);
}

/* Families whose pattern of sliding-window layers libllama knows by name because their files do not carry it: every
 * `period`th layer sees the whole context. Source: load_hparams of llama.cpp's models. A name missing here costs memory
 * that is not needed, nothing else. */
static const struct {
    const char *arch;
    uint32_t period;
    bool dense_first; /* the period begins with the full layer */
    uint32_t window;  /* when the file names none */
} windows[] = {
    {"gemma2", 2, false, 4096},         {"gemma3", 6, false, 1024}, {"gemma3n", 5, false, 512},
    {"gemma-embedding", 6, false, 512}, {"cohere2", 4, false, 0},   {"gpt-oss", 2, false, 0},
    {"exaone4", 4, false, 0},           {"llama4", 4, false, 8192}, {"olmo2", 4, false, 0},
    {"smallthinker", 4, true, 4096},    {"afmoe", 4, false, 0},
};

/* Cells below which attention of layer `il` never looks back, 0 when it sees the whole context. */
static uint64_t window_of(const hyp_model *model, uint32_t il) {
    uint64_t window = hyp_model_meta_u64(model, "%s.attention.sliding_window", 0);
    /* An array has a flag a layer; a plain number, which answers for every index, is the period. */
    const char *key = "%s.attention.sliding_window_pattern";
    const uint64_t none = UINT64_MAX;
    uint64_t period = hyp_model_meta_u64(model, key, 0);
    bool is_array =
        hyp_model_meta_u64(model, key, none) != none && hyp_model_meta_u64_at(model, key, SIZE_MAX, none) == none;
    if (is_array) return hyp_model_meta_u64_at(model, key, il, 0) == 1 ? window : 0;
    for (size_t i = 0; i < HYP_ARRAY_LEN(windows); i++) {
        if (strcmp(model->arch, windows[i].arch) != 0) continue;
        if (period < 2) period = windows[i].period;
        if (window == 0) window = windows[i].window;
        bool full = windows[i].dense_first ? il % period == 0 : il % period == period - 1;
        return full ? 0 : window;
    }
    return period >= 2 && il % period != period - 1 ? window : 0;
}

static layer_kind *layer_kinds(const hyp_model *model) {
    layer_kind *kinds = calloc(model->n_layers + 1u, sizeof *kinds);
    if (kinds == NULL) return NULL;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const hyp_tensor *t = &model->tensors[i];
        if (t->layer < 0 || (uint32_t)t->layer >= model->n_layers) continue;
        /* Linear attention has projections under attention's names too (attn_qkv, attn_gate): state-space weights
         * decide. */
        if (t->role == HYP_ROLE_ATTENTION) kinds[t->layer].attention = true;
        if (t->role == HYP_ROLE_RECURRENT) kinds[t->layer].recurrent = true;
    }
    return kinds;
}

/* A recurrent layer that also has keys and values of its own (Falcon-H1, Hymba run both side by side). */
static bool has_own_keys(const hyp_model *model, uint32_t il) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.attn_k.weight", il);
    return hyp_model_tensor(model, name) != NULL;
}

static uint64_t heads_of(const hyp_model *model, uint32_t il) {
    return hyp_model_meta_u64_at(model, "%s.attention.head_count", il,
                                 hyp_model_meta_u64(model, "%s.attention.head_count", 1));
}

static uint64_t key_heads_of(const hyp_model *model, uint32_t il, uint64_t heads) {
    return hyp_model_meta_u64_at(model, "%s.attention.head_count_kv", il,
                                 hyp_model_meta_u64(model, "%s.attention.head_count_kv", heads));
}

static uint64_t attention_bytes(const hyp_model *model, const hyp_kv_request *r, uint32_t il) {
    uint64_t heads = heads_of(model, il), kv = key_heads_of(model, il, heads);
    uint64_t head = heads > 0 ? model->n_embd / heads : 0;
    uint64_t k = hyp_model_meta_u64(model, "%s.attention.key_length", head),
             v = hyp_model_meta_u64(model, "%s.attention.value_length", head);
    bool mla = hyp_model_meta_u64(model, "%s.attention.key_length_mla", 0) > 0 &&
               hyp_model_meta_u64(model, "%s.attention.value_length_mla", 0) > 0;
    uint64_t window = window_of(model, il), cells = pad(r->context_tokens);
    if (window > 0 && !r->swa_full) {
        k = hyp_model_meta_u64(model, "%s.attention.key_length_swa", k);
        v = hyp_model_meta_u64(model, "%s.attention.value_length_swa", v);
        cells = HYP_MIN(cells, pad(window + r->ubatch_tokens));
    }
    /* MLA stores one latent row (kv_lora_rank + rope) that serves as key and as value. */
    uint64_t row = row_bytes(r->type_k, k * kv) + (mla ? 0 : row_bytes(r->type_v, v * kv));
    /* Sparse attention keeps one more key a token for its indexer. */
    row += row_bytes(r->type_k, hyp_model_meta_u64(model, "%s.attention.indexer.key_length", 0));
    return row * cells * HYP_MAX(r->n_parallel, 1u);
}

/* 32-bit states of one layer and sequence: the convolution's tail and the recurrence itself. */
static uint64_t recurrent_bytes(const hyp_model *model, const hyp_kv_request *r) {
    uint64_t conv = hyp_model_meta_u64(model, "%s.ssm.conv_kernel", 0),
             inner = hyp_model_meta_u64(model, "%s.ssm.inner_size", 0);
    uint64_t state = hyp_model_meta_u64(model, "%s.ssm.state_size", 0),
             groups = hyp_model_meta_u64(model, "%s.ssm.group_count", 0);
    uint64_t wkv = hyp_model_meta_u64(model, "%s.wkv.head_size", 0),
             shortconv = hyp_model_meta_u64(model, "%s.shortconv.l_cache", 0);
    uint64_t kda = hyp_model_meta_u64(model, "%s.kda.head_dim", 0);
    uint64_t n;
    if (wkv > 0)
        n = hyp_model_meta_u64(model, "%s.token_shift_count", 2) * model->n_embd + (uint64_t)model->n_embd * wkv;
    else if (shortconv > 0)
        n = (uint64_t)model->n_embd * (shortconv - 1);
    else if (kda > 0) {
        uint64_t width = hyp_model_meta_u64(model, "%s.attention.head_count", 1) * kda;
        n = 3 * (conv > 0 ? conv - 1 : 3) * width + width * kda;
    } else
        n = (conv > 0 ? conv - 1 : 0) * (inner + 2 * groups * state) + state * inner;
    return n * 4 * HYP_MAX(r->n_parallel, 1u);
}

void hyp_kv_readers(const hyp_model *model, uint32_t *ret_layers) {
    HYP_AUTOFREE layer_kind *kinds = layer_kinds(model);
    for (uint32_t il = 0; il < model->n_layers; il++) {
        uint64_t heads = heads_of(model, il), keys = key_heads_of(model, il, heads);
        bool shared = kinds != NULL && kinds[il].attention && (!kinds[il].recurrent || has_own_keys(model, il));
        ret_layers[il] = shared && keys > 0 ? (uint32_t)HYP_MAX(heads / keys, (uint64_t)1) : 1;
    }
}

uint64_t hyp_kv_bytes(const hyp_model *model, const hyp_kv_request *request, uint64_t *ret_layers) {
    HYP_AUTOFREE layer_kind *kinds = layer_kinds(model);
    uint64_t total = 0;
    /* Layers that only predict further tokens have no cache in the main context; some models let their last layers read
     * the cache of earlier ones. */
    uint64_t idle = model->n_layers_nextn + hyp_model_meta_u64(model, "%s.attention.shared_kv_layers", 0);
    for (uint32_t il = 0; il < model->n_layers; il++) {
        uint64_t bytes = 0;
        bool counted = il + idle < model->n_layers;
        /* Without memory for the kinds every layer counts as attention: too much rather than too little. */
        bool recurrent = kinds != NULL && kinds[il].recurrent;
        if (counted && recurrent) bytes += recurrent_bytes(model, request);
        if (counted && (kinds == NULL || (kinds[il].attention && (!recurrent || has_own_keys(model, il)))))
            bytes += attention_bytes(model, request, il);
        if (ret_layers != NULL) ret_layers[il] = bytes;
        total += bytes;
    }
    return total;
}
