#include "../test.h"
#include "predict/accuracy.h"
#include "predict/lookahead.h"

#include <math.h>
#include <stdlib.h>

static float random_float(uint32_t *state) {
    *state = *state * 1664525 + 1013904223;
    return (float)(*state >> 8) / (float)(1 << 23) - 1;
}

typedef struct naive {
    uint32_t n_embd, n_experts, n_tokens;
    float *weights, *x, *ratio, *bias, *selection;
    double *scores;
} naive;

static double naive_score(const naive *n, uint32_t token, uint32_t expert) {
    double sum = 0;
    for (uint32_t i = 0; i < n->n_embd; i++)
        sum += (double)n->weights[expert * n->n_embd + i] * (double)n->x[token * n->n_embd + i] *
               (n->ratio != NULL ? (double)n->ratio[i] : 1);
    return sum + (n->bias != NULL ? (double)n->bias[expert] : 0);
}

static void naive_scores(naive *n, hyp_gating gating) {
    for (uint32_t e = 0; e < n->n_experts; e++)
        n->scores[e] = -INFINITY;
    for (uint32_t t = 0; t < n->n_tokens; t++) {
        double sum = 0;
        for (uint32_t e = 0; e < n->n_experts; e++)
            sum += exp(naive_score(n, t, e));
        for (uint32_t e = 0; e < n->n_experts; e++) {
            double s = naive_score(n, t, e);
            if (n->selection != NULL)
                s = (gating == HYP_GATING_SIGMOID ? 1 / (1 + exp(-s)) : exp(s) / sum) + (double)n->selection[e];
            n->scores[e] = fmax(n->scores[e], s);
        }
    }
}

static float *random_floats(size_t n, uint32_t *seed, float scale, float offset) {
    float *floats = malloc(n * sizeof *floats);
    for (size_t i = 0; i < n; i++)
        floats[i] = offset + scale * random_float(seed);
    return floats;
}

/* Sizes that fill no register, every kind of bias, one token and several. */
static void predictions_equal_the_naive_ones(void **state) {
    (void)state;
    const uint32_t sizes[][3] = {{1, 1, 1}, {7, 3, 2}, {8, 4, 1}, {64, 128, 1}, {100, 61, 3}, {513, 384, 2}};
    uint32_t seed = 5;
    for (int variant = 0; variant < 6 * 6; variant++) {
        const uint32_t *size = sizes[variant / 6];
        naive n = {.n_embd = size[0], .n_experts = size[1], .n_tokens = size[2]};
        hyp_gating gating = variant % 2 == 0 ? HYP_GATING_SOFTMAX : HYP_GATING_SIGMOID;
        float scale = 3 / sqrtf((float)n.n_embd);
        n.weights = random_floats((size_t)n.n_embd * n.n_experts, &seed, scale, 0);
        n.x = random_floats((size_t)n.n_embd * n.n_tokens, &seed, 1, 0);
        n.ratio = variant % 3 == 0 ? random_floats(n.n_embd, &seed, 0.2f, 1) : NULL;
        n.bias = variant % 3 == 1 ? random_floats(n.n_experts, &seed, 0.5f, 0) : NULL;
        n.selection = variant % 6 >= 3 ? random_floats(n.n_experts, &seed, 0.5f, 0) : NULL;
        n.scores = calloc(n.n_experts, sizeof *n.scores);
        naive_scores(&n, gating);
        hyp_lookahead *l;
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(hyp_lookahead_new(2, &l, &err), HYP_OK);
        hyp_router router = {n.weights, n.n_embd, n.n_experts, n.ratio, n.bias, n.selection, gating};
        assert_int_equal(hyp_lookahead_set_router(l, 1, &router, &err), HYP_OK);
        assert_int_equal(hyp_lookahead_set_router(l, 1, &router, &err), HYP_OK);
        uint32_t experts[384], m = n.n_experts;
        float scores[384];
        assert_int_equal(hyp_lookahead_predict(l, 1, n.x, n.n_embd, n.n_tokens, m + 5, experts, scores), m);
        bool seen[384] = {false};
        for (uint32_t i = 0; i < m; i++) {
            assert_false(seen[experts[i]]);
            seen[experts[i]] = true;
            assert_true(fabs((double)scores[i] - n.scores[experts[i]]) < 1e-4);
            assert_true(i == 0 || scores[i] <= scores[i - 1]);
        }
        uint32_t few[3];
        uint32_t n_few = hyp_lookahead_predict(l, 1, n.x, n.n_embd, n.n_tokens, 3, few, NULL);
        assert_int_equal(n_few, m < 3 ? m : 3);
        assert_memory_equal(few, experts, n_few * sizeof few[0]);
        assert_int_equal(hyp_lookahead_predict(l, 0, n.x, n.n_embd, 1, 3, few, NULL), 0);
        assert_int_equal(hyp_lookahead_predict(l, 2, n.x, n.n_embd, 1, 3, few, NULL), 0);
        hyp_lookahead_free(l);
        free(n.weights), free(n.x), free(n.ratio), free(n.bias), free(n.selection), free(n.scores);
    }
}

static void nonsense_is_survived(void **state) {
    (void)state;
    hyp_lookahead *l;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_lookahead_new(1, &l, &err), HYP_OK);
    const float weights[] = {1, 2, 3, 4, 5, 6, 7, 8}, x[] = {NAN, 1}, inf[] = {INFINITY, -INFINITY};
    hyp_router router = {.weights = weights, .n_embd = 2, .n_experts = 4};
    assert_int_equal(hyp_lookahead_set_router(l, 1, &router, &err), HYP_EINVAL);
    assert_int_equal(hyp_lookahead_set_router(l, 0, &(hyp_router){.weights = weights, .n_embd = 2}, NULL), HYP_EINVAL);
    assert_int_equal(hyp_lookahead_set_router(l, 0, &router, NULL), HYP_OK);
    uint32_t experts[4];
    assert_int_equal(hyp_lookahead_predict(l, 0, x, 2, 1, 4, experts, NULL), 4);
    for (int i = 0; i < 4; i++)
        assert_uint_in_range(experts[i], 0, 3);
    assert_int_equal(hyp_lookahead_predict(l, 0, inf, 2, 1, 2, experts, NULL), 2);
    assert_int_equal(hyp_lookahead_predict(l, 0, inf, 2, 1, 0, experts, NULL), 0);
    hyp_lookahead_free(l);
    hyp_lookahead_free(NULL);
}

static void accuracy_counts_both_ways(void **state) {
    (void)state;
    hyp_accuracy a = {0};
    assert_true(hyp_accuracy_recall(&a) == 0 && hyp_accuracy_precision(&a) == 0);
    hyp_accuracy_add(&a, (const uint32_t[]){4, 2, 9, 1}, 4, (const uint32_t[]){1, 2, 3}, 3);
    assert_true(fabs(hyp_accuracy_precision(&a) - 0.5) < 1e-9);
    assert_true(fabs(hyp_accuracy_recall(&a) - 2.0 / 3) < 1e-9);
    hyp_accuracy_add(&a, NULL, 0, (const uint32_t[]){1, 2, 3}, 3);
    assert_true(fabs(hyp_accuracy_recall(&a) - 1.0 / 3) < 1e-9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predictions_equal_the_naive_ones),
        cmocka_unit_test(nonsense_is_survived),
        cmocka_unit_test(accuracy_counts_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
