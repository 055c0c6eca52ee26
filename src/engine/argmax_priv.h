/* argmax_priv.h - the likeliest token. */
#pragma once
#include <stdint.h>

/* The index of the first of the largest among `n` >= 1 logits, as llama_sampler_init_greedy() chooses it: NaNs are
 * never larger than anything, and when the first is one, it is the choice. Any thread. */
int32_t hyp_argmax(const float *logits, int32_t n);
