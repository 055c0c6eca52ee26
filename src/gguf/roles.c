/* roles.c - what a tensor is for, by its name.
 *
 * The names are those of llama.cpp's table (LLM_TENSOR_NAMES). A name is cut into the layer ("blk.3."), the stem
 * ("ffn_gate_exps") and the kind (".weight", ".bias", ".scale"); the stem decides. New architectures mostly reuse or
 * vary known stems, so the table matches beginnings and parts of stems, the special before the general, and what it
 * does not know is HYP_ROLE_OTHER: such a tensor is kept in memory, which is never wrong. */
#include "gguf/model.h"

#include "base/mem.h"
#include "gguf/model_priv.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef enum match { IS, BEGINS, ENDS, HAS } match;

typedef struct rule {
    match how;
    const char *text;
    hyp_role role;
} rule;

/* Stems inside a layer. The first that matches decides. */
static const rule layer_rules[] = {
    {BEGINS, "nextn.embed_tokens", HYP_ROLE_EMBEDDING}, /* multi-token prediction's own tables */
    {BEGINS, "nextn.shared_head_head", HYP_ROLE_OUTPUT},
    {HAS, "norm", HYP_ROLE_NORM}, /* attn_norm, ffn_norm_exps, ssm_dt_norm, indexer.k_norm, nextn.enorm, ... */
    {IS, "time_mix_ln", HYP_ROLE_NORM},
    {IS, "attn_rot_embd", HYP_ROLE_NORM}, /* rope factors */
    {BEGINS, "rope_f", HYP_ROLE_NORM},
    {HAS, "_shexp", HYP_ROLE_SHARED_EXPERT}, /* ffn_gate_inp_shexp weighs the shared expert, so it belongs to it */
    {HAS, "_shared_exp", HYP_ROLE_SHARED_EXPERT},
    {BEGINS, "ffn_gate_inp", HYP_ROLE_ROUTER},
    {BEGINS, "ffn_gate_tid2eid", HYP_ROLE_ROUTER}, /* routing by token id */
    {BEGINS, "exp_probs_b", HYP_ROLE_ROUTER},
    {BEGINS, "ffn_exp_probs_b", HYP_ROLE_ROUTER},
    {BEGINS, "ffn_gate_exps", HYP_ROLE_ROUTED_EXPERT},
    {BEGINS, "ffn_up_exps", HYP_ROLE_ROUTED_EXPERT},
    {BEGINS, "ffn_down_exps", HYP_ROLE_ROUTED_EXPERT},
    {BEGINS, "ffn_gate_up_exps", HYP_ROLE_ROUTED_EXPERT},
    {ENDS, "_chexps", HYP_ROLE_ROUTED_EXPERT},     /* Grove MoE: experts that several share */
    {BEGINS, "ffn_gate.", HYP_ROLE_ROUTED_EXPERT}, /* early Mixtral files: a tensor for each expert */
    {BEGINS, "ffn_up.", HYP_ROLE_ROUTED_EXPERT},
    {BEGINS, "ffn_down.", HYP_ROLE_ROUTED_EXPERT},
    {BEGINS, "ssm_", HYP_ROLE_RECURRENT},
    {BEGINS, "time_mix_", HYP_ROLE_RECURRENT},
    {BEGINS, "shortconv.", HYP_ROLE_RECURRENT},
    {IS, "channel_mix_key", HYP_ROLE_FFN_UP}, /* RWKV's channel mixing is its feed-forward */
    {IS, "channel_mix_value", HYP_ROLE_FFN_DOWN},
    {IS, "channel_mix_receptance", HYP_ROLE_FFN_GATE},
    {BEGINS, "channel_mix_", HYP_ROLE_RECURRENT},
    {IS, "ffn_gate", HYP_ROLE_FFN_GATE},
    {IS, "ffn_up", HYP_ROLE_FFN_UP},
    {IS, "ffn_gate_up", HYP_ROLE_FFN_UP},
    {IS, "ffn_down", HYP_ROLE_FFN_DOWN},
    {IS, "ffn_latent_up", HYP_ROLE_FFN_UP}, /* latent mixtures: every token is projected before and after its experts */
    {IS, "ffn_routed_up", HYP_ROLE_FFN_UP},
    {IS, "ffn_latent_down", HYP_ROLE_FFN_DOWN},
    {IS, "ffn_routed_down", HYP_ROLE_FFN_DOWN},
    {IS, "vis_gate", HYP_ROLE_FFN_GATE},
    {IS, "vis_up", HYP_ROLE_FFN_UP},
    {IS, "vis_down", HYP_ROLE_FFN_DOWN},
    {BEGINS, "attn_res_score", HYP_ROLE_OTHER},
    {BEGINS, "attn_", HYP_ROLE_ATTENTION}, /* attn_q, attn_qkv, attn_kv_a_mqa, attn_k_b, attn_sinks, ... */
    {BEGINS, "cross_attn_", HYP_ROLE_ATTENTION},
    {BEGINS, "vis_attn_", HYP_ROLE_ATTENTION},
    {BEGINS, "indexer", HYP_ROLE_ATTENTION},
};

/* Names outside layers. */
static const rule model_rules[] = {
    {IS, "token_embd", HYP_ROLE_EMBEDDING},  {IS, "per_layer_token_embd", HYP_ROLE_EMBEDDING},
    {IS, "token_types", HYP_ROLE_EMBEDDING}, {IS, "position_embd", HYP_ROLE_EMBEDDING},
    {IS, "output", HYP_ROLE_OUTPUT},         {IS, "cls", HYP_ROLE_OUTPUT},
    {IS, "cls.output", HYP_ROLE_OUTPUT},     {IS, "dense_2", HYP_ROLE_OUTPUT},
    {IS, "dense_3", HYP_ROLE_OUTPUT},        {HAS, "norm", HYP_ROLE_NORM},
    {BEGINS, "rope_f", HYP_ROLE_NORM},
};

static bool matches(const rule *r, const char *stem, size_t n) {
    size_t k = strlen(r->text);
    if (k > n) return false;
    switch (r->how) {
    case IS: return k == n && memcmp(stem, r->text, n) == 0;
    case BEGINS: return memcmp(stem, r->text, k) == 0;
    case ENDS: return memcmp(stem + n - k, r->text, k) == 0;
    case HAS: return memmem(stem, n, r->text, k) != NULL;
    }
    return false;
}

int hyp_gguf_layer_of(const char *name, const char **ret_rest) {
    *ret_rest = name;
    /* Digits alone: strtol would also take blanks and signs. No model has layers of more than six digits. */
    if (strncmp(name, "blk.", 4) != 0 || !isdigit((unsigned char)name[4])) return -1;
    char *end;
    long layer = strtol(name + 4, &end, 10);
    if (*end != '.' || end - name > 10) return -1;
    *ret_rest = end + 1;
    return (int)layer;
}

hyp_role hyp_role_of(const char *tensor_name) {
    static const char *const kinds[] = {".weight", ".bias", ".input_scale", ".scale"};
    const char *stem, *name = tensor_name;
    /* Encoder-decoder models number the layers of each half from zero. */
    if (strncmp(name, "enc.blk.", 8) == 0 || strncmp(name, "dec.blk.", 8) == 0) name += 4;
    bool in_layer = hyp_gguf_layer_of(name, &stem) >= 0;
    size_t n = strlen(stem);
    for (size_t i = 0; i < HYP_ARRAY_LEN(kinds); i++) {
        size_t k = strlen(kinds[i]);
        if (n > k && memcmp(stem + n - k, kinds[i], k) == 0) {
            n -= k;
            break;
        }
    }
    const rule *rules = in_layer ? layer_rules : model_rules;
    size_t n_rules = in_layer ? HYP_ARRAY_LEN(layer_rules) : HYP_ARRAY_LEN(model_rules);
    for (size_t i = 0; i < n_rules; i++)
        if (matches(&rules[i], stem, n)) return rules[i].role;
    return HYP_ROLE_OTHER;
}

const char *hyp_role_name(hyp_role role) {
    static const char *const names[HYP_N_ROLES] = {
        [HYP_ROLE_EMBEDDING] = "embedding",
        [HYP_ROLE_OUTPUT] = "output",
        [HYP_ROLE_NORM] = "norm",
        [HYP_ROLE_ATTENTION] = "attention",
        [HYP_ROLE_RECURRENT] = "recurrent",
        [HYP_ROLE_ROUTER] = "router",
        [HYP_ROLE_SHARED_EXPERT] = "shared expert",
        [HYP_ROLE_ROUTED_EXPERT] = "routed expert",
        [HYP_ROLE_FFN_GATE] = "ffn gate",
        [HYP_ROLE_FFN_UP] = "ffn up",
        [HYP_ROLE_FFN_DOWN] = "ffn down",
        [HYP_ROLE_OTHER] = "other",
    };
    return (unsigned)role < HYP_N_ROLES ? names[role] : "other";
}
