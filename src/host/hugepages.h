/* hugepages.h - large pages for what ggml allocates: repacked weights, KV cache, compute buffers. */
#pragma once
#include <stdbool.h>

/* From now on, ask the kernel for huge pages behind every large buffer that ggml allocates. For models that fit:
 * decoding walks over all weights once a token, and with pages of 4 KiB the translations alone cost 3 to 4 % of it.
 * While a model streams it stays off, because a budget counts what is touched and a huge page is touched whole. Any
 * thread. */
void hyp_hugepages_enable(bool enable);
