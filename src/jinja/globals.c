/* globals.c - the functions a template finds without being given them, and the reading of built-ins' arguments. */
#include "jinja/jinja_priv.h"

#include <time.h>

#include "base/mem.h"

/* --- arguments --- */

bool hyp_hj_has_arg(const hj_args *a, uint32_t index, const char *name) {
    if (index < a->npos) return true;
    for (uint32_t i = 0; name != NULL && i < a->nkw; i++)
        if (strcmp(a->kw[i].name, name) == 0) return true;
    return false;
}

hj_val hyp_hj_arg(const hj_args *a, uint32_t index, const char *name) {
    if (index < a->npos) return a->pos[index];
    for (uint32_t i = 0; name != NULL && i < a->nkw; i++)
        if (strcmp(a->kw[i].name, name) == 0) return a->kw[i].val;
    return HJ_NIL;
}

int64_t hyp_hj_arg_int(hj_ctx *c, const hj_args *a, uint32_t index, const char *name, int64_t fallback) {
    if (!hyp_hj_has_arg(a, index, name)) return fallback;
    hj_val v = hyp_hj_arg(a, index, name);
    if (v.kind == HJ_NONE) return fallback;
    if (v.kind == HJ_BOOL) return v.b;
    if (v.kind != HJ_INT) hyp_hj_fail(c, HYP_EFORMAT, "an integer is required, not %s", hyp_hj_type_name(v));
    return v.i;
}

bool hyp_hj_arg_bool(const hj_args *a, uint32_t index, const char *name, bool fallback) {
    return hyp_hj_has_arg(a, index, name) ? hyp_hj_truth(hyp_hj_arg(a, index, name)) : fallback;
}

hj_val hyp_hj_arg_str(hj_ctx *c, const hj_args *a, uint32_t index, const char *name) {
    hj_val v = hyp_hj_arg(a, index, name);
    if (v.kind != HJ_STR) hyp_hj_fail(c, HYP_EFORMAT, "a string is required, not %s", hyp_hj_type_name(v));
    return v;
}

hj_fn hyp_hj_find_fn(const hj_named *table, size_t n, const char *name, size_t len) {
    for (size_t i = 0; i < n; i++)
        if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0) return table[i].fn;
    return NULL;
}

/* --- the functions --- */

static hj_val fn_raise(hj_ctx *c, hj_val self, const hj_args *args) {
    (void)self;
    hyp_hj_raise(c, hyp_hj_to_str(c, hyp_hj_arg(args, 0, "message")));
}

static hj_val fn_strftime_now(hj_ctx *c, hj_val self, const hj_args *args) {
    (void)self;
    hj_val format = hyp_hj_arg_str(c, args, 0, "format");
    char pattern[128], text[512];
    if (format.len >= sizeof pattern)
        hyp_hj_fail(c, HYP_ELIMIT, "a date format is longer than %zu bytes", sizeof pattern - 1);
    memcpy(pattern, format.s, format.len);
    pattern[format.len] = '\0';
    time_t now = (time_t)c->now_unix_s;
    struct tm tm;
    if (localtime_r(&now, &tm) == NULL) hyp_hj_fail(c, HYP_EFORMAT, "the date cannot be shown");
    size_t n = strftime(text, sizeof text, pattern, &tm);
    hj_buf b = {0};
    hyp_hj_buf_put(c, &b, text, n);
    return hyp_hj_buf_str(&b);
}

static hj_val fn_range(hj_ctx *c, hj_val self, const hj_args *args) {
    (void)self;
    enum { MAX_RANGE = 100000 }; /* as in Jinja's sandbox */
    if (args->npos == 0) hyp_hj_fail(c, HYP_EFORMAT, "range expected at least 1 argument, got 0");
    int64_t start = args->npos > 1 ? hyp_hj_arg_int(c, args, 0, NULL, 0) : 0;
    int64_t stop = hyp_hj_arg_int(c, args, args->npos > 1 ? 1 : 0, NULL, 0), step = hyp_hj_arg_int(c, args, 2, NULL, 1);
    if (step == 0) hyp_hj_fail(c, HYP_EFORMAT, "range() arg 3 must not be zero");
    hj_val v = hyp_hj_seq(c, HJ_SEQ_RANGE, 0);
    for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
        if (v.list->len >= MAX_RANGE) hyp_hj_fail(c, HYP_ELIMIT, "a range has more than %d items", MAX_RANGE);
        hyp_hj_push(c, v.list, hj_int(i));
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    return v;
}

static void fill_dict(hj_ctx *c, hj_dict *d, const hj_args *args) {
    if (args->npos > 0) {
        hj_val from = args->pos[0];
        const hj_list *pairs =
            from.kind == HJ_DICT ? hyp_hj_dict_seq(c, from.dict, HJ_SEQ_ITEMS).list : hyp_hj_iterate(c, from);
        for (uint32_t i = 0; i < pairs->len; i++) {
            const hj_list *pair = hyp_hj_iterate(c, pairs->items[i]);
            if (pair->len != 2) hyp_hj_fail(c, HYP_EFORMAT, "a dictionary is made from pairs");
            hyp_hj_dict_set(c, d, pair->items[0], pair->items[1]);
        }
    }
    for (uint32_t i = 0; i < args->nkw; i++)
        hyp_hj_dict_set(c, d, hj_str(args->kw[i].name), args->kw[i].val);
}

static hj_val fn_dict(hj_ctx *c, hj_val self, const hj_args *args) {
    (void)self;
    hj_val v = hyp_hj_dict_new(c);
    fill_dict(c, v.dict, args);
    return v;
}

static hj_val fn_namespace(hj_ctx *c, hj_val self, const hj_args *args) {
    hj_val v = fn_dict(c, self, args);
    v.kind = HJ_NAMESPACE;
    return v;
}

/* `self` is [separator, used before]. */
static hj_val joiner_call(hj_ctx *c, hj_val self, const hj_args *args) {
    (void)c;
    (void)args;
    bool used = hyp_hj_truth(self.list->items[1]);
    self.list->items[1] = hj_bool(true);
    return used ? self.list->items[0] : hj_str("");
}

static hj_val function(hj_ctx *c, hj_fn fn, hj_val self, const char *name) {
    hj_func *f = hyp_hj_alloc0(c, 1, sizeof *f);
    *f = (hj_func){.fn = fn, .self = self, .name = name};
    return (hj_val){.kind = HJ_FUNC, .func = f};
}

static hj_val fn_joiner(hj_ctx *c, hj_val self, const hj_args *args) {
    (void)self;
    hj_val state = hyp_hj_seq(c, HJ_SEQ_LIST, 2);
    hyp_hj_push(c, state.list, hyp_hj_has_arg(args, 0, "sep") ? hyp_hj_arg(args, 0, "sep") : hj_str(", "));
    hyp_hj_push(c, state.list, hj_bool(false));
    return function(c, joiner_call, state, "joiner");
}

void hyp_hj_globals_define(hj_ctx *c, hj_frame *frame) {
    static const hj_named table[] = {{"raise_exception", fn_raise}, {"strftime_now", fn_strftime_now},
                                     {"range", fn_range},           {"dict", fn_dict},
                                     {"namespace", fn_namespace},   {"joiner", fn_joiner}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(table); i++)
        hyp_hj_frame_set(c, frame, table[i].name, function(c, table[i].fn, HJ_NIL, table[i].name));
}
