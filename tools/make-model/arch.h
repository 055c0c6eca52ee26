/* arch.h - the architectures: what each one's file must hold for libllama to load it. One row a name; adding an
 * architecture is adding a row and two functions. */
#pragma once
#include "plan.h"

#define HYP_MAKE_ROPE_BASE 10000.0

typedef struct hyp_make_arch {
    const char *name; /* as given to --arch */
    const char *gguf; /* general.architecture */
    bool moe;         /* may have experts */
    bool merged;      /* libllama reads a merged gate_up tensor for it */
    bool always_tied; /* has no output matrix of its own */
    bool wide_heads;  /* heads * head_dim must equal width */
    bool qkv_bias, output_bias, qk_norm;
    bool latent;             /* latent attention: its own key and value widths */
    bool embed_scaled;       /* multiplies embeddings by the root of the width */
    bool neox;               /* rotates elements i and i + half, not neighbours */
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

/* Make the rows from row `from` on of a query or key matrix `t` (may be NULL) favour what is near, if --sticky asks for
 * it: every `head` rows are a head, whose elements [offset, offset + rope_dim) are rotated. `gain` is what element 0
 * must be multiplied by to carry a constant of 1; see hyp_make_near_element(). */
void hyp_make_near_rows(const hyp_make_shape *shape, hyp_make_tensor *t, int64_t from, int64_t head, int64_t offset,
                        double gain);

/* Keep the constant out of the values `t` (may be NULL) makes, if --sticky asks for it: averaged over tokens it would
 * outlast all else and favour the same experts always. */
void hyp_make_average_rows(const hyp_make_shape *shape, hyp_make_tensor *t);

/* The constant that each low-frequency element of queries and keys must hold, 0 without --sticky. */
double hyp_make_near_element(const hyp_make_shape *shape);

/* The weight of a norm over each query and key head that gives back what such constants make the norm take away. */
double hyp_make_near_norm(const hyp_make_shape *shape);

/* What the constant coordinate is after the norm before layer `layer`'s attention. */
double hyp_make_normed_constant(const hyp_make_shape *shape, int layer);
