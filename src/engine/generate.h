/* generate.h - one answer on one sequence: prefill, decode, stop. The loop of `run` and of the terminal chat. */
#pragma once
#include "engine/sampler.h"

typedef enum hyp_stop_reason { HYP_STOP_EOG, HYP_STOP_LENGTH, HYP_STOP_INTERRUPTED } hyp_stop_reason;

/* Given text as it becomes certain: whole UTF-8 characters, never part of a stop string. Return false to stop. */
typedef bool (*hyp_text_sink)(const char *text, size_t n, void *user);

typedef struct hyp_generate_request {
    int32_t seq;
    const hyp_token *prompt; /* evaluated from the sequence's present length on */
    size_t n_prompt;
    int max_tokens; /* < 0: until the context is full */
    const char *const *stops;
    size_t n_stops;
    bool ignore_eog;
    bool special; /* control tokens appear in the text: for those who sort it (chat/output.h) */
    bool digest;  /* compute logits_digest */
    hyp_sampling sampling;
    hyp_text_sink sink;
    void *sink_user;
} hyp_generate_request;

typedef struct hyp_generate_result {
    size_t n_output;  /* tokens generated, the final end token not counted */
    size_t n_decoded; /* single-token evaluations within decode_s */
    hyp_stop_reason stop;
    double ttft_s; /* from the call to the first token */
    double prefill_s, decode_s;
    hyp_engine_stats before_decode, after_decode; /* counters: their difference is what decoding cost */
    uint64_t logits_digest; /* 64-bit FNV-1a over the little-endian bytes of every logit from which an output token was
                               sampled */
    hyp_token *tokens;      /* output tokens; the caller frees */
} hyp_generate_result;

/* Generate. On HYP_ECANCELED-like interruption the result is filled and the return value is 0 with
 * HYP_STOP_INTERRUPTED. Errors: HYP_EINVAL (the prompt does not fit the context, or is empty), and those of
 * hyp_engine_decode() and hyp_sampler_new(); `*ret` then holds what was measured until the failure. */
HYP_NODISCARD int hyp_generate(hyp_engine *engine, const hyp_generate_request *request, hyp_generate_result *ret,
                               hyp_err *err);

/* The physical limit of the decoding just done, and what sets it: 1 / max(compute time, bytes read / disk rate) a
 * token, where compute time is what was not spent waiting for reads. `disk_bytes_per_s`: the disk's rate at the request
 * size and depth in use; 0 takes the rate seen while reading. */
typedef struct hyp_bound {
    double tok_per_s; /* 0 when nothing was decoded */
    bool by_disk;
} hyp_bound;
hyp_bound hyp_generate_bound(const hyp_generate_result *result, double disk_bytes_per_s);
