/* ops.c - operators, attribute and item access, slices. */
#include "jinja/jinja_priv.h"

#include <math.h>

#include "base/mem.h"

static _Noreturn void bad_operands(hj_ctx *c, const char *op, hj_val a, hj_val b) {
    if (a.kind == HJ_UNDEF || b.kind == HJ_UNDEF) {
        hj_val u = a.kind == HJ_UNDEF ? a : b;
        hyp_hj_fail(c, HYP_EFORMAT, "'%s' is undefined", u.s != NULL ? u.s : "value");
    }
    hyp_hj_fail(c, HYP_EFORMAT, "unsupported operand types for %s: '%s' and '%s'", op, hyp_hj_type_name(a),
                hyp_hj_type_name(b));
}

static hj_val concat(hj_ctx *c, hj_val a, hj_val b) {
    if ((uint64_t)a.len + b.len > UINT32_MAX) hyp_hj_fail(c, HYP_ELIMIT, "a string is too long");
    hyp_hj_steps(c, 1 + ((uint64_t)a.len + b.len) / 256);
    char *s = hyp_hj_alloc(c, (size_t)a.len + b.len);
    memcpy(s, a.s, a.len);
    memcpy(s + a.len, b.s, b.len);
    return hj_strn(s, (size_t)a.len + b.len);
}

static hj_val concat_seq(hj_ctx *c, hj_val a, hj_val b) {
    hj_val r = hyp_hj_seq(c, a.sub, a.list->len + b.list->len);
    for (uint32_t i = 0, n = a.list->len; i < n; i++)
        hyp_hj_push(c, r.list, a.list->items[i]);
    for (uint32_t i = 0, n = b.list->len; i < n; i++)
        hyp_hj_push(c, r.list, b.list->items[i]);
    return r;
}

static hj_val repeat(hj_ctx *c, hj_val v, int64_t times) {
    if (times < 0) times = 0;
    uint64_t unit = v.kind == HJ_STR ? v.len : v.list->len;
    if (unit > 0 && (uint64_t)times > UINT32_MAX / unit) hyp_hj_fail(c, HYP_ELIMIT, "a repetition is too long");
    if (v.kind == HJ_STR) {
        hj_buf b = {0};
        for (int64_t i = 0; unit > 0 && i < times; i++)
            hyp_hj_buf_put(c, &b, v.s, v.len);
        return hyp_hj_buf_str(&b);
    }
    hj_val r = hyp_hj_seq(c, v.sub, (uint32_t)(unit * (uint64_t)(unit == 0 ? 0 : times)));
    for (int64_t i = 0; unit > 0 && i < times; i++)
        for (uint32_t k = 0; k < unit; k++)
            hyp_hj_push(c, r.list, v.list->items[k]);
    return r;
}

static int64_t whole(hj_val v) {
    return v.kind == HJ_INT ? v.i : v.b;
}

static hj_val power(hj_ctx *c, int64_t base, int64_t exponent) {
    if (exponent < 0) {
        if (base == 0) hyp_hj_fail(c, HYP_EFORMAT, "zero to a negative power");
        return hj_float(pow((double)base, (double)exponent));
    }
    int64_t r = 1;
    bool overflow = false;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1) overflow |= __builtin_mul_overflow(r, base, &r);
        if (exponent > 1) overflow |= __builtin_mul_overflow(base, base, &base);
        if (overflow) hyp_hj_fail(c, HYP_ELIMIT, "an integer is too large");
    }
    return hj_int(r);
}

static hj_val integer_op(hj_ctx *c, int op, int64_t a, int64_t b) {
    int64_t r = 0;
    bool overflow = false;
    switch (op) {
    case HJ_ADD: overflow = __builtin_add_overflow(a, b, &r); break;
    case HJ_SUB: overflow = __builtin_sub_overflow(a, b, &r); break;
    case HJ_MUL: overflow = __builtin_mul_overflow(a, b, &r); break;
    case HJ_POW: return power(c, a, b);
    default:
        if (b == 0) hyp_hj_fail(c, HYP_EFORMAT, "division by zero");
        if (op == HJ_DIV) return hj_float((double)a / (double)b);
        if (b == -1) { /* the one quotient that overflows */
            overflow = op == HJ_FLOORDIV && __builtin_sub_overflow((int64_t)0, a, &r);
            break;
        }
        r = op == HJ_FLOORDIV ? a / b : a % b;
        if (a % b != 0 && (a < 0) != (b < 0)) r += op == HJ_FLOORDIV ? -1 : b; /* Python rounds down */
    }
    if (overflow) hyp_hj_fail(c, HYP_ELIMIT, "an integer is too large");
    return hj_int(r);
}

static hj_val float_op(hj_ctx *c, int op, double a, double b) {
    if (b == 0 && (op == HJ_DIV || op == HJ_FLOORDIV || op == HJ_MOD)) hyp_hj_fail(c, HYP_EFORMAT, "division by zero");
    switch (op) {
    case HJ_ADD: return hj_float(a + b);
    case HJ_SUB: return hj_float(a - b);
    case HJ_MUL: return hj_float(a * b);
    case HJ_DIV: return hj_float(a / b);
    case HJ_FLOORDIV: return hj_float(floor(a / b));
    case HJ_POW: return hj_float(pow(a, b));
    default: break;
    }
    double m = fmod(a, b);
    return hj_float(m != 0 && (m < 0) != (b < 0) ? m + b : m);
}

hj_val hyp_hj_binary(hj_ctx *c, int op, hj_val a, hj_val b) {
    static const char *const names[] = {"+", "-", "*", "/", "//", "%", "**", "~"};
    if (op == HJ_CONCAT) return concat(c, hyp_hj_to_str(c, a), hyp_hj_to_str(c, b));
    if (hj_is_num(a) && hj_is_num(b)) {
        if (a.kind == HJ_FLOAT || b.kind == HJ_FLOAT) return float_op(c, op, hyp_hj_number(a), hyp_hj_number(b));
        return integer_op(c, op, whole(a), whole(b));
    }
    if (op == HJ_ADD && a.kind == HJ_STR && b.kind == HJ_STR) return concat(c, a, b);
    bool lists = a.kind == HJ_SEQ && b.kind == HJ_SEQ && a.sub == b.sub && a.sub <= HJ_SEQ_TUPLE;
    if (op == HJ_ADD && lists) return concat_seq(c, a, b);
    if (op == HJ_MUL) {
        hj_val seq = hj_is_num(a) ? b : a, n = hj_is_num(a) ? a : b;
        bool repeats = seq.kind == HJ_STR || (seq.kind == HJ_SEQ && seq.sub <= HJ_SEQ_TUPLE);
        if (repeats && (n.kind == HJ_INT || n.kind == HJ_BOOL)) return repeat(c, seq, whole(n));
    }
    if (op == HJ_MOD && a.kind == HJ_STR) {
        hj_args args = {.pos = &b, .npos = 1};
        if (b.kind == HJ_SEQ && b.sub == HJ_SEQ_TUPLE) args = (hj_args){.pos = b.list->items, .npos = b.list->len};
        return hyp_hj_format_percent(c, a, &args);
    }
    bad_operands(c, names[op], a, b);
}

hj_val hyp_hj_negate(hj_ctx *c, hj_val v, bool minus) {
    if (v.kind == HJ_FLOAT) return hj_float(minus ? -v.f : v.f);
    if (v.kind == HJ_INT || v.kind == HJ_BOOL) return minus ? integer_op(c, HJ_SUB, 0, whole(v)) : hj_int(whole(v));
    if (v.kind == HJ_UNDEF) hyp_hj_fail(c, HYP_EFORMAT, "'%s' is undefined", v.s != NULL ? v.s : "value");
    hyp_hj_fail(c, HYP_EFORMAT, "bad operand type for unary %c: '%s'", minus ? '-' : '+', hyp_hj_type_name(v));
}

bool hyp_hj_relation(hj_ctx *c, int op, hj_val a, hj_val b) {
    switch (op) {
    case HJ_EQ: return hyp_hj_equal(c, a, b);
    case HJ_NE: return !hyp_hj_equal(c, a, b);
    case HJ_IN: return hyp_hj_contains(c, b, a);
    case HJ_NOT_IN: return !hyp_hj_contains(c, b, a);
    default: break;
    }
    int order = hyp_hj_compare(c, a, b);
    if (order == 2 && hj_is_num(a)) return false; /* not a number */
    return op == HJ_LT ? order < 0 : op == HJ_LE ? order <= 0 : op == HJ_GT ? order > 0 : order >= 0;
}

/* --- access --- */

static hj_val bound(hj_ctx *c, hj_fn fn, hj_val self, const char *name, size_t n) {
    hj_func *f = hyp_hj_alloc0(c, 1, sizeof *f);
    f->fn = fn;
    f->self = self;
    f->name = hyp_hj_undef(c, name, n).s;
    return (hj_val){.kind = HJ_FUNC, .func = f};
}

static bool method(hj_ctx *c, hj_val v, const char *name, size_t n, hj_val *ret) {
    hj_fn fn = v.kind == HJ_STR ? hyp_hj_method_str(name, n) : hyp_hj_method_coll(v, name, n);
    if (fn == NULL) return false;
    *ret = bound(c, fn, v, name, n);
    return true;
}

static hj_val loop_attr(hj_ctx *c, const hj_loop *l, const char *name, size_t n) {
    const struct {
        const char *name;
        hj_val val;
    } attrs[] = {{"index", hj_int((int64_t)l->index0 + 1)},
                 {"index0", hj_int(l->index0)},
                 {"first", hj_bool(l->index0 == 0)},
                 {"last", hj_bool(l->index0 + 1 >= l->items->len)},
                 {"length", hj_int(l->items->len)},
                 {"revindex", hj_int((int64_t)l->items->len - l->index0)},
                 {"revindex0", hj_int((int64_t)l->items->len - l->index0 - 1)},
                 {"depth", hj_int((int64_t)l->depth0 + 1)},
                 {"depth0", hj_int(l->depth0)}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(attrs); i++)
        if (strlen(attrs[i].name) == n && memcmp(attrs[i].name, name, n) == 0) return attrs[i].val;
    if (n == 8 && memcmp(name, "previtem", n) == 0 && l->index0 > 0) return l->items->items[l->index0 - 1];
    if (n == 8 && memcmp(name, "nextitem", n) == 0 && l->index0 + 1 < l->items->len)
        return l->items->items[l->index0 + 1];
    return hyp_hj_undef(c, name, n);
}

static _Noreturn void access_undefined(hj_ctx *c, hj_val v) {
    hyp_hj_fail(c, HYP_EFORMAT, "'%.80s' is undefined", v.s != NULL ? v.s : "value");
}

hj_val hyp_hj_get_attr(hj_ctx *c, hj_val v, const char *name, size_t n) {
    hyp_hj_steps(c, 1);
    hj_val found;
    if (v.kind == HJ_UNDEF) access_undefined(c, v);
    if (v.kind == HJ_NAMESPACE) {
        const hj_entry *e = hyp_hj_dict_find(c, v.dict, hj_strn(name, n));
        return e != NULL ? e->val : hyp_hj_undef(c, name, n);
    }
    if (method(c, v, name, n, &found)) return found; /* Python's attributes come before a dictionary's items */
    if (v.kind == HJ_LOOP) return loop_attr(c, v.loop, name, n);
    if (v.kind == HJ_FUNC && v.func->macro != NULL && n == 4 && memcmp(name, "name", 4) == 0)
        return hj_str(v.func->name);
    if (v.kind == HJ_DICT) {
        const hj_entry *e = hyp_hj_dict_find(c, v.dict, hj_strn(name, n));
        if (e != NULL) return e->val;
    }
    return hyp_hj_undef(c, name, n);
}

hj_val hyp_hj_get_item(hj_ctx *c, hj_val v, hj_val key) {
    hyp_hj_steps(c, 1);
    hj_val found;
    if (v.kind == HJ_UNDEF) access_undefined(c, v);
    if (v.kind == HJ_DICT) {
        bool hashable = key.kind != HJ_DICT && !(key.kind == HJ_SEQ && key.sub != HJ_SEQ_TUPLE);
        const hj_entry *e = hashable ? hyp_hj_dict_find(c, v.dict, key) : NULL;
        if (e != NULL) return e->val;
    } else if (key.kind == HJ_INT || key.kind == HJ_BOOL) {
        int64_t i = whole(key);
        if (v.kind == HJ_SEQ && v.sub <= HJ_SEQ_RANGE) {
            if (i < 0) i += v.list->len;
            if (i >= 0 && i < v.list->len) return v.list->items[i];
        } else if (v.kind == HJ_STR) {
            hyp_hj_steps(c, v.len / 64);
            int64_t n = (int64_t)hyp_hj_utf8_count(v.s, v.len);
            if (i < 0) i += n;
            if (i >= 0 && i < n) {
                size_t at = hyp_hj_utf8_offset(v.s, v.len, (size_t)i), step;
                hyp_hj_utf8_next(v.s + at, v.len - at, &step);
                return hj_strn(v.s + at, step);
            }
        }
    }
    if (key.kind != HJ_STR) {
        hj_val text = hyp_hj_to_str(c, key);
        return hyp_hj_undef(c, text.s, HYP_MIN(text.len, 80u));
    }
    if (v.kind == HJ_NAMESPACE || v.kind == HJ_LOOP) return hyp_hj_get_attr(c, v, key.s, key.len);
    return method(c, v, key.s, key.len, &found) ? found : hyp_hj_undef(c, key.s, key.len);
}

hj_val hyp_hj_get_path(hj_ctx *c, hj_val v, hj_val path, hj_val fallback) {
    bool falls = fallback.kind != HJ_UNDEF && fallback.kind != HJ_NONE;
    if (path.kind != HJ_STR) {
        v = hyp_hj_get_item(c, v, path);
        return falls && v.kind == HJ_UNDEF ? fallback : v;
    }
    for (const char *s = path.s, *end = path.s + path.len; s <= end;) {
        const char *dot = s < end ? memchr(s, '.', (size_t)(end - s)) : NULL;
        size_t n = (size_t)((dot != NULL ? dot : end) - s);
        int64_t index = 0;
        bool number = n > 0 && n < 10;
        for (size_t i = 0; i < n && number; i++) {
            number = s[i] >= '0' && s[i] <= '9';
            index = index * 10 + (s[i] - '0');
        }
        v = hyp_hj_get_item(c, v, number ? hj_int(index) : hj_strn(s, n));
        if (falls && v.kind == HJ_UNDEF) v = fallback; /* at every step, as jinja2 does */
        if (dot == NULL) break;
        s = dot + 1;
    }
    return v;
}

/* Python's slice.indices(): bounds of a slice over n items. */
static int64_t bound_index(hj_ctx *c, hj_val v, int64_t n, int64_t step, bool start) {
    if (v.kind == HJ_NONE || v.kind == HJ_UNDEF) return start ? (step > 0 ? 0 : n - 1) : (step > 0 ? n : -1);
    if (v.kind != HJ_INT && v.kind != HJ_BOOL) hyp_hj_fail(c, HYP_EFORMAT, "slice indices must be integers or None");
    int64_t i = whole(v), low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    if (i < 0) i = i < -n ? low : i + n;
    return i < low ? low : i > high ? high : i;
}

hj_val hyp_hj_slice(hj_ctx *c, hj_val v, hj_val start, hj_val stop, hj_val step) {
    if (v.kind == HJ_UNDEF) access_undefined(c, v);
    if (v.kind != HJ_STR && !(v.kind == HJ_SEQ && v.sub <= HJ_SEQ_RANGE)) return hyp_hj_undef(c, "slice", 5);
    int64_t by = step.kind == HJ_NONE || step.kind == HJ_UNDEF ? 1 : step.kind == HJ_INT ? step.i : 0;
    if (by == 0 || by == INT64_MIN) hyp_hj_fail(c, HYP_EFORMAT, "a slice's step must be a whole number other than 0");
    hyp_hj_steps(c, v.kind == HJ_STR ? v.len / 64 : 1);
    int64_t n = v.kind == HJ_STR ? (int64_t)hyp_hj_utf8_count(v.s, v.len) : v.list->len;
    int64_t from = bound_index(c, start, n, by, true), to = bound_index(c, stop, n, by, false);
    if (v.kind == HJ_STR && by == 1) {
        if (from >= to) return hj_str("");
        size_t at = hyp_hj_utf8_offset(v.s, v.len, (size_t)from);
        return hj_strn(v.s + at, hyp_hj_utf8_offset(v.s + at, v.len - at, (size_t)(to - from)));
    }
    const hj_list *items = hyp_hj_iterate(c, v);
    hj_val r = hyp_hj_seq(c, v.kind == HJ_SEQ ? v.sub : HJ_SEQ_LIST, 0);
    for (int64_t i = from; by > 0 ? i < to : i > to;) {
        hyp_hj_push(c, r.list, items->items[i]);
        if (__builtin_add_overflow(i, by, &i)) break;
    }
    return v.kind == HJ_STR ? hyp_hj_str_join(c, hj_str(""), r.list, true) : r;
}
