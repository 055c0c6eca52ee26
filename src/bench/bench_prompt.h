/* bench_prompt.h - the text that measurements are made with. */
#pragma once
#include "base/text.h"

/* Append `n_words` words of a fixed text, the same on every machine, in an order that does not repeat soon. Words are
 * common ones: most tokenizers make one or two tokens of each. */
void hyp_bench_prompt_append(size_t n_words, hyp_str *out);
