/* sampler.h - from logits to a token: libllama's samplers in llama.cpp's order. */
#pragma once
#include "engine/engine.h"
#include "engine/sampling.h"

typedef struct hyp_sampler hyp_sampler;

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
