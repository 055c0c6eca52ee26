/* routers_priv.h - the look-ahead's view of a model: its routers and FFN norms, as floats. */
#pragma once
#include "plan/units.h"
#include "predict/lookahead.h"
#include "stream/node_names_priv.h"

/* Bytes that the look-ahead of this model would hold; 0 when it has no routers of the known form. */
uint64_t hyp_routers_bytes(const hyp_model *model, const hyp_units *units);

/* Build the look-ahead from the weights in the model's files. `names` learns each router weight's name
 * with its streamed layer. Layers without a readable router are left out. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_routers_load(const hyp_model *model, const hyp_units *units, hyp_names *names,
                                   hyp_lookahead **ret, hyp_err *err);
