/* methods_coll.c - the methods of dictionaries, lists and loops. */
#include "jinja/jinja_priv.h"

#include "base/mem.h"

#define METHOD(name) static hj_val name(hj_ctx *c, hj_val v, const hj_args *args)

/* --- dictionaries --- */

METHOD(d_items) {
    (void)args;
    return hyp_hj_dict_seq(c, v.dict, HJ_SEQ_ITEMS);
}
METHOD(d_keys) {
    (void)args;
    return hyp_hj_dict_seq(c, v.dict, HJ_SEQ_KEYS);
}
METHOD(d_values) {
    (void)args;
    return hyp_hj_dict_seq(c, v.dict, HJ_SEQ_VALUES);
}
METHOD(d_get) {
    const hj_entry *e = hyp_hj_dict_find(c, v.dict, hyp_hj_arg(args, 0, NULL));
    if (e != NULL) return e->val;
    return hyp_hj_has_arg(args, 1, NULL) ? hyp_hj_arg(args, 1, NULL) : HJ_NULL;
}
METHOD(d_pop) {
    hj_entry *e = hyp_hj_dict_find(c, v.dict, hyp_hj_arg(args, 0, NULL));
    if (e == NULL && !hyp_hj_has_arg(args, 1, NULL)) hyp_hj_fail(c, HYP_EFORMAT, "pop(): no such key");
    if (e == NULL) return hyp_hj_arg(args, 1, NULL);
    hj_val val = e->val;
    hyp_hj_dict_remove(v.dict, e);
    return val;
}
METHOD(d_setdefault) {
    hj_val key = hyp_hj_arg(args, 0, NULL);
    const hj_entry *e = hyp_hj_dict_find(c, v.dict, key);
    if (e != NULL) return e->val;
    hj_val val = hyp_hj_has_arg(args, 1, NULL) ? hyp_hj_arg(args, 1, NULL) : HJ_NULL;
    hyp_hj_dict_set(c, v.dict, key, val);
    return val;
}
METHOD(d_update) {
    hj_val from = hyp_hj_arg(args, 0, NULL);
    if (from.kind == HJ_DICT)
        for (uint32_t i = 0, n = from.dict->len; i < n; i++)
            hyp_hj_dict_set(c, v.dict, from.dict->entries[i].key, from.dict->entries[i].val);
    for (uint32_t i = 0; i < args->nkw; i++)
        hyp_hj_dict_set(c, v.dict, hj_str(args->kw[i].name), args->kw[i].val);
    return HJ_NULL;
}
METHOD(d_copy) {
    (void)args;
    hj_val r = hyp_hj_dict_new(c);
    for (uint32_t i = 0; i < v.dict->len; i++)
        hyp_hj_dict_set(c, r.dict, v.dict->entries[i].key, v.dict->entries[i].val);
    return r;
}
METHOD(d_clear) {
    (void)c, (void)args;
    v.dict->len = 0;
    return HJ_NULL;
}

/* --- lists --- */

METHOD(l_append) {
    hyp_hj_push(c, v.list, hyp_hj_arg(args, 0, NULL));
    return HJ_NULL;
}
METHOD(l_extend) {
    const hj_list *more = hyp_hj_iterate(c, hyp_hj_arg(args, 0, NULL));
    for (uint32_t i = 0, n = more->len; i < n; i++)
        hyp_hj_push(c, v.list, more->items[i]);
    return HJ_NULL;
}
METHOD(l_insert) {
    int64_t at = hyp_hj_arg_int(c, args, 0, NULL, 0), n = v.list->len;
    if (at < 0) at = at < -n ? 0 : at + n;
    if (at > n) at = n;
    hyp_hj_push(c, v.list, HJ_NULL);
    memmove(v.list->items + at + 1, v.list->items + at, (size_t)(n - at) * sizeof *v.list->items);
    v.list->items[at] = hyp_hj_arg(args, 1, NULL);
    return HJ_NULL;
}
METHOD(l_pop) {
    int64_t n = v.list->len, at = hyp_hj_arg_int(c, args, 0, NULL, -1);
    if (at < 0) at += n;
    if (at < 0 || at >= n) hyp_hj_fail(c, HYP_EFORMAT, "pop index out of range");
    hj_val val = v.list->items[at];
    memmove(v.list->items + at, v.list->items + at + 1, (size_t)(n - at - 1) * sizeof val);
    v.list->len--;
    return val;
}
METHOD(l_reverse) {
    (void)args;
    hj_list *l = v.list;
    hyp_hj_steps(c, l->len);
    for (uint32_t i = 0; i < l->len / 2; i++) {
        hj_val t = l->items[i];
        l->items[i] = l->items[l->len - 1 - i];
        l->items[l->len - 1 - i] = t;
    }
    return HJ_NULL;
}
METHOD(l_index) {
    for (uint32_t i = 0; i < v.list->len; i++)
        if (hyp_hj_equal(c, v.list->items[i], hyp_hj_arg(args, 0, NULL))) return hj_int(i);
    hyp_hj_fail(c, HYP_EFORMAT, "the value is not in the list");
}
METHOD(l_count) {
    int64_t n = 0;
    for (uint32_t i = 0; i < v.list->len; i++)
        n += hyp_hj_equal(c, v.list->items[i], hyp_hj_arg(args, 0, NULL));
    return hj_int(n);
}
METHOD(l_copy) {
    (void)args;
    hj_val r = hyp_hj_seq(c, HJ_SEQ_LIST, v.list->len);
    for (uint32_t i = 0, n = v.list->len; i < n; i++)
        hyp_hj_push(c, r.list, v.list->items[i]);
    return r;
}
METHOD(l_clear) {
    (void)c, (void)args;
    v.list->len = 0;
    return HJ_NULL;
}

/* --- loops --- */

METHOD(loop_cycle) {
    if (args->npos == 0) hyp_hj_fail(c, HYP_EFORMAT, "no items for cycling given");
    return args->pos[v.loop->index0 % args->npos];
}
METHOD(loop_changed) {
    hj_val now = hyp_hj_seq(c, HJ_SEQ_TUPLE, args->npos);
    for (uint32_t i = 0; i < args->npos; i++)
        hyp_hj_push(c, now.list, args->pos[i]);
    bool same = v.loop->last_changed.kind == HJ_SEQ && hyp_hj_equal(c, now, v.loop->last_changed);
    v.loop->last_changed = now;
    return hj_bool(!same);
}

hj_fn hyp_hj_method_coll(hj_val v, const char *name, size_t n) {
    static const hj_named dict[] = {{"items", d_items}, {"keys", d_keys},     {"values", d_values},
                                    {"get", d_get},     {"pop", d_pop},       {"setdefault", d_setdefault},
                                    {"copy", d_copy},   {"update", d_update}, {"clear", d_clear}};
    static const hj_named list[] = {{"append", l_append}, {"extend", l_extend},   {"insert", l_insert},
                                    {"pop", l_pop},       {"reverse", l_reverse}, {"index", l_index},
                                    {"count", l_count},   {"copy", l_copy},       {"clear", l_clear}};
    static const hj_named tuple[] = {{"index", l_index}, {"count", l_count}};
    static const hj_named loop[] = {{"cycle", loop_cycle}, {"changed", loop_changed}};
    if (v.kind == HJ_DICT) return hyp_hj_find_fn(dict, HYP_ARRAY_LEN(dict), name, n);
    if (v.kind == HJ_LOOP) return hyp_hj_find_fn(loop, HYP_ARRAY_LEN(loop), name, n);
    if (v.kind != HJ_SEQ || v.sub > HJ_SEQ_RANGE) return NULL;
    if (v.sub == HJ_SEQ_LIST) return hyp_hj_find_fn(list, HYP_ARRAY_LEN(list), name, n);
    return hyp_hj_find_fn(tuple, HYP_ARRAY_LEN(tuple), name, n);
}
