#include "engine/fallback.h"

/* Noise of a shared machine must not throw a warm cache away. */
static const double clearly_slower = 1.25;

bool hyp_fallback_add(hyp_fallback *f, double seconds, double stall_s, uint64_t used_bytes) {
    if (f->n_tokens >= HYP_FALLBACK_SKIP + HYP_FALLBACK_TOKENS) return false;
    if (f->n_tokens++ < HYP_FALLBACK_SKIP) return false; /* the cache is still cold */
    f->seconds += seconds;
    f->stall_s += stall_s;
    f->used_bytes += used_bytes;
    return f->n_tokens == HYP_FALLBACK_SKIP + HYP_FALLBACK_TOKENS;
}

bool hyp_fallback_is_due(const hyp_fallback *f, uint64_t capacity_bytes, uint64_t streamed_bytes,
                         double fault_bytes_per_s, double *ret_mmap_s) {
    if (fault_bytes_per_s <= 0 || streamed_bytes == 0) return false;
    double compute_s = (f->seconds - f->stall_s) / HYP_FALLBACK_TOKENS;
    double missed = capacity_bytes >= streamed_bytes ? 0 : 1 - (double)capacity_bytes / (double)streamed_bytes;
    *ret_mmap_s = compute_s + missed * (double)f->used_bytes / HYP_FALLBACK_TOKENS / fault_bytes_per_s;
    return f->seconds / HYP_FALLBACK_TOKENS > clearly_slower * *ret_mmap_s;
}
