/* sampling.h - the parameters of sampling: one table of names, types, ranges and defaults, from which come the rows of
 * the command line, what a Modelfile or a request's options are read by, a chat's /set, and every default. Any thread.
 *
 * A new parameter is a row here, a field of hyp_sampling_params, and the sampler that obeys it. */
#pragma once
#include "base/err.h"

#include <limits.h>
#include <math.h>

typedef struct hyp_sampling_params {
    double temperature;                                         /* <= 0: the likeliest token */
    int top_k;                                                  /* 0: all */
    double top_p, min_p, typical_p;                             /* 1, 0, 1: off */
    double repeat_penalty, presence_penalty, frequency_penalty; /* 1, 0, 0: off */
    int repeat_last_n;                                          /* 0: off, -1: the context */
    int64_t seed;                                               /* -1: random */
} hyp_sampling_params;

/* Programs that users come from differ in what they take when nothing is said, and answers must be what they know. */
typedef enum hyp_sampling_dialect {
    HYP_SAMPLING_LLAMA_CPP, /* the command line, as llama.cpp's */
    HYP_SAMPLING_OLLAMA,    /* Modelfiles and requests; a model's own parameters then go before */
    HYP_SAMPLING_OPENAI,    /* OpenAI's and Anthropic's requests, over those of the model */
    HYP_SAMPLING_N_DIALECTS,
} hyp_sampling_dialect;

/* A dialect that has no default of its own here: what was there before stays. */
#define HYP_SAMPLING_UNSET NAN

/* OPTION(field and name, kind, least, most, most in a request, default of llama.cpp, of Ollama, of OpenAI,
 *        name of the option of `hypura run`, its aliases, its help), OTHER(the same without an option)
 * The first default is printed in the help as it is written here. What an API allows less than the range is the API's
 * own file to refuse. Seeds: libllama takes 32 bits; Ollama's clients may send any that a double holds. */
#define HYP_SAMPLING_ROWS(OPTION, OTHER)                                                                               \
    OPTION(temperature, REAL, 0, 100, 100, 0.8, 0.8, 1, "temperature", "--temp", "0 always takes the likeliest token") \
    OPTION(top_k, INT, 0, INT_MAX, INT_MAX, 40, 40, HYP_SAMPLING_UNSET, "top-k", NULL,                                 \
           "sample from the N likeliest tokens; 0 means all")                                                          \
    OPTION(top_p, REAL, 0, 1, 1, 0.95, 0.9, 1, "top-p", NULL,                                                          \
           "sample from the likeliest tokens of this joint probability")                                               \
    OPTION(min_p, REAL, 0, 1, 1, 0.05, 0, HYP_SAMPLING_UNSET, "min-p", NULL,                                           \
           "drop tokens below this share of the likeliest one's probability")                                          \
    OTHER(typical_p, REAL, 0, 1, 1, 1, 1, HYP_SAMPLING_UNSET)                                                          \
    OPTION(repeat_penalty, REAL, 0.01, 100, 100, 1.0, 1, HYP_SAMPLING_UNSET, "repeat-penalty", NULL,                   \
           "divide the logits of recent tokens; 1 is off")                                                             \
    OPTION(repeat_last_n, INT, -1, INT_MAX, INT_MAX, 64, 64, HYP_SAMPLING_UNSET, "repeat-last-n", NULL,                \
           "how many tokens are recent; -1 means the context")                                                         \
    OPTION(presence_penalty, REAL, -100, 100, 100, 0, 0, HYP_SAMPLING_UNSET, "presence-penalty", NULL,                 \
           "subtract from the logits of tokens already used")                                                          \
    OPTION(frequency_penalty, REAL, -100, 100, 100, 0, 0, HYP_SAMPLING_UNSET, "frequency-penalty", NULL,               \
           "subtract from a token's logit for each use")                                                               \
    OPTION(seed, INT64, -1, INT_MAX, 9e15, -1, -1, HYP_SAMPLING_UNSET, "seed", "-s",                                   \
           "seed of the sampler; -1 draws one")

typedef enum hyp_sampling_kind { HYP_SAMPLING_REAL, HYP_SAMPLING_INT, HYP_SAMPLING_INT64 } hyp_sampling_kind;

typedef struct hyp_sampling_row {
    const char *name; /* Ollama's, as in "top_p" */
    hyp_sampling_kind kind;
    size_t offset;       /* in hyp_sampling_params */
    double least, most;  /* what a user may type */
    double request_most; /* what a greater number of a request is taken for */
    double defaults[HYP_SAMPLING_N_DIALECTS];
} hyp_sampling_row;

extern const hyp_sampling_row hyp_sampling_rows[];
extern const size_t hyp_sampling_n_rows;

/* The row called by the `n` bytes at `name`, or NULL. */
const hyp_sampling_row *hyp_sampling_find(const char *name, size_t n);

/* Read and write a row's field. `value` must be in the row's range, and whole where the kind is. */
double hyp_sampling_get(const hyp_sampling_params *params, const hyp_sampling_row *row);
void hyp_sampling_set(hyp_sampling_params *params, const hyp_sampling_row *row, double value);

/* Set every parameter that `dialect` has a default for; llama.cpp and Ollama have one for each. */
void hyp_sampling_set_defaults(hyp_sampling_params *params, hyp_sampling_dialect dialect);
