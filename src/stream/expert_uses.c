/* expert_uses.c - see expert_uses.h. */
#include "stream/expert_uses.h"

#include "base/mem.h"
#include "plan/units.h"
#include "predict/coact.h"

#include <limits.h>

/* Fewer tokens say little of how unequal experts are: chance alone makes some of them look used more. */
enum { LEAST_TOKENS = 64 };

/* Copy what is known; returns whether anything is. `uses`: [n_layers][n_experts] of the model, zeroed. */
static bool fill(const hyp_model *model, const hyp_units *units, const hyp_coact *coact, float *uses) {
    bool known = false;
    for (uint32_t l = 0; l < units->n_layers; l++) {
        const hyp_units_layer *layer = &units->layers[l];
        if (hyp_coact_weight_of_layer(coact, l) < LEAST_TOKENS) continue;
        known = true;
        for (uint32_t e = 0; e < HYP_MIN(layer->n_units, model->n_experts); e++)
            uses[(size_t)layer->model_layer * model->n_experts + e] = hyp_coact_frequency(coact, l, e);
    }
    return known;
}

float *hyp_uses_known(const hyp_model *model) {
    char path[PATH_MAX];
    if (model->n_experts == 0 || hyp_coact_path(model->digest, path, sizeof path, NULL) != HYP_OK) return NULL;
    HYP_CLEANUP(hyp_units_free) hyp_units units = {0};
    HYP_AUTOFREE uint32_t *n_experts = calloc(model->n_layers, sizeof *n_experts);
    /* The numbering of a run without devices: with other layers on the host the statistics' shape does not match. */
    if (n_experts == NULL || hyp_units_of_model(model, &units, NULL) != HYP_OK) return NULL;
    for (uint32_t l = 0; l < units.n_layers; l++)
        n_experts[l] = units.layers[l].n_units;
    hyp_coact_shape shape = {model->digest, units.n_layers, n_experts};
    hyp_coact *coact = NULL;
    if (hyp_coact_load(path, &shape, &coact, NULL, NULL) != HYP_OK) return NULL;
    float *uses = calloc((size_t)model->n_layers * model->n_experts, sizeof *uses);
    bool known = uses != NULL && fill(model, &units, coact, uses);
    hyp_coact_free(coact);
    if (known) return uses;
    free(uses);
    return NULL;
}
