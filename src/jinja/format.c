/* format.c - Python's two ways to format text: "%s and %d" % values, and "{} and {name:>8}".format(values). */
#include "jinja/jinja_priv.h"

#include <math.h>

#include "base/mem.h"

typedef struct spec {
    char align, fill, type;
    bool sign, zero, alternate;
    int width, precision; /* precision -1: not given */
} spec;

static int take_number(hj_ctx *c, hj_val f, size_t *i) {
    int n = 0;
    for (; *i < f.len && f.s[*i] >= '0' && f.s[*i] <= '9'; (*i)++) {
        n = n * 10 + (f.s[*i] - '0');
        if (n > 10000) hyp_hj_fail(c, HYP_ELIMIT, "a format's width is too large");
    }
    return n;
}

static void put_padded(hj_ctx *c, hj_buf *out, hj_val text, const spec *s) {
    size_t n = hyp_hj_utf8_count(text.s, text.len), total = (size_t)s->width > n ? (size_t)s->width - n : 0;
    size_t left = s->align == '>' ? total : s->align == '^' ? total / 2 : 0;
    bool sign_first = s->align == '=' && text.len > 0 && (text.s[0] == '-' || text.s[0] == '+');
    if (s->align == '=') left = total;
    if (sign_first) {
        hyp_hj_buf_put(c, out, text.s, 1);
        text.s++;
        text.len--;
    }
    hyp_hj_buf_fill(c, out, s->fill, left);
    hyp_hj_buf_put(c, out, text.s, text.len);
    hyp_hj_buf_fill(c, out, s->fill, total - left);
}

/* A number or string in the manner of `s`. */
static void put_formatted(hj_ctx *c, hj_buf *out, hj_val v, const spec *given) {
    spec s = *given;
    hj_buf b = {0};
    char text[512];
    bool numeric = hj_is_num(v) && s.type != 's' && s.type != 'r';
    if (s.type == '\0' && v.kind == HJ_BOOL && s.width == 0) numeric = false;
    if (!numeric) {
        if (s.type != '\0' && s.type != 's' && s.type != 'r' && s.type != 'a')
            hyp_hj_fail(c, HYP_EFORMAT, "format '%c' needs a number, not %s", s.type, hyp_hj_type_name(v));
        if (s.type == 'r' || s.type == 'a')
            hyp_hj_put_repr(c, &b, v);
        else
            hyp_hj_put_str(c, &b, v);
        hj_val str = hyp_hj_buf_str(&b);
        if (s.precision >= 0) str.len = (uint32_t)hyp_hj_utf8_offset(str.s, str.len, (size_t)s.precision);
        if (s.align == '\0') s.align = '<';
        put_padded(c, out, str, &s);
        return;
    }
    bool whole = v.kind != HJ_FLOAT;
    int64_t i = v.kind == HJ_INT ? v.i : v.kind == HJ_BOOL ? v.b : 0;
    char type = s.type != '\0' ? s.type : whole ? 'd' : 'g';
    const char *plus = s.sign ? "+" : "";
    if (strchr("di", type) != NULL && !whole) hyp_hj_fail(c, HYP_EFORMAT, "format 'd' needs an integer");
    if (strchr("di", type) != NULL) {
        snprintf(text, sizeof text, "%s%lld", i >= 0 ? plus : "", (long long)i);
    } else if (strchr("xXo", type) != NULL && whole) {
        uint64_t magnitude = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
        const char *sign = i < 0 ? "-" : plus;
        if (type == 'x')
            snprintf(text, sizeof text, "%s%s%llx", sign, s.alternate ? "0x" : "", (unsigned long long)magnitude);
        else if (type == 'X')
            snprintf(text, sizeof text, "%s%llX", sign, (unsigned long long)magnitude);
        else
            snprintf(text, sizeof text, "%s%llo", sign, (unsigned long long)magnitude);
    } else if (type == 'g' && s.type == '\0' && s.precision < 0) {
        hyp_hj_put_float(c, &b, v.f);
        snprintf(text, sizeof text, "%s%.*s", v.f >= 0 ? plus : "", (int)HYP_MIN(b.len, (size_t)64), b.data);
    } else if (strchr("feEgG%F", type) != NULL) {
        int precision = HYP_MIN(s.precision >= 0 ? s.precision : 6, 100);
        double f = hyp_hj_number(v) * (type == '%' ? 100 : 1);
        char pattern[] = "%s%.*f";
        pattern[5] = type == '%' ? 'f' : type;
        snprintf(text, sizeof text, pattern, f >= 0 ? plus : "", precision, f);
        if (type == '%') strcat(text, "%");
    } else {
        hyp_hj_fail(c, HYP_EFORMAT, "unknown format '%c'", type);
    }
    if (s.align == '\0') s.align = s.zero ? '=' : '>';
    if (s.zero && s.align == '=') s.fill = '0';
    put_padded(c, out, hj_str(text), &s);
}

hj_val hyp_hj_format_percent(hj_ctx *c, hj_val f, const hj_args *args) {
    hj_buf out = {0};
    uint32_t next = 0;
    for (size_t i = 0; i < f.len; i++) {
        if (f.s[i] != '%') {
            hyp_hj_buf_char(c, &out, f.s[i]);
            continue;
        }
        hj_val v = HJ_NIL;
        bool named = false;
        if (++i < f.len && f.s[i] == '(') { /* %(name)s */
            const char *close = memchr(f.s + i, ')', f.len - i);
            if (close == NULL) hyp_hj_fail(c, HYP_EFORMAT, "incomplete format key");
            hj_val key = hj_strn(f.s + i + 1, (size_t)(close - f.s) - i - 1);
            v = args->nkw > 0 ? hyp_hj_arg(args, UINT32_MAX, hyp_hj_undef(c, key.s, key.len).s)
                              : hyp_hj_get_item(c, hyp_hj_arg(args, 0, NULL), key);
            i = (size_t)(close - f.s) + 1;
            named = true;
        }
        spec s = {.fill = ' ', .align = '>', .precision = -1};
        for (; i < f.len && strchr("-+ 0#", f.s[i]) != NULL && f.s[i] != '\0'; i++) {
            if (f.s[i] == '-') s.align = '<';
            if (f.s[i] == '0') s.zero = true;
            if (f.s[i] == '+') s.sign = true;
            if (f.s[i] == '#') s.alternate = true;
        }
        s.width = take_number(c, f, &i);
        if (i < f.len && f.s[i] == '.') {
            i++;
            s.precision = take_number(c, f, &i);
        }
        if (i >= f.len) hyp_hj_fail(c, HYP_EFORMAT, "incomplete format");
        if (f.s[i] == '%') {
            hyp_hj_buf_char(c, &out, '%');
            continue;
        }
        if (!named && next >= args->npos) hyp_hj_fail(c, HYP_EFORMAT, "not enough arguments for format string");
        if (!named) v = args->pos[next++];
        s.type = f.s[i] == 'i' || f.s[i] == 'u' ? 'd' : f.s[i];
        if (s.type == 'd' && v.kind == HJ_FLOAT && fabs(v.f) < 9e18) v = hj_int((int64_t)v.f);
        if (s.zero && s.align == '>') s.align = '=';
        put_formatted(c, &out, v, &s);
    }
    return hyp_hj_buf_str(&out);
}

static spec parse_spec(hj_ctx *c, hj_val f) {
    spec s = {.fill = ' ', .precision = -1};
    size_t i = 0;
    if (f.len >= 2 && strchr("<>^=", f.s[1]) != NULL && f.s[1] != '\0') {
        s.fill = f.s[0];
        s.align = f.s[1];
        i = 2;
    } else if (f.len >= 1 && strchr("<>^=", f.s[0]) != NULL && f.s[0] != '\0') {
        s.align = f.s[0];
        i = 1;
    }
    if (i < f.len && f.s[i] == '+') {
        s.sign = true;
        i++;
    }
    if (i < f.len && f.s[i] == '#') {
        s.alternate = true;
        i++;
    }
    if (i < f.len && f.s[i] == '0') {
        s.zero = true;
        i++;
    }
    s.width = take_number(c, f, &i);
    if (i < f.len && f.s[i] == '.') {
        i++;
        s.precision = take_number(c, f, &i);
    }
    if (i < f.len) s.type = f.s[i++];
    if (i < f.len) hyp_hj_fail(c, HYP_EFORMAT, "invalid format specifier");
    return s;
}

hj_val hyp_hj_format_braces(hj_ctx *c, hj_val f, const hj_args *args) {
    hj_buf out = {0};
    int64_t automatic = 0;
    for (size_t i = 0; i < f.len; i++) {
        char ch = f.s[i];
        if ((ch == '{' || ch == '}') && i + 1 < f.len && f.s[i + 1] == ch) {
            hyp_hj_buf_char(c, &out, ch);
            i++;
            continue;
        }
        if (ch == '}') hyp_hj_fail(c, HYP_EFORMAT, "single '}' in a format");
        if (ch != '{') {
            hyp_hj_buf_char(c, &out, ch);
            continue;
        }
        const char *close = memchr(f.s + i, '}', f.len - i);
        if (close == NULL) hyp_hj_fail(c, HYP_EFORMAT, "single '{' in a format");
        hj_val field = hj_strn(f.s + i + 1, (size_t)(close - f.s) - i - 1), style = hj_str("");
        const char *colon = field.len > 0 ? memchr(field.s, ':', field.len) : NULL;
        if (colon != NULL) {
            style = hj_strn(colon + 1, field.len - (size_t)(colon + 1 - field.s));
            field.len = (uint32_t)(colon - field.s);
        }
        size_t digits = 0;
        int64_t index = field.len == 0 ? automatic++ : take_number(c, field, &digits);
        bool positional = field.len == digits;
        if (positional && index >= args->npos) hyp_hj_fail(c, HYP_EFORMAT, "a format names a missing argument");
        hj_val v = positional ? args->pos[index] : hyp_hj_arg(args, UINT32_MAX, hyp_hj_undef(c, field.s, field.len).s);
        if (!positional && v.kind == HJ_UNDEF) hyp_hj_fail(c, HYP_EFORMAT, "a format names a missing argument");
        spec s = parse_spec(c, style);
        put_formatted(c, &out, v, &s);
        i = (size_t)(close - f.s);
    }
    return hyp_hj_buf_str(&out);
}
