/* value.c - sequences and dictionaries, truth, equality, order, membership, and values from JSON. */
#include "jinja/jinja_priv.h"

#include <math.h>

#include "base/mem.h"

hj_val hyp_hj_undef(hj_ctx *c, const char *name, size_t n) {
    char *copy = hyp_hj_alloc(c, n + 1);
    memcpy(copy, name, n);
    copy[n] = '\0';
    return (hj_val){.kind = HJ_UNDEF, .len = (uint32_t)n, .s = copy};
}

hj_val hyp_hj_seq_of(hj_list *list, int sub) {
    return (hj_val){.kind = HJ_SEQ, .sub = (uint8_t)sub, .list = list};
}

hj_val hyp_hj_seq(hj_ctx *c, int sub, uint32_t reserve) {
    hj_list *list = hyp_hj_alloc0(c, 1, sizeof *list);
    if (reserve > 0) list->items = hyp_hj_alloc0(c, reserve, sizeof *list->items);
    list->cap = reserve;
    return hyp_hj_seq_of(list, sub);
}

void hyp_hj_push(hj_ctx *c, hj_list *list, hj_val v) {
    hyp_hj_steps(c, 1);
    if (list->len == list->cap) {
        if (list->cap > UINT32_MAX / 4) hyp_hj_fail(c, HYP_ELIMIT, "a list is too long");
        uint32_t cap = list->cap == 0 ? 4 : list->cap * 2;
        hj_val *items = hyp_hj_alloc(c, cap * sizeof *items);
        if (list->len > 0) memcpy(items, list->items, list->len * sizeof *items);
        list->items = items;
        list->cap = cap;
    }
    list->items[list->len++] = v;
}

static hj_val pair_of(hj_ctx *c, hj_val a, hj_val b) {
    hj_val pair = hyp_hj_seq(c, HJ_SEQ_TUPLE, 2);
    hyp_hj_push(c, pair.list, a);
    hyp_hj_push(c, pair.list, b);
    return pair;
}

/* --- dictionaries --- */

hj_val hyp_hj_dict_new(hj_ctx *c) {
    return (hj_val){.kind = HJ_DICT, .dict = hyp_hj_alloc0(c, 1, sizeof(hj_dict))};
}

double hyp_hj_number(hj_val v) {
    return v.kind == HJ_FLOAT ? v.f : v.kind == HJ_INT ? (double)v.i : v.b;
}

/* Equal keys have equal hashes: 1, 1.0 and True are one key. */
static uint32_t hash(hj_ctx *c, hj_val v) {
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    switch (v.kind) {
    case HJ_STR:
        hyp_hj_steps(c, v.len / 64);
        for (uint32_t i = 0; i < v.len; i++)
            h = (h ^ (unsigned char)v.s[i]) * 1099511628211u;
        break;
    case HJ_BOOL:
    case HJ_INT:
    case HJ_FLOAT: {
        double f = hyp_hj_number(v);
        if (f == 0) f = 0; /* -0.0 is 0 */
        uint64_t bits;
        memcpy(&bits, &f, sizeof bits);
        h = (bits ^ (bits >> 29)) * 0x9e3779b97f4a7c15u;
        break;
    }
    case HJ_SEQ:
        if (v.sub != HJ_SEQ_TUPLE) hyp_hj_fail(c, HYP_EFORMAT, "unhashable type: '%s'", hyp_hj_type_name(v));
        hyp_hj_enter(c);
        for (uint32_t i = 0; i < v.list->len; i++)
            h = (h ^ hash(c, v.list->items[i])) * 1099511628211u;
        hyp_hj_leave(c);
        break;
    case HJ_DICT: hyp_hj_fail(c, HYP_EFORMAT, "unhashable type: 'dict'");
    default: h += v.kind;
    }
    return (uint32_t)(h ^ h >> 32);
}

static hj_entry *find(hj_ctx *c, const hj_dict *d, hj_val key, uint32_t h) {
    hyp_hj_steps(c, 1 + d->len / 32);
    for (uint32_t i = 0; i < d->len; i++)
        if (d->entries[i].hash == h && hyp_hj_equal(c, d->entries[i].key, key)) return d->entries + i;
    return NULL;
}

hj_entry *hyp_hj_dict_find(hj_ctx *c, const hj_dict *d, hj_val key) {
    return find(c, d, key, hash(c, key));
}

void hyp_hj_dict_set(hj_ctx *c, hj_dict *d, hj_val key, hj_val val) {
    uint32_t h = hash(c, key);
    hj_entry *e = find(c, d, key, h);
    if (e != NULL) {
        e->val = val;
        return;
    }
    if (d->len == d->cap) {
        if (d->cap > UINT32_MAX / 4) hyp_hj_fail(c, HYP_ELIMIT, "a dictionary is too long");
        uint32_t cap = d->cap == 0 ? 4 : d->cap * 2;
        hj_entry *entries = hyp_hj_alloc(c, cap * sizeof *entries);
        if (d->len > 0) memcpy(entries, d->entries, d->len * sizeof *entries);
        d->entries = entries;
        d->cap = cap;
    }
    d->entries[d->len++] = (hj_entry){.key = key, .val = val, .hash = h};
}

void hyp_hj_dict_remove(hj_dict *d, hj_entry *e) {
    size_t at = (size_t)(e - d->entries);
    memmove(e, e + 1, (d->len - at - 1) * sizeof *e);
    d->len--;
}

hj_val hyp_hj_dict_seq(hj_ctx *c, const hj_dict *d, int sub) {
    hj_val v = hyp_hj_seq(c, sub, d->len);
    for (uint32_t i = 0; i < d->len; i++) {
        const hj_entry *e = d->entries + i;
        hyp_hj_push(c, v.list,
                    sub == HJ_SEQ_KEYS     ? e->key
                    : sub == HJ_SEQ_VALUES ? e->val
                                           : pair_of(c, e->key, e->val));
    }
    return v;
}

/* --- relations --- */

bool hyp_hj_truth(hj_val v) {
    switch (v.kind) {
    case HJ_UNDEF:
    case HJ_NONE: return false;
    case HJ_BOOL: return v.b;
    case HJ_INT: return v.i != 0;
    case HJ_FLOAT: return v.f != 0;
    case HJ_STR: return v.len > 0;
    case HJ_SEQ: return v.sub == HJ_SEQ_GENERATOR || v.list->len > 0;
    case HJ_DICT: return v.dict->len > 0;
    default: return true;
    }
}

static bool equal_seq(hj_ctx *c, hj_val a, hj_val b) {
    bool views = a.sub == HJ_SEQ_GENERATOR || a.sub == HJ_SEQ_VALUES;
    if (a.list == b.list && a.sub == b.sub) return true;
    if (a.sub != b.sub || views || a.list->len != b.list->len) return false;
    for (uint32_t i = 0; i < a.list->len; i++)
        if (!hyp_hj_equal(c, a.list->items[i], b.list->items[i])) return false;
    return true;
}

static bool equal_dict(hj_ctx *c, const hj_dict *a, const hj_dict *b) {
    if (a == b) return true;
    if (a->len != b->len) return false;
    for (uint32_t i = 0; i < a->len; i++) {
        const hj_entry *e = find(c, b, a->entries[i].key, a->entries[i].hash);
        if (e == NULL || !hyp_hj_equal(c, a->entries[i].val, e->val)) return false;
    }
    return true;
}

static int order_numbers(hj_val a, hj_val b) {
    if (a.kind != HJ_FLOAT && b.kind != HJ_FLOAT) {
        int64_t x = a.kind == HJ_INT ? a.i : a.b, y = b.kind == HJ_INT ? b.i : b.b;
        return (x > y) - (x < y);
    }
    double x = hyp_hj_number(a), y = hyp_hj_number(b);
    return isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
}

bool hyp_hj_equal(hj_ctx *c, hj_val a, hj_val b) {
    hyp_hj_steps(c, 1);
    if (hj_is_num(a) && hj_is_num(b)) return order_numbers(a, b) == 0;
    if (a.kind != b.kind) return false;
    bool same;
    switch (a.kind) {
    case HJ_UNDEF:
    case HJ_NONE: return true;
    case HJ_STR: hyp_hj_steps(c, a.len / 256); return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
    case HJ_SEQ:
        hyp_hj_enter(c);
        same = equal_seq(c, a, b);
        hyp_hj_leave(c);
        return same;
    case HJ_DICT:
        hyp_hj_enter(c);
        same = equal_dict(c, a.dict, b.dict);
        hyp_hj_leave(c);
        return same;
    case HJ_FUNC: return a.func == b.func;
    case HJ_LOOP: return a.loop == b.loop;
    default: return a.dict == b.dict;
    }
}

int hyp_hj_compare(hj_ctx *c, hj_val a, hj_val b) {
    hyp_hj_steps(c, 1);
    if (hj_is_num(a) && hj_is_num(b)) return order_numbers(a, b);
    if (a.kind == HJ_STR && b.kind == HJ_STR) { /* UTF-8 orders as code points do */
        uint32_t n = HYP_MIN(a.len, b.len);
        hyp_hj_steps(c, n / 256);
        int order = n == 0 ? 0 : memcmp(a.s, b.s, n);
        return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
    }
    if (a.kind == HJ_SEQ && b.kind == HJ_SEQ && a.sub == b.sub && a.sub <= HJ_SEQ_TUPLE) {
        hyp_hj_enter(c);
        int order = 0;
        for (uint32_t i = 0; order == 0 && i < a.list->len && i < b.list->len; i++)
            if (!hyp_hj_equal(c, a.list->items[i], b.list->items[i]))
                order = hyp_hj_compare(c, a.list->items[i], b.list->items[i]);
        hyp_hj_leave(c);
        return order != 0 ? order : (a.list->len > b.list->len) - (a.list->len < b.list->len);
    }
    if (a.kind == HJ_UNDEF || b.kind == HJ_UNDEF) {
        hj_val u = a.kind == HJ_UNDEF ? a : b;
        hyp_hj_fail(c, HYP_EFORMAT, "'%s' is undefined", u.s != NULL ? u.s : "value");
    }
    hyp_hj_fail(c, HYP_EFORMAT, "'%s' and '%s' have no order", hyp_hj_type_name(a), hyp_hj_type_name(b));
}

bool hyp_hj_contains(hj_ctx *c, hj_val container, hj_val item) {
    if (container.kind == HJ_STR) {
        if (item.kind != HJ_STR)
            hyp_hj_fail(c, HYP_EFORMAT, "'in <string>' requires string as left operand, not %s",
                        hyp_hj_type_name(item));
        hyp_hj_steps(c, container.len / 64);
        return hyp_hj_str_find(container, item, 0) >= 0;
    }
    if (container.kind == HJ_DICT) return hyp_hj_dict_find(c, container.dict, item) != NULL;
    const hj_list *list = hyp_hj_iterate(c, container);
    for (uint32_t i = 0; i < list->len; i++)
        if (hyp_hj_equal(c, list->items[i], item)) return true;
    return false;
}

const hj_list *hyp_hj_iterate(hj_ctx *c, hj_val v) {
    switch (v.kind) {
    case HJ_SEQ: return v.list;
    case HJ_DICT: return hyp_hj_dict_seq(c, v.dict, HJ_SEQ_KEYS).list;
    case HJ_UNDEF: return hyp_hj_seq(c, HJ_SEQ_LIST, 0).list;
    case HJ_STR: {
        hj_val list = hyp_hj_seq(c, HJ_SEQ_LIST, v.len);
        for (size_t i = 0, step; i < v.len; i += step) {
            hyp_hj_utf8_next(v.s + i, v.len - i, &step);
            hyp_hj_push(c, list.list, hj_strn(v.s + i, step));
        }
        return list.list;
    }
    default: hyp_hj_fail(c, HYP_EFORMAT, "'%s' object is not iterable", hyp_hj_type_name(v));
    }
}

const char *hyp_hj_type_name(hj_val v) {
    static const char *const names[] = {"Undefined", "NoneType", "bool",      "int",         "float",   "str",
                                        "list",      "dict",     "Namespace", "LoopContext", "function"};
    static const char *const seqs[] = {"list", "tuple", "range", "generator", "dict_keys", "dict_values", "dict_items"};
    return v.kind == HJ_SEQ ? seqs[v.sub] : names[v.kind];
}

/* --- JSON --- */

hj_val hyp_hj_from_json(hj_ctx *c, yyjson_mut_val *json) {
    hyp_hj_steps(c, 1);
    size_t i, max;
    yyjson_mut_val *key, *val;
    hj_val v = HJ_NULL;
    switch (yyjson_mut_get_type(json)) {
    case YYJSON_TYPE_BOOL: return hj_bool(yyjson_mut_get_bool(json));
    case YYJSON_TYPE_NUM:
        if (yyjson_mut_is_real(json)) return hj_float(yyjson_mut_get_real(json));
        if (yyjson_mut_is_uint(json) && yyjson_mut_get_uint(json) > INT64_MAX)
            return hj_float((double)yyjson_mut_get_uint(json));
        return hj_int(yyjson_mut_get_sint(json));
    case YYJSON_TYPE_STR:
        if (yyjson_mut_get_len(json) > UINT32_MAX) hyp_hj_fail(c, HYP_ELIMIT, "a string is too long");
        return hj_strn(yyjson_mut_get_str(json), yyjson_mut_get_len(json));
    case YYJSON_TYPE_ARR:
        hyp_hj_enter(c);
        v = hyp_hj_seq(c, HJ_SEQ_LIST, (uint32_t)yyjson_mut_arr_size(json));
        yyjson_mut_arr_foreach(json, i, max, val)
            hyp_hj_push(c, v.list, hyp_hj_from_json(c, val));
        hyp_hj_leave(c);
        return v;
    case YYJSON_TYPE_OBJ:
        hyp_hj_enter(c);
        v = hyp_hj_dict_new(c);
        yyjson_mut_obj_foreach(json, i, max, key, val)
            hyp_hj_dict_set(c, v.dict, hj_strn(yyjson_mut_get_str(key), yyjson_mut_get_len(key)),
                            hyp_hj_from_json(c, val));
        hyp_hj_leave(c);
        return v;
    default: return v;
    }
}
