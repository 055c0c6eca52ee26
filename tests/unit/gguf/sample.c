#include "sample.h"

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[200];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void remove_folder(void) {
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *sample_path(const char *name) {
    static char paths[8][256];
    static unsigned turn;
    if (folder[0] == '\0') {
        const char *base = getenv("TMPDIR");
        snprintf(folder, sizeof folder, "%s/hypura-gguf-XXXXXX", base != NULL ? base : "/tmp");
        const char *r = mkdtemp(folder);
        assert(r != NULL);
        (void)r;
        atexit(remove_folder);
    }
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

sample sample_new(void) {
    sample s = {gguf_init_empty(), ggml_init((struct ggml_init_params){.mem_size = 1 << 20, .no_alloc = true})};
    const char *const tokens[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    const int32_t types[] = {1, 1, 1, 1, 1, 1, 1, 1};
    const char *const merges[] = {"a b"};
    gguf_set_val_str(s.gguf, "general.architecture", "qwen3moe");
    gguf_set_val_str(s.gguf, "general.name", "Sample\nmodel \xff");
    gguf_set_val_u32(s.gguf, "general.file_type", 7);
    gguf_set_val_u32(s.gguf, "qwen3moe.block_count", 2);
    gguf_set_val_u32(s.gguf, "qwen3moe.embedding_length", 64);
    gguf_set_val_u32(s.gguf, "qwen3moe.context_length", 4096);
    gguf_set_val_u32(s.gguf, "qwen3moe.expert_count", 4);
    gguf_set_val_u32(s.gguf, "qwen3moe.expert_used_count", 2);
    gguf_set_val_f32(s.gguf, "qwen3moe.rope.freq_base", 10000.0f);
    gguf_set_val_i64(s.gguf, "qwen3moe.negative", -3);
    gguf_set_val_str(s.gguf, "tokenizer.ggml.model", "gpt2");
    gguf_set_arr_str(s.gguf, "tokenizer.ggml.tokens", (const char **)tokens, 8);
    gguf_set_arr_data(s.gguf, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types, 8);
    gguf_set_arr_str(s.gguf, "tokenizer.ggml.merges", (const char **)merges, 1);
    return s;
}

void sample_tensor(sample *s, const char *name, enum ggml_type type, int64_t ne0, int64_t ne1, int64_t ne2) {
    struct ggml_tensor *t = ggml_new_tensor_3d(s->ggml, type, ne0, ne1, ne2);
    ggml_set_name(t, name);
    gguf_add_tensor(s->gguf, t);
}

void sample_moe_tensors(sample *s) {
    static const struct {
        const char *stem;
        enum ggml_type type;
        int64_t ne[3];
    } layer[] = {
        {"attn_norm.weight", GGML_TYPE_F32, {64, 1, 1}},       {"attn_q.weight", GGML_TYPE_Q8_0, {64, 64, 1}},
        {"attn_output.weight", GGML_TYPE_Q8_0, {64, 64, 1}},   {"ffn_gate_inp.weight", GGML_TYPE_F32, {64, 4, 1}},
        {"ffn_gate_exps.weight", GGML_TYPE_Q8_0, {64, 96, 4}}, {"ffn_up_exps.weight", GGML_TYPE_Q8_0, {64, 96, 4}},
        {"ffn_down_exps.weight", GGML_TYPE_Q8_0, {96, 64, 4}}, {"ffn_down_exps.bias", GGML_TYPE_F32, {64, 4, 1}},
        {"ffn_down_exps.scale", GGML_TYPE_F32, {4, 1, 1}},
    };
    sample_tensor(s, "token_embd.weight", GGML_TYPE_Q8_0, 64, 8, 1);
    sample_tensor(s, "output_norm.weight", GGML_TYPE_F32, 64, 1, 1);
    for (int i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof layer / sizeof *layer; j++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s", i, layer[j].stem);
            sample_tensor(s, name, layer[j].type, layer[j].ne[0], layer[j].ne[1], layer[j].ne[2]);
        }
    }
}

const char *sample_write(sample *s, const char *name) {
    const char *path = sample_path(name);
    uint64_t end = gguf_get_meta_size(s->gguf);
    for (int64_t i = 0; i < gguf_get_n_tensors(s->gguf); i++)
        end += (gguf_get_tensor_size(s->gguf, i) + 31) / 32 * 32;
    bool good = gguf_write_to_file(s->gguf, path, true) && truncate(path, (off_t)end) == 0;
    assert(good);
    (void)good;
    gguf_free(s->gguf);
    ggml_free(s->ggml);
    *s = (sample){0};
    return path;
}
