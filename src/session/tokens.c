#include "session/tokens_priv.h"

#include <string.h>

void hyp_tokens_write(const hyp_token *tokens, size_t n, hyp_str *out) {
    for (size_t i = 0; i < n; i++)
        hyp_str_printf(out, out->length > 0 ? " %d" : "%d", tokens[i]);
}

uint64_t hyp_digest_logits(uint64_t digest, const float *logits, int32_t n) {
    const uint64_t prime = UINT64_C(1099511628211);
    for (int32_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &logits[i], sizeof bits);
        for (int shift = 0; shift < 32; shift += 8)
            digest = (digest ^ (bits >> shift & 0xff)) * prime;
    }
    return digest;
}
