#include "stream/fallback.h"

static const double clearly_slower = 1.25;

bool hyp_fallback_add(hyp_fallback *f, double seconds, double stall_s) {
    if (f->n_tokens >= HYP_FALLBACK_SKIP + HYP_FALLBACK_TOKENS) return false;
    if (f->n_tokens++ < HYP_FALLBACK_SKIP) return false; /* the cache is still cold */
    f->seconds += seconds;
    f->stall_s += stall_s;
    return f->n_tokens == HYP_FALLBACK_SKIP + HYP_FALLBACK_TOKENS;
}

bool hyp_fallback_is_possible(const hyp_fallback *f, uint64_t host_bytes, uint64_t room_bytes) {
    return host_bytes <= room_bytes && f->seconds > clearly_slower * (f->seconds - f->stall_s);
}

bool hyp_fallback_is_due(const hyp_fallback *f, uint64_t host_bytes, double fault_bytes_per_s, double *ret_mmap_s) {
    *ret_mmap_s = (f->seconds - f->stall_s) / HYP_FALLBACK_TOKENS;
    double gain_s = f->stall_s / HYP_FALLBACK_TOKENS;
    return fault_bytes_per_s > 0 && (double)host_bytes / fault_bytes_per_s <= HYP_FALLBACK_PAYBACK_TOKENS * gain_s;
}
