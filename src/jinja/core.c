/* core.c - the arena, the error exit, the budgets, and the two entry points of a template's life. */
#include "jinja/ast_priv.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/mem.h"

const hyp_jinja_limits hyp_jinja_default_limits = {.max_template_bytes = 1 << 20,
                                                   .max_memory_bytes = (size_t)256 << 20,
                                                   .max_output_bytes = (size_t)64 << 20,
                                                   .max_steps = 20 * 1000 * 1000,
                                                   .max_depth = 400};

struct hyp_jinja {
    hj_arena arena;
    hyp_jinja_limits limits;
    const hj_node *body;
};

enum { BLOCK_BYTES = 16 << 10 };

void *hyp_hj_alloc(hj_ctx *c, size_t bytes) {
    if (bytes > c->limits.max_memory_bytes) bytes = c->limits.max_memory_bytes; /* fails below, without overflow */
    bytes = (bytes + 15) & ~(size_t)15;
    hj_block *b = c->arena.blocks;
    if (b == NULL || b->cap - b->used < bytes) {
        /* Blocks grow with the arena, so that a long render does not make thousands of them. */
        size_t cap = HYP_MAX(bytes, HYP_MAX((size_t)BLOCK_BYTES, HYP_MIN(c->arena.total_bytes / 4, (size_t)1 << 20)));
        size_t total = c->arena.total_bytes + cap + sizeof *b;
        if (total > c->limits.max_memory_bytes)
            hyp_hj_fail(c, HYP_ELIMIT, "needs more than %zu bytes of memory", c->limits.max_memory_bytes);
        b = aligned_alloc(16, (sizeof *b + cap + 15) & ~(size_t)15);
        if (b == NULL) hyp_hj_fail(c, HYP_ENOMEM, "out of memory");
        *b = (hj_block){.next = c->arena.blocks, .cap = cap};
        c->arena.blocks = b;
        c->arena.total_bytes = total;
    }
    void *p = b->bytes + b->used;
    b->used += bytes;
    return p;
}

void *hyp_hj_alloc0(hj_ctx *c, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) bytes = SIZE_MAX;
    void *p = hyp_hj_alloc(c, bytes);
    memset(p, 0, bytes);
    return p;
}

void hyp_hj_arena_free(hj_arena *arena) {
    for (hj_block *b = arena->blocks, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    *arena = (hj_arena){0};
}

void hyp_hj_fail(hj_ctx *c, int code, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->code = code;
    hyp_err_set(c->err, code, "chat template, line %u: %s", c->line, text);
    longjmp(c->unwind, 1);
}

void hyp_hj_raise(hj_ctx *c, hj_val message) {
    c->code = HYP_EINVAL;
    hyp_err_set(c->err, c->code, "the chat template refuses the conversation: %.*s", (int)HYP_MIN(message.len, 240u),
                message.kind == HJ_STR ? message.s : "");
    longjmp(c->unwind, 1);
}

void hyp_hj_steps(hj_ctx *c, uint64_t n) {
    if (c->limits.max_steps - c->steps < n)
        hyp_hj_fail(c, HYP_ELIMIT, "takes more than %llu steps", (unsigned long long)c->limits.max_steps);
    c->steps += n;
}

void hyp_hj_enter(hj_ctx *c) {
    if (c->depth >= c->limits.max_depth) hyp_hj_fail(c, HYP_ELIMIT, "nested more than %u deep", c->limits.max_depth);
    c->depth++;
}

void hyp_hj_leave(hj_ctx *c) {
    c->depth--;
}

void hyp_hj_buf_put(hj_ctx *c, hj_buf *b, const char *bytes, size_t n) {
    if (n == 0) return;
    hyp_hj_steps(c, 1 + n / 256);
    if (n > c->limits.max_output_bytes - c->output_bytes)
        hyp_hj_fail(c, HYP_ELIMIT, "writes more than %zu bytes", c->limits.max_output_bytes);
    c->output_bytes += n;
    if (b->cap - b->len < n) {
        size_t cap = HYP_MAX((size_t)64, b->cap);
        while (cap - b->len < n)
            cap *= 2;
        char *data = hyp_hj_alloc(c, cap);
        if (b->len > 0) memcpy(data, b->data, b->len);
        b->data = data;
        b->cap = cap;
    }
    memcpy(b->data + b->len, bytes, n);
    b->len += n;
}

void hyp_hj_buf_puts(hj_ctx *c, hj_buf *b, const char *text) {
    hyp_hj_buf_put(c, b, text, strlen(text));
}

void hyp_hj_buf_char(hj_ctx *c, hj_buf *b, char ch) {
    hyp_hj_buf_put(c, b, &ch, 1);
}

void hyp_hj_buf_fill(hj_ctx *c, hj_buf *b, char ch, size_t n) {
    char piece[64];
    memset(piece, ch, sizeof piece);
    for (; n > 0; n -= HYP_MIN(n, sizeof piece))
        hyp_hj_buf_put(c, b, piece, HYP_MIN(n, sizeof piece));
}

hj_val hyp_hj_buf_str(const hj_buf *b) {
    return hj_strn(b->len > 0 ? b->data : "", b->len);
}

/* --- scopes --- */

hj_frame *hyp_hj_frame_new(hj_ctx *c, hj_frame *up) {
    hj_frame *f = hyp_hj_alloc0(c, 1, sizeof *f);
    f->up = up;
    return f;
}

void hyp_hj_frame_set(hj_ctx *c, hj_frame *f, const char *name, hj_val v) {
    for (uint32_t i = 0; i < f->len; i++) {
        if (f->slots[i].name != name && strcmp(f->slots[i].name, name) != 0) continue;
        f->slots[i].val = v;
        return;
    }
    if (f->len == f->cap) {
        uint32_t cap = f->cap == 0 ? 4 : f->cap * 2;
        hj_slot *slots = hyp_hj_alloc(c, cap * sizeof *slots);
        if (f->len > 0) memcpy(slots, f->slots, f->len * sizeof *slots);
        f->slots = slots;
        f->cap = cap;
    }
    f->slots[f->len++] = (hj_slot){.name = name, .val = v};
}

hj_val hyp_hj_lookup(hj_ctx *c, const char *name, size_t n) {
    for (const hj_frame *f = c->frame; f != NULL; f = f->up) {
        hyp_hj_steps(c, 1 + f->len / 16);
        for (uint32_t i = 0; i < f->len; i++)
            if (f->slots[i].name == name || strcmp(f->slots[i].name, name) == 0) return f->slots[i].val;
    }
    return hyp_hj_undef(c, name, n);
}

/* --- entry points --- */

static int compile(hj_ctx *c, const char *text, size_t n, hyp_jinja *jinja) {
    if (setjmp(c->unwind) != 0) return c->code;
    if (n > c->limits.max_template_bytes)
        hyp_hj_fail(c, HYP_ELIMIT, "the template has more than %zu bytes", c->limits.max_template_bytes);
    char *copy = hyp_hj_alloc(c, n + 1);
    memcpy(copy, text, n);
    jinja->body = hyp_hj_parse(c, hyp_hj_lex(c, copy, n));
    return HYP_OK;
}

int hyp_jinja_compile(const char *text, size_t n, const hyp_jinja_limits *limits, hyp_jinja **ret, hyp_err *err) {
    hyp_jinja *jinja = calloc(1, sizeof *jinja);
    if (jinja == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    jinja->limits = limits != NULL ? *limits : hyp_jinja_default_limits;
    hj_ctx c = {.limits = jinja->limits, .err = err, .line = 1};
    int rc = compile(&c, text, n, jinja);
    jinja->arena = c.arena;
    if (rc < 0) {
        hyp_jinja_free(jinja);
        return rc;
    }
    *ret = jinja;
    return HYP_OK;
}

void hyp_jinja_free(hyp_jinja *jinja) {
    if (jinja == NULL) return;
    hyp_hj_arena_free(&jinja->arena);
    free(jinja);
}

static int render(hj_ctx *c, const hyp_jinja *jinja, yyjson_mut_val *vars, hj_buf *text) {
    if (setjmp(c->unwind) != 0) return c->code;
    c->globals = hyp_hj_frame_new(c, NULL);
    hyp_hj_globals_define(c, c->globals);
    size_t i, max;
    yyjson_mut_val *key, *val;
    if (yyjson_mut_is_obj(vars))
        yyjson_mut_obj_foreach(vars, i, max, key, val)
            hyp_hj_frame_set(c, c->globals, yyjson_mut_get_str(key), hyp_hj_from_json(c, val));
    c->output_bytes = 0;
    c->out = text;
    c->frame = hyp_hj_frame_new(c, c->globals);
    hyp_hj_exec(c, jinja->body);
    return HYP_OK;
}

int hyp_jinja_render(const hyp_jinja *jinja, yyjson_mut_val *vars, int64_t now_unix_s, hyp_str *out, hyp_err *err) {
    hj_ctx c = {.limits = jinja->limits, .err = err, .line = 1, .now_unix_s = now_unix_s};
    hj_buf text = {0};
    int rc = render(&c, jinja, vars, &text);
    if (rc == HYP_OK) {
        hyp_str_append(out, text.len > 0 ? text.data : "", text.len);
        if (out->failed) rc = hyp_err_set(err, HYP_ENOMEM, "out of memory");
    }
    hyp_hj_arena_free(&c.arena);
    return rc;
}
