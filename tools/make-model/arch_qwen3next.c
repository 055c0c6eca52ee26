/* arch_qwen3next.c - hybrids of linear attention (gated delta net) and softmax attention, with routed and gated shared
 * experts: Qwen3-Next and Qwen3.5 MoE. */
#include "arch.h"
#include "base/mem.h"

#include <gguf.h>
#include <math.h>

static int hybrid_check(const hyp_make_shape *shape, hyp_err *err) {
    if (shape->linear_heads % shape->linear_key_heads == 0) return HYP_OK;
    hyp_err_set(err, HYP_EINVAL, "%d value heads cannot share %d key heads of linear attention", shape->linear_heads,
                shape->linear_key_heads);
    hyp_err_hint(err, "--linear-key-heads must divide --linear-heads");
    return HYP_EINVAL;
}

static void hybrid_keys(const hyp_make_shape *shape, struct gguf_context *gguf) {
    hyp_make_key_u32(shape, gguf, "expert_feed_forward_length", shape->expert_width);
    hyp_make_key_u32(shape, gguf, "expert_shared_feed_forward_length", shape->shared_width);
    hyp_make_key_u32(shape, gguf, "full_attention_interval", shape->attention_every);
    hyp_make_key_u32(shape, gguf, "ssm.conv_kernel", 4);
    hyp_make_key_u32(shape, gguf, "ssm.inner_size", shape->linear_heads * shape->linear_dim);
    hyp_make_key_u32(shape, gguf, "ssm.state_size", shape->linear_dim);
    hyp_make_key_u32(shape, gguf, "ssm.time_step_rank", shape->linear_heads);
    hyp_make_key_u32(shape, gguf, "ssm.group_count", shape->linear_key_heads);
}

static void qwen35moe_keys(const hyp_make_shape *shape, struct gguf_context *gguf) {
    hybrid_keys(shape, gguf);
    /* Text alone moves along the first of the rotary sections (time, height, width). */
    int32_t half = shape->rope_dim / 2, rest = half / 3;
    int32_t sections[4] = {half - 2 * rest, rest, rest, 0};
    gguf_set_arr_data(gguf, "qwen35moe.rope.dimension_sections", GGUF_TYPE_INT32, sections, HYP_ARRAY_LEN(sections));
}

static void linear_attention(const hyp_make_shape *shape, int layer, bool split_ba, hyp_make_plan *plan) {
    const int64_t key = (int64_t)shape->linear_key_heads * shape->linear_dim;
    const int64_t value = (int64_t)shape->linear_heads * shape->linear_dim, width = shape->width;
    const int64_t heads = shape->linear_heads, mixed = 2 * key + value;
    hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, width, mixed, "attn_qkv");
    hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, width, value, "attn_gate");
    /* The convolution's taps run fastest; libllama wants them in F32. */
    hyp_make_plan_add(plan, layer, GGML_TYPE_F32, 2, (int64_t[]){4, mixed}, "ssm_conv1d.weight");
    hyp_make_plan_vector(plan, layer, heads, HYP_MAKE_FILL_NORMAL, 0.5, "ssm_dt.bias");
    hyp_make_plan_vector(plan, layer, heads, HYP_MAKE_FILL_DECAY, 1, "ssm_a");
    if (split_ba) {
        hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, width, heads, "ssm_beta");
        hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, width, heads, "ssm_alpha");
    } else {
        hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, width, 2 * heads, "ssm_ba");
    }
    hyp_make_plan_vector(plan, layer, shape->linear_dim, HYP_MAKE_FILL_CONSTANT, 1, "ssm_norm.weight");
    hyp_make_plan_to_residual(shape, hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, value, width, "ssm_out"),
                              true);
}

/* Queries come with a gate of their own width, head by head. */
static void softmax_attention(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    const int64_t width = shape->width, q = (int64_t)shape->heads * shape->head_dim;
    const int64_t kv = (int64_t)shape->kv_heads * shape->head_dim;
    const double gain = 1 / hyp_make_normed_constant(shape, layer), scale = hyp_make_near_norm(shape);
    hyp_make_tensor *t = hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, width, 2 * q, "attn_q");
    hyp_make_near_rows(shape, t, 0, 2 * shape->head_dim, 0, gain);
    t = hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, width, kv, "attn_k");
    hyp_make_near_rows(shape, t, 0, shape->head_dim, 0, gain);
    hyp_make_average_rows(shape, hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, width, kv, "attn_v"));
    hyp_make_plan_vector(plan, layer, shape->head_dim, HYP_MAKE_FILL_CONSTANT, scale, "attn_q_norm.weight");
    hyp_make_plan_vector(plan, layer, shape->head_dim, HYP_MAKE_FILL_CONSTANT, scale, "attn_k_norm.weight");
    hyp_make_plan_to_residual(shape, hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, q, width, "attn_output"),
                              true);
}

static void hybrid_layer(const hyp_make_shape *shape, int layer, bool split_ba, hyp_make_plan *plan) {
    hyp_make_plan_vector(plan, layer, shape->width, HYP_MAKE_FILL_CONSTANT, 1, "attn_norm.weight");
    if ((layer + 1) % shape->attention_every == 0)
        softmax_attention(shape, layer, plan);
    else
        linear_attention(shape, layer, split_ba, plan);
    hyp_make_plan_vector(plan, layer, shape->width, HYP_MAKE_FILL_CONSTANT, 1, "post_attention_norm.weight");
    hyp_make_layer_experts(shape, layer, plan);
    hyp_make_layer_shared(shape, layer, true, plan);
}

static void qwen3next_layer(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    hybrid_layer(shape, layer, false, plan);
}

static void qwen35moe_layer(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    hybrid_layer(shape, layer, true, plan);
}

#define SMALL                                                                                                          \
    .layers = 4, .width = 256, .heads = 8, .kv_heads = 2, .head_dim = 64, .rope_dim = 32, .context = 8192,             \
    .vocab = 512, .ffn = 768, .experts = 16, .experts_used = 4, .expert_width = 256, .shared_experts = 1,              \
    .attention_every = 4, .linear_heads = 8, .linear_key_heads = 4, .linear_dim = 64

const hyp_make_arch hyp_make_arch_qwen3next = {.name = "qwen3next",
                                               .gguf = "qwen3next",
                                               .moe = true,
                                               .merged = true,
                                               .neox = true,
                                               .defaults = {SMALL},
                                               .check = hybrid_check,
                                               .keys = hybrid_keys,
                                               .layer = qwen3next_layer};
const hyp_make_arch hyp_make_arch_qwen35moe = {.name = "qwen35moe",
                                               .gguf = "qwen35moe",
                                               .moe = true,
                                               .merged = true,
                                               .neox = true,
                                               .defaults = {SMALL},
                                               .check = hybrid_check,
                                               .keys = qwen35moe_keys,
                                               .layer = qwen35moe_layer};
