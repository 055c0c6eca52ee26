/* eval.c - expressions to values, by walking the tree. */
#include "jinja/ast_priv.h"

static hj_val eval_items(hj_ctx *c, const hj_node *n, int sub) {
    hj_val v = hj_seq(c, sub, 0);
    for (const hj_node *i = n->a; i != NULL; i = i->next)
        hj_push(c, v.list, hj_eval(c, i));
    return v;
}

static hj_val eval_dict(hj_ctx *c, const hj_node *n) {
    hj_val v = hj_dict_new(c);
    for (const hj_node *i = n->a; i != NULL; i = i->next->next) {
        hj_val key = hj_eval(c, i);
        hj_dict_set(c, v.dict, key, hj_eval(c, i->next));
    }
    return v;
}

static hj_val eval_compare(hj_ctx *c, const hj_node *n) {
    hj_val left = hj_eval(c, n->a);
    for (const hj_node *r = n->b->a; r != NULL; r = r->next) {
        hj_val right = hj_eval(c, r->a);
        if (!hj_relation(c, r->op, left, right)) return hj_bool(false);
        left = right;
    }
    return hj_bool(true);
}

static void count_args(hj_ctx *c, const hj_node *list, uint32_t *npos, uint32_t *nkw) {
    *npos = *nkw = 0;
    for (const hj_node *n = list; n != NULL; n = n->next) {
        hj_steps(c, 1);
        *npos += n->op == 0;
        *nkw += n->op == '=';
    }
}

/* Append what *sequence and **dictionary arguments hold. */
static void spread(hj_ctx *c, const hj_node *n, hj_list *pos, hj_list *kw) {
    hj_val v = hj_eval(c, n->a);
    if (n->op == '*') {
        const hj_list *items = hj_iterate(c, v);
        for (uint32_t i = 0; i < items->len; i++)
            hj_push(c, pos, items->items[i]);
        return;
    }
    if (v.kind != HJ_DICT) hj_fail(c, HYP_EFORMAT, "argument after ** must be a mapping, not %s", hj_type_name(v));
    for (uint32_t i = 0; i < v.dict->len; i++) {
        if (v.dict->entries[i].key.kind != HJ_STR) hj_fail(c, HYP_EFORMAT, "keywords must be strings");
        hj_push(c, kw, v.dict->entries[i].key);
        hj_push(c, kw, v.dict->entries[i].val);
    }
}

static hj_args eval_spread_args(hj_ctx *c, const hj_node *list) {
    hj_list pos = {0}, kw = {0};
    for (const hj_node *n = list; n != NULL; n = n->next) {
        if (n->op == 0) {
            hj_push(c, &pos, hj_eval(c, n->a));
        } else if (n->op == '=') {
            hj_push(c, &kw, n->val);
            hj_push(c, &kw, hj_eval(c, n->a));
        } else {
            spread(c, n, &pos, &kw);
        }
    }
    hj_kw *pairs = hj_alloc0(c, kw.len / 2 + 1, sizeof *pairs);
    for (uint32_t i = 0; i < kw.len / 2; i++) {
        hj_val name = kw.items[i * 2];
        pairs[i] = (hj_kw){.name = hj_undef(c, name.s, name.len).s, .val = kw.items[i * 2 + 1]};
    }
    return (hj_args){.pos = pos.items, .npos = pos.len, .kw = pairs, .nkw = kw.len / 2};
}

hj_args hj_eval_args(hj_ctx *c, const hj_node *list) {
    hj_args args = {0};
    if (list == NULL) return args;
    for (const hj_node *n = list; n != NULL; n = n->next)
        if (n->op == '*' || n->op == 'd') return eval_spread_args(c, list);
    count_args(c, list, &args.npos, &args.nkw);
    hj_val *pos = hj_alloc0(c, args.npos + 1u, sizeof *pos);
    hj_kw *kw = hj_alloc0(c, args.nkw + 1u, sizeof *kw);
    uint32_t p = 0, k = 0;
    for (const hj_node *n = list; n != NULL; n = n->next) {
        if (n->op == 0) {
            pos[p++] = hj_eval(c, n->a);
        } else {
            kw[k].name = n->val.s;
            kw[k++].val = hj_eval(c, n->a);
        }
    }
    args.pos = pos;
    args.kw = kw;
    return args;
}

static hj_val eval_filter(hj_ctx *c, const hj_node *n) {
    if (n->fn == NULL) hj_fail(c, HYP_EUNSUPPORTED, "no filter named '%.60s'", n->val.s);
    hj_val input = hj_eval(c, n->a);
    hj_args args = hj_eval_args(c, n->b);
    c->line = n->line;
    return n->fn(c, input, &args);
}

static hj_val eval_test(hj_ctx *c, const hj_node *n) {
    if (n->fn == NULL) hj_fail(c, HYP_EUNSUPPORTED, "no test named '%.60s'", n->val.s);
    hj_val input = hj_eval(c, n->a);
    hj_args args = hj_eval_args(c, n->b);
    c->line = n->line;
    return hj_bool(hj_truth(n->fn(c, input, &args)) != (n->op == 1));
}

static hj_val eval_node(hj_ctx *c, const hj_node *n) {
    hj_val a;
    switch ((hj_node_type)n->type) {
    case HJ_N_CONST: return n->val;
    case HJ_N_NAME: return hj_lookup(c, n->val.s, n->val.len);
    case HJ_N_HOLE: return c->hole;
    case HJ_N_LIST: return eval_items(c, n, HJ_SEQ_LIST);
    case HJ_N_TUPLE: return eval_items(c, n, HJ_SEQ_TUPLE);
    case HJ_N_DICT: return eval_dict(c, n);
    case HJ_N_COND:
        if (hj_truth(hj_eval(c, n->a))) return hj_eval(c, n->b);
        return n->c != NULL ? hj_eval(c, n->c) : HJ_NIL;
    case HJ_N_AND: a = hj_eval(c, n->a); return hj_truth(a) ? hj_eval(c, n->b) : a;
    case HJ_N_OR: a = hj_eval(c, n->a); return hj_truth(a) ? a : hj_eval(c, n->b);
    case HJ_N_NOT: return hj_bool(!hj_truth(hj_eval(c, n->a)));
    case HJ_N_SIGN: return hj_negate(c, hj_eval(c, n->a), n->op == '-');
    case HJ_N_BINARY: a = hj_eval(c, n->a); return hj_binary(c, n->op, a, hj_eval(c, n->b));
    case HJ_N_COMPARE: return eval_compare(c, n);
    case HJ_N_ATTR: return hj_get_attr(c, hj_eval(c, n->a), n->val.s, n->val.len);
    case HJ_N_ITEM: a = hj_eval(c, n->a); return hj_get_item(c, a, hj_eval(c, n->b));
    case HJ_N_SLICE: {
        a = hj_eval(c, n->a);
        hj_val start = n->b != NULL ? hj_eval(c, n->b) : HJ_NULL;
        hj_val stop = n->c != NULL ? hj_eval(c, n->c) : HJ_NULL;
        return hj_slice(c, a, start, stop, n->d != NULL ? hj_eval(c, n->d) : HJ_NULL);
    }
    case HJ_N_CALL: {
        a = hj_eval(c, n->a);
        hj_args args = hj_eval_args(c, n->b);
        c->line = n->line;
        return hj_call(c, a, &args);
    }
    case HJ_N_FILTER: return eval_filter(c, n);
    case HJ_N_TEST: return eval_test(c, n);
    default: hj_fail(c, HYP_EFORMAT, "not an expression");
    }
}

hj_val hj_eval(hj_ctx *c, const hj_node *n) {
    hj_steps(c, 1);
    hj_enter(c);
    c->line = n->line;
    hj_val v = eval_node(c, n);
    hj_leave(c);
    return v;
}
