/* jinja_priv.h - what the files of src/jinja share; nobody else includes it. Names here start with hj_.
 *
 * Memory: a compilation or a render owns one arena; nothing is freed singly, nothing outlives it.
 * Errors: hyp_hj_fail() stores the error and jumps to the one setjmp() of the compilation or render. That is safe
 * because no function between the two owns anything but arena memory. So hj_ functions return values, never error
 * codes. Values are 16 bytes and passed by value; strings are (pointer, length), not terminated, and never change. */
#pragma once
#include "jinja/jinja.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum hj_kind {
    HJ_UNDEF, /* .s names what is undefined, or NULL */
    HJ_NONE,
    HJ_BOOL,
    HJ_INT,
    HJ_FLOAT,
    HJ_STR,
    HJ_SEQ, /* .sub says of what sort */
    HJ_DICT,
    HJ_NAMESPACE, /* .dict holds its attributes */
    HJ_LOOP,
    HJ_FUNC
} hj_kind;

/* Sorts of sequence. All are lists inside; the sort decides printing, truth, indexing and type tests. */
enum { HJ_SEQ_LIST, HJ_SEQ_TUPLE, HJ_SEQ_RANGE, HJ_SEQ_GENERATOR, HJ_SEQ_KEYS, HJ_SEQ_VALUES, HJ_SEQ_ITEMS };

typedef struct hj_list hj_list;
typedef struct hj_dict hj_dict;
typedef struct hj_loop hj_loop;
typedef struct hj_func hj_func;
typedef struct hj_node hj_node;
typedef struct hj_ctx hj_ctx;

typedef struct hj_val {
    uint8_t kind, sub;
    uint32_t len; /* bytes of a string */
    union {
        bool b;
        int64_t i;
        double f;
        const char *s;
        hj_list *list;
        hj_dict *dict;
        hj_loop *loop;
        hj_func *func;
    };
} hj_val;

struct hj_list {
    hj_val *items;
    uint32_t len, cap;
};

typedef struct hj_entry {
    hj_val key, val;
    uint32_t hash;
} hj_entry;

struct hj_dict { /* in insertion order */
    hj_entry *entries;
    uint32_t len, cap;
};

struct hj_loop {
    const hj_list *items;
    uint32_t index0, depth0;
    hj_val last_changed; /* what loop.changed() saw last, as a tuple; undefined at first */
};

typedef struct hj_kw {
    const char *name;
    hj_val val;
} hj_kw;

typedef struct hj_args {
    const hj_val *pos;
    const hj_kw *kw;
    uint32_t npos, nkw;
} hj_args;

/* Filters, tests, methods and global functions alike: `self` is the input or the object (undefined for globals). */
typedef hj_val (*hj_fn)(hj_ctx *c, hj_val self, const hj_args *args);

typedef struct hj_frame hj_frame;

struct hj_func { /* a built-in with its object, or (fn NULL) a macro with the frame that it was defined in */
    hj_fn fn;
    hj_val self;
    const char *name;
    const hj_node *macro;
    hj_frame *closure;
};

typedef struct hj_slot {
    const char *name;
    hj_val val;
} hj_slot;

struct hj_frame {
    hj_frame *up;
    hj_slot *slots;
    uint32_t len, cap;
};

typedef struct hj_buf {
    char *data;
    size_t len, cap;
} hj_buf;

typedef struct hj_block {
    struct hj_block *next;
    size_t cap, used;
    _Alignas(16) char bytes[];
} hj_block;

typedef struct hj_arena {
    hj_block *blocks;
    size_t total_bytes;
} hj_arena;

/* One compilation or one render, on one thread. */
struct hj_ctx {
    hj_arena arena;
    hyp_jinja_limits limits;
    jmp_buf unwind;
    hyp_err *err;
    int code;      /* of the failure */
    uint32_t line; /* being compiled or evaluated, 1-based */
    uint64_t steps;
    unsigned depth;
    size_t output_bytes;
    hj_buf *out;     /* where text goes: the result, or the block being captured */
    hj_frame *frame; /* innermost scope */
    hj_frame *globals;
    int64_t now_unix_s;
    unsigned loop_depth;
    hj_val hole; /* the captured text that a block's filters start from */
};

/* --- core.c: memory, errors, budgets --- */
void *hyp_hj_alloc(hj_ctx *c, size_t bytes); /* aligned to 16, not cleared */
void *hyp_hj_alloc0(hj_ctx *c, size_t count, size_t size);
void hyp_hj_arena_free(hj_arena *arena);
_Noreturn void hyp_hj_fail(hj_ctx *c, int code, const char *format, ...) HYP_PRINTF(3, 4);
_Noreturn void hyp_hj_raise(hj_ctx *c, hj_val message); /* what raise_exception() does */
void hyp_hj_steps(hj_ctx *c, uint64_t n);               /* charge n steps */
void hyp_hj_enter(hj_ctx *c);                           /* one level deeper; hyp_hj_leave() on the way back */
void hyp_hj_leave(hj_ctx *c);
void hyp_hj_buf_put(hj_ctx *c, hj_buf *b, const char *bytes, size_t n);
void hyp_hj_buf_puts(hj_ctx *c, hj_buf *b, const char *text);
void hyp_hj_buf_char(hj_ctx *c, hj_buf *b, char ch);
void hyp_hj_buf_fill(hj_ctx *c, hj_buf *b, char ch, size_t n);
hj_val hyp_hj_buf_str(const hj_buf *b);

/* --- utf8.c --- */
uint32_t hyp_hj_utf8_next(const char *s, size_t n,
                          size_t *ret_bytes); /* an invalid byte is a character of its own value */
size_t hyp_hj_utf8_count(const char *s, size_t n);
size_t hyp_hj_utf8_offset(const char *s, size_t n, size_t chars); /* byte offset of character number `chars` */
bool hyp_hj_is_space(uint32_t cp);
bool hyp_hj_is_printable(uint32_t cp);
bool hyp_hj_is_alpha(uint32_t cp);
uint32_t hyp_hj_upper(uint32_t cp);
uint32_t hyp_hj_lower(uint32_t cp);
size_t hyp_hj_trim_left(const char *s, size_t n);  /* bytes of white space at the start */
size_t hyp_hj_trim_right(const char *s, size_t n); /* bytes that remain without white space at the end */

/* --- value.c --- */
#define HJ_NIL ((hj_val){.kind = HJ_UNDEF})
#define HJ_NULL ((hj_val){.kind = HJ_NONE})
static inline hj_val hj_bool(bool b) {
    return (hj_val){.kind = HJ_BOOL, .b = b};
}
static inline hj_val hj_int(int64_t i) {
    return (hj_val){.kind = HJ_INT, .i = i};
}
static inline hj_val hj_float(double f) {
    return (hj_val){.kind = HJ_FLOAT, .f = f};
}
static inline hj_val hj_strn(const char *s, size_t n) {
    return (hj_val){.kind = HJ_STR, .len = (uint32_t)n, .s = s};
}
static inline hj_val hj_str(const char *s) {
    return hj_strn(s, strlen(s));
}
static inline bool hj_is_str(hj_val v, const char *text) {
    size_t n = strlen(text);
    return v.kind == HJ_STR && v.len == n && memcmp(v.s, text, n) == 0;
}
static inline bool hj_is_num(hj_val v) {
    return v.kind == HJ_INT || v.kind == HJ_FLOAT || v.kind == HJ_BOOL;
}
hj_val hyp_hj_undef(hj_ctx *c, const char *name, size_t n);
hj_val hyp_hj_seq(hj_ctx *c, int sub, uint32_t reserve);
hj_val hyp_hj_seq_of(hj_list *list, int sub);
void hyp_hj_push(hj_ctx *c, hj_list *list, hj_val v);
hj_val hyp_hj_dict_new(hj_ctx *c);
hj_entry *hyp_hj_dict_find(hj_ctx *c, const hj_dict *d, hj_val key); /* NULL if absent */
void hyp_hj_dict_set(hj_ctx *c, hj_dict *d, hj_val key, hj_val val);
void hyp_hj_dict_remove(hj_dict *d, hj_entry *e);
hj_val hyp_hj_dict_seq(hj_ctx *c, const hj_dict *d, int sub); /* HJ_SEQ_KEYS, _VALUES or _ITEMS */
bool hyp_hj_truth(hj_val v);
bool hyp_hj_equal(hj_ctx *c, hj_val a, hj_val b);
int hyp_hj_compare(hj_ctx *c, hj_val a, hj_val b); /* <0, 0, >0; fails on types without an order */
bool hyp_hj_contains(hj_ctx *c, hj_val container, hj_val item);
const hj_list *hyp_hj_iterate(hj_ctx *c, hj_val v); /* the items of anything iterable */
const char *hyp_hj_type_name(hj_val v);
double hyp_hj_number(hj_val v); /* of a bool, int or float */
hj_val hyp_hj_from_json(hj_ctx *c, yyjson_mut_val *json);

/* --- print.c --- */
void hyp_hj_put_str(hj_ctx *c, hj_buf *b, hj_val v);  /* as Python's str() */
void hyp_hj_put_repr(hj_ctx *c, hj_buf *b, hj_val v); /* as Python's repr() */
void hyp_hj_put_float(hj_ctx *c, hj_buf *b, double f);
hj_val hyp_hj_to_str(hj_ctx *c, hj_val v);
hj_val hyp_hj_format_percent(hj_ctx *c, hj_val format, const hj_args *args); /* printf style */
hj_val hyp_hj_format_braces(hj_ctx *c, hj_val format, const hj_args *args);  /* str.format */
hj_val hyp_hj_tojson(hj_ctx *c, hj_val self, const hj_args *args);

/* --- ops.c --- */
enum { HJ_ADD, HJ_SUB, HJ_MUL, HJ_DIV, HJ_FLOORDIV, HJ_MOD, HJ_POW, HJ_CONCAT };
enum { HJ_EQ, HJ_NE, HJ_LT, HJ_LE, HJ_GT, HJ_GE, HJ_IN, HJ_NOT_IN };
hj_val hyp_hj_binary(hj_ctx *c, int op, hj_val a, hj_val b);
hj_val hyp_hj_negate(hj_ctx *c, hj_val v, bool minus);
bool hyp_hj_relation(hj_ctx *c, int op, hj_val a, hj_val b);
hj_val hyp_hj_get_attr(hj_ctx *c, hj_val v, const char *name, size_t n); /* v.name */
hj_val hyp_hj_get_item(hj_ctx *c, hj_val v, hj_val key);                 /* v[key] */
/* Follow "a.b.0" or an index, as filters' attribute= do; a step that finds nothing gives `fallback`, if there is one.
 */
hj_val hyp_hj_get_path(hj_ctx *c, hj_val v, hj_val path, hj_val fallback);
hj_val hyp_hj_slice(hj_ctx *c, hj_val v, hj_val start, hj_val stop, hj_val step);

/* --- tables: by name, NULL if there is none --- */
typedef struct hj_named {
    const char *name;
    hj_fn fn;
} hj_named;
hj_fn hyp_hj_find_fn(const hj_named *table, size_t n, const char *name, size_t len);
hj_fn hyp_hj_filter_named(const char *name, size_t n);          /* filters.c */
hj_fn hyp_hj_filter_seq_named(const char *name, size_t n);      /* filters_seq.c */
hj_fn hyp_hj_test_named(const char *name, size_t n);            /* tests.c */
hj_fn hyp_hj_method_str(const char *name, size_t n);            /* methods_str.c */
hj_fn hyp_hj_method_coll(hj_val v, const char *name, size_t n); /* methods_coll.c */
void hyp_hj_globals_define(hj_ctx *c, hj_frame *frame);         /* globals.c */

/* --- arguments of built-ins --- */
bool hyp_hj_has_arg(const hj_args *a, uint32_t index, const char *name);
hj_val hyp_hj_arg(const hj_args *a, uint32_t index, const char *name); /* undefined if absent */
int64_t hyp_hj_arg_int(hj_ctx *c, const hj_args *a, uint32_t index, const char *name, int64_t fallback);
bool hyp_hj_arg_bool(const hj_args *a, uint32_t index, const char *name, bool fallback);
hj_val hyp_hj_arg_str(hj_ctx *c, const hj_args *a, uint32_t index, const char *name); /* fails unless a string */

/* Text helpers that methods and filters share (methods_str.c). */
hj_val hyp_hj_str_replace(hj_ctx *c, hj_val s, hj_val old, hj_val new, int64_t count);
hj_val hyp_hj_str_case(hj_ctx *c, hj_val s, bool upper);
hj_val hyp_hj_str_capitalize(hj_ctx *c, hj_val s);
hj_val hyp_hj_str_strip(hj_ctx *c, hj_val s, hj_val chars, bool left, bool right);
hj_val hyp_hj_str_join(hj_ctx *c, hj_val separator, const hj_list *items, bool strict);
int64_t hyp_hj_str_find(hj_val s, hj_val needle, size_t from); /* byte offset or -1 */

/* --- scopes --- */
hj_frame *hyp_hj_frame_new(hj_ctx *c, hj_frame *up);
void hyp_hj_frame_set(hj_ctx *c, hj_frame *f, const char *name, hj_val v);
hj_val hyp_hj_lookup(hj_ctx *c, const char *name, size_t n);

/* --- ast.h has the nodes; eval.c, exec.c, call.c run them --- */
hj_val hyp_hj_eval(hj_ctx *c, const hj_node *n);
typedef enum { HJ_FLOW_NEXT, HJ_FLOW_BREAK, HJ_FLOW_CONTINUE } hj_flow;
hj_flow hyp_hj_exec(hj_ctx *c, const hj_node *list);
hj_val hyp_hj_call(hj_ctx *c, hj_val callee, const hj_args *args);
hj_args hyp_hj_eval_args(hj_ctx *c, const hj_node *list);
