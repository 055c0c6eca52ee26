/* json.h - pieces of the JSON objects that several commands print. docs/json.md describes them. */
#pragma once
#include "gguf/model.h"

#include <yyjson.h>

/* Add to `object` the member "model": {path, name, arch, quant, bytes, n_layers, n_experts, n_experts_used}. The
 * strings stay the model's, which must live as long as `doc`. Returns the new object, NULL without memory. */
yyjson_mut_val *hyp_json_add_model(yyjson_mut_doc *doc, yyjson_mut_val *object, const hyp_model *model);

/* Print `doc` to standard output as one line of text, or indented, with a line feed. Bytes of a path that are not UTF-8
 * are passed on as they are. Errors: HYP_ENOMEM, HYP_EIO. */
HYP_NODISCARD int hyp_json_print(const yyjson_mut_doc *doc, hyp_err *err);
