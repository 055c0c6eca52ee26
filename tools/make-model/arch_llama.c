/* arch_llama.c - architectures of the llama family: attention of q, k, v and output, then a dense FFN or experts. */
#include "arch.h"

static void norm(const hyp_make_shape *shape, int layer, const char *name, hyp_make_plan *plan) {
    hyp_make_plan_vector(plan, layer, shape->width, HYP_MAKE_FILL_CONSTANT, 1, name);
}

static void llama_layer(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    hyp_make_layer_attention(shape, layer, plan);
    norm(shape, layer, "ffn_norm.weight", plan);
    if (shape->experts > 0)
        hyp_make_layer_experts(shape, layer, plan);
    else
        hyp_make_layer_ffn(shape, layer, plan);
}

/* In llama's own architecture an expert is as wide as feed_forward_length says. */
static int llama_check(const hyp_make_shape *shape, hyp_err *err) {
    if (shape->experts == 0 || shape->expert_width == shape->ffn) return HYP_OK;
    hyp_err_set(err, HYP_EINVAL, "in %s the experts' width is the FFN's: %d is not %d", shape->arch->name,
                shape->expert_width, shape->ffn);
    hyp_err_hint(err, "give --ffn %d and leave out --expert-width", shape->expert_width);
    return HYP_EINVAL;
}

static void expert_width_key(const hyp_make_shape *shape, struct gguf_context *gguf) {
    hyp_make_key_u32(shape, gguf, "expert_feed_forward_length", shape->expert_width);
}

static void qwen2moe_keys(const hyp_make_shape *shape, struct gguf_context *gguf) {
    expert_width_key(shape, gguf);
    hyp_make_key_u32(shape, gguf, "expert_shared_feed_forward_length", shape->shared_width);
}

static void qwen2moe_layer(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    llama_layer(shape, layer, plan);
    hyp_make_layer_shared(shape, layer, true, plan);
}

static void gemma3_keys(const hyp_make_shape *shape, struct gguf_context *gguf) {
    hyp_make_key_u32(shape, gguf, "attention.sliding_window", shape->window);
}

static void gemma3_layer(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    hyp_make_layer_attention(shape, layer, plan);
    norm(shape, layer, "post_attention_norm.weight", plan);
    norm(shape, layer, "ffn_norm.weight", plan);
    hyp_make_layer_ffn(shape, layer, plan);
    norm(shape, layer, "post_ffw_norm.weight", plan);
}

static void gpt_oss_keys(const hyp_make_shape *shape, struct gguf_context *gguf) {
    expert_width_key(shape, gguf);
    hyp_make_key_u32(shape, gguf, "attention.sliding_window", shape->window);
}

static void expert_bias(const hyp_make_shape *shape, int layer, int64_t n, const char *name, hyp_make_plan *plan) {
    hyp_make_tensor *t = hyp_make_plan_add(plan, layer, GGML_TYPE_F32, 2, (int64_t[]){n, shape->experts}, "%s", name);
    if (t != NULL) t->scale = 0.1f;
}

static void gpt_oss_layer(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    hyp_make_layer_attention(shape, layer, plan);
    hyp_make_plan_vector(plan, layer, shape->heads, HYP_MAKE_FILL_NORMAL, 0.5, "attn_sinks.weight");
    norm(shape, layer, "post_attention_norm.weight", plan);
    hyp_make_layer_experts(shape, layer, plan);
    hyp_make_plan_vector(plan, layer, shape->experts, HYP_MAKE_FILL_NORMAL, 0.01, "ffn_gate_inp.bias");
    expert_bias(shape, layer, shape->expert_width, "ffn_gate_exps.bias", plan);
    expert_bias(shape, layer, shape->expert_width, "ffn_up_exps.bias", plan);
    expert_bias(shape, layer, shape->width, "ffn_down_exps.bias", plan);
}

#define SMALL .layers = 4, .width = 256, .heads = 8, .kv_heads = 4, .head_dim = 32, .context = 8192, .vocab = 512

const hyp_make_arch hyp_make_arch_llama = {.name = "llama",
                                           .gguf = "llama",
                                           .moe = true,
                                           .defaults = {SMALL, .ffn = 768, .experts_used = 2},
                                           .check = llama_check,
                                           .layer = llama_layer};
const hyp_make_arch hyp_make_arch_mixtral = {.name = "mixtral",
                                             .gguf = "llama",
                                             .moe = true,
                                             .defaults = {SMALL, .ffn = 512, .experts = 8, .experts_used = 2},
                                             .check = llama_check,
                                             .layer = llama_layer};
const hyp_make_arch hyp_make_arch_qwen3 = {.name = "qwen3",
                                           .gguf = "qwen3",
                                           .neox = true,
                                           .qk_norm = true,
                                           .defaults = {SMALL, .ffn = 768},
                                           .layer = llama_layer};
const hyp_make_arch hyp_make_arch_qwen3moe = {
    .name = "qwen3moe",
    .gguf = "qwen3moe",
    .neox = true,
    .moe = true,
    .qk_norm = true,
    .defaults = {SMALL, .ffn = 768, .experts = 16, .experts_used = 4, .expert_width = 256},
    .keys = expert_width_key,
    .layer = llama_layer};
const hyp_make_arch hyp_make_arch_qwen2moe = {.name = "qwen2moe",
                                              .gguf = "qwen2moe",
                                              .neox = true,
                                              .moe = true,
                                              .wide_heads = true,
                                              .qkv_bias = true,
                                              .defaults = {SMALL, .ffn = 1024, .experts = 16, .experts_used = 4,
                                                           .expert_width = 256, .shared_experts = 1,
                                                           .shared_width = 512},
                                              .keys = qwen2moe_keys,
                                              .layer = qwen2moe_layer};
const hyp_make_arch hyp_make_arch_gemma3 = {.name = "gemma3",
                                            .gguf = "gemma3",
                                            .neox = true,
                                            .always_tied = true,
                                            .qk_norm = true,
                                            .embed_scaled = true,
                                            .defaults = {SMALL, .ffn = 768, .window = 512},
                                            .keys = gemma3_keys,
                                            .layer = gemma3_layer};
const hyp_make_arch hyp_make_arch_gpt_oss = {
    .name = "gpt-oss",
    .gguf = "gpt-oss",
    .neox = true,
    .moe = true,
    .qkv_bias = true,
    .output_bias = true,
    .defaults = {SMALL, .ffn = 256, .experts = 16, .experts_used = 4, .expert_width = 256, .window = 128},
    .keys = gpt_oss_keys,
    .layer = gpt_oss_layer};
