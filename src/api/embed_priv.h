/* embed_priv.h - what /api/embed, /api/embeddings and /v1/embeddings share. Private to src/api. */
#pragma once
#include "api/api_priv.h"

/* Read `input` (a string, a list of strings) into the job. A text for a model that makes no vectors is refused here,
 * before that model is loaded in the embedding model's place, perhaps a second time. False: answered. */
bool hyp_embed_read_inputs(api *a, hyp_job *job, yyjson_val *input);
/* Cut to `dimensions` (0: all) and scale to length 1. */
size_t hyp_embed_normalise(float *vector, size_t n, int64_t dimensions);
