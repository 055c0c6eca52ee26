/* units.h - a model cut into what the pager moves: an expert's matrices, a layer's FFN, and what is always there.
 *
 * Pure: from the model's tensors to the pager's tables. Nothing is keyed to an architecture's name, only to roles. */
#pragma once
#include "gguf/model.h"
#include "pager/extent.h"

typedef struct hyp_plan hyp_plan; /* plan/plan.h */

enum { HYP_NOT_STREAMED = UINT32_MAX };

/* Where a tensor's bytes are in the tables. */
typedef struct hyp_unit_ref {
    uint32_t layer;      /* position among the streamed layers, or HYP_NOT_STREAMED */
    uint32_t first_unit; /* of the layer */
    uint32_t n_units;    /* experts, or 1 */
    uint8_t part;        /* which extent of the unit */
} hyp_unit_ref;

typedef struct hyp_units {
    hyp_extent *extents;
    size_t n_extents;
    hyp_unit *units; /* streamed ones first, in layer order; then the `always` runs */
    size_t n_units, n_streamed;
    uint32_t n_layers;                     /* streamed layers */
    int *model_layers;                     /* n_layers: the model's layer number */
    hyp_unit_ref *tensors;                 /* model->n_tensors, parallel to model->tensors */
    uint64_t always_bytes, streamed_bytes; /* frame bytes */
    uint64_t largest_step_bytes;           /* frame bytes that one token needs at once in one layer */
} hyp_units;

/* Cut `model` as `plan` (mode HYP_MODE_EXPERTS or HYP_MODE_FFN) has placed it: what is on a device or left to the page
 * cache is in no unit. `page_bytes` rounds frames. The caller frees with hyp_units_free(). Errors: HYP_EUNSUPPORTED
 * (nothing on the host can be streamed in that mode), HYP_ENOMEM. */
HYP_NODISCARD int hyp_units_make(const hyp_model *model, const hyp_plan *plan, uint64_t page_bytes, hyp_units *ret,
                                 hyp_err *err);
void hyp_units_free(hyp_units *units);
