/* times.h - Go's durations, keep_alive, timestamps. */
#pragma once
#include "base/text.h"

#include <yyjson.h>

#define HYP_FOREVER INT64_MAX /* a keep_alive that never ends */

/* Parse a Go duration ("300ms", "-1.5h", "2h45m", "0") into nanoseconds.
 * Errors: HYP_EINVAL (not a duration, or beyond 290 years). */
HYP_NODISCARD int hyp_duration_parse(const char *text, int64_t *ret_ns);

/* keep_alive: a number is seconds, a string a duration (or a bare number of seconds), negative is for ever. NULL:
 * unset, gives `fallback_ns`. Errors: HYP_EFORMAT. */
HYP_NODISCARD int hyp_keep_alive_parse(yyjson_val *value, int64_t fallback_ns, int64_t *ret_ns, hyp_err *err);

/* Wall clock in nanoseconds since 1970. */
int64_t hyp_wall_ns(void);
/* Monotonic clock in nanoseconds. */
int64_t hyp_mono_ns(void);

enum { HYP_TIMESTAMP_SIZE = 40 };
/* RFC 3339, UTC, six digits of a second: "2025-03-01T12:00:00.123456Z". Returns `buf`. */
const char *hyp_timestamp(int64_t wall_ns, char buf[HYP_TIMESTAMP_SIZE]);
