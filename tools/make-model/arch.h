/* arch.h - the architectures: what each one's file must hold for libllama to load it. One row a name; adding an
 * architecture is adding a row and two functions. */
#pragma once
#include "plan.h"

typedef struct hyp_make_arch {
    const char *name; /* as given to --arch */
    const char *gguf; /* general.architecture */
    bool moe;         /* may have experts */
    bool merged;      /* libllama reads a merged gate_up tensor for it */
    bool always_tied; /* has no output matrix of its own */
    bool wide_heads;  /* heads * head_dim must equal width */
    bool qkv_bias, output_bias, qk_norm;
    bool latent;       /* latent attention: its own key and value widths */
    bool embed_scaled; /* multiplies embeddings by the root of the width */
    double rope_base;
    hyp_make_shape defaults; /* only its numbers count */
    /* Refuse what libllama would refuse (may be NULL). */
    int (*check)(const hyp_make_shape *shape, hyp_err *err);
    /* The architecture's own metadata, beyond hyp_make_keys_common(). */
    void (*keys)(const hyp_make_shape *shape, struct gguf_context *gguf);
    /* The tensors of one layer. */
    void (*layer)(const hyp_make_shape *shape, int layer, hyp_make_plan *plan);
} hyp_make_arch;

/* The architecture called `name`, or NULL. */
const hyp_make_arch *hyp_make_arch_find(const char *name);

/* All of them, for messages and tests. */
extern const hyp_make_arch *const hyp_make_archs[];
extern const size_t hyp_make_n_archs;

/* Rows defined in the arch_*.c files. */
extern const hyp_make_arch hyp_make_arch_llama, hyp_make_arch_mixtral, hyp_make_arch_qwen3, hyp_make_arch_qwen3moe,
    hyp_make_arch_qwen2moe, hyp_make_arch_gemma3, hyp_make_arch_gpt_oss, hyp_make_arch_deepseek2,
    hyp_make_arch_qwen3next, hyp_make_arch_qwen35moe;

/* Set "ARCH.key", where `key` is what follows the dot. */
void hyp_make_key_u32(const hyp_make_shape *shape, struct gguf_context *gguf, const char *key, int value);
void hyp_make_key_f32(const hyp_make_shape *shape, struct gguf_context *gguf, const char *key, double value);
void hyp_make_key_bool(const hyp_make_shape *shape, struct gguf_context *gguf, const char *key, bool value);

/* Blocks that most architectures share: attention of q, k, v and output; a dense FFN; routed and shared experts. */
void hyp_make_layer_attention(const hyp_make_shape *shape, int layer, hyp_make_plan *plan);
void hyp_make_layer_ffn(const hyp_make_shape *shape, int layer, hyp_make_plan *plan);
void hyp_make_layer_experts(const hyp_make_shape *shape, int layer, hyp_make_plan *plan);
/* `gated`: one more vector decides how much of the shared expert counts. */
void hyp_make_layer_shared(const hyp_make_shape *shape, int layer, bool gated, hyp_make_plan *plan);

/* The gain that the constant coordinate needs in a row of a query or key matrix so that attention favours what is near:
 * 0 when --sticky is 0. `head` is the number of rotated elements. */
float hyp_make_near_gain(const hyp_make_shape *shape, int layer, int head);
