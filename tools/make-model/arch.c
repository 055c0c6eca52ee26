#include "arch.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>
#include <strings.h>

const hyp_make_arch *const hyp_make_archs[] = {
    &hyp_make_arch_llama,     &hyp_make_arch_mixtral,   &hyp_make_arch_qwen3,   &hyp_make_arch_gemma3,
    &hyp_make_arch_qwen3moe,  &hyp_make_arch_qwen2moe,  &hyp_make_arch_gpt_oss, &hyp_make_arch_deepseek2,
    &hyp_make_arch_qwen3next, &hyp_make_arch_qwen35moe,
};
const size_t hyp_make_n_archs = HYP_ARRAY_LEN(hyp_make_archs);

const hyp_make_arch *hyp_make_arch_find(const char *name) {
    for (size_t i = 0; i < hyp_make_n_archs; i++)
        if (strcasecmp(hyp_make_archs[i]->name, name) == 0) return hyp_make_archs[i];
    return NULL;
}

float hyp_make_near_gain(const hyp_make_shape *shape, int layer, int head) {
    if (shape->sticky <= 0) return 0;
    /* Queries and keys that share a constant c in every rotated element score sum(c^2 cos(d*theta_i)) / sqrt(head) at
     * distance d; with rope's thetas spread evenly in log scale the exponential of it falls like d^(-peak/ln(base)):
     * a peak of 14 gives weights of about d^-1.5, an average over the last few tokens. */
    const double peak = 14;
    double element = sqrt(peak / sqrt(head));
    return (float)(element * hyp_make_shape_rms(shape, layer, false).all / shape->constant);
}

static void near(const hyp_make_shape *shape, int layer, hyp_make_tensor *t) {
    float gain = hyp_make_near_gain(shape, layer, shape->head_dim);
    if (t == NULL || gain == 0) return;
    t->first = gain;
    t->first_rows = (hyp_make_rows){0, t->ne[1]};
}

void hyp_make_layer_attention(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    const int64_t q = (int64_t)shape->heads * shape->head_dim, kv = (int64_t)shape->kv_heads * shape->head_dim;
    hyp_make_plan_vector(plan, layer, shape->width, HYP_MAKE_FILL_CONSTANT, 1, "attn_norm.weight");
    near(shape, layer, hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, shape->width, q, "attn_q"));
    near(shape, layer, hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, shape->width, kv, "attn_k"));
    hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, shape->width, kv, "attn_v");
    if (shape->arch->qkv_bias) {
        hyp_make_plan_vector(plan, layer, q, HYP_MAKE_FILL_NORMAL, 0.1, "attn_q.bias");
        hyp_make_plan_vector(plan, layer, kv, HYP_MAKE_FILL_NORMAL, 0.1, "attn_k.bias");
        hyp_make_plan_vector(plan, layer, kv, HYP_MAKE_FILL_NORMAL, 0.1, "attn_v.bias");
    }
    if (shape->arch->qk_norm) {
        /* The norm would undo the gain of what is near: it gets it back. */
        double gain = hyp_make_near_gain(shape, layer, shape->head_dim) * shape->constant /
                      hyp_make_shape_rms(shape, layer, false).all;
        double scale = sqrt(1 + gain * gain);
        hyp_make_plan_vector(plan, layer, shape->head_dim, HYP_MAKE_FILL_CONSTANT, scale, "attn_q_norm.weight");
        hyp_make_plan_vector(plan, layer, shape->head_dim, HYP_MAKE_FILL_CONSTANT, scale, "attn_k_norm.weight");
    }
    hyp_make_plan_to_residual(
        shape, hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, q, shape->width, "attn_output"), true);
    if (shape->arch->output_bias)
        hyp_make_plan_vector(plan, layer, shape->width, HYP_MAKE_FILL_CONSTANT, 0, "attn_output.bias");
}

void hyp_make_layer_ffn(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_FFN, shape->width, shape->ffn, "ffn_gate");
    hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_FFN, shape->width, shape->ffn, "ffn_up");
    hyp_make_plan_to_residual(
        shape, hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_DOWN, shape->ffn, shape->width, "ffn_down"), false);
}

static hyp_make_tensor *experts(hyp_make_plan *plan, const hyp_make_shape *shape, int layer, hyp_make_role role,
                                int64_t in, int64_t out, const char *name) {
    hyp_make_tensor *t = hyp_make_plan_add(plan, layer, hyp_make_shape_type(shape, role, in), 3,
                                           (int64_t[]){in, out, shape->experts}, "%s.weight", name);
    if (t != NULL) t->expert = true;
    return t;
}

void hyp_make_layer_experts(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    const int64_t width = shape->width, inner = shape->expert_width;
    hyp_make_tensor *router =
        hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ROUTER, width, shape->experts, "ffn_gate_inp");
    if (router != NULL) router->fill = HYP_MAKE_FILL_ROUTER;
    if (shape->merge_gate_up) {
        experts(plan, shape, layer, HYP_MAKE_EXPERT, width, 2 * inner, "ffn_gate_up_exps");
    } else {
        experts(plan, shape, layer, HYP_MAKE_EXPERT, width, inner, "ffn_gate_exps");
        experts(plan, shape, layer, HYP_MAKE_EXPERT, width, inner, "ffn_up_exps");
    }
    hyp_make_plan_to_residual(shape, experts(plan, shape, layer, HYP_MAKE_DOWN, inner, width, "ffn_down_exps"), false);
}

void hyp_make_layer_shared(const hyp_make_shape *shape, int layer, bool gated, hyp_make_plan *plan) {
    const int64_t width = shape->width, inner = shape->shared_width;
    if (gated)
        hyp_make_plan_vector(plan, layer, width, HYP_MAKE_FILL_NORMAL, 1 / sqrt(shape->width),
                             "ffn_gate_inp_shexp.weight");
    hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_SHARED, width, inner, "ffn_gate_shexp");
    hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_SHARED, width, inner, "ffn_up_shexp");
    hyp_make_plan_to_residual(
        shape, hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_SHARED, inner, width, "ffn_down_shexp"), false);
}
