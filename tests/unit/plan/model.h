/* model.h - models made up for the planner's tests: real headers in a sparse temporary file, opened like any model. */
#pragma once
#include "gguf/model.h"

typedef struct test_shape {
    const char *arch;
    uint32_t layers, embd, heads, heads_kv, ffn, experts, used, vocab;
    bool tied;
} test_shape;

typedef struct test_builder {
    struct gguf_context *gguf;
    struct ggml_context *ggml;
    const char *arch;
} test_builder;

/* Metadata of `shape`; tensors of Q8_0 follow with test_build_layer() or by hand. */
test_builder test_build_begin(const test_shape *shape);
void test_build_tensor(test_builder *b, const char *name, int64_t ne0, int64_t ne1, int64_t ne2);
void test_build_attention(test_builder *b, const test_shape *shape, uint32_t layer);
void test_build_ffn(test_builder *b, const test_shape *shape, uint32_t layer);

/* Set a number, or an array of numbers, under "ARCH.key". */
void test_build_set(test_builder *b, const char *key, uint32_t value);
void test_build_set_array(test_builder *b, const char *key, const uint32_t *values, size_t n);

/* Write, open and unlink; frees the builder. The caller frees the model. */
hyp_model *test_build_end(test_builder *b);

/* All of it for a plain transformer. */
hyp_model *test_model(const test_shape *shape);
