#include "predict/lookahead.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

enum { LANES = 8, MAX_EMBD = 1 << 20, MAX_EXPERTS = 65535 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

typedef struct router {
    uint32_t n_embd, n_experts;
    float *weights;        /* [n_experts][n_embd], norm ratio folded in; NULL: no router */
    float *bias;           /* or NULL */
    float *selection_bias; /* or NULL */
    hyp_gating gating;
} router;

struct hyp_lookahead {
    uint32_t n_layers, room;
    float *scores; /* [room] of a token */
    float *best;   /* [room] over the tokens */
    void (*multiply)(const float *weights, const float *x, size_t n_embd, size_t n_rows, float *ret);
    router routers[];
};

/* ret[row] = weights[row] . x, four rows at a time, so that x is loaded once for four. The same source is compiled for
 * wider registers too, and chosen at run time. */
static inline __attribute__((always_inline)) void multiply(const float *weights, const float *x, size_t n_embd,
                                                           size_t n_rows, float *ret) {
    size_t row = 0;
    for (; row + 4 <= n_rows; row += 4) {
        const float *w0 = weights + row * n_embd, *w1 = w0 + n_embd, *w2 = w1 + n_embd, *w3 = w2 + n_embd;
        lanes s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
        size_t i = 0;
        for (; i + LANES <= n_embd; i += LANES) {
            lanes v = *(const lanes *)(x + i);
            s0 += *(const lanes *)(w0 + i) * v;
            s1 += *(const lanes *)(w1 + i) * v;
            s2 += *(const lanes *)(w2 + i) * v;
            s3 += *(const lanes *)(w3 + i) * v;
        }
        for (int k = 0; k < 4; k++) {
            lanes s = k == 0 ? s0 : k == 1 ? s1 : k == 2 ? s2 : s3;
            float sum = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
            for (size_t j = i; j < n_embd; j++)
                sum += w0[(size_t)k * n_embd + j] * x[j];
            ret[row + (size_t)k] = sum;
        }
    }
    for (; row < n_rows; row++) {
        float sum = 0;
        for (size_t i = 0; i < n_embd; i++)
            sum += weights[row * n_embd + i] * x[i];
        ret[row] = sum;
    }
}

static void multiply_any(const float *weights, const float *x, size_t n_embd, size_t n_rows, float *ret) {
    multiply(weights, x, n_embd, n_rows, ret);
}
#ifdef __x86_64__
__attribute__((target("avx2,fma"))) static void multiply_avx2(const float *weights, const float *x, size_t n_embd,
                                                              size_t n_rows, float *ret) {
    multiply(weights, x, n_embd, n_rows, ret);
}
#endif

int hyp_lookahead_new(uint32_t n_layers, hyp_lookahead **ret, hyp_err *err) {
    hyp_lookahead *l = calloc(1, sizeof *l + n_layers * sizeof l->routers[0]);
    if (l == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the routers of %u layers", n_layers);
    l->n_layers = n_layers;
    l->multiply = multiply_any;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) l->multiply = multiply_avx2;
#endif
    *ret = l;
    return HYP_OK;
}

static void router_free(router *r) {
    free(r->weights);
    free(r->bias);
    free(r->selection_bias);
    *r = (router){0};
}

void hyp_lookahead_free(hyp_lookahead *l) {
    if (l == NULL) return;
    for (uint32_t i = 0; i < l->n_layers; i++)
        router_free(&l->routers[i]);
    free(l->scores);
    free(l->best);
    free(l);
}

/* A copy of `n` floats, or NULL for NULL; `*ok` is cleared without memory. */
static float *copied(const float *from, size_t n, bool *ok) {
    float *to = from != NULL ? malloc(n * sizeof *to) : NULL;
    if (to != NULL) memcpy(to, from, n * sizeof *to);
    *ok &= from == NULL || to != NULL;
    return to;
}

static bool grow(hyp_lookahead *l, uint32_t n_experts) {
    if (n_experts <= l->room) return true;
    void *scores = hyp_realloc_array(l->scores, n_experts, sizeof *l->scores);
    if (scores != NULL) l->scores = scores;
    void *best = hyp_realloc_array(l->best, n_experts, sizeof *l->best);
    if (best != NULL) l->best = best;
    if (scores == NULL || best == NULL) return false;
    l->room = n_experts;
    return true;
}

int hyp_lookahead_set_router(hyp_lookahead *l, uint32_t layer, const hyp_router *from, hyp_err *err) {
    if (layer >= l->n_layers || from->weights == NULL || from->n_embd == 0 || from->n_embd > MAX_EMBD ||
        from->n_experts == 0 || from->n_experts > MAX_EXPERTS)
        return hyp_err_set(err, HYP_EINVAL, "layer %u has a router of an impossible size", layer);
    router r = {.n_embd = from->n_embd, .n_experts = from->n_experts, .gating = from->gating};
    bool ok = grow(l, r.n_experts);
    r.weights = copied(from->weights, (size_t)r.n_embd * r.n_experts, &ok);
    r.bias = copied(from->bias, r.n_experts, &ok);
    r.selection_bias = copied(from->selection_bias, r.n_experts, &ok);
    if (!ok) {
        router_free(&r);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the router of layer %u", layer);
    }
    /* Once, here: W (x * ratio) = (W * ratio) x, and the input then needs no pass of its own at each token. */
    for (size_t e = 0; e < r.n_experts && from->norm_ratio != NULL; e++)
        for (size_t i = 0; i < r.n_embd; i++)
            r.weights[e * r.n_embd + i] *= from->norm_ratio[i];
    router_free(&l->routers[layer]);
    l->routers[layer] = r;
    return HYP_OK;
}

bool hyp_lookahead_has(const hyp_lookahead *l, uint32_t layer) {
    return layer < l->n_layers && l->routers[layer].weights != NULL;
}

/* From logits to what the model compares. Without a selection bias the logits do: the gating keeps their order. */
static void select_scores(const router *r, float *scores) {
    if (r->bias != NULL)
        for (uint32_t e = 0; e < r->n_experts; e++)
            scores[e] += r->bias[e];
    if (r->selection_bias == NULL) return;
    float most = -INFINITY, sum = 0;
    for (uint32_t e = 0; e < r->n_experts; e++)
        most = HYP_MAX(most, scores[e]);
    for (uint32_t e = 0; e < r->n_experts; e++) {
        scores[e] = r->gating == HYP_GATING_SIGMOID ? 1 / (1 + expf(-scores[e])) : expf(scores[e] - most);
        sum += scores[e];
    }
    for (uint32_t e = 0; e < r->n_experts; e++)
        scores[e] = (r->gating == HYP_GATING_SIGMOID ? scores[e] : scores[e] / sum) + r->selection_bias[e];
}

/* The m best of `scores`, the best first, by insertion: m is small. A score that is no number is the worst. */
static uint32_t best_of(const float *scores, uint32_t n, uint32_t m, uint32_t *ret_experts, float *ret_scores) {
    uint32_t n_ret = 0;
    for (uint32_t e = 0; e < n && m > 0; e++) {
        if (n_ret == m && !(scores[e] > scores[ret_experts[m - 1]])) continue;
        uint32_t at = n_ret < m ? n_ret++ : m - 1;
        for (; at > 0 && scores[e] > scores[ret_experts[at - 1]]; at--)
            ret_experts[at] = ret_experts[at - 1];
        ret_experts[at] = e;
    }
    for (uint32_t i = 0; i < n_ret && ret_scores != NULL; i++)
        ret_scores[i] = scores[ret_experts[i]];
    return n_ret;
}

uint32_t hyp_lookahead_predict(hyp_lookahead *l, uint32_t layer, const float *x, size_t stride, uint32_t n_tokens,
                               uint32_t m, uint32_t *ret_experts, float *ret_scores) {
    if (!hyp_lookahead_has(l, layer) || n_tokens == 0) return 0;
    const router *r = &l->routers[layer];
    for (uint32_t t = 0; t < n_tokens; t++) {
        l->multiply(r->weights, x + t * stride, r->n_embd, r->n_experts, l->scores);
        select_scores(r, l->scores);
        for (uint32_t e = 0; e < r->n_experts; e++) {
            if (!(l->scores[e] > -INFINITY)) l->scores[e] = -INFINITY; /* NaN too, which cannot be sorted */
            l->best[e] = t == 0 ? l->scores[e] : HYP_MAX(l->best[e], l->scores[e]);
        }
    }
    return best_of(l->best, r->n_experts, HYP_MIN(m, r->n_experts), ret_experts, ret_scores);
}
