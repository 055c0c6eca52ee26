/* eval.c - expressions to values, by walking the tree. */
#include "jinja/ast_priv.h"

static hj_val eval_items(hj_ctx *c, const hj_node *n, int sub) {
    hj_val v = hyp_hj_seq(c, sub, 0);
    for (const hj_node *i = n->a; i != NULL; i = i->next)
        hyp_hj_push(c, v.list, hyp_hj_eval(c, i));
    return v;
}

static hj_val eval_dict(hj_ctx *c, const hj_node *n) {
    hj_val v = hyp_hj_dict_new(c);
    for (const hj_node *i = n->a; i != NULL; i = i->next->next) {
        hj_val key = hyp_hj_eval(c, i);
        hyp_hj_dict_set(c, v.dict, key, hyp_hj_eval(c, i->next));
    }
    return v;
}

static hj_val eval_compare(hj_ctx *c, const hj_node *n) {
    hj_val left = hyp_hj_eval(c, n->a);
    for (const hj_node *r = n->b->a; r != NULL; r = r->next) {
        hj_val right = hyp_hj_eval(c, r->a);
        if (!hyp_hj_relation(c, r->op, left, right)) return hj_bool(false);
        left = right;
    }
    return hj_bool(true);
}

static void count_args(hj_ctx *c, const hj_node *list, uint32_t *npos, uint32_t *nkw) {
    *npos = *nkw = 0;
    for (const hj_node *n = list; n != NULL; n = n->next) {
        hyp_hj_steps(c, 1);
        *npos += n->op == 0;
        *nkw += n->op == '=';
    }
}

/* Append what *sequence and **dictionary arguments hold. */
static void spread(hj_ctx *c, const hj_node *n, hj_list *pos, hj_list *kw) {
    hj_val v = hyp_hj_eval(c, n->a);
    if (n->op == '*') {
        const hj_list *items = hyp_hj_iterate(c, v);
        for (uint32_t i = 0; i < items->len; i++)
            hyp_hj_push(c, pos, items->items[i]);
        return;
    }
    if (v.kind != HJ_DICT)
        hyp_hj_fail(c, HYP_EFORMAT, "argument after ** must be a mapping, not %s", hyp_hj_type_name(v));
    for (uint32_t i = 0; i < v.dict->len; i++) {
        if (v.dict->entries[i].key.kind != HJ_STR) hyp_hj_fail(c, HYP_EFORMAT, "keywords must be strings");
        hyp_hj_push(c, kw, v.dict->entries[i].key);
        hyp_hj_push(c, kw, v.dict->entries[i].val);
    }
}

static hj_args eval_spread_args(hj_ctx *c, const hj_node *list) {
    hj_list pos = {0}, kw = {0};
    for (const hj_node *n = list; n != NULL; n = n->next) {
        if (n->op == 0) {
            hyp_hj_push(c, &pos, hyp_hj_eval(c, n->a));
        } else if (n->op == '=') {
            hyp_hj_push(c, &kw, n->val);
            hyp_hj_push(c, &kw, hyp_hj_eval(c, n->a));
        } else {
            spread(c, n, &pos, &kw);
        }
    }
    hj_kw *pairs = hyp_hj_alloc0(c, kw.len / 2 + 1, sizeof *pairs);
    for (uint32_t i = 0; i < kw.len / 2; i++) {
        hj_val name = kw.items[i * 2];
        pairs[i] = (hj_kw){.name = hyp_hj_undef(c, name.s, name.len).s, .val = kw.items[i * 2 + 1]};
    }
    return (hj_args){.pos = pos.items, .npos = pos.len, .kw = pairs, .nkw = kw.len / 2};
}

hj_args hyp_hj_eval_args(hj_ctx *c, const hj_node *list) {
    hj_args args = {0};
    if (list == NULL) return args;
    for (const hj_node *n = list; n != NULL; n = n->next)
        if (n->op == '*' || n->op == 'd') return eval_spread_args(c, list);
    count_args(c, list, &args.npos, &args.nkw);
    hj_val *pos = hyp_hj_alloc0(c, args.npos + 1u, sizeof *pos);
    hj_kw *kw = hyp_hj_alloc0(c, args.nkw + 1u, sizeof *kw);
    uint32_t p = 0, k = 0;
    for (const hj_node *n = list; n != NULL; n = n->next) {
        if (n->op == 0) {
            pos[p++] = hyp_hj_eval(c, n->a);
        } else {
            kw[k].name = n->val.s;
            kw[k++].val = hyp_hj_eval(c, n->a);
        }
    }
    args.pos = pos;
    args.kw = kw;
    return args;
}

static hj_val eval_filter(hj_ctx *c, const hj_node *n) {
    if (n->fn == NULL) hyp_hj_fail(c, HYP_EUNSUPPORTED, "no filter named '%.60s'", n->val.s);
    hj_val input = hyp_hj_eval(c, n->a);
    hj_args args = hyp_hj_eval_args(c, n->b);
    c->line = n->line;
    return n->fn(c, input, &args);
}

static hj_val eval_test(hj_ctx *c, const hj_node *n) {
    if (n->fn == NULL) hyp_hj_fail(c, HYP_EUNSUPPORTED, "no test named '%.60s'", n->val.s);
    hj_val input = hyp_hj_eval(c, n->a);
    hj_args args = hyp_hj_eval_args(c, n->b);
    c->line = n->line;
    return hj_bool(hyp_hj_truth(n->fn(c, input, &args)) != (n->op == 1));
}

static hj_val eval_node(hj_ctx *c, const hj_node *n) {
    hj_val a;
    switch ((hj_node_type)n->type) {
    case HJ_N_CONST: return n->val;
    case HJ_N_NAME: return hyp_hj_lookup(c, n->val.s, n->val.len);
    case HJ_N_HOLE: return c->hole;
    case HJ_N_LIST: return eval_items(c, n, HJ_SEQ_LIST);
    case HJ_N_TUPLE: return eval_items(c, n, HJ_SEQ_TUPLE);
    case HJ_N_DICT: return eval_dict(c, n);
    case HJ_N_COND:
        if (hyp_hj_truth(hyp_hj_eval(c, n->a))) return hyp_hj_eval(c, n->b);
        return n->c != NULL ? hyp_hj_eval(c, n->c) : HJ_NIL;
    case HJ_N_AND: a = hyp_hj_eval(c, n->a); return hyp_hj_truth(a) ? hyp_hj_eval(c, n->b) : a;
    case HJ_N_OR: a = hyp_hj_eval(c, n->a); return hyp_hj_truth(a) ? a : hyp_hj_eval(c, n->b);
    case HJ_N_NOT: return hj_bool(!hyp_hj_truth(hyp_hj_eval(c, n->a)));
    case HJ_N_SIGN: return hyp_hj_negate(c, hyp_hj_eval(c, n->a), n->op == '-');
    case HJ_N_BINARY: a = hyp_hj_eval(c, n->a); return hyp_hj_binary(c, n->op, a, hyp_hj_eval(c, n->b));
    case HJ_N_COMPARE: return eval_compare(c, n);
    case HJ_N_ATTR: return hyp_hj_get_attr(c, hyp_hj_eval(c, n->a), n->val.s, n->val.len);
    case HJ_N_ITEM: a = hyp_hj_eval(c, n->a); return hyp_hj_get_item(c, a, hyp_hj_eval(c, n->b));
    case HJ_N_SLICE: {
        a = hyp_hj_eval(c, n->a);
        hj_val start = n->b != NULL ? hyp_hj_eval(c, n->b) : HJ_NULL;
        hj_val stop = n->c != NULL ? hyp_hj_eval(c, n->c) : HJ_NULL;
        return hyp_hj_slice(c, a, start, stop, n->d != NULL ? hyp_hj_eval(c, n->d) : HJ_NULL);
    }
    case HJ_N_CALL: {
        a = hyp_hj_eval(c, n->a);
        hj_args args = hyp_hj_eval_args(c, n->b);
        c->line = n->line;
        return hyp_hj_call(c, a, &args);
    }
    case HJ_N_FILTER: return eval_filter(c, n);
    case HJ_N_TEST: return eval_test(c, n);
    default: hyp_hj_fail(c, HYP_EFORMAT, "not an expression");
    }
}

hj_val hyp_hj_eval(hj_ctx *c, const hj_node *n) {
    hyp_hj_steps(c, 1);
    hyp_hj_enter(c);
    c->line = n->line;
    hj_val v = eval_node(c, n);
    hyp_hj_leave(c);
    return v;
}
