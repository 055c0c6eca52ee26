/* parse_expr.c - expressions, with Jinja's precedences: if-else, or, and, not, comparisons, + -, ~, * / // %, **, sign,
 * postfix (. [] ()), and filters and tests, which bind closest. */
#include "jinja/ast_priv.h"

static hj_node *parse_or(hj_parser *p);
static hj_node *parse_unary(hj_parser *p, bool with_filters);
static hj_node *parse_primary(hj_parser *p);

hj_node *hyp_hj_node_new(hj_parser *p, hj_node_type type) {
    hj_node *n = hyp_hj_alloc0(p->c, 1, sizeof *n);
    n->type = (uint8_t)type;
    n->line = p->tok->line;
    return n;
}

/* Evaluation recurses over the tree, so its depth is bounded here. */
static hj_node *node_with(hj_parser *p, hj_node_type type, int op, hj_node *a, hj_node *b) {
    hj_node *n = hyp_hj_node_new(p, type);
    n->op = (uint8_t)op;
    n->a = a;
    n->b = b;
    unsigned depth = 1;
    if (a != NULL && a->depth >= depth) depth = a->depth + 1u;
    if (b != NULL && b->depth >= depth) depth = b->depth + 1u;
    if (depth > p->c->limits.max_depth)
        hyp_hj_fail(p->c, HYP_ELIMIT, "an expression is nested more than %u deep", p->c->limits.max_depth);
    n->depth = (uint16_t)depth;
    return n;
}

static const char *token_text(const hj_token *t, char buf[32]) {
    switch (t->type) {
    case HJ_T_EOF: return "the end of the template";
    case HJ_T_TEXT: return "text";
    case HJ_T_VAR_BEGIN: return "'{{'";
    case HJ_T_VAR_END: return "'}}'";
    case HJ_T_BLOCK_BEGIN: return "'{%'";
    case HJ_T_BLOCK_END: return "'%}'";
    case HJ_T_CONST: return "a literal";
    case HJ_T_NAME: snprintf(buf, 32, "'%.*s'", (int)(t->val.len < 24 ? t->val.len : 24), t->val.s); return buf;
    default: break;
    }
    static const char *const pairs[] = {"//", "**", "==", "!=", "<=", ">="};
    if (t->op >= HJ_OP_FLOORDIV)
        snprintf(buf, 32, "'%s'", pairs[t->op - HJ_OP_FLOORDIV]);
    else
        snprintf(buf, 32, "'%c'", t->op);
    return buf;
}

void hyp_hj_parse_fail(hj_parser *p, const char *expected) {
    char buf[32];
    p->c->line = p->tok->line;
    hyp_hj_fail(p->c, HYP_EFORMAT, "expected %s, not %s", expected, token_text(p->tok, buf));
}

bool hyp_hj_at_op(const hj_parser *p, int op) {
    return p->tok->type == HJ_T_OP && p->tok->op == op;
}
bool hyp_hj_at_name(const hj_parser *p, const char *name) {
    return p->tok->type == HJ_T_NAME && p->tok->val.len == strlen(name) &&
           memcmp(p->tok->val.s, name, p->tok->val.len) == 0;
}
bool hyp_hj_take_op(hj_parser *p, int op) {
    if (!hyp_hj_at_op(p, op)) return false;
    p->tok++;
    return true;
}
bool hyp_hj_take_name(hj_parser *p, const char *name) {
    if (!hyp_hj_at_name(p, name)) return false;
    p->tok++;
    return true;
}
void hyp_hj_expect_op(hj_parser *p, int op, const char *what) {
    if (!hyp_hj_take_op(p, op)) hyp_hj_parse_fail(p, what);
}

hj_val hyp_hj_expect_name(hj_parser *p) {
    if (p->tok->type != HJ_T_NAME) hyp_hj_parse_fail(p, "a name");
    hj_val v = p->tok->val;
    char *copy = hyp_hj_alloc(p->c, v.len + 1u);
    memcpy(copy, v.s, v.len);
    copy[v.len] = '\0';
    p->tok++;
    return hj_strn(copy, v.len);
}

static void append(hj_node ***tail, hj_node *n) {
    **tail = n; /* NOLINT(clang-analyzer-core.NullDereference): nodes are never NULL, allocating jumps out instead */
    *tail = &n->next;
}

/* A parent's depth over a list of children. */
static hj_node *over_list(hj_parser *p, hj_node_type type, hj_node *items) {
    hj_node *n = hyp_hj_node_new(p, type);
    n->a = items;
    for (const hj_node *i = items; i != NULL; i = i->next)
        if (i->depth >= n->depth) n->depth = (uint16_t)(i->depth + 1);
    if (n->depth > p->c->limits.max_depth)
        hyp_hj_fail(p->c, HYP_ELIMIT, "an expression is nested more than %u deep", p->c->limits.max_depth);
    return n;
}

hj_node *hyp_hj_parse_expr(hj_parser *p) {
    hyp_hj_enter(p->c);
    hj_node *value = parse_or(p);
    while (hyp_hj_take_name(p, "if")) {
        hj_node *test = parse_or(p);
        hj_node *other = hyp_hj_take_name(p, "else") ? hyp_hj_parse_expr(p) : NULL;
        hj_node *n = node_with(p, HJ_N_COND, 0, test, value);
        n->c = other;
        if (other != NULL && other->depth >= n->depth) n->depth = (uint16_t)(other->depth + 1);
        value = n;
    }
    hyp_hj_leave(p->c);
    return value;
}

static hj_node *parse_not(hj_parser *p);

static hj_node *parse_and(hj_parser *p) {
    hj_node *left = parse_not(p);
    while (hyp_hj_take_name(p, "and"))
        left = node_with(p, HJ_N_AND, 0, left, parse_not(p));
    return left;
}

static hj_node *parse_or(hj_parser *p) {
    hj_node *left = parse_and(p);
    while (hyp_hj_take_name(p, "or"))
        left = node_with(p, HJ_N_OR, 0, left, parse_and(p));
    return left;
}

static hj_node *parse_concat(hj_parser *p);

static hj_node *parse_sum(hj_parser *p) {
    hj_node *left = parse_concat(p);
    while (hyp_hj_at_op(p, '+') || hyp_hj_at_op(p, '-')) {
        int op = p->tok++->op == '+' ? HJ_ADD : HJ_SUB;
        left = node_with(p, HJ_N_BINARY, op, left, parse_concat(p));
    }
    return left;
}

static int relation(hj_parser *p) {
    static const struct {
        uint16_t op;
        int relation;
    } ops[] = {{HJ_OP_EQ, HJ_EQ}, {HJ_OP_NE, HJ_NE}, {'<', HJ_LT}, {HJ_OP_LE, HJ_LE}, {'>', HJ_GT}, {HJ_OP_GE, HJ_GE}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (hyp_hj_take_op(p, ops[i].op)) return ops[i].relation;
    if (hyp_hj_take_name(p, "in")) return HJ_IN;
    if (hyp_hj_at_name(p, "not")) {
        p->tok++;
        if (hyp_hj_take_name(p, "in")) return HJ_NOT_IN;
        p->tok--;
    }
    return -1;
}

static hj_node *parse_compare(hj_parser *p) {
    hj_node *left = parse_sum(p), *head = NULL, **tail = &head;
    for (int op; (op = relation(p)) >= 0;)
        append(&tail, node_with(p, HJ_N_RELATION, op, parse_sum(p), NULL));
    if (head == NULL) return left;
    return node_with(p, HJ_N_COMPARE, 0, left, over_list(p, HJ_N_LIST, head));
}

static hj_node *parse_not(hj_parser *p) {
    if (!hyp_hj_take_name(p, "not")) return parse_compare(p);
    hyp_hj_enter(p->c);
    hj_node *n = node_with(p, HJ_N_NOT, 0, parse_not(p), NULL);
    hyp_hj_leave(p->c);
    return n;
}

static hj_node *parse_power(hj_parser *p) {
    hj_node *left = parse_unary(p, true);
    while (hyp_hj_take_op(p, HJ_OP_POW))
        left = node_with(p, HJ_N_BINARY, HJ_POW, left, parse_unary(p, true));
    return left;
}

static hj_node *parse_product(hj_parser *p) {
    hj_node *left = parse_power(p);
    for (;;) {
        int op = hyp_hj_at_op(p, '*')              ? HJ_MUL
                 : hyp_hj_at_op(p, '/')            ? HJ_DIV
                 : hyp_hj_at_op(p, HJ_OP_FLOORDIV) ? HJ_FLOORDIV
                 : hyp_hj_at_op(p, '%')            ? HJ_MOD
                                                   : -1;
        if (op < 0) return left;
        p->tok++;
        left = node_with(p, HJ_N_BINARY, op, left, parse_power(p));
    }
}

static hj_node *parse_concat(hj_parser *p) {
    hj_node *left = parse_product(p);
    while (hyp_hj_take_op(p, '~'))
        left = node_with(p, HJ_N_BINARY, HJ_CONCAT, left, parse_product(p));
    return left;
}

/* The arguments in parentheses, the opening one already taken. */
static hj_node *parse_args(hj_parser *p) {
    hj_node *head = NULL, **tail = &head;
    while (!hyp_hj_take_op(p, ')')) {
        if (head != NULL) {
            hyp_hj_expect_op(p, ',', "',' or ')'");
            if (hyp_hj_take_op(p, ')')) break;
        }
        hj_val name = HJ_NIL;
        int op = hyp_hj_take_op(p, '*') ? '*' : hyp_hj_take_op(p, HJ_OP_POW) ? 'd' : 0;
        if (op == 0 && p->tok->type == HJ_T_NAME && p->tok[1].type == HJ_T_OP && p->tok[1].op == '=') {
            name = hyp_hj_expect_name(p);
            p->tok++;
            op = '=';
        }
        hj_node *arg = node_with(p, HJ_N_ARG, op, hyp_hj_parse_expr(p), NULL);
        arg->val = name;
        append(&tail, arg);
    }
    return head;
}

static hj_node *with_args(hj_parser *p, hj_node_type type, hj_node *a, hj_node *args) {
    hj_node *list = args != NULL ? over_list(p, HJ_N_LIST, args) : NULL;
    hj_node *n = node_with(p, type, 0, a, list);
    n->b = args;
    return n;
}

/* What stands in brackets: an index, a tuple, or a slice. */
static hj_node *parse_subscript(hj_parser *p, hj_node *base) {
    hj_node *parts[3] = {NULL, NULL, NULL};
    int part = 0;
    bool slice = false, tuple = false;
    hj_node *head = NULL, **tail = &head;
    while (!hyp_hj_at_op(p, ']')) {
        if (hyp_hj_take_op(p, ':')) {
            slice = true;
            if (++part > 2) hyp_hj_parse_fail(p, "']'");
        } else if (head != NULL && hyp_hj_take_op(p, ',')) {
            tuple = true;
        } else {
            if (parts[part] != NULL && !tuple) hyp_hj_parse_fail(p, "']'");
            parts[part] = hyp_hj_parse_expr(p);
            if (!slice) append(&tail, parts[part]);
        }
    }
    p->tok++;
    if (slice && tuple) hyp_hj_parse_fail(p, "a slice without commas");
    if (!slice && head == NULL) hyp_hj_parse_fail(p, "an index");
    if (!slice) return node_with(p, HJ_N_ITEM, 0, base, tuple ? over_list(p, HJ_N_TUPLE, head) : head);
    hj_node *n = node_with(p, HJ_N_SLICE, 0, base, parts[0]);
    n->c = parts[1];
    n->d = parts[2];
    for (int i = 1; i < 3; i++)
        if (parts[i] != NULL && parts[i]->depth >= n->depth) n->depth = (uint16_t)(parts[i]->depth + 1);
    return n;
}

hj_node *hyp_hj_parse_postfix(hj_parser *p, hj_node *n) {
    for (;;) {
        if (hyp_hj_take_op(p, '.')) {
            if (p->tok->type == HJ_T_CONST && p->tok->val.kind == HJ_INT) {
                hj_node *index = hyp_hj_node_new(p, HJ_N_CONST);
                index->val = p->tok++->val;
                n = node_with(p, HJ_N_ITEM, 0, n, index);
            } else {
                hj_node *attr = node_with(p, HJ_N_ATTR, 0, n, NULL);
                attr->val = hyp_hj_expect_name(p);
                n = attr;
            }
        } else if (hyp_hj_take_op(p, '[')) {
            n = parse_subscript(p, n);
        } else if (hyp_hj_take_op(p, '(')) {
            n = with_args(p, HJ_N_CALL, n, parse_args(p));
        } else {
            return n;
        }
    }
}

/* A filter's or a test's name, which may hold dots. */
static hj_val dotted_name(hj_parser *p) {
    hj_val name = hyp_hj_expect_name(p);
    while (hyp_hj_at_op(p, '.') && p->tok[1].type == HJ_T_NAME) {
        p->tok++;
        hj_val more = hyp_hj_expect_name(p);
        char *joined = hyp_hj_alloc(p->c, name.len + more.len + 2u);
        memcpy(joined, name.s, name.len);
        joined[name.len] = '.';
        memcpy(joined + name.len + 1, more.s, more.len + 1u);
        name = hj_strn(joined, name.len + 1u + more.len);
    }
    return name;
}

static hj_node *parse_filter(hj_parser *p, hj_node *input) {
    hj_val name = dotted_name(p);
    hj_node *n = with_args(p, HJ_N_FILTER, input, hyp_hj_take_op(p, '(') ? parse_args(p) : NULL);
    n->val = name;
    n->fn = hyp_hj_filter_named(name.s, name.len);
    return n;
}

static hj_node *parse_test(hj_parser *p, hj_node *input) {
    bool negated = hyp_hj_take_name(p, "not");
    hj_val name = dotted_name(p);
    hj_node *args = NULL;
    if (hyp_hj_take_op(p, '(')) {
        args = parse_args(p);
    } else if ((p->tok->type == HJ_T_NAME && !hyp_hj_at_name(p, "else") && !hyp_hj_at_name(p, "or") &&
                !hyp_hj_at_name(p, "and") && !hyp_hj_at_name(p, "is")) ||
               p->tok->type == HJ_T_CONST || hyp_hj_at_op(p, '(') || hyp_hj_at_op(p, '[') || hyp_hj_at_op(p, '{')) {
        args = node_with(p, HJ_N_ARG, 0, hyp_hj_parse_postfix(p, parse_primary(p)), NULL);
    }
    hj_node *n = with_args(p, HJ_N_TEST, input, args);
    n->op = negated;
    n->val = name;
    n->fn = hyp_hj_test_named(name.s, name.len);
    return n;
}

hj_node *hyp_hj_parse_filters(hj_parser *p, hj_node *n, bool first_without_bar) {
    if (first_without_bar) n = parse_filter(p, n);
    for (;;) {
        if (hyp_hj_take_op(p, '|'))
            n = parse_filter(p, n);
        else if (hyp_hj_take_name(p, "is"))
            n = parse_test(p, n);
        else if (hyp_hj_take_op(p, '('))
            n = with_args(p, HJ_N_CALL, n, parse_args(p));
        else
            return n;
    }
}

static hj_node *parse_unary(hj_parser *p, bool with_filters) {
    hyp_hj_enter(p->c);
    hj_node *n;
    if (hyp_hj_at_op(p, '-') || hyp_hj_at_op(p, '+')) {
        int op = p->tok++->op;
        n = node_with(p, HJ_N_SIGN, op, parse_unary(p, false), NULL);
    } else {
        n = parse_primary(p);
    }
    n = hyp_hj_parse_postfix(p, n);
    if (with_filters) n = hyp_hj_parse_filters(p, n, false);
    hyp_hj_leave(p->c);
    return n;
}

static hj_node *parse_list(hj_parser *p) {
    hj_node *head = NULL, **tail = &head;
    while (!hyp_hj_take_op(p, ']')) {
        if (head != NULL) {
            hyp_hj_expect_op(p, ',', "',' or ']'");
            if (hyp_hj_take_op(p, ']')) break;
        }
        hj_node *item = hyp_hj_parse_expr(p);
        append(&tail, item);
    }
    return over_list(p, HJ_N_LIST, head);
}

static hj_node *parse_dict(hj_parser *p) {
    hj_node *head = NULL, **tail = &head;
    while (!hyp_hj_take_op(p, '}')) {
        if (head != NULL) {
            hyp_hj_expect_op(p, ',', "',' or '}'");
            if (hyp_hj_take_op(p, '}')) break;
        }
        hj_node *key = hyp_hj_parse_expr(p);
        hyp_hj_expect_op(p, ':', "':'");
        hj_node *val = hyp_hj_parse_expr(p);
        append(&tail, key);
        append(&tail, val);
    }
    return over_list(p, HJ_N_DICT, head);
}

static bool constant_name(const hj_parser *p, hj_val *ret) {
    if (hyp_hj_at_name(p, "true") || hyp_hj_at_name(p, "True"))
        *ret = hj_bool(true);
    else if (hyp_hj_at_name(p, "false") || hyp_hj_at_name(p, "False"))
        *ret = hj_bool(false);
    else if (hyp_hj_at_name(p, "none") || hyp_hj_at_name(p, "None"))
        *ret = HJ_NULL;
    else
        return false;
    return true;
}

static hj_node *parse_const(hj_parser *p) {
    hj_node *n = hyp_hj_node_new(p, HJ_N_CONST);
    n->val = p->tok++->val;
    if (n->val.kind != HJ_STR || p->tok->type != HJ_T_CONST || p->tok->val.kind != HJ_STR) return n;
    hj_buf text = {0}; /* adjacent strings are one */
    hyp_hj_buf_put(p->c, &text, n->val.s, n->val.len);
    for (; p->tok->type == HJ_T_CONST && p->tok->val.kind == HJ_STR; p->tok++)
        hyp_hj_buf_put(p->c, &text, p->tok->val.s, p->tok->val.len);
    n->val = hyp_hj_buf_str(&text);
    return n;
}

static hj_node *parse_primary(hj_parser *p) {
    hj_val constant;
    p->c->line = p->tok->line;
    if (p->tok->type == HJ_T_CONST) return parse_const(p);
    if (p->tok->type == HJ_T_NAME) {
        if (constant_name(p, &constant)) {
            hj_node *n = hyp_hj_node_new(p, HJ_N_CONST);
            n->val = constant;
            p->tok++;
            return n;
        }
        hj_node *n = hyp_hj_node_new(p, HJ_N_NAME);
        n->val = hyp_hj_expect_name(p);
        return n;
    }
    if (hyp_hj_take_op(p, '[')) return parse_list(p);
    if (hyp_hj_take_op(p, '{')) return parse_dict(p);
    if (!hyp_hj_take_op(p, '(')) hyp_hj_parse_fail(p, "an expression");
    if (hyp_hj_take_op(p, ')')) return over_list(p, HJ_N_TUPLE, NULL);
    hj_node *n = hyp_hj_parse_tuple(p, true);
    hyp_hj_expect_op(p, ')', "')'");
    return n;
}

static bool at_tuple_end(const hj_parser *p) {
    return p->tok->type == HJ_T_VAR_END || p->tok->type == HJ_T_BLOCK_END || hyp_hj_at_op(p, ')') ||
           hyp_hj_at_name(p, "recursive");
}

hj_node *hyp_hj_parse_tuple(hj_parser *p, bool with_condition) {
    hj_node *head = with_condition ? hyp_hj_parse_expr(p) : parse_or(p), **tail = &head->next;
    if (!hyp_hj_at_op(p, ',')) return head;
    while (hyp_hj_take_op(p, ',') && !at_tuple_end(p)) {
        hj_node *item = with_condition ? hyp_hj_parse_expr(p) : parse_or(p);
        append(&tail, item);
    }
    return over_list(p, HJ_N_TUPLE, head);
}

hj_node *hyp_hj_parse_target(hj_parser *p) {
    hyp_hj_enter(p->c);
    hj_node *head = NULL, **tail = &head;
    bool tuple = false;
    do {
        hj_node *n;
        if (tuple && p->tok->type != HJ_T_NAME && !hyp_hj_at_op(p, '(')) break;
        if (hyp_hj_take_op(p, '(')) {
            n = hyp_hj_parse_target(p);
            hyp_hj_expect_op(p, ')', "')'");
        } else {
            n = hyp_hj_node_new(p, HJ_N_NAME);
            n->val = hyp_hj_expect_name(p);
        }
        append(&tail, n);
        if (hyp_hj_at_op(p, ',')) tuple = true;
    } while (hyp_hj_take_op(p, ','));
    hyp_hj_leave(p->c);
    return tuple ? over_list(p, HJ_N_TUPLE, head) : head;
}
