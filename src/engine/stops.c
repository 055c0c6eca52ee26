#include "engine/stops.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <string.h>

/* Forget what the previous call gave out: it stands at the front. */
static void drop_front(hyp_str *s, size_t n) {
    if (n == 0) return;
    memmove(s->data, s->data + n, s->length - n);
    s->length -= n;
    s->data[s->length] = '\0';
}

/* The longest end of `text` that is the beginning of `stop`. */
static size_t partial_match(const char *text, size_t n, const char *stop) {
    size_t stop_n = strlen(stop);
    for (size_t len = HYP_MIN(n, stop_n > 0 ? stop_n - 1 : 0); len > 0; len--)
        if (memcmp(text + n - len, stop, len) == 0) return len;
    return 0;
}

bool hyp_stops_push(hyp_stops *stops, const char *bytes, size_t n, const char **ret, size_t *ret_n) {
    hyp_str *held = &stops->held;
    drop_front(held, stops->given);
    stops->given = 0;
    hyp_str_append(held, bytes, n);
    *ret = held->data != NULL ? held->data : "";
    const char *first = NULL;
    size_t keep = 0;
    for (size_t i = 0; i < stops->n && held->data != NULL && held->length > 0; i++) {
        if (stops->strings[i][0] == '\0') continue;
        const char *at = memmem(held->data, held->length, stops->strings[i], strlen(stops->strings[i]));
        if (at != NULL && (first == NULL || at < first)) first = at;
        keep = HYP_MAX(keep, partial_match(held->data, held->length, stops->strings[i]));
    }
    if (first != NULL) {
        *ret_n = (size_t)(first - held->data);
        held->length = *ret_n;
        stops->given = *ret_n;
        return true;
    }
    size_t certain = held->length - keep;
    *ret_n = certain > 0 ? hyp_utf8_whole(held->data, certain) : 0;
    stops->given = *ret_n;
    return false;
}

void hyp_stops_flush(hyp_stops *stops, const char **ret, size_t *ret_n) {
    drop_front(&stops->held, stops->given);
    stops->given = 0;
    *ret = stops->held.data != NULL ? stops->held.data : "";
    *ret_n = stops->held.length > 0 ? hyp_utf8_whole(stops->held.data, stops->held.length) : 0;
    stops->given = *ret_n;
}

void hyp_stops_free(hyp_stops *stops) {
    hyp_str_free(&stops->held);
}
