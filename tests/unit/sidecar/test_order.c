/* Which experts stand side by side. */
#include "fixture.h"

#include "predict/coact.h"
#include "predict/trace.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 4 };

static void the_chain_follows_the_pairs(void **state) {
    (void)state;
    const uint64_t uses[N] = {5, 9, 7, 9};
    uint32_t pairs[N * N] = {0}, order[N];
    pairs[1 * N + 2] = pairs[2 * N + 1] = 3;
    pairs[2 * N + 0] = pairs[0 * N + 2] = 2;
    pairs[2 * N + 3] = pairs[3 * N + 2] = 2;
    hyp_sidecar_chain(N, uses, pairs, order);
    /* 1 is used most (as often as 3, and smaller), goes with 2; 2 goes as often with 0 as with 3, and 3 is used more.
     */
    assert_memory_equal(order, ((uint32_t[]){1, 2, 3, 0}), sizeof order);
    memset(pairs, 0, sizeof pairs);
    hyp_sidecar_chain(N, uses, pairs, order);
    assert_memory_equal(order, ((uint32_t[]){1, 3, 2, 0}), sizeof order);
    hyp_sidecar_chain(1, uses, pairs, order);
    assert_int_equal(order[0], 0);
}

static void assert_permutation(const uint32_t *experts) {
    bool seen[N] = {false};
    for (int i = 0; i < N; i++) {
        assert_true(experts[i] < N && !seen[experts[i]]);
        seen[experts[i]] = true;
    }
}

/* Tokens that use 0 and 3 of the first layer together, 1 and 2 of the second; one batch that uses everything. */
static const char *write_trace(const char *digest, uint32_t n_experts) {
    const char *path = sample_path("routing.trace");
    hyp_trace_layer layers[] = {{0, n_experts, 20480}, {1, n_experts, 20480}};
    hyp_trace_info info = {.name = "sample", .n_layers = 2, .n_used = 2, .layers = layers};
    snprintf(info.digest, sizeof info.digest, "%s", digest);
    hyp_trace_writer *w = NULL;
    assert_int_equal(hyp_trace_create(path, &info, &w, NULL), HYP_OK);
    for (uint32_t layer = 0; layer < 2; layer++)
        hyp_trace_used(w, layer, 9, (const uint32_t[]){0, 1, 2, 3}, (const uint32_t[]){1, 9, 1, 1}, 4);
    for (int i = 0; i < 20; i++) {
        hyp_trace_used(w, 0, 1, (const uint32_t[]){0, 3}, NULL, 2);
        hyp_trace_used(w, 1, 1, (const uint32_t[]){2, 1}, NULL, 2);
    }
    assert_int_equal(hyp_trace_close(w, NULL), HYP_OK);
    return path;
}

static void a_trace_gives_the_order(void **state) {
    (void)state;
    hyp_model *model = fixture_model("traced.gguf", 1, NULL);
    hyp_sidecar_ranking ranking;
    hyp_err err = HYP_ERR_NONE;
    if (hyp_sidecar_rank(model, write_trace(model->digest, N), &ranking, &err) != HYP_OK) fail_msg("%s", err.message);
    assert_int_equal(ranking.order, HYP_SIDECAR_BY_TRACE);
    assert_int_equal(ranking.n_layers, 2);
    assert_memory_equal(ranking.experts[0], ((uint32_t[]){0, 3, 1, 2}), sizeof(uint32_t) * N);
    assert_memory_equal(ranking.experts[1], ((uint32_t[]){1, 2, 0, 3}), sizeof(uint32_t) * N);
    hyp_sidecar *s = fixture_layout(model, &ranking);
    const hyp_tensor *gate = hyp_model_tensor(model, "blk.0.ffn_gate_exps.weight");
    assert_true(s->runs[3].extent.offset == gate->offset + 3 * gate->expert_bytes); /* the second unit is expert 3 */
    assert_int_equal(s->order, HYP_SIDECAR_BY_TRACE);
    hyp_sidecar_free(s);
    hyp_sidecar_ranking_free(&ranking);
    hyp_model_free(model);
}

static void another_models_trace_is_refused(void **state) {
    (void)state;
    hyp_model *model = fixture_model("untraced.gguf", 2, NULL);
    hyp_sidecar_ranking ranking;
    hyp_err err = HYP_ERR_NONE;
    char digest[65];
    memset(digest, 'a', 64);
    digest[64] = '\0';
    assert_int_equal(hyp_sidecar_rank(model, write_trace(digest, N), &ranking, &err), HYP_EINVAL);
    assert_int_equal(hyp_sidecar_rank(model, write_trace(model->digest, N + 1), &ranking, NULL), HYP_EINVAL);
    assert_true(hyp_sidecar_rank(model, "/nonexistent", &ranking, NULL) < 0);
    hyp_model_free(model);
}

static void earlier_runs_give_the_order(void **state) {
    (void)state;
    hyp_model *model = fixture_model("learnt.gguf", 3, NULL);
    hyp_sidecar_ranking ranking;
    assert_int_equal(hyp_sidecar_rank(model, NULL, &ranking, NULL), HYP_OK); /* nothing known yet */
    assert_int_equal(ranking.order, HYP_SIDECAR_BY_NUMBER);
    assert_memory_equal(ranking.experts[1], ((uint32_t[]){0, 1, 2, 3}), sizeof(uint32_t) * N);
    hyp_sidecar_ranking_free(&ranking);

    const uint32_t n_experts[] = {N, N};
    hyp_coact *coact = NULL;
    hyp_coact_shape shape = {model->digest, 2, n_experts};
    char path[PATH_MAX];
    assert_int_equal(hyp_coact_new(&shape, &coact, NULL), HYP_OK);
    for (int i = 0; i < 50; i++) {
        const uint32_t first[] = {i % 2 == 0 ? 1 : 0, i % 2 == 0 ? 3 : 2}, second[] = {3, 0};
        hyp_coact_observe(coact, 0, 1, first, NULL, 2);
        hyp_coact_observe(coact, 1, 1, second, NULL, 2);
    }
    assert_int_equal(hyp_coact_path(model->digest, path, sizeof path, NULL), HYP_OK);
    assert_int_equal(hyp_coact_save(coact, path, NULL), HYP_OK);
    hyp_coact_free(coact);
    assert_int_equal(hyp_sidecar_rank(model, NULL, &ranking, NULL), HYP_OK);
    assert_int_equal(ranking.order, HYP_SIDECAR_BY_STATISTICS);
    for (uint32_t layer = 0; layer < 2; layer++)
        assert_permutation(ranking.experts[layer]);
    const uint32_t *first = ranking.experts[0]; /* {1, 3} and {0, 2} stand together, whichever comes first */
    assert_true((first[0] ^ first[1]) == 2 && (first[2] ^ first[3]) == 2);
    hyp_sidecar_ranking_free(&ranking);
    unlink(path);
    hyp_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chain_follows_the_pairs),
        cmocka_unit_test(a_trace_gives_the_order),
        cmocka_unit_test(another_models_trace_is_refused),
        cmocka_unit_test(earlier_runs_give_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
