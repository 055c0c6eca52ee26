/* tests.c - what may follow `is`. */
#include "jinja/jinja_priv.h"

#include "base/mem.h"

#define TEST(name, condition)                                                                                          \
    static hj_val name(hj_ctx *c, hj_val v, const hj_args *args) {                                                     \
        (void)c;                                                                                                       \
        (void)args;                                                                                                    \
        return hj_bool(condition);                                                                                     \
    }
#define RELATION(name, op)                                                                                             \
    static hj_val name(hj_ctx *c, hj_val v, const hj_args *args) {                                                     \
        return hj_bool(hyp_hj_relation(c, op, v, hyp_hj_arg(args, 0, NULL)));                                          \
    }

TEST(is_defined, v.kind != HJ_UNDEF)
TEST(is_undefined, v.kind == HJ_UNDEF)
TEST(is_none, v.kind == HJ_NONE)
TEST(is_boolean, v.kind == HJ_BOOL)
TEST(is_true, v.kind == HJ_BOOL && v.b)
TEST(is_false, v.kind == HJ_BOOL && !v.b)
TEST(is_integer, v.kind == HJ_INT)
TEST(is_float, v.kind == HJ_FLOAT)
TEST(is_number, hj_is_num(v))
TEST(is_string, v.kind == HJ_STR)
TEST(is_mapping, v.kind == HJ_DICT)
TEST(is_sequence,
     v.kind == HJ_STR || v.kind == HJ_DICT || v.kind == HJ_UNDEF || (v.kind == HJ_SEQ && v.sub <= HJ_SEQ_RANGE))
TEST(is_iterable, v.kind == HJ_STR || v.kind == HJ_DICT || v.kind == HJ_UNDEF || v.kind == HJ_SEQ || v.kind == HJ_LOOP)
TEST(is_callable, v.kind == HJ_FUNC || v.kind == HJ_LOOP || v.kind == HJ_UNDEF)
TEST(is_escaped, v.kind > HJ_FUNC) /* nothing is: autoescape is off */
TEST(is_filter, v.kind == HJ_STR && hyp_hj_filter_named(v.s, v.len) != NULL)
TEST(is_test, v.kind == HJ_STR && hyp_hj_test_named(v.s, v.len) != NULL)
RELATION(is_eq, HJ_EQ)
RELATION(is_ne, HJ_NE)
RELATION(is_lt, HJ_LT)
RELATION(is_le, HJ_LE)
RELATION(is_gt, HJ_GT)
RELATION(is_ge, HJ_GE)
RELATION(is_in, HJ_IN)

static hj_val modulo(hj_ctx *c, hj_val v, hj_val by) {
    return hyp_hj_binary(c, HJ_MOD, v, by);
}
TEST(is_odd, hyp_hj_equal(c, modulo(c, v, hj_int(2)), hj_int(1)))
TEST(is_even, hyp_hj_equal(c, modulo(c, v, hj_int(2)), hj_int(0)))
TEST(is_divisibleby, hyp_hj_equal(c, modulo(c, v, hyp_hj_arg(args, 0, "num")), hj_int(0)))

static hj_val is_sameas(hj_ctx *c, hj_val v, const hj_args *args) {
    hj_val o = hyp_hj_arg(args, 0, "other");
    if (v.kind != o.kind) return hj_bool(false);
    if (v.kind == HJ_SEQ || v.kind == HJ_DICT || v.kind == HJ_NAMESPACE) return hj_bool(v.list == o.list);
    return hj_bool(hyp_hj_equal(c, v, o));
}

static bool has_case(hj_val v, bool upper) {
    bool seen = false;
    for (size_t i = 0, step; v.kind == HJ_STR && i < v.len; i += step) {
        uint32_t cp = hyp_hj_utf8_next(v.s + i, v.len - i, &step);
        bool is_upper = hyp_hj_lower(cp) != cp, is_lower = hyp_hj_upper(cp) != cp;
        if (upper ? is_lower : is_upper) return false;
        seen |= is_upper || is_lower;
    }
    return seen;
}
TEST(is_lower, has_case(hyp_hj_to_str(c, v), false))
TEST(is_upper, has_case(hyp_hj_to_str(c, v), true))

hj_fn hyp_hj_test_named(const char *name, size_t n) {
    static const hj_named table[] = {{"defined", is_defined},
                                     {"undefined", is_undefined},
                                     {"none", is_none},
                                     {"boolean", is_boolean},
                                     {"true", is_true},
                                     {"false", is_false},
                                     {"integer", is_integer},
                                     {"float", is_float},
                                     {"number", is_number},
                                     {"string", is_string},
                                     {"mapping", is_mapping},
                                     {"sequence", is_sequence},
                                     {"iterable", is_iterable},
                                     {"callable", is_callable},
                                     {"escaped", is_escaped},
                                     {"filter", is_filter},
                                     {"test", is_test},
                                     {"eq", is_eq},
                                     {"equalto", is_eq},
                                     {"ne", is_ne},
                                     {"lt", is_lt},
                                     {"lessthan", is_lt},
                                     {"le", is_le},
                                     {"gt", is_gt},
                                     {"greaterthan", is_gt},
                                     {"ge", is_ge},
                                     {"in", is_in},
                                     {"odd", is_odd},
                                     {"even", is_even},
                                     {"sameas", is_sameas},
                                     {"divisibleby", is_divisibleby},
                                     {"lower", is_lower},
                                     {"upper", is_upper},
                                     {"==", is_eq},
                                     {"!=", is_ne},
                                     {"<", is_lt},
                                     {"<=", is_le},
                                     {">", is_gt},
                                     {">=", is_ge}};
    return hyp_hj_find_fn(table, HYP_ARRAY_LEN(table), name, n);
}
