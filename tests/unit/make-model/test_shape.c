#include "../test.h"
#include "arch.h"
#include "base/mem.h"
#include "tokenizer.h"

#include <gguf.h>
#include <string.h>

/* Parse a command line as the program does. */
static int parse(char **argv, int argc, hyp_make_shape *ret, hyp_err *err) {
    const char *words[1];
    size_t n_words;
    *ret = (hyp_make_shape){0};
    hyp_options_set_defaults(&hyp_make_options, 1, ret);
    int r = hyp_options_parse(&hyp_make_options, 1, argc, argv, ret, words, 1, &n_words, err);
    return r == HYP_OK ? hyp_make_shape_resolve(ret, err) : r;
}

#define PARSE(shape, err, ...)                                                                                         \
    parse((char *[]){__VA_ARGS__}, (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)), shape, err)

static void every_architecture_has_a_whole_default(void **state) {
    (void)state;
    for (size_t i = 0; i < hyp_make_n_archs; i++) {
        hyp_make_shape shape;
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(PARSE(&shape, &err, "--arch", (char *)hyp_make_archs[i]->name), HYP_OK);
        hyp_make_plan plan;
        assert_int_equal(hyp_make_plan_new(&shape, &plan, &err), HYP_OK);
        uint64_t bytes = 0;
        for (size_t t = 0; t < plan.n; t++) {
            bytes += plan.tensors[t].bytes;
            assert_int_equal(plan.tensors[t].bytes,
                             ggml_row_size(plan.tensors[t].type, plan.tensors[t].ne[0]) * plan.tensors[t].n_rows);
            for (size_t u = 0; u < t; u++)
                assert_string_not_equal(plan.tensors[t].name, plan.tensors[u].name);
        }
        assert_int_equal(bytes, plan.bytes);
        struct gguf_context *keys;
        assert_int_equal(hyp_make_keys_new(&shape, &keys, &err), HYP_OK);
        assert_string_equal(gguf_get_val_str(keys, gguf_find_key(keys, "general.architecture")),
                            hyp_make_archs[i]->gguf);
        gguf_free(keys);
        hyp_make_plan_free(&plan);
    }
}

static void impossible_shapes_are_refused_with_a_hint(void **state) {
    (void)state;
    static const struct {
        const char *args[10], *message, *hint;
    } cases[] = {
        {{"--arch", "qwen3mo"}, "there is no architecture \"qwen3mo\"", "did you mean qwen3moe?"},
        {{"--width", "1000"}, "--width 1000 is impossible", "multiple of 32"},
        {{"--width", "288"}, "--width 288 is no whole number of q4_K blocks", "multiple of 256"},
        {{"--arch", "mixtral", "--ffn", "320"}, "--expert-width 320 is no whole number of q4_K", "Q8_0"},
        {{"--heads", "8", "--kv-heads", "3"}, "8 heads cannot share 3", "--kv-heads must divide"},
        {{"--head-dim", "33"}, "a head of 33 elements", "even --head-dim"},
        {{"--vocab", "100"}, "a vocabulary of 100", "--vocab 320"},
        {{"--alignment", "48"}, "--alignment 48", "power of two"},
        {{"--quant", "Q9_K"}, "no quantisation called \"Q9_K\"", "q4_K"},
        {{"--quant-down", "q8_k"}, "no quantisation called \"q8_k\"", "q8_0"},
        {{"--arch", "qwen3moe", "--used", "17"}, "17 experts used of 16", "between 1 and 16"},
        {{"--arch", "qwen3", "--experts", "8"}, "qwen3 is a dense architecture", "qwen3moe"},
        {{"--arch", "llama", "--experts", "8", "--expert-width", "512"}, "experts' width is the FFN's", "--ffn 512"},
        {{"--arch", "deepseek2", "--dense-layers", "4"}, "4 leading dense layers of 4", "--dense-layers 3"},
        {{"--arch", "deepseek2", "--q-rank", "-1"}, "wants a factorised query", "--layers 27"},
        {{"--arch", "deepseek2", "--rope-dim", "48"}, "a latent head of 48", "--rope-dim 24"},
        {{"--arch", "qwen2moe", "--head-dim", "64"}, "heads times head width", "leave out --head-dim"},
        {{"--arch", "qwen3moe", "--merge-gate-up"}, "no merged gate and up for qwen3moe", "qwen3next"},
        {{"--arch", "qwen3next", "--linear-key-heads", "3"}, "8 value heads cannot share 3", "must divide"},
    };
    for (size_t i = 0; i < HYP_ARRAY_LEN(cases); i++) {
        int argc = 0;
        while (cases[i].args[argc] != NULL)
            argc++;
        hyp_make_shape shape;
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(parse((char **)cases[i].args, argc, &shape, &err), HYP_EINVAL);
        if (strstr(err.message, cases[i].message) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", err.message, cases[i].message);
        if (strstr(err.hint, cases[i].hint) == NULL) fail_msg("\"%s\" lacks \"%s\"", err.hint, cases[i].hint);
    }
}

static void roles_have_types_of_their_own(void **state) {
    (void)state;
    hyp_make_shape shape;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(PARSE(&shape, &err, "--arch", "qwen3moe", "--quant", "q4_k", "--quant-down", "Q6_K",
                           "--quant-attn", "bf16", "--layers", "1"),
                     HYP_OK);
    hyp_make_plan plan;
    assert_int_equal(hyp_make_plan_new(&shape, &plan, &err), HYP_OK);
    static const struct {
        const char *name;
        enum ggml_type type;
        int64_t ne[3];
    } expected[] = {{"token_embd.weight", GGML_TYPE_Q4_K, {256, 512, 1}},
                    {"blk.0.attn_q.weight", GGML_TYPE_BF16, {256, 256, 1}},
                    {"blk.0.attn_k.weight", GGML_TYPE_BF16, {256, 128, 1}},
                    {"blk.0.ffn_gate_inp.weight", GGML_TYPE_F32, {256, 16, 1}},
                    {"blk.0.ffn_up_exps.weight", GGML_TYPE_Q4_K, {256, 256, 16}},
                    {"blk.0.ffn_down_exps.weight", GGML_TYPE_Q6_K, {256, 256, 16}}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(expected); i++) {
        size_t t = 0;
        while (t < plan.n && strcmp(plan.tensors[t].name, expected[i].name) != 0)
            t++;
        assert_true(t < plan.n);
        assert_int_equal(plan.tensors[t].type, expected[i].type);
        for (int d = 0; d < 3; d++)
            assert_int_equal(plan.tensors[t].ne[d], expected[i].ne[d]);
    }
    hyp_make_plan_free(&plan);
}

/* A row of a secondary matrix that is no whole number of blocks takes what llama.cpp's quantiser falls back to. */
static void odd_rows_fall_back(void **state) {
    (void)state;
    hyp_make_shape shape = {.type = {[HYP_MAKE_ATTN] = GGML_TYPE_Q4_K}};
    assert_int_equal(hyp_make_shape_type(&shape, HYP_MAKE_ATTN, 512), GGML_TYPE_Q4_K);
    assert_int_equal(hyp_make_shape_type(&shape, HYP_MAKE_ATTN, 96), GGML_TYPE_Q8_0);
    assert_int_equal(hyp_make_shape_type(&shape, HYP_MAKE_ATTN, 40), GGML_TYPE_F16);
}

/* 61 layers of 384 experts of 7168 x 2048: over a trillion parameters, 585 GB, of which few are written. */
static void a_trillion_parameters_are_planned(void **state) {
    (void)state;
    hyp_make_shape shape;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(PARSE(&shape, &err, "--arch", "qwen3moe", "--layers", "61", "--width", "7168", "--experts", "384",
                           "--used", "8", "--expert-width", "2048", "--heads", "64", "--head-dim", "128", "--kv-heads",
                           "8", "--vocab", "163840", "--sparse-all", "--quant-router", "F16"),
                     HYP_OK);
    hyp_make_plan plan;
    assert_int_equal(hyp_make_plan_new(&shape, &plan, &err), HYP_OK);
    uint64_t written = 0, elements = 0;
    for (size_t i = 0; i < plan.n; i++) {
        const hyp_make_tensor *t = &plan.tensors[i];
        written += (uint64_t)(t->n_rows / t->ne[1] * t->written_rows * t->row_bytes);
        elements += (uint64_t)(t->ne[0] * t->n_rows);
        if (t->expert) assert_int_equal(t->written_rows, 0);
    }
    assert_true(elements > 1000ull * 1000 * 1000 * 1000);
    assert_true(plan.bytes > 580ull * 1000 * 1000 * 1000);
    assert_true(written < 700ull * 1000 * 1000);
    hyp_make_plan_free(&plan);
}

static void every_token_has_a_text_of_its_own(void **state) {
    (void)state;
    static const struct {
        int id;
        const char *text;
    } known[] = {{'a', "a"},
                 {' ', "\xc4\xa0"},
                 {'\n', "\xc4\x8a"},
                 {0, "\xc4\x80"},
                 {0xff, "\xc3\xbf"},
                 {HYP_MAKE_TOKEN_EOS, "<|end|>"},
                 {HYP_MAKE_TOKEN_MERGES + 4, "\xc4\xa0the"}};
    char a[32], b[32];
    for (size_t i = 0; i < HYP_ARRAY_LEN(known); i++) {
        hyp_make_tokenizer_text(known[i].id, a, sizeof a);
        assert_string_equal(a, known[i].text);
    }
    enum { SOME = 2000 };
    for (int i = 0; i < SOME; i++)
        for (int j = i + 1; j < SOME; j++) {
            hyp_make_tokenizer_text(i, a, sizeof a);
            hyp_make_tokenizer_text(j, b, sizeof b);
            assert_string_not_equal(a, b);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_architecture_has_a_whole_default),
                                       cmocka_unit_test(impossible_shapes_are_refused_with_a_hint),
                                       cmocka_unit_test(roles_have_types_of_their_own),
                                       cmocka_unit_test(odd_rows_fall_back),
                                       cmocka_unit_test(a_trillion_parameters_are_planned),
                                       cmocka_unit_test(every_token_has_a_text_of_its_own)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
