/* Sizes of the KV cache by hand, for every kind of attention. */
#include "../test.h"
#include "model.h"
#include "plan/kv_priv.h"

#include <ggml.h>

static const test_shape plain = {"llama", 4, 256, 8, 2, 512, 0, 0, 256, false};
static const hyp_kv_request request = {
    .context_tokens = 1000, .n_parallel = 2, .ubatch_tokens = 100, .type_k = GGML_TYPE_F16, .type_v = GGML_TYPE_F16};

static void grouped_heads(void **state) {
    (void)state;
    hyp_model *m = test_model(&plain);
    uint64_t layers[4];
    /* 1024 cells of 2 heads x 32 x 2 bytes, keys and values, two sequences */
    assert_int_equal(hyp_kv_bytes(m, &request, layers), 4 * 1024 * 2 * 64 * 2 * 2);
    assert_int_equal(layers[3], 1024 * 2 * 64 * 2 * 2);
    hyp_kv_request q8 = request;
    q8.type_k = q8.type_v = GGML_TYPE_Q8_0;
    assert_int_equal(hyp_kv_bytes(m, &q8, NULL), 4 * 1024 * 2 * 68 * 2);
    hyp_model_free(m);
}

static void heads_differ_by_layer(void **state) {
    (void)state;
    test_builder b = test_build_begin(&plain);
    const uint32_t heads[] = {2, 4, 0, 2};
    test_build_set_array(&b, "attention.head_count_kv", heads, 4);
    for (uint32_t i = 0; i < 4; i++)
        test_build_attention(&b, &plain, i), test_build_ffn(&b, &plain, i);
    hyp_model *m = test_build_end(&b);
    assert_int_equal(hyp_kv_bytes(m, &request, NULL), 1024 * 8 * 32 * 2 * 2 * 2);
    hyp_model_free(m);
}

static void latent_attention_stores_one_row(void **state) {
    (void)state;
    test_shape s = plain;
    s.arch = "deepseek2", s.heads_kv = 1;
    test_builder b = test_build_begin(&s);
    test_build_set(&b, "attention.key_length", 576);
    test_build_set(&b, "attention.value_length", 512);
    test_build_set(&b, "attention.key_length_mla", 192);
    test_build_set(&b, "attention.value_length_mla", 128);
    for (uint32_t i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.attn_kv_a_mqa.weight", i);
        test_build_tensor(&b, name, 256, 576, 1);
    }
    hyp_model *m = test_build_end(&b);
    assert_int_equal(hyp_kv_bytes(m, &request, NULL), 4 * 1024 * 576 * 2 * 2);
    hyp_model_free(m);
}

static void sliding_windows_are_short(void **state) {
    (void)state;
    test_builder b = test_build_begin(&plain);
    const uint32_t pattern[] = {1, 1, 0, 1};
    test_build_set(&b, "attention.sliding_window", 128);
    test_build_set_array(&b, "attention.sliding_window_pattern", pattern, 4);
    for (uint32_t i = 0; i < 4; i++)
        test_build_attention(&b, &plain, i);
    hyp_model *m = test_build_end(&b);
    uint64_t layers[4], row = 2 * 64 * 2 * 2;
    hyp_kv_bytes(m, &request, layers);
    assert_int_equal(layers[0], 256 * row); /* 128 + 100, padded */
    assert_int_equal(layers[2], 1024 * row);
    hyp_kv_request full = request;
    full.swa_full = true;
    assert_int_equal(hyp_kv_bytes(m, &full, NULL), 4 * 1024 * row);
    hyp_model_free(m);
}

static void known_families_need_no_pattern(void **state) {
    (void)state;
    test_shape s = plain;
    s.arch = "gpt-oss";
    test_builder b = test_build_begin(&s);
    test_build_set(&b, "attention.sliding_window", 128);
    for (uint32_t i = 0; i < 4; i++)
        test_build_attention(&b, &s, i);
    hyp_model *m = test_build_end(&b);
    uint64_t layers[4];
    hyp_kv_bytes(m, &request, layers);
    assert_true(layers[0] < layers[1] && layers[0] == layers[2] && layers[1] == layers[3]);
    hyp_model_free(m);
}

static void recurrent_layers_do_not_grow(void **state) {
    (void)state;
    test_shape s = plain;
    s.arch = "qwen3next";
    test_builder b = test_build_begin(&s);
    test_build_set(&b, "ssm.conv_kernel", 4);
    test_build_set(&b, "ssm.inner_size", 512);
    test_build_set(&b, "ssm.state_size", 64);
    test_build_set(&b, "ssm.group_count", 4);
    for (uint32_t i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.ssm_out.weight", i);
        test_build_tensor(&b, name, 512, 256, 1);
        snprintf(name, sizeof name, "blk.%u.attn_gate.weight", i);
        test_build_tensor(&b, name, 256, 512, 1);
    }
    test_build_attention(&b, &s, 3);
    hyp_model *m = test_build_end(&b);
    uint64_t layers[4], states = (3 * (512 + 2 * 4 * 64) + 64 * 512) * 4 * 2;
    hyp_kv_bytes(m, &request, layers);
    assert_int_equal(layers[0], states);
    assert_int_equal(layers[3], 1024 * 2 * 64 * 2 * 2);
    hyp_kv_request longer = request;
    longer.context_tokens = 100000;
    hyp_kv_bytes(m, &longer, layers);
    assert_int_equal(layers[0], states);
    hyp_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grouped_heads),
        cmocka_unit_test(heads_differ_by_layer),
        cmocka_unit_test(latent_attention_stores_one_row),
        cmocka_unit_test(sliding_windows_are_short),
        cmocka_unit_test(known_families_need_no_pattern),
        cmocka_unit_test(recurrent_layers_do_not_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
