/* sample.h - small GGUF files for tests, written with ggml's own writer; weights are a hole in the file. */
#pragma once
#include <ggml.h>
#include <gguf.h>

typedef struct sample {
    struct gguf_context *gguf;
    struct ggml_context *ggml;
} sample;

/* A folder of its own for the test's files, and the path of `name` in it (static storage, eight turns). */
const char *sample_path(const char *name);

/* An empty file with the metadata of a model of the architecture "qwen3moe": 2 layers, 4 experts, 2 used. */
sample sample_new(void);
void sample_tensor(sample *s, const char *name, enum ggml_type type, int64_t ne0, int64_t ne1, int64_t ne2);
/* The tensors of such a model: token_embd, output_norm and two layers of attention and experts. */
void sample_moe_tensors(sample *s);
/* Write the file and free `s`. Returns the path. */
const char *sample_write(sample *s, const char *name);
