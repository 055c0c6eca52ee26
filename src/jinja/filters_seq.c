/* filters_seq.c - filters on sequences and dictionaries. Those that give a generator in Jinja give one here too (it is
 * always true and has no length), except that it can be walked more than once. */
#include "jinja/jinja_priv.h"

#include "base/mem.h"

#define FILTER(name) static hj_val name(hj_ctx *c, hj_val v, const hj_args *args)

FILTER(f_length) {
    (void)args;
    if (v.kind == HJ_STR) {
        hyp_hj_steps(c, v.len / 64);
        return hj_int((int64_t)hyp_hj_utf8_count(v.s, v.len));
    }
    if (v.kind == HJ_SEQ && v.sub != HJ_SEQ_GENERATOR) return hj_int(v.list->len);
    if (v.kind == HJ_DICT) return hj_int(v.dict->len);
    if (v.kind == HJ_LOOP) return hj_int(v.loop->items->len);
    if (v.kind == HJ_UNDEF) return hj_int(0);
    hyp_hj_fail(c, HYP_EFORMAT, "object of type '%s' has no len()", hyp_hj_type_name(v));
}

FILTER(f_first) {
    (void)args;
    const hj_list *l = hyp_hj_iterate(c, v);
    return l->len > 0 ? l->items[0] : hyp_hj_undef(c, "first", 5);
}

FILTER(f_last) {
    (void)args;
    if (v.kind == HJ_SEQ && v.sub == HJ_SEQ_GENERATOR)
        hyp_hj_fail(c, HYP_EFORMAT, "'generator' object is not reversible");
    const hj_list *l = hyp_hj_iterate(c, v);
    return l->len > 0 ? l->items[l->len - 1] : hyp_hj_undef(c, "last", 4);
}

static hj_val copy(hj_ctx *c, const hj_list *l, int sub) {
    hj_val r = hyp_hj_seq(c, sub, l->len);
    for (uint32_t i = 0, n = l->len; i < n; i++)
        hyp_hj_push(c, r.list, l->items[i]);
    return r;
}

FILTER(f_list) {
    (void)args;
    return copy(c, hyp_hj_iterate(c, v), HJ_SEQ_LIST);
}

FILTER(f_items) {
    (void)args;
    if (v.kind == HJ_UNDEF) return hyp_hj_seq(c, HJ_SEQ_GENERATOR, 0);
    if (v.kind != HJ_DICT) hyp_hj_fail(c, HYP_EFORMAT, "Can only get item pairs from a mapping.");
    hj_val items = hyp_hj_dict_seq(c, v.dict, HJ_SEQ_ITEMS);
    return hyp_hj_seq_of(items.list, HJ_SEQ_GENERATOR);
}

FILTER(f_reverse) {
    (void)args;
    hj_val r = copy(c, hyp_hj_iterate(c, v), HJ_SEQ_GENERATOR);
    for (uint32_t i = 0; i < r.list->len / 2; i++) {
        hj_val t = r.list->items[i];
        r.list->items[i] = r.list->items[r.list->len - 1 - i];
        r.list->items[r.list->len - 1 - i] = t;
    }
    return v.kind == HJ_STR ? hyp_hj_str_join(c, hj_str(""), r.list, true) : r;
}

FILTER(f_join) {
    hj_val separator = hyp_hj_has_arg(args, 0, "d") ? hyp_hj_to_str(c, hyp_hj_arg(args, 0, "d")) : hj_str("");
    const hj_list *l = hyp_hj_iterate(c, v);
    if (hyp_hj_has_arg(args, 1, "attribute")) {
        hj_val picked = hyp_hj_seq(c, HJ_SEQ_LIST, l->len);
        for (uint32_t i = 0; i < l->len; i++)
            hyp_hj_push(c, picked.list, hyp_hj_get_path(c, l->items[i], hyp_hj_arg(args, 1, "attribute"), HJ_NIL));
        l = picked.list;
    }
    return hyp_hj_str_join(c, separator, l, false);
}

/* --- map, select, reject --- */

static hj_args args_from(const hj_args *args, uint32_t from) {
    hj_args rest = *args;
    uint32_t skip = HYP_MIN(from, args->npos);
    if (skip > 0) rest.pos += skip;
    rest.npos -= skip;
    return rest;
}

FILTER(f_map) {
    const hj_list *l = hyp_hj_iterate(c, v);
    hj_val out = hyp_hj_seq(c, HJ_SEQ_GENERATOR, l->len), attribute = hyp_hj_arg(args, UINT32_MAX, "attribute");
    hj_fn fn = NULL;
    hj_args rest = args_from(args, 1);
    if (args->npos > 0) {
        hj_val name = hyp_hj_arg_str(c, args, 0, NULL);
        fn = hyp_hj_filter_named(name.s, name.len);
        if (fn == NULL) hyp_hj_fail(c, HYP_EUNSUPPORTED, "no filter named '%.*s'", (int)HYP_MIN(name.len, 60u), name.s);
    } else if (attribute.kind == HJ_UNDEF) {
        hyp_hj_fail(c, HYP_EFORMAT, "map requires a filter argument");
    }
    hj_val fallback = hyp_hj_arg(args, UINT32_MAX, "default");
    for (uint32_t i = 0; i < l->len; i++) {
        hj_val item = l->items[i];
        hyp_hj_push(c, out.list, fn != NULL ? fn(c, item, &rest) : hyp_hj_get_path(c, item, attribute, fallback));
    }
    return out;
}

static hj_val pick(hj_ctx *c, hj_val v, const hj_args *args, bool by_attribute, bool keep) {
    const hj_list *l = hyp_hj_iterate(c, v);
    uint32_t at = by_attribute;
    hj_fn test = NULL;
    if (by_attribute && args->npos == 0) hyp_hj_fail(c, HYP_EFORMAT, "an attribute's name is required");
    if (args->npos > at) {
        hj_val name = hyp_hj_arg_str(c, args, at, NULL);
        test = hyp_hj_test_named(name.s, name.len);
        if (test == NULL) hyp_hj_fail(c, HYP_EUNSUPPORTED, "no test named '%.*s'", (int)HYP_MIN(name.len, 60u), name.s);
    }
    hj_args rest = args_from(args, at + 1);
    hj_val out = hyp_hj_seq(c, HJ_SEQ_GENERATOR, 0);
    for (uint32_t i = 0; i < l->len; i++) {
        hj_val subject = by_attribute ? hyp_hj_get_path(c, l->items[i], args->pos[0], HJ_NIL) : l->items[i];
        bool holds = hyp_hj_truth(test != NULL ? test(c, subject, &rest) : subject);
        if (holds == keep) hyp_hj_push(c, out.list, l->items[i]);
    }
    return out;
}
FILTER(f_select) {
    return pick(c, v, args, false, true);
}
FILTER(f_reject) {
    return pick(c, v, args, false, false);
}
FILTER(f_selectattr) {
    return pick(c, v, args, true, true);
}
FILTER(f_rejectattr) {
    return pick(c, v, args, true, false);
}

/* --- order --- */

static hj_val sort_key(hj_ctx *c, hj_val item, hj_val attribute, bool case_sensitive) {
    if (attribute.kind != HJ_UNDEF && attribute.kind != HJ_NONE) item = hyp_hj_get_path(c, item, attribute, HJ_NIL);
    return item.kind == HJ_STR && !case_sensitive ? hyp_hj_str_case(c, item, false) : item;
}

/* Stable merge sort of `n` (key, value) pairs by key. */
static void merge_sort(hj_ctx *c, hj_val *keys, hj_val *vals, hj_val *tmp, size_t n, bool down) {
    if (n < 2) return;
    size_t half = n / 2, a = 0, b = half, w = 0;
    merge_sort(c, keys, vals, tmp, half, down);
    merge_sort(c, keys + half, vals + half, tmp, n - half, down);
    while (w < n) {
        bool left = b >= n;
        if (a < half && b < n) {
            int order = hyp_hj_compare(c, keys[a], keys[b]);
            left = down ? order >= 0 : order <= 0;
        }
        size_t from = left ? a++ : b++;
        tmp[w * 2] = keys[from];
        tmp[w++ * 2 + 1] = vals[from];
    }
    for (size_t i = 0; i < n; i++) {
        keys[i] = tmp[i * 2];
        vals[i] = tmp[i * 2 + 1];
    }
}

static hj_val sorted(hj_ctx *c, const hj_list *l, hj_val attribute, bool case_sensitive, bool down) {
    hj_val r = copy(c, l, HJ_SEQ_LIST);
    size_t n = r.list->len;
    hj_val *keys = hyp_hj_alloc0(c, n, sizeof *keys), *tmp = hyp_hj_alloc0(c, n * 2, sizeof *tmp);
    for (size_t i = 0; i < n; i++)
        keys[i] = sort_key(c, r.list->items[i], attribute, case_sensitive);
    merge_sort(c, keys, r.list->items, tmp, n, down);
    return r;
}

FILTER(f_sort) {
    return sorted(c, hyp_hj_iterate(c, v), hyp_hj_arg(args, 2, "attribute"),
                  hyp_hj_arg_bool(args, 1, "case_sensitive", false), hyp_hj_arg_bool(args, 0, "reverse", false));
}

FILTER(f_dictsort) {
    if (v.kind != HJ_DICT) hyp_hj_fail(c, HYP_EFORMAT, "dictsort needs a dictionary, not %s", hyp_hj_type_name(v));
    bool by_value = hj_is_str(hyp_hj_arg(args, 1, "by"), "value");
    return sorted(c, hyp_hj_dict_seq(c, v.dict, HJ_SEQ_ITEMS).list, hj_int(by_value),
                  hyp_hj_arg_bool(args, 0, "case_sensitive", false), hyp_hj_arg_bool(args, 2, "reverse", false));
}

static hj_val extreme(hj_ctx *c, hj_val v, const hj_args *args, bool max) {
    const hj_list *l = hyp_hj_iterate(c, v);
    bool sensitive = hyp_hj_arg_bool(args, 0, "case_sensitive", false);
    hj_val attribute = hyp_hj_arg(args, 1, "attribute"), best = hyp_hj_undef(c, max ? "max" : "min", 3),
           best_key = HJ_NIL;
    for (uint32_t i = 0; i < l->len; i++) {
        hj_val key = sort_key(c, l->items[i], attribute, sensitive);
        int order = i == 0 ? 0 : hyp_hj_compare(c, key, best_key);
        if (i > 0 && (max ? order <= 0 || order == 2 : order >= 0)) continue;
        best = l->items[i];
        best_key = key;
    }
    return best;
}
FILTER(f_min) {
    return extreme(c, v, args, false);
}
FILTER(f_max) {
    return extreme(c, v, args, true);
}

FILTER(f_sum) {
    const hj_list *l = hyp_hj_iterate(c, v);
    hj_val attribute = hyp_hj_arg(args, 0, "attribute"),
           total = hyp_hj_has_arg(args, 1, "start") ? hyp_hj_arg(args, 1, "start") : hj_int(0);
    for (uint32_t i = 0; i < l->len; i++) {
        bool path = attribute.kind != HJ_UNDEF && attribute.kind != HJ_NONE;
        total =
            hyp_hj_binary(c, HJ_ADD, total, path ? hyp_hj_get_path(c, l->items[i], attribute, HJ_NIL) : l->items[i]);
    }
    return total;
}

FILTER(f_unique) {
    const hj_list *l = hyp_hj_iterate(c, v);
    hj_val seen = hyp_hj_dict_new(c), out = hyp_hj_seq(c, HJ_SEQ_GENERATOR, 0);
    for (uint32_t i = 0; i < l->len; i++) {
        hj_val key = sort_key(c, l->items[i], hyp_hj_arg(args, 1, "attribute"),
                              hyp_hj_arg_bool(args, 0, "case_sensitive", false));
        if (hyp_hj_dict_find(c, seen.dict, key) != NULL) continue;
        hyp_hj_dict_set(c, seen.dict, key, HJ_NULL);
        hyp_hj_push(c, out.list, l->items[i]);
    }
    return out;
}

FILTER(f_batch) {
    const hj_list *l = hyp_hj_iterate(c, v);
    int64_t size = hyp_hj_arg_int(c, args, 0, "linecount", 0);
    if (size < 1 || size > UINT32_MAX) hyp_hj_fail(c, HYP_EFORMAT, "batch: bad size");
    hj_val out = hyp_hj_seq(c, HJ_SEQ_GENERATOR, 0), row = HJ_NIL;
    for (uint32_t i = 0; i < l->len; i++) {
        if (i % size == 0) hyp_hj_push(c, out.list, row = hyp_hj_seq(c, HJ_SEQ_LIST, 0));
        hyp_hj_push(c, row.list, l->items[i]);
    }
    while (hyp_hj_has_arg(args, 1, "fill_with") && row.kind == HJ_SEQ && row.list->len < size)
        hyp_hj_push(c, row.list, hyp_hj_arg(args, 1, "fill_with"));
    return out;
}

FILTER(f_attr) {
    hj_val name = hyp_hj_arg_str(c, args, 0, "name");
    if (v.kind == HJ_DICT) { /* only methods: items are not attributes */
        return hyp_hj_method_coll(v, name.s, name.len) != NULL ? hyp_hj_get_attr(c, v, name.s, name.len)
                                                               : hyp_hj_undef(c, name.s, name.len);
    }
    return hyp_hj_get_attr(c, v, name.s, name.len);
}

hj_fn hyp_hj_filter_seq_named(const char *name, size_t n) {
    static const hj_named table[] = {{"length", f_length},
                                     {"count", f_length},
                                     {"first", f_first},
                                     {"last", f_last},
                                     {"list", f_list},
                                     {"items", f_items},
                                     {"reverse", f_reverse},
                                     {"join", f_join},
                                     {"map", f_map},
                                     {"select", f_select},
                                     {"reject", f_reject},
                                     {"selectattr", f_selectattr},
                                     {"rejectattr", f_rejectattr},
                                     {"sort", f_sort},
                                     {"dictsort", f_dictsort},
                                     {"min", f_min},
                                     {"max", f_max},
                                     {"sum", f_sum},
                                     {"unique", f_unique},
                                     {"batch", f_batch},
                                     {"attr", f_attr}};
    return hyp_hj_find_fn(table, HYP_ARRAY_LEN(table), name, n);
}
