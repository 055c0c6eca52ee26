/* arch_deepseek2.c - latent attention, leading dense layers, routed and shared experts (DeepSeek V2/V3, Kimi K2). */
#include "arch.h"

/* libllama knows the variants without a factorised query (DeepSeek-V2-Lite and its like) by their number of layers. */
static bool lite(const hyp_make_shape *shape) {
    return shape->layers == 26 || shape->layers == 27;
}

static int deepseek2_check(const hyp_make_shape *shape, hyp_err *err) {
    if (shape->rope_dim >= shape->head_dim) {
        hyp_err_set(err, HYP_EINVAL, "a latent head of %d elements cannot have %d rotated", shape->head_dim,
                    shape->rope_dim);
        hyp_err_hint(err, "use --rope-dim %d or less", shape->head_dim / 2);
        return HYP_EINVAL;
    }
    if (shape->q_rank < 0 && !lite(shape)) {
        hyp_err_set(err, HYP_EINVAL, "libllama wants a factorised query in a deepseek2 model of %d layers",
                    shape->layers);
        hyp_err_hint(err, "leave out --q-rank, or give --layers 27");
        return HYP_EINVAL;
    }
    return HYP_OK;
}

static void deepseek2_keys(const hyp_make_shape *shape, struct gguf_context *gguf) {
    /* The cache holds one latent head: keys are the latent and the rotated part, values the latent. */
    hyp_make_key_u32(shape, gguf, "attention.head_count_kv", 1);
    hyp_make_key_u32(shape, gguf, "attention.key_length", shape->kv_rank + shape->rope_dim);
    hyp_make_key_u32(shape, gguf, "attention.value_length", shape->kv_rank);
    hyp_make_key_u32(shape, gguf, "attention.key_length_mla", shape->head_dim);
    hyp_make_key_u32(shape, gguf, "attention.value_length_mla", shape->value_dim);
    if (!lite(shape)) hyp_make_key_u32(shape, gguf, "attention.q_lora_rank", shape->q_rank);
    hyp_make_key_u32(shape, gguf, "attention.kv_lora_rank", shape->kv_rank);
    hyp_make_key_u32(shape, gguf, "leading_dense_block_count", shape->dense_layers);
    hyp_make_key_u32(shape, gguf, "expert_feed_forward_length", shape->expert_width);
    hyp_make_key_u32(shape, gguf, "expert_shared_count", shape->shared_experts);
    hyp_make_key_f32(shape, gguf, "expert_weights_scale", 1);
    hyp_make_key_bool(shape, gguf, "expert_weights_norm", true);
    hyp_make_key_u32(shape, gguf, "expert_gating_func", 2 /* sigmoid */);
}

/* What is near must score high in the rotated part alone: its constant comes straight from the stream in the keys and,
 * where the query is factorised, through the query latent's element 0. */
static void queries(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    const int64_t out = (int64_t)shape->heads * shape->head_dim, plain = shape->head_dim - shape->rope_dim;
    const double constant = hyp_make_normed_constant(shape, layer);
    hyp_make_tensor *t;
    if (lite(shape)) {
        t = hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, shape->width, out, "attn_q");
        hyp_make_near_rows(shape, t, 0, shape->head_dim, plain, 1 / constant);
        return;
    }
    const double latent = 4; /* of element 0, among elements of unit variance */
    hyp_make_plan_vector(plan, layer, shape->q_rank, HYP_MAKE_FILL_CONSTANT, 1, "attn_q_a_norm.weight");
    t = hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, shape->width, shape->q_rank, "attn_q_a");
    if (t != NULL && shape->sticky > 0)
        t->first = (hyp_make_first){
            .set = true, .value = (float)(latent / constant), .to = 1, .head = 1, .length = 1, .half = 1};
    t = hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, shape->q_rank, out, "attn_q_b");
    hyp_make_near_rows(shape, t, 0, shape->head_dim, plain, 1 / latent);
}

static void attention(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    const int64_t heads = shape->heads, plain = shape->head_dim - shape->rope_dim;
    hyp_make_plan_vector(plan, layer, shape->width, HYP_MAKE_FILL_CONSTANT, 1, "attn_norm.weight");
    queries(shape, layer, plan);
    hyp_make_tensor *t = hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, shape->width,
                                              shape->kv_rank + shape->rope_dim, "attn_kv_a_mqa");
    hyp_make_near_rows(shape, t, shape->kv_rank, shape->rope_dim, 0, 1 / hyp_make_normed_constant(shape, layer));
    hyp_make_plan_vector(plan, layer, shape->kv_rank, HYP_MAKE_FILL_CONSTANT, 1, "attn_kv_a_norm.weight");
    hyp_make_plan_add(plan, layer, hyp_make_shape_type(shape, HYP_MAKE_ATTN, plain), 3,
                      (int64_t[]){plain, shape->kv_rank, heads}, "attn_k_b.weight");
    hyp_make_plan_add(plan, layer, hyp_make_shape_type(shape, HYP_MAKE_ATTN, shape->kv_rank), 3,
                      (int64_t[]){shape->kv_rank, shape->value_dim, heads}, "attn_v_b.weight");
    t = hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, heads * shape->value_dim, shape->width, "attn_output");
    hyp_make_plan_to_residual(shape, t, true);
}

static void deepseek2_layer(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    attention(shape, layer, plan);
    hyp_make_plan_vector(plan, layer, shape->width, HYP_MAKE_FILL_CONSTANT, 1, "ffn_norm.weight");
    if (layer < shape->dense_layers) {
        hyp_make_layer_ffn(shape, layer, plan);
        return;
    }
    hyp_make_layer_experts(shape, layer, plan);
    hyp_make_plan_vector(plan, layer, shape->experts, HYP_MAKE_FILL_NORMAL, 0.001, "exp_probs_b.bias");
    hyp_make_layer_shared(shape, layer, false, plan);
}

const hyp_make_arch hyp_make_arch_deepseek2 = {.name = "deepseek2",
                                               .gguf = "deepseek2",
                                               .moe = true,
                                               .latent = true,
                                               .defaults = {.layers = 4,
                                                            .width = 256,
                                                            .heads = 8,
                                                            .kv_heads = 8,
                                                            .head_dim = 48,
                                                            .rope_dim = 16,
                                                            .value_dim = 32,
                                                            .q_rank = 96,
                                                            .kv_rank = 64,
                                                            .context = 8192,
                                                            .vocab = 512,
                                                            .ffn = 768,
                                                            .experts = 16,
                                                            .experts_used = 4,
                                                            .expert_width = 256,
                                                            .shared_experts = 1,
                                                            .dense_layers = 1},
                                               .check = deepseek2_check,
                                               .keys = deepseek2_keys,
                                               .layer = deepseek2_layer};
