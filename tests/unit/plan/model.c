#include "model.h"

#include "../test.h"

#include <ggml.h>
#include <gguf.h>
#include <stdlib.h>
#include <unistd.h>

void test_build_set(test_builder *b, const char *key, uint32_t value) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", b->arch, key);
    gguf_set_val_u32(b->gguf, full, value);
}

void test_build_set_array(test_builder *b, const char *key, const uint32_t *values, size_t n) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", b->arch, key);
    gguf_set_arr_data(b->gguf, full, GGUF_TYPE_UINT32, values, n);
}

void test_build_tensor(test_builder *b, const char *name, int64_t ne0, int64_t ne1, int64_t ne2) {
    struct ggml_tensor *t = ggml_new_tensor_3d(b->ggml, GGML_TYPE_Q8_0, ne0, ne1, ne2);
    ggml_set_name(t, name);
    gguf_add_tensor(b->gguf, t);
}

static void add(test_builder *b, uint32_t layer, const char *what, int64_t ne0, int64_t ne1, int64_t ne2) {
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s.weight", layer, what);
    test_build_tensor(b, name, ne0, ne1, ne2);
}

void test_build_attention(test_builder *b, const test_shape *s, uint32_t il) {
    int64_t e = s->embd, kv = s->embd / s->heads * s->heads_kv;
    add(b, il, "attn_norm", e, 1, 1);
    add(b, il, "attn_q", e, e, 1);
    add(b, il, "attn_k", e, kv, 1);
    add(b, il, "attn_v", e, kv, 1);
    add(b, il, "attn_output", e, e, 1);
}

void test_build_ffn(test_builder *b, const test_shape *s, uint32_t il) {
    int64_t e = s->embd, n = s->experts;
    add(b, il, "ffn_norm", e, 1, 1);
    if (n == 0) {
        add(b, il, "ffn_gate", e, s->ffn, 1);
        add(b, il, "ffn_up", e, s->ffn, 1);
        add(b, il, "ffn_down", s->ffn, e, 1);
        return;
    }
    add(b, il, "ffn_gate_inp", e, n, 1);
    add(b, il, "ffn_gate_exps", e, s->ffn, n);
    add(b, il, "ffn_up_exps", e, s->ffn, n);
    add(b, il, "ffn_down_exps", s->ffn, e, n);
}

test_builder test_build_begin(const test_shape *s) {
    struct ggml_init_params params = {.mem_size = (size_t)16 << 20, .no_alloc = true};
    test_builder b = {.gguf = gguf_init_empty(), .ggml = ggml_init(params), .arch = s->arch};
    assert_non_null(b.ggml);
    gguf_set_val_str(b.gguf, "general.architecture", s->arch);
    gguf_set_val_str(b.gguf, "tokenizer.ggml.model", "no_vocab");
    test_build_set(&b, "vocab_size", s->vocab);
    test_build_set(&b, "block_count", s->layers);
    test_build_set(&b, "context_length", 32768);
    test_build_set(&b, "embedding_length", s->embd);
    test_build_set(&b, "feed_forward_length", s->ffn);
    test_build_set(&b, "attention.head_count", s->heads);
    test_build_set(&b, "attention.head_count_kv", s->heads_kv);
    if (s->experts > 0) test_build_set(&b, "expert_count", s->experts);
    if (s->experts > 0) test_build_set(&b, "expert_used_count", s->used);
    test_build_tensor(&b, "token_embd.weight", s->embd, s->vocab, 1);
    test_build_tensor(&b, "output_norm.weight", s->embd, 1, 1);
    if (!s->tied) test_build_tensor(&b, "output.weight", s->embd, s->vocab, 1);
    return b;
}

hyp_model *test_build_end(test_builder *b) {
    char path[] = "/tmp/hypura-plan-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(gguf_write_to_file(b->gguf, path, true));
    int64_t n = gguf_get_n_tensors(b->gguf);
    size_t end =
        gguf_get_meta_size(b->gguf) + gguf_get_tensor_offset(b->gguf, n - 1) + gguf_get_tensor_size(b->gguf, n - 1);
    assert_int_equal(ftruncate(fd, (off_t)(end + 4096)), 0);
    close(fd);
    hyp_model *model = NULL;
    hyp_err err = HYP_ERR_NONE;
    int r = hyp_model_open(path, &model, &err);
    if (r != HYP_OK) print_message("%s\n", err.message);
    assert_int_equal(r, HYP_OK);
    unlink(path);
    gguf_free(b->gguf);
    ggml_free(b->ggml);
    return model;
}

hyp_model *test_model(const test_shape *s) {
    test_builder b = test_build_begin(s);
    for (uint32_t il = 0; il < s->layers; il++) {
        test_build_attention(&b, s, il);
        test_build_ffn(&b, s, il);
    }
    return test_build_end(&b);
}
