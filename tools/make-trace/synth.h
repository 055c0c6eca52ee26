/* synth.h - made-up routing traces, for tuning and testing policies where no model is at hand.
 *
 * A token's experts in a layer come from three sources: those of the token before (persistence), the partners of those
 * chosen in the layer before (correlation), and a draw by weight. Weights follow a Zipf law over a random order of the
 * layer's experts, one order a topic; topics change after a random number of tokens. All zero is uniform routing. */
#pragma once
#include "predict/trace.h"

typedef struct synth_config {
    uint32_t n_layers, n_experts, n_used;
    uint64_t unit_bytes;
    uint32_t n_prefill;    /* tokens of a first, batched pass; 0: none */
    uint32_t n_tokens;     /* decoding passes */
    double skew;           /* exponent of Zipf's law; 0: uniform */
    double persistence;    /* chance that an expert of the token before is kept */
    double correlation;    /* chance that an expert is the partner of one in the layer before */
    uint32_t n_topics;     /* 0 and 1: one for ever */
    uint32_t topic_tokens; /* mean length of a topic */
    double recall;         /* share of a visit's experts among the predicted ones; 0: nothing predicted */
    uint64_t seed;
} synth_config;

/* Write a trace to `path`. Errors: those of hyp_trace_create() and _close(). */
HYP_NODISCARD int synth_write(const char *path, const synth_config *config, hyp_err *err);

/* The same into memory. Free with hyp_trace_free(). */
HYP_NODISCARD int synth_make(const synth_config *config, hyp_trace **ret, hyp_err *err);
