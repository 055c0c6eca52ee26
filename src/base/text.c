#include "base/text.h"

#include "base/mem.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

int hyp_text_parse_size(const char *text, uint64_t *ret_bytes) {
    if (text == NULL || !(isdigit((unsigned char)text[0]) || text[0] == '.')) return HYP_EINVAL;
    char *end;
    double value = strtod(text, &end);
    static const char units[] = "KMGT";
    double scale = 1;
    if (*end != '\0' && strchr(units, toupper((unsigned char)*end)) != NULL) {
        scale = ldexp(1, 10 * (int)(strchr(units, toupper((unsigned char)*end)) - units + 1));
        end++;
    }
    if (strcasecmp(end, "") != 0 && strcasecmp(end, "b") != 0 && strcasecmp(end, "ib") != 0) return HYP_EINVAL;
    value *= scale;
    if (!isfinite(value) || value < 0 || value >= 9.2e18) return HYP_EINVAL;
    *ret_bytes = (uint64_t)value;
    return HYP_OK;
}

/* Three digits and the largest of the units, each a thousand times the one before, that leaves one before the point. */
static const char *format_scaled(uint64_t n, const char *const *units, size_t n_units, char *buf, size_t buf_size) {
    double value = (double)n;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < n_units) {
        value /= 1000;
        unit++;
    }
    int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(buf, buf_size, "%.*f%s", digits, value, units[unit]);
    return buf;
}

const char *hyp_text_format_bytes(uint64_t bytes, char *buf, size_t buf_size) {
    static const char *const units[] = {" B", " KB", " MB", " GB", " TB", " PB"};
    return format_scaled(bytes, units, HYP_ARRAY_LEN(units), buf, buf_size);
}

const char *hyp_text_format_count(uint64_t n, char *buf, size_t buf_size) {
    static const char *const units[] = {"", " K", " M", " B", " T"};
    return format_scaled(n, units, HYP_ARRAY_LEN(units), buf, buf_size);
}

uint64_t hyp_text_round_bytes_up(uint64_t bytes) {
    uint64_t unit = 1; /* of the last of three digits */
    while (bytes / unit >= 1000)
        unit *= 10;
    uint64_t up = bytes / unit * unit;
    return up < bytes && up <= UINT64_MAX - unit ? up + unit : up;
}

const char *hyp_text_last(const char *bytes, char c, size_t n) {
    while (n > 0)
        if (bytes[--n] == c) return bytes + n;
    return NULL;
}

double hyp_text_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool reserve(hyp_str *s, size_t more) {
    if (s->failed) return false;
    if (s->length + more + 1 <= s->capacity) return true;
    size_t want = s->capacity == 0 ? 64 : s->capacity;
    while (want < s->length + more + 1)
        want *= 2;
    char *data = realloc(s->data, want);
    if (data == NULL) {
        s->failed = true;
        return false;
    }
    s->data = data;
    s->capacity = want;
    return true;
}

void hyp_str_append(hyp_str *s, const char *bytes, size_t n) {
    if (!reserve(s, n)) return;
    if (n > 0) memcpy(s->data + s->length, bytes, n);
    s->length += n;
    s->data[s->length] = '\0';
}

void hyp_str_puts(hyp_str *s, const char *text) {
    hyp_str_append(s, text, strlen(text));
}

void hyp_str_printf(hyp_str *s, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && reserve(s, (size_t)n)) {
        vsnprintf(s->data + s->length, (size_t)n + 1, format, again);
        s->length += (size_t)n;
    }
    va_end(again);
}

void hyp_str_free(hyp_str *s) {
    if (s == NULL) return;
    free(s->data);
    *s = (hyp_str){0};
}
