/* sampler.h - from logits to a token: libllama's samplers in llama.cpp's order. */
#pragma once
#include "engine/engine.h"

typedef struct hyp_sampler hyp_sampler;

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

/* A sampler for one generation; `sampling` is copied. Freed with hyp_sampler_free(), before its engine is closed.
 * Errors: HYP_EFORMAT (the grammar does not parse), HYP_ENOMEM. */
HYP_NODISCARD int hyp_sampler_new(const hyp_engine *engine, const hyp_sampling *sampling, hyp_sampler **ret,
                                  hyp_err *err);
void hyp_sampler_free(hyp_sampler *sampler);

/* Choose the next token from the logits of input `index` of the engine's last decode, and remember it.
 * Compute thread only. Returns the token, or a negative HYP_E... code when there are no
 * logits, or none of the vocabulary's tokens fits the grammar. */
hyp_token hyp_sampler_sample(hyp_sampler *sampler, hyp_engine *engine, int32_t index);

/* Tell the penalties about a token of the prompt (the grammar does not see it). */
void hyp_sampler_accept_prompt(hyp_sampler *sampler, hyp_token token);
