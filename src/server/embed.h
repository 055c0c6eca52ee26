/* embed.h - what /api/embed, /api/embeddings and /v1/embeddings share. Private to src/server. */
#pragma once
#include "server/api.h"

/* Read `input` (a string, a list of strings; where `tokens` also a list of numbers is refused clearly) into the job.
 * False: answered. */
bool embed_read_inputs(api *a, hyp_job *job, yyjson_val *input);
/* The capability and the job. NULL: answered. */
hyp_job *embed_new_job(api *a);
/* Cut to `dimensions` (0: all) and scale to length 1. */
size_t embed_normalise(float *vector, size_t n, int64_t dimensions);
