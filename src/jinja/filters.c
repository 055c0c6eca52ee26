/* filters.c - filters on single values: text, numbers, JSON. */
#include "jinja/jinja_priv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

#define FILTER(name) static hj_val name(hj_ctx *c, hj_val v, const hj_args *args)
#define SIMPLE(name, value)                                                                                            \
    FILTER(name) {                                                                                                     \
        (void)c;                                                                                                       \
        (void)args;                                                                                                    \
        return value;                                                                                                  \
    }

SIMPLE(f_string, hyp_hj_to_str(c, v))
SIMPLE(f_upper, hyp_hj_str_case(c, hyp_hj_to_str(c, v), true))
SIMPLE(f_lower, hyp_hj_str_case(c, hyp_hj_to_str(c, v), false))
SIMPLE(f_capitalize, hyp_hj_str_capitalize(c, hyp_hj_to_str(c, v)))
SIMPLE(f_trim, hyp_hj_str_strip(c, hyp_hj_to_str(c, v), hyp_hj_arg(args, 0, "chars"), true, true))
SIMPLE(f_replace,
       hyp_hj_str_replace(c, hyp_hj_to_str(c, v), hyp_hj_to_str(c, hyp_hj_arg(args, 0, "old")),
                          hyp_hj_to_str(c, hyp_hj_arg(args, 1, "new")), hyp_hj_arg_int(c, args, 2, "count", -1)))
SIMPLE(f_format, hyp_hj_format_percent(c, hyp_hj_to_str(c, v), args))
SIMPLE(f_center, hyp_hj_method_str("center", 6)(c, hyp_hj_to_str(c, v), args))

FILTER(f_default) {
    bool use = v.kind == HJ_UNDEF || (hyp_hj_arg_bool(args, 1, "boolean", false) && !hyp_hj_truth(v));
    if (!use) return v;
    (void)c;
    return hyp_hj_has_arg(args, 0, "default_value") ? hyp_hj_arg(args, 0, "default_value") : hj_str("");
}

FILTER(f_escape) {
    (void)args;
    hj_val s = hyp_hj_to_str(c, v);
    hj_buf b = {0};
    for (uint32_t i = 0; i < s.len; i++) {
        switch (s.s[i]) {
        case '&': hyp_hj_buf_puts(c, &b, "&amp;"); break;
        case '<': hyp_hj_buf_puts(c, &b, "&lt;"); break;
        case '>': hyp_hj_buf_puts(c, &b, "&gt;"); break;
        case '\'': hyp_hj_buf_puts(c, &b, "&#39;"); break;
        case '"': hyp_hj_buf_puts(c, &b, "&#34;"); break;
        default: hyp_hj_buf_char(c, &b, s.s[i]);
        }
    }
    return hyp_hj_buf_str(&b);
}

FILTER(f_title) {
    (void)args;
    hj_val s = hyp_hj_to_str(c, v);
    hj_buf b = {0};
    bool start = true;
    for (size_t i = 0, step; i < s.len; i += step) {
        uint32_t cp = hyp_hj_utf8_next(s.s + i, s.len - i, &step);
        char text[4];
        hyp_hj_buf_put(c, &b, text, hyp_utf8_encode(start ? hyp_hj_upper(cp) : hyp_hj_lower(cp), text));
        start = hyp_hj_is_space(cp) || cp == '-' || cp == '(' || cp == '{' || cp == '[' || cp == '<';
    }
    return hyp_hj_buf_str(&b);
}

/* indent(width=4, first=False, blank=False): all lines but the first, and blank ones, unless told. */
FILTER(f_indent) {
    hj_val s = hyp_hj_to_str(c, v), width = hyp_hj_arg(args, 0, "width");
    bool first = hyp_hj_arg_bool(args, 1, "first", false), blank = hyp_hj_arg_bool(args, 2, "blank", false);
    hj_buf indent = {0}, b = {0};
    if (width.kind == HJ_STR)
        hyp_hj_buf_put(c, &indent, width.s, width.len);
    else
        hyp_hj_buf_fill(c, &indent, ' ', (size_t)HYP_MAX(hyp_hj_arg_int(c, args, 0, "width", 4), 0));
    for (size_t at = 0, line = 0; at <= s.len; line++) {
        const char *nl = at < s.len ? memchr(s.s + at, '\n', s.len - at) : NULL;
        size_t end = nl != NULL ? (size_t)(nl - s.s) : s.len;
        if (line > 0) hyp_hj_buf_char(c, &b, '\n');
        if (line == 0 ? first : end > at || blank) hyp_hj_buf_put(c, &b, indent.data, indent.len);
        hyp_hj_buf_put(c, &b, s.s + at, end - at);
        if (nl == NULL) break;
        at = end + 1;
    }
    return hyp_hj_buf_str(&b);
}

FILTER(f_wordcount) {
    (void)args;
    hj_val words = hyp_hj_method_str("split", 5)(c, hyp_hj_to_str(c, v), &(hj_args){0});
    return hj_int(words.list->len);
}

FILTER(f_striptags) {
    (void)args;
    hj_val s = hyp_hj_to_str(c, v);
    hj_buf b = {0};
    for (size_t i = 0; i < s.len; i++) {
        const char *close = s.s[i] == '<' ? memchr(s.s + i, '>', s.len - i) : NULL;
        if (close != NULL)
            i = (size_t)(close - s.s);
        else
            hyp_hj_buf_char(c, &b, s.s[i]);
    }
    hj_val words = hyp_hj_method_str("split", 5)(c, hyp_hj_buf_str(&b), &(hj_args){0});
    return hyp_hj_str_join(c, hj_str(" "), words.list, true);
}

/* truncate(length=255, killwords=False, end='...', leeway=5) */
FILTER(f_truncate) {
    hj_val s = hyp_hj_to_str(c, v),
           end = hyp_hj_has_arg(args, 2, "end") ? hyp_hj_arg_str(c, args, 2, "end") : hj_str("...");
    int64_t length = hyp_hj_arg_int(c, args, 0, "length", 255), leeway = hyp_hj_arg_int(c, args, 3, "leeway", 5);
    int64_t end_chars = (int64_t)hyp_hj_utf8_count(end.s, end.len);
    if (length < end_chars || leeway < 0 || leeway > INT32_MAX || length > INT32_MAX)
        hyp_hj_fail(c, HYP_EFORMAT, "truncate: bad length or leeway");
    if ((int64_t)hyp_hj_utf8_count(s.s, s.len) <= length + leeway) return s;
    hj_val cut = hj_strn(s.s, hyp_hj_utf8_offset(s.s, s.len, (size_t)(length - end_chars)));
    if (!hyp_hj_arg_bool(args, 1, "killwords", false)) {
        const char *space = hyp_text_last(cut.s, ' ', cut.len);
        if (space != NULL) cut.len = (uint32_t)(space - cut.s);
    }
    return hyp_hj_binary(c, HJ_ADD, cut, end);
}

/* --- numbers --- */

/* A number from text as Python's int() and float() take it: white space around, underscores between digits. */
static bool number_text(hj_val v, char *buf, size_t size) {
    size_t from = hyp_hj_trim_left(v.s, v.len), to = hyp_hj_trim_right(v.s, v.len), n = 0;
    for (size_t i = from; i < to; i++) {
        if (v.s[i] == '_' && i > from && i + 1 < to) continue;
        if (n + 1 >= size || v.s[i] == '\0') return false;
        buf[n++] = v.s[i];
    }
    buf[n] = '\0';
    return n > 0 && buf[0] != ' ';
}

static bool to_float(hj_val v, double *ret) {
    if (hj_is_num(v)) {
        *ret = hyp_hj_number(v);
        return true;
    }
    char text[128], *end;
    if (v.kind != HJ_STR || !number_text(v, text, sizeof text) || strpbrk(text, "xX(") != NULL) return false;
    *ret = strtod(text, &end);
    return *end == '\0';
}

FILTER(f_int) {
    int64_t base = hyp_hj_arg_int(c, args, 1, "base", 10);
    hj_val fallback = hyp_hj_has_arg(args, 0, "default") ? hyp_hj_arg(args, 0, "default") : hj_int(0);
    char text[128], *end;
    if (v.kind == HJ_STR && base >= 2 && base <= 36 && number_text(v, text, sizeof text)) {
        errno = 0;
        long long i = strtoll(text, &end, (int)base);
        if (*end == '\0' && errno == 0) return hj_int(i);
    }
    double f;
    if (v.kind == HJ_INT || v.kind == HJ_BOOL) return hj_int(v.kind == HJ_INT ? v.i : v.b);
    if (!to_float(v, &f) || !(fabs(f) < 9.2e18)) return fallback;
    return hj_int((int64_t)f);
}

FILTER(f_float) {
    double f;
    (void)c;
    if (to_float(v, &f)) return hj_float(f);
    return hyp_hj_has_arg(args, 0, "default") ? hyp_hj_arg(args, 0, "default") : hj_float(0);
}

FILTER(f_abs) {
    (void)args;
    if (v.kind == HJ_FLOAT) return hj_float(fabs(v.f));
    if (v.kind != HJ_INT && v.kind != HJ_BOOL)
        hyp_hj_fail(c, HYP_EFORMAT, "bad operand type for abs(): '%s'", hyp_hj_type_name(v));
    return hj_is_num(v) && hyp_hj_number(v) < 0 ? hyp_hj_negate(c, v, true) : hyp_hj_negate(c, v, false);
}

/* round(precision=0, method='common'): 'common' rounds halves to even, as Python's round() does on the decimal value.
 */
FILTER(f_round) {
    if (!hj_is_num(v)) hyp_hj_fail(c, HYP_EFORMAT, "round: a number is required, not %s", hyp_hj_type_name(v));
    int64_t precision = hyp_hj_arg_int(c, args, 0, "precision", 0);
    hj_val method = hyp_hj_has_arg(args, 1, "method") ? hyp_hj_arg_str(c, args, 1, "method") : hj_str("common");
    double f = hyp_hj_number(v);
    if (precision < -300 || precision > 300) return hj_float(f);
    if (hj_is_str(method, "common")) {
        if (v.kind != HJ_FLOAT) return precision >= 0 ? hj_int((int64_t)f) : hj_float(f);
        if (precision < 0 || !isfinite(f)) {
            double unit = pow(10, (double)-precision);
            return hj_float(isfinite(f) ? nearbyint(f / unit) * unit : f);
        }
        char text[700];
        snprintf(text, sizeof text, "%.*f", (int)precision, f); /* exact, halves to even */
        return hj_float(strtod(text, NULL));
    }
    bool up = hj_is_str(method, "ceil");
    if (!up && !hj_is_str(method, "floor")) hyp_hj_fail(c, HYP_EFORMAT, "round: method must be common, ceil or floor");
    double unit = pow(10, (double)precision);
    return hj_float((up ? ceil(f * unit) : floor(f * unit)) / unit);
}

hj_fn hyp_hj_filter_named(const char *name, size_t n) {
    static const hj_named table[] = {{"string", f_string},
                                     {"safe", f_string},
                                     {"upper", f_upper},
                                     {"lower", f_lower},
                                     {"trim", f_trim},
                                     {"capitalize", f_capitalize},
                                     {"title", f_title},
                                     {"replace", f_replace},
                                     {"format", f_format},
                                     {"center", f_center},
                                     {"default", f_default},
                                     {"d", f_default},
                                     {"escape", f_escape},
                                     {"e", f_escape},
                                     {"forceescape", f_escape},
                                     {"indent", f_indent},
                                     {"int", f_int},
                                     {"float", f_float},
                                     {"abs", f_abs},
                                     {"round", f_round},
                                     {"tojson", hyp_hj_tojson},
                                     {"wordcount", f_wordcount},
                                     {"striptags", f_striptags},
                                     {"truncate", f_truncate}};
    hj_fn fn = hyp_hj_find_fn(table, HYP_ARRAY_LEN(table), name, n);
    return fn != NULL ? fn : hyp_hj_filter_seq_named(name, n);
}
