/* expert_uses.c - see uses.h. */
#include "stream/expert_uses.h"

#include "base/mem.h"
#include "plan/plan.h"
#include "predict/coact.h"

#include <limits.h>

/* Fewer tokens say little of how unequal experts are: chance alone makes some of them look used more. */
enum { LEAST_TOKENS = 64 };

/* The layers with experts that stream, in order, as units.c numbers them when none lies on a device. */
static uint32_t find_layers(const hyp_model *model, int *ret_layers, uint32_t *ret_n_experts) {
    uint32_t n = 0;
    for (int layer = 0; layer < (int)model->n_layers; layer++)
        for (size_t i = 0; i < model->n_tensors; i++) {
            const hyp_tensor *t = &model->tensors[i];
            if (t->layer != layer || !hyp_plan_is_streamed(t, HYP_MODE_EXPERTS)) continue;
            ret_layers[n] = layer;
            ret_n_experts[n++] = t->n_experts;
            break;
        }
    return n;
}

/* Copy what is known; returns whether anything is. `uses`: [n_layers][n_experts] of the model, zeroed. */
static bool fill(const hyp_model *model, const hyp_coact_shape *shape, const int *layers, const hyp_coact *coact,
                 float *uses) {
    bool known = false;
    for (uint32_t l = 0; l < shape->n_layers; l++) {
        if (hyp_coact_weight_of_layer(coact, l) < LEAST_TOKENS) continue;
        known = true;
        for (uint32_t e = 0; e < HYP_MIN(shape->n_experts[l], model->n_experts); e++)
            uses[(size_t)layers[l] * model->n_experts + e] = hyp_coact_frequency(coact, l, e);
    }
    return known;
}

float *hyp_uses_known(const hyp_model *model) {
    char path[PATH_MAX];
    if (model->n_experts == 0 || hyp_coact_path(model->digest, path, sizeof path, NULL) != HYP_OK) return NULL;
    HYP_AUTOFREE int *layers = calloc(model->n_layers, sizeof *layers);
    HYP_AUTOFREE uint32_t *n_experts = calloc(model->n_layers, sizeof *n_experts);
    if (layers == NULL || n_experts == NULL) return NULL;
    hyp_coact_shape shape = {model->digest, find_layers(model, layers, n_experts), n_experts};
    hyp_coact *coact = NULL;
    if (hyp_coact_load(path, &shape, &coact, NULL, NULL) != HYP_OK) return NULL;
    float *uses = calloc((size_t)model->n_layers * model->n_experts, sizeof *uses);
    bool known = uses != NULL && fill(model, &shape, layers, coact, uses);
    hyp_coact_free(coact);
    if (known) return uses;
    free(uses);
    return NULL;
}
