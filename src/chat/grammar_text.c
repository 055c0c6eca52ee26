/* grammar_text.c - the grammar of strings, numbers and keys. */
#include "chat/grammar_priv.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"

void hyp_grammar_literal(hyp_str *out, const char *s, size_t n) {
    hyp_str_puts(out, "\"");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            hyp_str_printf(out, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            hyp_str_printf(out, "\\x%02X", c);
        else
            hyp_str_append(out, s + i, 1);
    }
    hyp_str_puts(out, "\"");
}

void hyp_grammar_class_char(hyp_str *out, uint32_t cp) {
    if (cp < ' ' || cp == 0x7f || cp == ']' || cp == '[' || cp == '\\' || cp == '^' || cp == '-' || cp == '"')
        hyp_str_printf(out, "\\x%02X", cp);
    else if (cp < 0x80)
        hyp_str_printf(out, "%c", (char)cp);
    else
        hyp_str_printf(out, cp < 0x10000 ? "\\u%04X" : "\\U%08X", cp);
}

void hyp_grammar_repeat(hyp_str *out, uint64_t min, uint64_t max) {
    if (max > HYP_GRAMMAR_MAX_REPEAT) max = UINT64_MAX;
    if (max != UINT64_MAX)
        hyp_str_printf(out, "{%" PRIu64 ",%" PRIu64 "}", min, max);
    else if (min == 0)
        hyp_str_puts(out, "*");
    else
        hyp_str_printf(out, "{%" PRIu64 ",}", min);
}

/* --- keys --- */

/* The next character of a text that is not at its end. */
static uint32_t next_char(const char *s, size_t *ret_n) {
    uint32_t cp = (unsigned char)s[0];
    size_t n = hyp_utf8_decode(s, strnlen(s, 4), &cp);
    *ret_n = n > 0 ? n : 1; /* JSON's parser lets nothing else through */
    return cp;
}

/* The rest of a key, of which the names in [from, to) share the first `at` bytes (sorted). A key may leave the names'
 * tree at any character, and must not end where a name does. */
static void not_in(hyp_str *out, const char *const *names, size_t from, size_t to, size_t at, unsigned depth) {
    bool ends = from < to && names[from][at] == '\0';
    size_t i = ends ? from + 1 : from;
    while (i < to && names[i][at] == '\0')
        i++;
    if (i >= to || depth > HYP_GRAMMAR_MAX_DEPTH) {
        hyp_str_puts(out, ends ? "char+" : "char*");
        return;
    }
    hyp_str others = {0};
    hyp_str_puts(out, "(");
    while (i < to) {
        size_t n, end = i;
        uint32_t cp = next_char(names[i] + at, &n);
        while (end < to && strncmp(names[end] + at, names[i] + at, n) == 0)
            end++;
        hyp_str_puts(out, "[");
        hyp_grammar_class_char(out, cp);
        hyp_str_puts(out, "] ");
        hyp_grammar_class_char(&others, cp);
        not_in(out, names, i, end, at + n, depth + 1);
        hyp_str_puts(out, " | ");
        i = end;
    }
    hyp_str_printf(out, "[^\"\\\\\\x00-\\x1F\\x7F%s] char*)%s", others.data != NULL ? others.data : "",
                   ends ? "" : "?");
    hyp_str_free(&others);
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void hyp_grammar_not_in(hyp_str *out, const char *const *names, size_t n) {
    const char **sorted = malloc((n + 1) * sizeof *sorted);
    if (sorted == NULL) {
        out->failed = true;
        return;
    }
    memcpy(sorted, names, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_bytes);
    not_in(out, sorted, 0, n, 0, 0);
    free(sorted);
}

/* --- strings --- */

static const char *format_body(const char *name) {
#define DATE "[0-9]{4} \"-\" (\"0\" [1-9] | \"1\" [0-2]) \"-\" (\"0\" [1-9] | [12] [0-9] | \"3\" [01])"
#define TIME                                                                                                           \
    "([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9] \":\" [0-5] [0-9] (\".\" [0-9]{1,9})? "                              \
    "(\"Z\" | [+-] ([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9])"
#define HEX "[0-9a-fA-F]"
#define OCTET "(\"25\" [0-5] | \"2\" [0-4] [0-9] | \"1\" [0-9] [0-9] | [1-9] [0-9] | [0-9])"
    static const struct {
        const char *name, *body;
    } table[] = {{"date", DATE},
                 {"time", TIME},
                 {"date-time", DATE " \"T\" " TIME},
                 {"uuid", HEX "{8} \"-\" " HEX "{4} \"-\" " HEX "{4} \"-\" " HEX "{4} \"-\" " HEX "{12}"},
                 {"ipv4", OCTET " \".\" " OCTET " \".\" " OCTET " \".\" " OCTET}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(table); i++)
        if (strcmp(table[i].name, name) == 0) return table[i].body;
    return NULL; /* other formats are annotations */
}

static uint64_t length_of(hyp_grammar *g, yyjson_mut_val *schema, const char *key, uint64_t fallback) {
    yyjson_mut_val *v = yyjson_mut_obj_get(schema, key);
    if (v == NULL) return fallback;
    if (!yyjson_mut_is_uint(v)) hyp_grammar_fail(g, HYP_EINVAL, "\"%s\" must be a whole number", key);
    return yyjson_mut_get_uint(v);
}

void hyp_grammar_string(hyp_grammar *g, yyjson_mut_val *schema, hyp_str *out) {
    yyjson_mut_val *pattern = yyjson_mut_obj_get(schema, "pattern"), *format = yyjson_mut_obj_get(schema, "format");
    uint64_t min = length_of(g, schema, "minLength", 0), max = length_of(g, schema, "maxLength", UINT64_MAX);
    const char *body = yyjson_mut_is_str(format) ? format_body(yyjson_mut_get_str(format)) : NULL;
    if (max < min || min > HYP_GRAMMAR_MAX_REPEAT) {
        hyp_grammar_fail(g, HYP_EUNSUPPORTED, "\"minLength\" over %d or over \"maxLength\"", HYP_GRAMMAR_MAX_REPEAT);
    } else if (yyjson_mut_is_str(pattern)) { /* decides the length by itself */
        hyp_str_puts(out, "\"\\\"\" ");
        hyp_grammar_pattern(g, yyjson_mut_get_str(pattern), yyjson_mut_get_len(pattern), out);
        hyp_str_puts(out, " \"\\\"\"");
    } else if (body != NULL) {
        hyp_str_printf(out, "\"\\\"\" %s \"\\\"\"", body);
    } else if (min > 0 || max != UINT64_MAX) {
        hyp_str_puts(out, "\"\\\"\" char");
        hyp_grammar_repeat(out, min, max);
        hyp_str_puts(out, " \"\\\"\"");
    } else {
        hyp_str_puts(out, "string");
    }
}

/* --- numbers --- */

enum { MAX_DIGITS = 16 };

static void same_length(hyp_str *out, const char *a, const char *b, size_t n) {
    static const char zeros[] = "00000000000000000000", nines[] = "99999999999999999999";
    size_t same = 0;
    while (same < n && a[same] == b[same])
        same++;
    if (same > 0) hyp_str_printf(out, "\"%.*s\" ", (int)same, a);
    if (same == n) return;
    a += same;
    b += same;
    n -= same;
    size_t rest = n - 1;
    bool whole_low = strncmp(a + 1, zeros, rest) == 0, whole_high = strncmp(b + 1, nines, rest) == 0;
    char low = whole_low ? a[0] : (char)(a[0] + 1), high = whole_high ? b[0] : (char)(b[0] - 1);
    const char *bar = "";
    hyp_str_puts(out, "(");
    if (!whole_low) {
        hyp_str_printf(out, "\"%c\" ", a[0]);
        same_length(out, a + 1, nines, rest);
        bar = " | ";
    }
    if (low <= high) {
        hyp_str_printf(out, "%s[%c-%c]", bar, low, high);
        if (rest > 0) hyp_str_printf(out, " [0-9]{%zu}", rest);
        bar = " | ";
    }
    if (!whole_high) {
        hyp_str_printf(out, "%s\"%c\" ", bar, b[0]);
        same_length(out, zeros, b + 1, rest);
    }
    hyp_str_puts(out, ")");
}

/* Whole numbers from a to b, both >= 0, as alternatives; b UINT64_MAX: no upper bound. */
static void range(hyp_str *out, uint64_t a, uint64_t b) {
    char low[24], high[24];
    const char *bar = "";
    for (size_t n = (size_t)snprintf(low, sizeof low, "%" PRIu64, a);; n++) {
        size_t last = b == UINT64_MAX ? n : (size_t)snprintf(high, sizeof high, "%" PRIu64, b);
        if (b == UINT64_MAX || n < last) {
            memset(high, '9', n);
            high[n] = '\0';
        }
        hyp_str_puts(out, bar);
        same_length(out, low, high, n);
        bar = " | ";
        if (b == UINT64_MAX) {
            if (n < MAX_DIGITS) hyp_str_printf(out, " | [1-9] [0-9]{%zu,%d}", n, MAX_DIGITS - 1);
            return;
        }
        if (n >= last) return;
        low[0] = '1';
        memset(low + 1, '0', n);
        low[n + 1] = '\0';
    }
}

typedef struct bounds {
    bool has_min, has_max, min_open, max_open; /* open: the bound itself is excluded */
    int64_t min, max;
} bounds;

static bool whole_bound(hyp_grammar *g, yyjson_mut_val *v, bool integer, bool lower, int64_t *ret) {
    if (yyjson_mut_is_int(v) && !(yyjson_mut_is_uint(v) && yyjson_mut_get_uint(v) > INT64_MAX / 4)) {
        *ret = yyjson_mut_get_sint(v);
        return true;
    }
    double f = yyjson_mut_get_num(v);
    if (!yyjson_mut_is_num(v) || !(fabs(f) < 1e15)) {
        hyp_grammar_fail(g, HYP_EUNSUPPORTED, "a bound must be a number below 1e15");
        return false;
    }
    if (f != floor(f) && !integer) {
        hyp_grammar_fail(g, HYP_EUNSUPPORTED, "bounds of \"number\" must be whole");
        return false;
    }
    *ret = (int64_t)(lower ? ceil(f) : floor(f));
    return true;
}

static bool read_bounds(hyp_grammar *g, yyjson_mut_val *schema, bool integer, bounds *b) {
    static const char *const keys[] = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"};
    *b = (bounds){0};
    for (int k = 0; k < 4; k++) {
        yyjson_mut_val *v = yyjson_mut_obj_get(schema, keys[k]);
        bool lower = k < 2, open = k % 2 == 1;
        int64_t n;
        if (v == NULL || yyjson_mut_is_null(v)) continue;
        if (yyjson_mut_is_bool(v)) { /* draft 4: says how the other keyword is meant */
            if (yyjson_mut_get_bool(v)) *(lower ? &b->min_open : &b->max_open) = true;
            continue;
        }
        bool fraction = yyjson_mut_is_real(v) && yyjson_mut_get_real(v) != floor(yyjson_mut_get_real(v));
        if (!whole_bound(g, v, integer, lower, &n)) return false;
        if (lower && (!b->has_min || n >= b->min)) {
            b->min = n;
            b->has_min = true;
            b->min_open |= open && !fraction;
        }
        if (!lower && (!b->has_max || n <= b->max)) {
            b->max = n;
            b->has_max = true;
            b->max_open |= open && !fraction;
        }
    }
    if (integer && b->min_open) {
        b->min++;
        b->min_open = false;
    }
    if (integer && b->max_open) {
        b->max--;
        b->max_open = false;
    }
    if (b->has_min && b->has_max && (b->min > b->max || (b->min == b->max && (b->min_open || b->max_open)))) {
        hyp_grammar_fail(g, HYP_EINVAL, "no number is within the bounds");
        return false;
    }
    return true;
}

/* Non-negative numbers from a to b (UINT64_MAX: unbounded); with fractions unless `integer`. */
static void magnitude(hyp_str *out, uint64_t a, bool a_open, uint64_t b, bool b_open, bool integer) {
    if (integer) {
        range(out, a, b);
        return;
    }
    const char *bar = "";
    uint64_t from = a_open ? a + 1 : a;
    if (a_open && a < b) { /* above a, below a + 1 */
        hyp_str_printf(out, "\"%" PRIu64 "\" \".\" [0-9]{0,14} [1-9]", a);
        bar = " | ";
    }
    if (b == UINT64_MAX || from < b) {
        hyp_str_printf(out, "%s(", bar);
        range(out, from, b == UINT64_MAX ? b : b - 1);
        hyp_str_puts(out, ") (\".\" [0-9]{1,15})?");
        bar = " | ";
    }
    if (b != UINT64_MAX && !b_open && from <= b) hyp_str_printf(out, "%s\"%" PRIu64 "\" (\".\" \"0\"{1,15})?", bar, b);
}

void hyp_grammar_number(hyp_grammar *g, yyjson_mut_val *schema, bool integer, hyp_str *out) {
    bounds b;
    if (!read_bounds(g, schema, integer, &b)) return;
    if (!b.has_min && !b.has_max) {
        hyp_str_puts(out, integer ? "integer" : "number");
        return;
    }
    bool negative = !b.has_min || b.min < 0, positive = !b.has_max || b.max > 0 || (b.max == 0 && !b.max_open);
    if (negative) {
        bool to_zero = !b.has_max || b.max >= 0;
        uint64_t near = to_zero ? (integer ? 1 : 0) : (uint64_t)-b.max;
        uint64_t far = b.has_min ? (uint64_t)-b.min : UINT64_MAX;
        hyp_str_puts(out, "\"-\" (");
        magnitude(out, near, to_zero ? !integer : b.max_open, far, b.min_open, integer);
        hyp_str_puts(out, positive ? ") | " : ")");
    }
    if (positive) {
        uint64_t near = b.has_min && b.min > 0 ? (uint64_t)b.min : 0;
        hyp_str_puts(out, "(");
        magnitude(out, near, b.has_min && b.min >= 0 && b.min_open, b.has_max ? (uint64_t)b.max : UINT64_MAX,
                  b.max_open, integer);
        hyp_str_puts(out, ")");
    }
}

void hyp_grammar_text_without(hyp_str *out, const char *rule, const char *word) {
    /* State i: the last i characters are the word's first i. The word's last character has no way on. */
    for (size_t i = 0; word[i] != '\0'; i++) {
        hyp_str_printf(out, "%s%zu ::= | [^", rule, i);
        hyp_grammar_class_char(out, (unsigned char)word[0]);
        if (i > 0) hyp_grammar_class_char(out, (unsigned char)word[i]);
        hyp_str_printf(out, "] %s0", rule);
        if (i > 0) {
            hyp_str_puts(out, " | ");
            hyp_grammar_literal(out, word, 1);
            hyp_str_printf(out, " %s1", rule);
        }
        if (word[i + 1] != '\0') {
            hyp_str_puts(out, " | ");
            hyp_grammar_literal(out, word + i, 1);
            hyp_str_printf(out, " %s%zu", rule, i + 1);
        }
        hyp_str_puts(out, "\n");
    }
}
