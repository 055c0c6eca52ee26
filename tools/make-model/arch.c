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

/* With --sticky queries and keys depend this much on the tokens: scores of unit variance would pick a few tokens out of
 * the window instead of averaging over it (of n tokens n/exp(variance) effectively count). */
#define NEAR_CONTENT 0.3f

/* The first pair of rotated elements whose angle from token to token is below 0.1: all later ones hardly turn over ten
 * tokens. The angle of pair i is base^(-2i/rope_dim). */
static int first_slow_pair(const hyp_make_shape *shape) {
    const int i = (int)ceil(log(10) / log(HYP_MAKE_ROPE_BASE) * shape->rope_dim / 2);
    return HYP_MIN(i, shape->rope_dim / 2 - 1);
}

double hyp_make_near_element(const hyp_make_shape *shape) {
    if (shape->sticky <= 0) return 0;
    /* Where queries and keys share a constant c in the elements of n pairs, they score 2nc^2/sqrt(head_dim) at distance
     * 0, about the same within the ten tokens over which those pairs hardly turn, and less and less beyond. A peak of
     * 14 outweighs the unit-variance rest of the scores and contexts of many thousand tokens. */
    const double peak = 14;
    const int n = shape->rope_dim / 2 - first_slow_pair(shape);
    return sqrt(peak * sqrt(shape->head_dim) / (2 * n));
}

double hyp_make_normed_constant(const hyp_make_shape *shape, int layer) {
    return shape->constant / hyp_make_shape_rms(shape, layer, false).all;
}

void hyp_make_near_rows(const hyp_make_shape *shape, hyp_make_tensor *t, int64_t from, int64_t head, int64_t offset,
                        double gain) {
    const double element = hyp_make_near_element(shape);
    if (t == NULL || element <= 0) return;
    const int slow = first_slow_pair(shape);
    t->scale *= NEAR_CONTENT;
    t->first = (hyp_make_first){.set = true,
                                .value = (float)(element * gain),
                                .from = from,
                                .to = t->ne[1],
                                .head = head,
                                .offset = offset,
                                .length = shape->rope_dim,
                                .half = shape->arch->neox ? shape->rope_dim / 2 : shape->rope_dim,
                                .skip = shape->arch->neox ? slow : 2 * slow};
}

void hyp_make_average_rows(const hyp_make_shape *shape, hyp_make_tensor *t) {
    if (t == NULL || shape->sticky <= 0) return;
    t->first = (hyp_make_first){.set = true, .to = t->ne[1], .head = 1, .length = 1, .half = 1};
}

double hyp_make_near_norm(const hyp_make_shape *shape) {
    const double element = hyp_make_near_element(shape);
    if (element <= 0) return 1;
    const double share = (double)(shape->rope_dim - 2 * first_slow_pair(shape)) / shape->head_dim;
    return sqrt(NEAR_CONTENT * NEAR_CONTENT + element * element * share);
}

void hyp_make_layer_attention(const hyp_make_shape *shape, int layer, hyp_make_plan *plan) {
    const int64_t q = (int64_t)shape->heads * shape->head_dim, kv = (int64_t)shape->kv_heads * shape->head_dim;
    hyp_make_plan_vector(plan, layer, shape->width, HYP_MAKE_FILL_CONSTANT, 1, "attn_norm.weight");
    const double gain = 1 / hyp_make_normed_constant(shape, layer);
    hyp_make_tensor *t = hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, shape->width, q, "attn_q");
    hyp_make_near_rows(shape, t, 0, shape->head_dim, 0, gain);
    t = hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, shape->width, kv, "attn_k");
    hyp_make_near_rows(shape, t, 0, shape->head_dim, 0, gain);
    hyp_make_average_rows(shape, hyp_make_plan_matrix(plan, shape, layer, HYP_MAKE_ATTN, shape->width, kv, "attn_v"));
    if (shape->arch->qkv_bias) {
        hyp_make_plan_vector(plan, layer, q, HYP_MAKE_FILL_NORMAL, 0.1, "attn_q.bias");
        hyp_make_plan_vector(plan, layer, kv, HYP_MAKE_FILL_NORMAL, 0.1, "attn_k.bias");
        hyp_make_plan_vector(plan, layer, kv, HYP_MAKE_FILL_NORMAL, 0.1, "attn_v.bias");
    }
    if (shape->arch->qk_norm) {
        const double scale = hyp_make_near_norm(shape);
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
