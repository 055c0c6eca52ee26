/* sampling.h - the sampling parameters: one table of names, types and ranges. Any thread. */
#pragma once
#include "engine/sampler.h"

typedef enum hyp_sampling_kind { HYP_SAMPLING_REAL, HYP_SAMPLING_INT, HYP_SAMPLING_INT64 } hyp_sampling_kind;

typedef struct hyp_sampling_row {
    const char *name; /* Ollama's, as in "top_p" */
    hyp_sampling_kind kind;
    size_t offset; /* in hyp_sampling */
    double least, most;
} hyp_sampling_row;

extern const hyp_sampling_row hyp_sampling_rows[];
extern const size_t hyp_sampling_n_rows;

/* The row called by the `n` bytes at `name`, or NULL. */
const hyp_sampling_row *hyp_sampling_find(const char *name, size_t n);

/* Read and write a row's field. `value` must be in the row's range, and whole where the kind is. */
double hyp_sampling_get(const hyp_sampling *sampling, const hyp_sampling_row *row);
void hyp_sampling_set(hyp_sampling *sampling, const hyp_sampling_row *row, double value);
