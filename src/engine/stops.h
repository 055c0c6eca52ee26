/* stops.h - text becomes certain only when no stop string can begin in it and its last character is whole. */
#pragma once
#include "base/text.h"

typedef struct hyp_stops {
    const char *const *strings;
    size_t n;
    hyp_str held; /* received and not yet forgotten */
    size_t given; /* leading bytes of `held` that the previous call gave out */
} hyp_stops;

/* Take `n` more bytes. `*ret` (owned by `stops`, valid until the next call) is the text that is now certain.
 * Returns true when a stop string was completed: `*ret` then ends before it and the rest is dropped. */
bool hyp_stops_push(hyp_stops *stops, const char *bytes, size_t n, const char **ret, size_t *ret_n);

/* The generation ended: everything held back is certain, except the incomplete character at its end. */
void hyp_stops_flush(hyp_stops *stops, const char **ret, size_t *ret_n);

void hyp_stops_free(hyp_stops *stops);
