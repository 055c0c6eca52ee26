/* model_json.h - a model as the JSON object that several commands print. docs/json.md describes it. */
#pragma once
#include "gguf/model.h"

#include <yyjson.h>

/* Add to `object` the member "model": {path, name, arch, quant, bytes, n_layers, n_experts, n_experts_used}. The
 * strings stay the model's, which must live as long as `doc`. Returns the new object, NULL without memory. */
yyjson_mut_val *hyp_model_add_json(yyjson_mut_doc *doc, yyjson_mut_val *object, const hyp_model *model);
