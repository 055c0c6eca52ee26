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

void *hj_alloc(hj_ctx *c, size_t bytes) {
    if (bytes > c->limits.max_memory_bytes) bytes = c->limits.max_memory_bytes; /* fails below, without overflow */
    bytes = (bytes + 15) & ~(size_t)15;
    hj_block *b = c->arena.blocks;
    if (b == NULL || b->cap - b->used < bytes) {
        /* Blocks grow with the arena, so that a long render does not make thousands of them. */
        size_t cap = HYP_MAX(bytes, HYP_MAX((size_t)BLOCK_BYTES, HYP_MIN(c->arena.total_bytes / 4, (size_t)1 << 20)));
        size_t total = c->arena.total_bytes + cap + sizeof *b;
        if (total > c->limits.max_memory_bytes)
            hj_fail(c, HYP_ELIMIT, "needs more than %zu bytes of memory", c->limits.max_memory_bytes);
        b = aligned_alloc(16, (sizeof *b + cap + 15) & ~(size_t)15);
        if (b == NULL) hj_fail(c, HYP_ENOMEM, "out of memory");
        *b = (hj_block){.next = c->arena.blocks, .cap = cap};
        c->arena.blocks = b;
        c->arena.total_bytes = total;
    }
    void *p = b->bytes + b->used;
    b->used += bytes;
    return p;
}

void *hj_alloc0(hj_ctx *c, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) bytes = SIZE_MAX;
    void *p = hj_alloc(c, bytes);
    memset(p, 0, bytes);
    return p;
}

void hj_arena_free(hj_arena *arena) {
    for (hj_block *b = arena->blocks, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    *arena = (hj_arena){0};
}

void hj_fail(hj_ctx *c, int code, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->code = code;
    hyp_err_set(c->err, code, "chat template, line %u: %s", c->line, text);
    longjmp(c->unwind, 1);
}

void hj_raise(hj_ctx *c, hj_val message) {
    c->code = HYP_EINVAL;
    hyp_err_set(c->err, c->code, "the chat template refuses the conversation: %.*s", (int)HYP_MIN(message.len, 240u),
                message.kind == HJ_STR ? message.s : "");
    longjmp(c->unwind, 1);
}

void hj_steps(hj_ctx *c, uint64_t n) {
    if (c->limits.max_steps - c->steps < n)
        hj_fail(c, HYP_ELIMIT, "takes more than %llu steps", (unsigned long long)c->limits.max_steps);
    c->steps += n;
}

void hj_enter(hj_ctx *c) {
    if (c->depth >= c->limits.max_depth) hj_fail(c, HYP_ELIMIT, "nested more than %u deep", c->limits.max_depth);
    c->depth++;
}

void hj_leave(hj_ctx *c) {
    c->depth--;
}

void hj_buf_put(hj_ctx *c, hj_buf *b, const char *bytes, size_t n) {
    if (n == 0) return;
    hj_steps(c, 1 + n / 256);
    if (n > c->limits.max_output_bytes - c->output_bytes)
        hj_fail(c, HYP_ELIMIT, "writes more than %zu bytes", c->limits.max_output_bytes);
    c->output_bytes += n;
    if (b->cap - b->len < n) {
        size_t cap = HYP_MAX((size_t)64, b->cap);
        while (cap - b->len < n)
            cap *= 2;
        char *data = hj_alloc(c, cap);
        if (b->len > 0) memcpy(data, b->data, b->len);
        b->data = data;
        b->cap = cap;
    }
    memcpy(b->data + b->len, bytes, n);
    b->len += n;
}

void hj_buf_puts(hj_ctx *c, hj_buf *b, const char *text) {
    hj_buf_put(c, b, text, strlen(text));
}

void hj_buf_char(hj_ctx *c, hj_buf *b, char ch) {
    hj_buf_put(c, b, &ch, 1);
}

void hj_buf_fill(hj_ctx *c, hj_buf *b, char ch, size_t n) {
    char piece[64];
    memset(piece, ch, sizeof piece);
    for (; n > 0; n -= HYP_MIN(n, sizeof piece))
        hj_buf_put(c, b, piece, HYP_MIN(n, sizeof piece));
}

hj_val hj_buf_str(const hj_buf *b) {
    return hj_strn(b->len > 0 ? b->data : "", b->len);
}

/* --- scopes --- */

hj_frame *hj_frame_new(hj_ctx *c, hj_frame *up) {
    hj_frame *f = hj_alloc0(c, 1, sizeof *f);
    f->up = up;
    return f;
}

void hj_frame_set(hj_ctx *c, hj_frame *f, const char *name, hj_val v) {
    for (uint32_t i = 0; i < f->len; i++) {
        if (f->slots[i].name != name && strcmp(f->slots[i].name, name) != 0) continue;
        f->slots[i].val = v;
        return;
    }
    if (f->len == f->cap) {
        uint32_t cap = f->cap == 0 ? 4 : f->cap * 2;
        hj_slot *slots = hj_alloc(c, cap * sizeof *slots);
        if (f->len > 0) memcpy(slots, f->slots, f->len * sizeof *slots);
        f->slots = slots;
        f->cap = cap;
    }
    f->slots[f->len++] = (hj_slot){.name = name, .val = v};
}

hj_val hj_lookup(hj_ctx *c, const char *name, size_t n) {
    for (const hj_frame *f = c->frame; f != NULL; f = f->up) {
        hj_steps(c, 1 + f->len / 16);
        for (uint32_t i = 0; i < f->len; i++)
            if (f->slots[i].name == name || strcmp(f->slots[i].name, name) == 0) return f->slots[i].val;
    }
    return hj_undef(c, name, n);
}

/* --- entry points --- */

static int compile(hj_ctx *c, const char *text, size_t n, hyp_jinja *jinja) {
    if (setjmp(c->unwind) != 0) return c->code;
    if (n > c->limits.max_template_bytes)
        hj_fail(c, HYP_ELIMIT, "the template has more than %zu bytes", c->limits.max_template_bytes);
    char *copy = hj_alloc(c, n + 1);
    memcpy(copy, text, n);
    jinja->body = hj_parse(c, hj_lex(c, copy, n));
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
    hj_arena_free(&jinja->arena);
    free(jinja);
}

static int render(hj_ctx *c, const hyp_jinja *jinja, yyjson_mut_val *vars, hj_buf *text) {
    if (setjmp(c->unwind) != 0) return c->code;
    c->globals = hj_frame_new(c, NULL);
    hj_globals_define(c, c->globals);
    size_t i, max;
    yyjson_mut_val *key, *val;
    if (yyjson_mut_is_obj(vars))
        yyjson_mut_obj_foreach(vars, i, max, key, val)
            hj_frame_set(c, c->globals, yyjson_mut_get_str(key), hj_from_json(c, val));
    c->output_bytes = 0;
    c->out = text;
    c->frame = hj_frame_new(c, c->globals);
    hj_exec(c, jinja->body);
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
    hj_arena_free(&c.arena);
    return rc;
}
