/* What earlier runs learned of a model's routing reaches the plan under the model's own layer numbers. */
#include "../plan/model.h"
#include "../test.h"
#include "plan/units.h"
#include "predict/coact.h"
#include "stream/expert_uses.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LAYERS = 3, EXPERTS = 8 };
static const test_shape moe_shape = {"qwen3moe", LAYERS, 256, 4, 4, 256, EXPERTS, 2, 512, false};
static const test_shape dense_shape = {"llama", LAYERS, 256, 4, 4, 256, 0, 0, 512, false};

/* The first layer has no experts. */
static hyp_model *model_with_a_dense_layer(void) {
    test_shape dense = moe_shape;
    dense.experts = 0;
    test_builder b = test_build_begin(&moe_shape);
    for (uint32_t l = 0; l < LAYERS; l++) {
        test_build_attention(&b, &moe_shape, l);
        test_build_ffn(&b, l == 0 ? &dense : &moe_shape, l);
    }
    return test_build_end(&b);
}

/* `n` tokens that all use experts 1 and 6 of every streamed layer. */
static void save_statistics(const hyp_model *m, int n, const char *path) {
    const uint32_t n_experts[LAYERS - 1] = {EXPERTS, EXPERTS}, used[] = {1, 6};
    const hyp_coact_shape shape = {m->digest, LAYERS - 1, n_experts};
    hyp_coact *coact = NULL;
    assert_int_equal(hyp_coact_new(&shape, &coact, NULL), HYP_OK);
    for (int i = 0; i < n; i++)
        for (uint32_t l = 0; l < LAYERS - 1; l++)
            hyp_coact_observe(coact, l, 1, used, NULL, 2);
    assert_int_equal(hyp_coact_save(coact, path, NULL), HYP_OK);
    hyp_coact_free(coact);
}

static void uses_are_the_models(void **state) {
    (void)state;
    char path[PATH_MAX];
    hyp_model *m = model_with_a_dense_layer();
    assert_int_equal(hyp_coact_path(m->digest, path, sizeof path, NULL), HYP_OK);
    unlink(path);                   /* of a run that was broken off */
    assert_null(hyp_uses_known(m)); /* nothing learned yet */
    save_statistics(m, 10, path);
    assert_null(hyp_uses_known(m)); /* too little */
    save_statistics(m, 200, path);
    float *uses = hyp_uses_known(m);
    assert_non_null(uses);
    for (uint32_t l = 0; l < LAYERS; l++)
        for (uint32_t e = 0; e < EXPERTS; e++) {
            float here = uses[l * EXPERTS + e];
            if (l > 0 && (e == 1 || e == 6))
                assert_true(here > 0.9f);
            else
                assert_true(here < 0.1f);
        }
    free(uses);
    unlink(path);
    hyp_model_free(m);
}

static void a_dense_model_has_none(void **state) {
    (void)state;
    hyp_model *m = test_model(&dense_shape);
    assert_null(hyp_uses_known(m));
    hyp_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(uses_are_the_models), cmocka_unit_test(a_dense_model_has_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
