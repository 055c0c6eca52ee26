/* methods_str.c - the methods of strings, and text helpers that filters use too. Offsets inside are bytes; what a
 * template sees is counted in characters. */
#include "jinja/jinja_priv.h"

#include "base/mem.h"
#include "base/utf8.h"

int64_t hyp_hj_str_find(hj_val s, hj_val needle, size_t from) {
    if (from > s.len) return -1;
    if (needle.len == 0) return (int64_t)from;
    const char *hit = memmem(s.s + from, s.len - from, needle.s, needle.len);
    return hit != NULL ? hit - s.s : -1;
}

static int64_t find_last(hj_val s, hj_val needle) {
    for (int64_t i = (int64_t)s.len - needle.len; i >= 0; i--)
        if (memcmp(s.s + i, needle.s, needle.len) == 0) return i;
    return -1;
}

hj_val hyp_hj_str_replace(hj_ctx *c, hj_val s, hj_val old, hj_val new, int64_t count) {
    hj_buf b = {0};
    size_t at = 0, step;
    hyp_hj_steps(c, s.len / 64);
    while (count != 0) {
        if (old.len == 0) { /* Python inserts before every character and at the end */
            hyp_hj_buf_put(c, &b, new.s, new.len);
            count--;
            if (at >= s.len) return hyp_hj_buf_str(&b);
            hyp_hj_utf8_next(s.s + at, s.len - at, &step);
            hyp_hj_buf_put(c, &b, s.s + at, step);
            at += step;
            continue;
        }
        int64_t hit = hyp_hj_str_find(s, old, at);
        if (hit < 0) break;
        hyp_hj_buf_put(c, &b, s.s + at, (size_t)hit - at);
        hyp_hj_buf_put(c, &b, new.s, new.len);
        at = (size_t)hit + old.len;
        count--;
    }
    if (b.len == 0 && at == 0) return s;
    hyp_hj_buf_put(c, &b, s.s + at, s.len - at);
    return hyp_hj_buf_str(&b);
}

static uint32_t to_upper(uint32_t cp, bool after_letter, size_t index) {
    (void)after_letter, (void)index;
    return hyp_hj_upper(cp);
}

/* Every character through `change`, which is told whether a letter came before. */
static hj_val map_chars(hj_ctx *c, hj_val s, uint32_t (*change)(uint32_t cp, bool after_letter, size_t index)) {
    hj_buf b = {0};
    bool letter = false;
    size_t index = 0;
    for (size_t i = 0, step; i < s.len; i += step, index++) {
        uint32_t cp = hyp_hj_utf8_next(s.s + i, s.len - i, &step), to = change(cp, letter, index);
        letter = hyp_hj_is_alpha(cp);
        char text[4];
        if (to == 0xdf && change == to_upper)
            hyp_hj_buf_puts(c, &b, "SS");
        else if (to == cp)
            hyp_hj_buf_put(c, &b, s.s + i, step);
        else
            hyp_hj_buf_put(c, &b, text, hyp_utf8_encode(to, text));
    }
    return hyp_hj_buf_str(&b);
}
static uint32_t to_lower(uint32_t cp, bool after_letter, size_t index) {
    (void)after_letter, (void)index;
    return hyp_hj_lower(cp);
}
static uint32_t to_title(uint32_t cp, bool after_letter, size_t index) {
    (void)index;
    return after_letter ? hyp_hj_lower(cp) : hyp_hj_upper(cp);
}
static uint32_t to_capital(uint32_t cp, bool after_letter, size_t index) {
    (void)after_letter;
    return index > 0 ? hyp_hj_lower(cp) : hyp_hj_upper(cp);
}
static uint32_t to_other_case(uint32_t cp, bool after_letter, size_t index) {
    (void)after_letter, (void)index;
    return hyp_hj_upper(cp) != cp ? hyp_hj_upper(cp) : hyp_hj_lower(cp);
}

hj_val hyp_hj_str_case(hj_ctx *c, hj_val s, bool upper) {
    return map_chars(c, s, upper ? to_upper : to_lower);
}
hj_val hyp_hj_str_capitalize(hj_ctx *c, hj_val s) {
    return map_chars(c, s, to_capital);
}

static bool in_chars(hj_val chars, const char *s, size_t n) {
    for (size_t i = 0, step; i < chars.len; i += step) {
        hyp_hj_utf8_next(chars.s + i, chars.len - i, &step);
        if (step == n && memcmp(chars.s + i, s, n) == 0) return true;
    }
    return false;
}

hj_val hyp_hj_str_strip(hj_ctx *c, hj_val s, hj_val chars, bool left, bool right) {
    hyp_hj_steps(c, 1 + s.len / 256);
    size_t from = 0, to = s.len, step;
    if (chars.kind != HJ_STR) {
        if (left) from = hyp_hj_trim_left(s.s, s.len);
        if (right) to = from + hyp_hj_trim_right(s.s + from, s.len - from);
        return hj_strn(s.s + from, to - from);
    }
    while (left && from < to) {
        hyp_hj_utf8_next(s.s + from, to - from, &step);
        if (!in_chars(chars, s.s + from, step)) break;
        from += step;
    }
    while (right && to > from) {
        size_t at = to - 1;
        while (at > from && to - at < 4 && ((unsigned char)s.s[at] & 0xc0) == 0x80)
            at--;
        if (!in_chars(chars, s.s + at, to - at)) break;
        to = at;
    }
    return hj_strn(s.s + from, to - from);
}

hj_val hyp_hj_str_join(hj_ctx *c, hj_val separator, const hj_list *items, bool strict) {
    hj_buf b = {0};
    for (uint32_t i = 0; i < items->len; i++) {
        if (strict && items->items[i].kind != HJ_STR)
            hyp_hj_fail(c, HYP_EFORMAT, "sequence item %u: expected str instance, %s found", i,
                        hyp_hj_type_name(items->items[i]));
        if (i > 0) hyp_hj_buf_put(c, &b, separator.s, separator.len);
        hyp_hj_put_str(c, &b, items->items[i]);
    }
    return hyp_hj_buf_str(&b);
}

/* --- splitting --- */

static size_t skip_word(const char *s, size_t n) {
    size_t i = 0;
    for (size_t step; i < n && !hyp_hj_is_space(hyp_hj_utf8_next(s + i, n - i, &step));)
        i += step;
    return i;
}

static void split_words(hj_ctx *c, hj_val s, int64_t max, hj_list *out) {
    size_t at = hyp_hj_trim_left(s.s, s.len);
    while (at < s.len) {
        if (max-- == 0) {
            hyp_hj_push(c, out, hj_strn(s.s + at, s.len - at));
            return;
        }
        size_t n = skip_word(s.s + at, s.len - at);
        hyp_hj_push(c, out, hj_strn(s.s + at, n));
        at += n;
        at += hyp_hj_trim_left(s.s + at, s.len - at);
    }
}

static void reverse(hj_list *l) {
    for (uint32_t i = 0; i < l->len / 2; i++) {
        hj_val t = l->items[i];
        l->items[i] = l->items[l->len - 1 - i];
        l->items[l->len - 1 - i] = t;
    }
}

static void rsplit_words(hj_ctx *c, hj_val s, int64_t max, hj_list *out) {
    for (size_t end = hyp_hj_trim_right(s.s, s.len), at; end > 0; end = hyp_hj_trim_right(s.s, at)) {
        if (max-- == 0) { /* all that is left */
            hyp_hj_push(c, out, hj_strn(s.s, end));
            break;
        }
        for (at = end; at > 0 && hyp_hj_trim_right(s.s, at) == at;) {
            at--;
            while (at > 0 && ((unsigned char)s.s[at] & 0xc0) == 0x80)
                at--;
        }
        hyp_hj_push(c, out, hj_strn(s.s + at, end - at));
    }
    reverse(out);
}

static hj_val m_split(hj_ctx *c, hj_val s, const hj_args *args) {
    hj_val sep = hyp_hj_arg(args, 0, "sep"), out = hyp_hj_seq(c, HJ_SEQ_LIST, 0);
    int64_t max = hyp_hj_arg_int(c, args, 1, "maxsplit", -1);
    hyp_hj_steps(c, 1 + s.len / 64);
    if (sep.kind != HJ_STR) {
        split_words(c, s, max, out.list);
        return out;
    }
    if (sep.len == 0) hyp_hj_fail(c, HYP_EFORMAT, "empty separator");
    size_t at = 0;
    for (int64_t hit; max != 0 && (hit = hyp_hj_str_find(s, sep, at)) >= 0; max--) {
        hyp_hj_push(c, out.list, hj_strn(s.s + at, (size_t)hit - at));
        at = (size_t)hit + sep.len;
    }
    hyp_hj_push(c, out.list, hj_strn(s.s + at, s.len - at));
    return out;
}

static hj_val m_rsplit(hj_ctx *c, hj_val s, const hj_args *args) {
    hj_val sep = hyp_hj_arg(args, 0, "sep"), out = hyp_hj_seq(c, HJ_SEQ_LIST, 0);
    int64_t max = hyp_hj_arg_int(c, args, 1, "maxsplit", -1);
    hyp_hj_steps(c, 1 + s.len / 16);
    if (sep.kind != HJ_STR) {
        rsplit_words(c, s, max, out.list);
        return out;
    }
    if (sep.len == 0) hyp_hj_fail(c, HYP_EFORMAT, "empty separator");
    hj_val rest = s;
    for (int64_t hit; max != 0 && (hit = find_last(rest, sep)) >= 0; max--) {
        size_t after = (size_t)hit + sep.len;
        hyp_hj_push(c, out.list, hj_strn(rest.s + after, rest.len - after));
        hyp_hj_steps(c, (rest.len - after) / 16);
        rest.len = (uint32_t)hit;
    }
    hyp_hj_push(c, out.list, rest);
    reverse(out.list);
    return out;
}

static hj_val m_splitlines(hj_ctx *c, hj_val s, const hj_args *args) {
    bool keep = hyp_hj_arg_bool(args, 0, "keepends", false);
    hj_val out = hyp_hj_seq(c, HJ_SEQ_LIST, 0);
    for (size_t at = 0; at < s.len;) {
        size_t end = at, step = 1;
        uint32_t cp = 0;
        for (; end < s.len; end += step) {
            cp = hyp_hj_utf8_next(s.s + end, s.len - end, &step);
            if ((cp >= 10 && cp <= 13) || (cp >= 28 && cp <= 30) || cp == 0x85 || cp == 0x2028 || cp == 0x2029) break;
        }
        size_t next = end < s.len ? end + step : end;
        if (cp == '\r' && next < s.len && s.s[next] == '\n') next++;
        hyp_hj_push(c, out.list, hj_strn(s.s + at, (keep ? next : end) - at));
        at = next;
    }
    return out;
}

static hj_val partition(hj_ctx *c, hj_val s, hj_val sep, bool last) {
    if (sep.len == 0) hyp_hj_fail(c, HYP_EFORMAT, "empty separator");
    int64_t hit = last ? find_last(s, sep) : hyp_hj_str_find(s, sep, 0);
    hj_val v = hyp_hj_seq(c, HJ_SEQ_TUPLE, 3), empty = hj_str("");
    size_t at = hit >= 0 ? (size_t)hit : 0;
    hyp_hj_push(c, v.list, hit >= 0 ? hj_strn(s.s, at) : last ? empty : s);
    hyp_hj_push(c, v.list, hit >= 0 ? sep : empty);
    hyp_hj_push(c, v.list, hit >= 0 ? hj_strn(s.s + at + sep.len, s.len - at - sep.len) : last ? s : empty);
    return v;
}

/* --- the methods --- */

#define METHOD(name) static hj_val name(hj_ctx *c, hj_val s, const hj_args *args)
#define SIMPLE(name, value)                                                                                            \
    METHOD(name) {                                                                                                     \
        (void)c;                                                                                                       \
        (void)args;                                                                                                    \
        return value;                                                                                                  \
    }

SIMPLE(m_upper, map_chars(c, s, to_upper))
SIMPLE(m_lower, map_chars(c, s, to_lower))
SIMPLE(m_title, map_chars(c, s, to_title))
SIMPLE(m_capitalize, map_chars(c, s, to_capital))
SIMPLE(m_swapcase, map_chars(c, s, to_other_case))
SIMPLE(m_strip, hyp_hj_str_strip(c, s, hyp_hj_arg(args, 0, NULL), true, true))
SIMPLE(m_lstrip, hyp_hj_str_strip(c, s, hyp_hj_arg(args, 0, NULL), true, false))
SIMPLE(m_rstrip, hyp_hj_str_strip(c, s, hyp_hj_arg(args, 0, NULL), false, true))
SIMPLE(m_join, hyp_hj_str_join(c, s, hyp_hj_iterate(c, hyp_hj_arg(args, 0, NULL)), true))
SIMPLE(m_format, hyp_hj_format_braces(c, s, args))
SIMPLE(m_partition, partition(c, s, hyp_hj_arg_str(c, args, 0, NULL), false))
SIMPLE(m_rpartition, partition(c, s, hyp_hj_arg_str(c, args, 0, NULL), true))
SIMPLE(m_replace, hyp_hj_str_replace(c, s, hyp_hj_arg_str(c, args, 0, NULL), hyp_hj_arg_str(c, args, 1, NULL),
                                     hyp_hj_arg_int(c, args, 2, "count", -1)))

static bool affix(hj_ctx *c, hj_val s, hj_val part, bool end) {
    if (part.kind == HJ_SEQ && part.sub == HJ_SEQ_TUPLE) {
        for (uint32_t i = 0; i < part.list->len; i++)
            if (affix(c, s, hyp_hj_arg_str(c, &(hj_args){.pos = part.list->items, .npos = part.list->len}, i, NULL),
                      end))
                return true;
        return false;
    }
    if (part.kind != HJ_STR) hyp_hj_fail(c, HYP_EFORMAT, "a string is required, not %s", hyp_hj_type_name(part));
    return part.len <= s.len && memcmp(end ? s.s + s.len - part.len : s.s, part.s, part.len) == 0;
}
SIMPLE(m_startswith, hj_bool(affix(c, s, hyp_hj_arg(args, 0, NULL), false)))
SIMPLE(m_endswith, hj_bool(affix(c, s, hyp_hj_arg(args, 0, NULL), true)))

METHOD(m_removeprefix) {
    hj_val part = hyp_hj_arg_str(c, args, 0, NULL);
    return affix(c, s, part, false) ? hj_strn(s.s + part.len, s.len - part.len) : s;
}
METHOD(m_removesuffix) {
    hj_val part = hyp_hj_arg_str(c, args, 0, NULL);
    return affix(c, s, part, true) ? hj_strn(s.s, s.len - part.len) : s;
}

/* A position in characters, or -1. The optional second argument is where the search starts. */
static hj_val find_in(hj_ctx *c, hj_val s, const hj_args *args, bool last) {
    hj_val needle = hyp_hj_arg_str(c, args, 0, NULL), part = s;
    hyp_hj_steps(c, 1 + s.len / 16);
    if (args->npos > 1) part = hyp_hj_slice(c, s, args->pos[1], hyp_hj_arg(args, 2, NULL), HJ_NULL);
    int64_t hit = last ? find_last(part, needle) : hyp_hj_str_find(part, needle, 0);
    if (hit < 0) return hj_int(-1);
    size_t before = part.len > 0 ? (size_t)(part.s - s.s) : args->npos > 1 ? s.len : 0;
    return hj_int((int64_t)hyp_hj_utf8_count(s.s, before + (size_t)hit));
}
SIMPLE(m_find, find_in(c, s, args, false))
SIMPLE(m_rfind, find_in(c, s, args, true))
METHOD(m_index) {
    hj_val at = find_in(c, s, args, false);
    if (at.i < 0) hyp_hj_fail(c, HYP_EFORMAT, "substring not found");
    return at;
}
METHOD(m_rindex) {
    hj_val at = find_in(c, s, args, true);
    if (at.i < 0) hyp_hj_fail(c, HYP_EFORMAT, "substring not found");
    return at;
}
METHOD(m_count) {
    hj_val needle = hyp_hj_arg_str(c, args, 0, NULL);
    hyp_hj_steps(c, 1 + s.len / 64);
    if (needle.len == 0) return hj_int((int64_t)hyp_hj_utf8_count(s.s, s.len) + 1);
    int64_t n = 0;
    for (int64_t at = 0; (at = hyp_hj_str_find(s, needle, (size_t)at)) >= 0; at += needle.len)
        n++;
    return hj_int(n);
}

static bool every(hj_val s, bool (*is)(uint32_t cp)) {
    for (size_t i = 0, step; i < s.len; i += step)
        if (!is(hyp_hj_utf8_next(s.s + i, s.len - i, &step))) return false;
    return s.len > 0;
}
static bool is_digit(uint32_t cp) {
    return cp >= '0' && cp <= '9';
}
static bool is_alnum(uint32_t cp) {
    return is_digit(cp) || hyp_hj_is_alpha(cp);
}
SIMPLE(m_isdigit, hj_bool(every(s, is_digit)))
SIMPLE(m_isalpha, hj_bool(every(s, hyp_hj_is_alpha)))
SIMPLE(m_isalnum, hj_bool(every(s, is_alnum)))
SIMPLE(m_isspace, hj_bool(every(s, hyp_hj_is_space)))
SIMPLE(m_isupper, hyp_hj_test_named("upper", 5)(c, s, args))
SIMPLE(m_islower, hyp_hj_test_named("lower", 5)(c, s, args))

static hj_val pad(hj_ctx *c, hj_val s, const hj_args *args, int side) {
    int64_t width = hyp_hj_arg_int(c, args, 0, NULL, 0), n = (int64_t)hyp_hj_utf8_count(s.s, s.len);
    hj_val fill = hyp_hj_has_arg(args, 1, NULL) ? hyp_hj_arg_str(c, args, 1, NULL) : hj_str(" ");
    size_t step = 0;
    if (fill.len > 0) hyp_hj_utf8_next(fill.s, fill.len, &step);
    if (step == 0 || step != fill.len)
        hyp_hj_fail(c, HYP_EFORMAT, "the fill character must be exactly one character long");
    if (width <= n) return s;
    int64_t total = width - n, left = side < 0 ? 0 : side > 0 ? total : total / 2 + (total & width & 1);
    hj_buf b = {0};
    for (int64_t i = 0; i < left; i++)
        hyp_hj_buf_put(c, &b, fill.s, fill.len);
    hyp_hj_buf_put(c, &b, s.s, s.len);
    for (int64_t i = left; i < total; i++)
        hyp_hj_buf_put(c, &b, fill.s, fill.len);
    return hyp_hj_buf_str(&b);
}
SIMPLE(m_ljust, pad(c, s, args, -1))
SIMPLE(m_rjust, pad(c, s, args, 1))
SIMPLE(m_center, pad(c, s, args, 0))
METHOD(m_zfill) {
    hj_val digits[2] = {hyp_hj_arg(args, 0, NULL), hj_str("0")};
    bool sign = s.len > 0 && (s.s[0] == '-' || s.s[0] == '+');
    if (!sign || digits[0].kind != HJ_INT || digits[0].i < 1)
        return pad(c, s, &(hj_args){.pos = digits, .npos = args->npos > 0 ? 2 : 0}, 1);
    digits[0].i--;
    hj_val rest = pad(c, hj_strn(s.s + 1, s.len - 1u), &(hj_args){.pos = digits, .npos = 2}, 1);
    return hyp_hj_binary(c, HJ_ADD, hj_strn(s.s, 1), rest);
}

hj_fn hyp_hj_method_str(const char *name, size_t n) {
    static const hj_named table[] = {{"strip", m_strip},
                                     {"lstrip", m_lstrip},
                                     {"rstrip", m_rstrip},
                                     {"split", m_split},
                                     {"rsplit", m_rsplit},
                                     {"splitlines", m_splitlines},
                                     {"startswith", m_startswith},
                                     {"endswith", m_endswith},
                                     {"replace", m_replace},
                                     {"upper", m_upper},
                                     {"lower", m_lower},
                                     {"casefold", m_lower},
                                     {"title", m_title},
                                     {"capitalize", m_capitalize},
                                     {"swapcase", m_swapcase},
                                     {"join", m_join},
                                     {"format", m_format},
                                     {"find", m_find},
                                     {"rfind", m_rfind},
                                     {"index", m_index},
                                     {"rindex", m_rindex},
                                     {"count", m_count},
                                     {"removeprefix", m_removeprefix},
                                     {"removesuffix", m_removesuffix},
                                     {"partition", m_partition},
                                     {"rpartition", m_rpartition},
                                     {"isdigit", m_isdigit},
                                     {"isdecimal", m_isdigit},
                                     {"isnumeric", m_isdigit},
                                     {"isalpha", m_isalpha},
                                     {"isalnum", m_isalnum},
                                     {"isspace", m_isspace},
                                     {"isupper", m_isupper},
                                     {"islower", m_islower},
                                     {"ljust", m_ljust},
                                     {"rjust", m_rjust},
                                     {"center", m_center},
                                     {"zfill", m_zfill}};
    return hyp_hj_find_fn(table, HYP_ARRAY_LEN(table), name, n);
}
