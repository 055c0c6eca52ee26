#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *fixture_beside(const char *path, const char *suffix) {
    static char paths[4][512];
    static unsigned turn;
    char *ret = paths[turn++ % 4];
    snprintf(ret, sizeof paths[0], "%s%s", path, suffix);
    return ret;
}

uint8_t *fixture_read(const char *path, size_t *ret_n) {
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    fseek(in, 0, SEEK_END);
    *ret_n = (size_t)ftell(in);
    rewind(in);
    uint8_t *data = malloc(*ret_n + 1);
    assert_int_equal(fread(data, 1, *ret_n, in), *ret_n);
    fclose(in);
    return data;
}

void fixture_write(const char *path, const void *data, size_t n) {
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, n, out), n);
    fclose(out);
}

/* Slices of 26,112 bytes: large enough to be streamed, and no whole number of pages. */
static const struct {
    const char *stem;
    enum ggml_type type;
    int64_t ne[3];
} tensors[] = {
    {"attn_norm.weight", GGML_TYPE_F32, {64, 1, 1}},        {"attn_q.weight", GGML_TYPE_Q8_0, {64, 64, 1}},
    {"ffn_gate_inp.weight", GGML_TYPE_F32, {64, 4, 1}},     {"ffn_down_exps.weight", GGML_TYPE_Q8_0, {96, 256, 4}},
    {"ffn_gate_exps.weight", GGML_TYPE_Q8_0, {256, 96, 4}}, {"ffn_up_exps.weight", GGML_TYPE_Q8_0, {256, 96, 4}},
    {"ffn_down_exps.bias", GGML_TYPE_F32, {64, 4, 1}},
};

hyp_model *fixture_model(const char *name, unsigned seed, const char **ret_path) {
    sample s = sample_new();
    sample_tensor(&s, "token_embd.weight", GGML_TYPE_Q8_0, 64, 8, 1);
    sample_tensor(&s, "output_norm.weight", GGML_TYPE_F32, 64, 1, 1);
    for (int i = 0; i < 2; i++)
        for (size_t j = 0; j < sizeof tensors / sizeof *tensors; j++) {
            char name_of[64];
            snprintf(name_of, sizeof name_of, "blk.%d.%s", i, tensors[j].stem);
            sample_tensor(&s, name_of, tensors[j].type, tensors[j].ne[0], tensors[j].ne[1], tensors[j].ne[2]);
        }
    const char *path = sample_write(&s, name);
    hyp_model *model = NULL;
    hyp_err err = HYP_ERR_NONE;
    if (hyp_model_open(path, &model, &err) != HYP_OK) fail_msg("%s", err.message);
    uint64_t begin = model->files[0].data_offset, n = model->files[0].bytes - begin;
    hyp_model_free(model);
    uint8_t *weights = malloc(n);
    for (uint64_t i = 0; i < n; i++) {
        seed = seed * 1103515245u + 12345u;
        weights[i] = (uint8_t)(seed >> 16);
    }
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, weights, n, (off_t)begin), (ssize_t)n);
    close(fd);
    free(weights);
    if (hyp_model_open(path, &model, &err) != HYP_OK) fail_msg("%s", err.message);
    if (ret_path != NULL) *ret_path = path;
    return model;
}

hyp_sidecar *fixture_layout(const hyp_model *model, const hyp_sidecar_ranking *ranking) {
    hyp_sidecar *layout = NULL;
    hyp_err err = HYP_ERR_NONE;
    if (hyp_sidecar_layout(model, ranking, PAGE, &layout, &err) != HYP_OK) fail_msg("%s", err.message);
    return layout;
}
