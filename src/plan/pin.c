#include "plan/pin.h"

#include "base/mem.h"

#include <string.h>

void hyp_pin_spread(uint32_t n, uint32_t n_pinned, bool *ret_pinned) {
    uint64_t streamed = n - HYP_MIN(n_pinned, n);
    for (uint64_t i = 0; i < n; i++)
        ret_pinned[i] = (i + 1) * streamed / n == i * streamed / n;
}

/* The bytes that pinning as `pinned` says takes, with `n_slots` for the rest. */
static uint64_t needed(const uint64_t *bytes, uint32_t n, const bool *pinned, uint32_t n_slots) {
    uint64_t sum = 0, largest = 0;
    uint32_t streamed = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (pinned[i]) {
            sum += bytes[i];
            continue;
        }
        streamed++;
        largest = HYP_MAX(largest, bytes[i]);
    }
    return sum + largest * HYP_MIN(n_slots, streamed);
}

bool hyp_pin_fit(const uint64_t *bytes, uint32_t n, uint64_t budget, uint32_t n_slots, bool *ret_pinned,
                 uint32_t *ret_n_pinned) {
    /* From all downward, not by bisection: with layers of unequal sizes one more pinned layer may take less, because
     * another set is spread evenly, or because the largest one streams no more. */
    for (uint32_t k = n; k > 0; k--) {
        hyp_pin_spread(n, k, ret_pinned);
        *ret_n_pinned = k;
        if (needed(bytes, n, ret_pinned, n_slots) <= budget) return true;
    }
    memset(ret_pinned, 0, n * sizeof *ret_pinned);
    *ret_n_pinned = 0;
    return needed(bytes, n, ret_pinned, 1) <= budget;
}
