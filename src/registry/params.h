/* params.h - a request's generation options: one table of names, types and fields, from which parsing and errors come;
 * the sampling parameters are base/sampling.h's. */
#pragma once
#include "base/json.h"
#include "base/sampling.h"

enum { HYP_PARAMS_MAX_STOPS = 64 };

typedef struct hyp_params {
    int64_t num_ctx;     /* 0: the server's */
    int64_t num_predict; /* < 0: until the context is full */
    int64_t num_keep, num_batch;
    hyp_sampling_params sampling;
    char *stop[HYP_PARAMS_MAX_STOPS]; /* owned */
    size_t n_stop;
} hyp_params;

/* Ollama's defaults. */
void hyp_params_init(hyp_params *params);
void hyp_params_free(hyp_params *params);

/* Copy `from` into `*ret`, which is taken to hold nothing. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_params_copy(hyp_params *ret, const hyp_params *from, hyp_err *err);

/* Apply an "options" object (NULL is none). Unknown names and nulls are skipped; `stop` may be a list or a string.
 * Errors: HYP_EFORMAT in Ollama's words: option "num_ctx" must be of type integer. */
HYP_NODISCARD int hyp_params_apply(hyp_params *params, yyjson_val *options, hyp_err *err);

/* Replace the stop strings by a JSON list or string. Errors as above, and HYP_ELIMIT for more than 64. */
HYP_NODISCARD int hyp_params_set_stop(hyp_params *params, yyjson_val *stop, hyp_err *err);

/* Write "NAME value" lines, names padded to 30 columns, for /api/show: num_ctx, and what differs from the defaults. */
void hyp_params_describe(const hyp_params *params, int64_t num_ctx, hyp_str *out);
