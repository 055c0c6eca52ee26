#include "stream/routers_priv.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <ggml.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const hyp_tensor *layer_tensor(const hyp_model *model, int layer, const char *suffix) {
    char name[96];
    snprintf(name, sizeof name, "blk.%d.%s", layer, suffix);
    return hyp_model_tensor(model, name);
}

static const hyp_tensor *router_of(const hyp_model *model, int layer) {
    return layer_tensor(model, layer, "ffn_gate_inp.weight");
}

/* The norm before the FFN, by the names in use. */
static const hyp_tensor *norm_of(const hyp_model *model, int layer) {
    static const char *const names[] = {"ffn_norm.weight", "post_attention_norm.weight", "ffn_pre_norm.weight"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(names); i++) {
        const hyp_tensor *t = layer_tensor(model, layer, names[i]);
        if (t != NULL) return t;
    }
    return NULL;
}

uint64_t hyp_routers_bytes(const hyp_model *model, const hyp_units *units) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < units->n_layers; i++) {
        const hyp_tensor *t = router_of(model, units->layers[i].model_layer);
        if (t != NULL) bytes += (uint64_t)t->ne[0] * (uint64_t)t->ne[1] * sizeof(float);
    }
    return bytes;
}

/* The bytes of a tensor from its file, not from the mapping: what lies on a device is unmapped on the host. */
static char *bytes_of(const hyp_model *model, const hyp_tensor *t) {
    char *data = malloc(HYP_MAX(t->bytes, (uint64_t)1));
    int fd = data != NULL ? open(model->files[t->file].path, O_RDONLY | O_CLOEXEC) : -1;
    uint64_t done = 0;
    while (fd >= 0 && done < t->bytes) {
        ssize_t n = pread(fd, data + done, t->bytes - done, (off_t)(t->offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (uint64_t)n;
    }
    if (fd >= 0) close(fd);
    if (fd >= 0 && done == t->bytes) return data;
    free(data);
    return NULL;
}

/* All elements of a tensor as floats; the caller frees. NULL when the type cannot be read, or the file, or memory is
 * short. */
static float *floats_of(const hyp_model *model, const hyp_tensor *t) {
    if (t == NULL) return NULL;
    size_t row = (size_t)t->ne[0], rows = (size_t)(t->ne[1] * t->ne[2] * t->ne[3]);
    const struct ggml_type_traits *traits = ggml_get_type_traits((enum ggml_type)t->type);
    if (t->type != GGML_TYPE_F32 && traits->to_float == NULL) return NULL;
    HYP_AUTOFREE char *data = bytes_of(model, t);
    float *out = data != NULL ? malloc(row * rows * sizeof *out) : NULL;
    size_t row_bytes = ggml_row_size((enum ggml_type)t->type, t->ne[0]);
    for (size_t i = 0; out != NULL && i < rows; i++) {
        if (t->type == GGML_TYPE_F32)
            memcpy(out + i * row, data + i * row_bytes, row * sizeof *out);
        else
            traits->to_float(data + i * row_bytes, out + i * row, (int64_t)row);
    }
    return out;
}

/* This layer's norm weights over those of the layer before, [n]; the caller frees. NULL when either is missing, and
 * without memory. A weight of 0 lets nothing through: there is nothing to scale. */
static float *ratio_of(float *now, const float *before, size_t n) {
    if (now == NULL || before == NULL) return NULL;
    float *ratio = malloc(n * sizeof *ratio);
    for (size_t i = 0; ratio != NULL && i < n; i++)
        ratio[i] = before[i] != 0 ? now[i] / before[i] : 1;
    return ratio;
}

static int load_layer(const hyp_model *model, const hyp_units *units, uint32_t i, hyp_lookahead *lookahead,
                      hyp_err *err) {
    int layer = units->layers[i].model_layer;
    const hyp_tensor *t = router_of(model, layer);
    HYP_AUTOFREE float *weights = floats_of(model, t);
    if (weights == NULL || t->ne[2] != 1) return HYP_OK; /* this layer is done without a prediction */
    /* What is at hand when a prediction is made is the input of the router before: normalised, and multiplied with the
     * weights of that layer's norm. The ratio of the two norms turns it into what this router would be given. */
    HYP_AUTOFREE float *now = floats_of(model, norm_of(model, layer));
    HYP_AUTOFREE float *before = i > 0 ? floats_of(model, norm_of(model, units->layers[i - 1].model_layer)) : NULL;
    const hyp_tensor *norm = norm_of(model, layer),
                     *norm_before = i > 0 ? norm_of(model, units->layers[i - 1].model_layer) : NULL;
    bool same = norm != NULL && norm_before != NULL && norm->ne[0] == t->ne[0] && norm_before->ne[0] == t->ne[0];
    HYP_AUTOFREE float *ratio = same ? ratio_of(now, before, (size_t)t->ne[0]) : NULL;
    const hyp_tensor *bias = layer_tensor(model, layer, "ffn_gate_inp.bias");
    const hyp_tensor *selection = layer_tensor(model, layer, "exp_probs_b.bias");
    HYP_AUTOFREE float *bias_floats = bias != NULL && bias->ne[0] == t->ne[1] ? floats_of(model, bias) : NULL;
    HYP_AUTOFREE float *selection_floats =
        selection != NULL && selection->ne[0] == t->ne[1] ? floats_of(model, selection) : NULL;
    /* llama.cpp's LLAMA_EXPERT_GATING_FUNC_TYPE_SIGMOID is 2. */
    bool sigmoid = hyp_model_meta_u64(model, "%s.expert_gating_func", 1) == 2;
    hyp_router router = {weights,
                         (uint32_t)t->ne[0],
                         (uint32_t)t->ne[1],
                         ratio,
                         bias_floats,
                         selection_floats,
                         sigmoid ? HYP_GATING_SIGMOID : HYP_GATING_SOFTMAX};
    return hyp_lookahead_set_router(lookahead, i, &router, err);
}

int hyp_routers_load(const hyp_model *model, const hyp_units *units, hyp_names *names, hyp_lookahead **ret,
                     hyp_err *err) {
    hyp_lookahead *lookahead = NULL;
    int r = hyp_lookahead_new(units->n_layers, &lookahead, err);
    for (uint32_t i = 0; r == HYP_OK && i < units->n_layers; i++) {
        const hyp_tensor *t = router_of(model, units->layers[i].model_layer);
        if (t == NULL) continue;
        r = load_layer(model, units, i, lookahead, err);
        if (r == HYP_OK && !hyp_names_put(names, t->name, i))
            r = hyp_err_set(err, HYP_ENOMEM, "out of memory for the routers");
    }
    if (r == HYP_OK)
        *ret = lookahead;
    else
        hyp_lookahead_free(lookahead);
    return r;
}
