/* tokens_priv.h - small helpers on tokens and their logits. Pure; any thread. */
#pragma once
#include "base/text.h"
#include "engine/engine.h"

/* Append "1 2 3", after a blank when something is there. */
void hyp_tokens_write(const hyp_token *tokens, size_t n, hyp_str *out);

/* What a digest of logits begins with, and the digest with `n` more: 64-bit FNV-1a over the bytes of each float, least
 * significant first. */
#define HYP_DIGEST_START UINT64_C(1469598103934665603)
uint64_t hyp_digest_logits(uint64_t digest, const float *logits, int32_t n);
