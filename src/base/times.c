#include "base/times.h"

#include "base/mem.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *unit;
    double ns;
} units[] = {{"ns", 1},   {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"\xce\xbcs", 1e3},
             {"ms", 1e6}, {"s", 1e9},  {"m", 60e9},        {"h", 3600e9}};

/* The number at *p, and its unit: nanoseconds, or NAN. */
static double one_term(const char **p) {
    const char *from = *p;
    double value = 0, place = 1;
    bool digits = false, point = false;
    for (; isdigit((unsigned char)**p) || (**p == '.' && !point); (*p)++) {
        if (**p == '.') {
            point = true;
            continue;
        }
        digits = true;
        if (point)
            value += (**p - '0') * (place /= 10);
        else
            value = value * 10 + (**p - '0');
    }
    if (!digits || *p == from) return NAN;
    for (size_t pass = 2; pass > 0; pass--) /* two-byte units first: "ms" is not "m" */
        for (size_t i = 0; i < HYP_ARRAY_LEN(units); i++) {
            size_t n = strlen(units[i].unit);
            if ((pass == 2) != (n >= 2) || strncmp(*p, units[i].unit, n) != 0) continue;
            *p += n;
            return value * units[i].ns;
        }
    return NAN;
}

int hyp_duration_parse(const char *text, int64_t *ret_ns) {
    const char *p = text;
    double sign = *p == '-' ? -1 : 1, sum = 0;
    if (*p == '-' || *p == '+') p++;
    if (strcmp(p, "0") == 0) {
        *ret_ns = 0;
        return HYP_OK;
    }
    if (*p == '\0') return HYP_EINVAL;
    while (*p != '\0') {
        sum += one_term(&p);
        if (!(sum < 9.2e18)) return HYP_EINVAL; /* NAN too */
    }
    *ret_ns = (int64_t)(sign * sum);
    return HYP_OK;
}

static int64_t from_seconds(double seconds) {
    if (seconds < 0 || seconds > 9e9) return HYP_FOREVER;
    return (int64_t)(seconds * 1e9);
}

int hyp_keep_alive_parse(yyjson_val *v, int64_t fallback_ns, int64_t *ret_ns, hyp_err *err) {
    if (v == NULL || yyjson_is_null(v)) {
        *ret_ns = fallback_ns;
        return HYP_OK;
    }
    if (yyjson_is_num(v)) {
        *ret_ns = from_seconds(yyjson_get_num(v));
        return HYP_OK;
    }
    if (!yyjson_is_str(v))
        return hyp_err_set(err, HYP_EFORMAT, "invalid keep_alive: a number of seconds or a duration is expected");
    const char *text = yyjson_get_str(v);
    int64_t ns;
    if (hyp_duration_parse(text, &ns) == HYP_OK) {
        *ret_ns = ns < 0 ? HYP_FOREVER : ns;
        return HYP_OK;
    }
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(seconds))
        return hyp_err_set(err, HYP_EFORMAT, "time: invalid duration \"%.60s\"", text);
    *ret_ns = from_seconds(seconds);
    return HYP_OK;
}

static int64_t read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t hyp_wall_ns(void) {
    return read_clock(CLOCK_REALTIME);
}

int64_t hyp_mono_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

const char *hyp_timestamp(int64_t wall_ns, char buf[HYP_TIMESTAMP_SIZE]) {
    time_t seconds = (time_t)(wall_ns / 1000000000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    size_t n = strftime(buf, HYP_TIMESTAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(buf + n, HYP_TIMESTAMP_SIZE - n, ".%06dZ", (int)(wall_ns % 1000000000 / 1000));
    return buf;
}
