/* expert_uses.h - what earlier runs have learned of a model's routing, in the form that plans take. */
#pragma once
#include "gguf/model.h"

/* Expected uses of each expert by a token, [n_layers][n_experts] of the model, from the statistics kept in the user's
 * cache folder (predict/coact.h); zero in layers of which nothing is known. NULL for a dense model, where nothing or
 * too little was learned, and without memory: all of it is only a better guess. The caller frees. Any thread. */
float *hyp_uses_known(const hyp_model *model);
