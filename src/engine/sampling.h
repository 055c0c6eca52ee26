/* sampling.h - how tokens shall be chosen: the parameters, and one table of their names, types and ranges. Pure data,
 * any thread. sampler.h chooses. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HYP_TRIGGER_MAX = 64 };

/* A word whose appearance in the answer makes a grammar begin to bind. */
typedef struct hyp_trigger {
    const char *word; /* at most HYP_TRIGGER_MAX bytes */
    const char *lead; /* NULL: the grammar's text begins with the word. Else behind it, after this GBNF expression */
    bool at_start;    /* only where nothing but white space is before it */
} hyp_trigger;

typedef struct hyp_sampling {
    double temperature;                                         /* <= 0: the likeliest token */
    int top_k;                                                  /* 0: all */
    double top_p, min_p, typical_p;                             /* 1, 0, 1: off */
    double repeat_penalty, presence_penalty, frequency_penalty; /* 1, 0, 0: off */
    int repeat_last_n;                                          /* 0: off, -1: the context */
    int64_t seed;                                               /* -1: random */
    const char *grammar;                                        /* GBNF with a "root" rule, or NULL */
    const hyp_trigger *triggers;                                /* where the grammar begins; NULL: at once */
    size_t n_triggers;
} hyp_sampling;

/* llama.cpp's defaults. */
#define HYP_SAMPLING_DEFAULT                                                                                           \
    ((hyp_sampling){.temperature = 0.8,                                                                                \
                    .top_k = 40,                                                                                       \
                    .top_p = 0.95,                                                                                     \
                    .min_p = 0.05,                                                                                     \
                    .typical_p = 1,                                                                                    \
                    .repeat_penalty = 1,                                                                               \
                    .repeat_last_n = 64,                                                                               \
                    .seed = -1})

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
