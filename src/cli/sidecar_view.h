/* sidecar_view.h - what inspect, estimate and optimize say of a model's packed copy and its gain. */
#pragma once
#include "cli/machine.h"
#include "sidecar/sidecar.h"

#include <yyjson.h>

/* Lay the sidecar of `model` out (by --trace, else by statistics) and predict what it would change for `plan`, which
 * was made for `machine` (NULL: none is possible). `*ret_layout` is freed with hyp_sidecar_free(). Errors: those of
 * hyp_sidecar_rank() and hyp_sidecar_layout(); HYP_EUNSUPPORTED: nothing in this model could be packed. */
HYP_NODISCARD int hyp_sidecar_view_predict(const hyp_args *args, const hyp_model *model, const hyp_machine *machine,
                                           const hyp_plan *plan, hyp_sidecar **ret_layout, hyp_sidecar_gain *ret,
                                           hyp_err *err);

/* "packed copy  present, by trace, 9.1 GB: FILE", to standard output. */
void hyp_sidecar_view_state(const hyp_sidecar_look *look);

/* The reads now and then, and the tokens a second: two or three lines. */
void hyp_sidecar_view_gain(const hyp_sidecar_gain *gain);

/* Add the members "state", "path", "bytes", "order", "why" to `object`; those of "gain". Strings stay the look's.
 * Return false without memory. */
bool hyp_sidecar_view_state_json(yyjson_mut_doc *doc, yyjson_mut_val *object, const hyp_sidecar_look *look);
bool hyp_sidecar_view_gain_json(yyjson_mut_doc *doc, yyjson_mut_val *object, const hyp_sidecar_gain *gain);
