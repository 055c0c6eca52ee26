/* print.c - values as text: Python's str() and repr(), and JSON as json.dumps() writes it. */
#include "jinja/jinja_priv.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* Python's repr(float): the fewest digits that read back the same, exponent form below 1e-4 and from 1e16 on. */
void hyp_hj_put_float(hj_ctx *c, hj_buf *b, double f) {
    if (isnan(f) || isinf(f)) {
        hyp_hj_buf_puts(c, b, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    char text[40];
    int precision = 0;
    do
        snprintf(text, sizeof text, "%.*e", precision, f);
    while (strtod(text, NULL) != f && ++precision < 17);
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
        char fixed[64];
        snprintf(fixed, sizeof fixed, "%.*f", HYP_MAX(precision - exponent, 1), f);
        hyp_hj_buf_puts(c, b, fixed);
        return;
    }
    char out[64];
    *strchr(text, 'e') = '\0';
    snprintf(out, sizeof out, "%se%c%02d", text, exponent < 0 ? '-' : '+', abs(exponent));
    hyp_hj_buf_puts(c, b, out);
}

static void put_int(hj_ctx *c, hj_buf *b, int64_t i) {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)i);
    hyp_hj_buf_puts(c, b, text);
}

static void repr_str(hj_ctx *c, hj_buf *b, hj_val v) {
    char quote = v.len > 0 && memchr(v.s, '\'', v.len) != NULL && memchr(v.s, '"', v.len) == NULL ? '"' : '\'';
    hyp_hj_buf_char(c, b, quote);
    for (size_t i = 0, step, done; i < v.len; i += step) {
        for (done = i; i < v.len; i += step) { /* a run without escapes */
            uint32_t cp = hyp_hj_utf8_next(v.s + i, v.len - i, &step);
            if (cp == (unsigned char)quote || cp == '\\' || !hyp_hj_is_printable(cp)) break;
        }
        hyp_hj_buf_put(c, b, v.s + done, i - done);
        if (i >= v.len) break;
        uint32_t cp = hyp_hj_utf8_next(v.s + i, v.len - i, &step);
        char text[12];
        if (cp == '\n' || cp == '\r' || cp == '\t')
            snprintf(text, sizeof text, "\\%c", cp == '\n' ? 'n' : cp == '\r' ? 'r' : 't');
        else if (cp == '\\' || cp == (unsigned char)quote)
            snprintf(text, sizeof text, "\\%c", (char)cp);
        else
            snprintf(text, sizeof text, cp < 256 ? "\\x%02x" : cp < 65536 ? "\\u%04x" : "\\U%08x", cp);
        hyp_hj_buf_puts(c, b, text);
    }
    hyp_hj_buf_char(c, b, quote);
}

static void repr_seq(hj_ctx *c, hj_buf *b, hj_val v) {
    static const char *const open[] = {"[",           "(", "range(", "<generator ", "dict_keys([", "dict_values([",
                                       "dict_items(["};
    static const char *const close[] = {"]", ")", ")", ">", "])", "])", "])"};
    const hj_list *l = v.list;
    hyp_hj_buf_puts(c, b, open[v.sub]);
    if (v.sub == HJ_SEQ_GENERATOR) {
        hyp_hj_buf_puts(c, b, "object");
    } else if (v.sub == HJ_SEQ_RANGE) {
        int64_t step = l->len > 1 ? l->items[1].i - l->items[0].i : 1;
        put_int(c, b, l->len > 0 ? l->items[0].i : 0);
        hyp_hj_buf_puts(c, b, ", ");
        put_int(c, b, l->len > 0 ? l->items[l->len - 1].i + (step > 0 ? 1 : -1) : 0);
        if (step != 1) {
            hyp_hj_buf_puts(c, b, ", ");
            put_int(c, b, step);
        }
    } else {
        for (uint32_t i = 0; i < l->len; i++) {
            if (i > 0) hyp_hj_buf_puts(c, b, ", ");
            hyp_hj_put_repr(c, b, l->items[i]);
        }
        if (v.sub == HJ_SEQ_TUPLE && l->len == 1) hyp_hj_buf_char(c, b, ',');
    }
    hyp_hj_buf_puts(c, b, close[v.sub]);
}

static void repr_dict(hj_ctx *c, hj_buf *b, const hj_dict *d) {
    hyp_hj_buf_char(c, b, '{');
    for (uint32_t i = 0; i < d->len; i++) {
        if (i > 0) hyp_hj_buf_puts(c, b, ", ");
        hyp_hj_put_repr(c, b, d->entries[i].key);
        hyp_hj_buf_puts(c, b, ": ");
        hyp_hj_put_repr(c, b, d->entries[i].val);
    }
    hyp_hj_buf_char(c, b, '}');
}

void hyp_hj_put_repr(hj_ctx *c, hj_buf *b, hj_val v) {
    hyp_hj_steps(c, 1);
    hyp_hj_enter(c);
    switch ((hj_kind)v.kind) {
    case HJ_UNDEF: hyp_hj_buf_puts(c, b, "Undefined"); break;
    case HJ_NONE: hyp_hj_buf_puts(c, b, "None"); break;
    case HJ_BOOL: hyp_hj_buf_puts(c, b, v.b ? "True" : "False"); break;
    case HJ_INT: put_int(c, b, v.i); break;
    case HJ_FLOAT: hyp_hj_put_float(c, b, v.f); break;
    case HJ_STR: repr_str(c, b, v); break;
    case HJ_SEQ: repr_seq(c, b, v); break;
    case HJ_DICT: repr_dict(c, b, v.dict); break;
    case HJ_NAMESPACE:
        hyp_hj_buf_puts(c, b, "<Namespace ");
        repr_dict(c, b, v.dict);
        hyp_hj_buf_char(c, b, '>');
        break;
    case HJ_LOOP:
        hyp_hj_buf_puts(c, b, "<LoopContext ");
        put_int(c, b, v.loop->index0 + 1);
        hyp_hj_buf_char(c, b, '/');
        put_int(c, b, v.loop->items->len);
        hyp_hj_buf_char(c, b, '>');
        break;
    case HJ_FUNC:
        hyp_hj_buf_puts(c, b, v.func->macro != NULL ? "<Macro '" : "<function '");
        hyp_hj_buf_puts(c, b, v.func->name);
        hyp_hj_buf_puts(c, b, "'>");
        break;
    }
    hyp_hj_leave(c);
}

void hyp_hj_put_str(hj_ctx *c, hj_buf *b, hj_val v) {
    if (v.kind == HJ_STR)
        hyp_hj_buf_put(c, b, v.s, v.len);
    else if (v.kind != HJ_UNDEF)
        hyp_hj_put_repr(c, b, v);
}

hj_val hyp_hj_to_str(hj_ctx *c, hj_val v) {
    if (v.kind == HJ_STR) return v;
    hj_buf b = {0};
    hyp_hj_put_str(c, &b, v);
    return hyp_hj_buf_str(&b);
}

/* --- JSON --- */

typedef struct json_style {
    hj_buf indent; /* one level, when `lines` */
    bool lines, sort_keys, ascii;
    hj_val item_separator, key_separator;
} json_style;

static void json_str(hj_ctx *c, hj_buf *b, hj_val v, bool ascii) {
    hyp_hj_buf_char(c, b, '"');
    for (size_t i = 0, step, done; i < v.len; i += step) {
        for (done = i; i < v.len; i += step) {
            uint32_t cp = hyp_hj_utf8_next(v.s + i, v.len - i, &step);
            if (cp < 32 || cp == '"' || cp == '\\' || (ascii && cp > 126)) break;
        }
        hyp_hj_buf_put(c, b, v.s + done, i - done);
        if (i >= v.len) break;
        uint32_t cp = hyp_hj_utf8_next(v.s + i, v.len - i, &step);
        static const char named[] = "\"\"\\\\\nn\rr\tt\bb\ff";
        const char *hit = NULL;
        for (size_t k = 0; cp < 128 && k + 1 < sizeof named && hit == NULL; k += 2)
            if ((unsigned char)named[k] == cp) hit = named + k + 1;
        char text[16];
        if (hit != NULL)
            snprintf(text, sizeof text, "\\%c", *hit);
        else if (cp < 0x10000)
            snprintf(text, sizeof text, cp == 127 ? "\x7f" : "\\u%04x", cp);
        else
            snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xd7c0 + (cp >> 10), 0xdc00 + (cp & 0x3ff));
        hyp_hj_buf_puts(c, b, text);
    }
    hyp_hj_buf_char(c, b, '"');
}

static void json_line(hj_ctx *c, hj_buf *b, const json_style *style, unsigned level) {
    if (!style->lines) return;
    hyp_hj_buf_char(c, b, '\n');
    for (unsigned i = 0; i < level; i++)
        hyp_hj_buf_put(c, b, style->indent.data, style->indent.len);
}

static void json_put(hj_ctx *c, hj_buf *b, hj_val v, const json_style *style, unsigned level);

static void json_key(hj_ctx *c, hj_buf *b, hj_val key, const json_style *style) {
    if (key.kind == HJ_STR) {
        json_str(c, b, key, style->ascii);
        return;
    }
    if (key.kind != HJ_NONE && !hj_is_num(key))
        hyp_hj_fail(c, HYP_EFORMAT, "a %s cannot be a key in JSON", hyp_hj_type_name(key));
    hyp_hj_buf_char(c, b, '"');
    json_put(c, b, key, style, 0);
    hyp_hj_buf_char(c, b, '"');
}

/* The entries' order: as they came, or by key. A merge sort of indices would be overkill: dictionaries are small. */
static const hj_entry *const *json_order(hj_ctx *c, const hj_dict *d, bool sorted) {
    const hj_entry **order = hyp_hj_alloc(c, d->len * sizeof *order);
    for (uint32_t i = 0; i < d->len; i++) {
        uint32_t at = i;
        for (; sorted && at > 0 && hyp_hj_compare(c, order[at - 1]->key, d->entries[i].key) > 0; at--)
            order[at] = order[at - 1];
        order[at] = d->entries + i;
    }
    return order;
}

static void json_container(hj_ctx *c, hj_buf *b, hj_val v, const json_style *style, unsigned level) {
    bool dict = v.kind == HJ_DICT;
    uint32_t n = dict ? v.dict->len : v.list->len;
    const hj_entry *const *order = dict ? json_order(c, v.dict, style->sort_keys) : NULL;
    hyp_hj_buf_char(c, b, dict ? '{' : '[');
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0) hyp_hj_put_str(c, b, style->item_separator);
        json_line(c, b, style, level + 1);
        if (dict) {
            json_key(c, b, order[i]->key, style);
            hyp_hj_put_str(c, b, style->key_separator);
        }
        json_put(c, b, dict ? order[i]->val : v.list->items[i], style, level + 1);
    }
    if (n > 0) json_line(c, b, style, level);
    hyp_hj_buf_char(c, b, dict ? '}' : ']');
}

static void json_put(hj_ctx *c, hj_buf *b, hj_val v, const json_style *style, unsigned level) {
    hyp_hj_steps(c, 1);
    hyp_hj_enter(c);
    switch ((hj_kind)v.kind) {
    case HJ_NONE: hyp_hj_buf_puts(c, b, "null"); break;
    case HJ_BOOL: hyp_hj_buf_puts(c, b, v.b ? "true" : "false"); break;
    case HJ_INT: put_int(c, b, v.i); break;
    case HJ_FLOAT:
        if (isfinite(v.f))
            hyp_hj_put_float(c, b, v.f);
        else
            hyp_hj_buf_puts(c, b, isnan(v.f) ? "NaN" : v.f < 0 ? "-Infinity" : "Infinity");
        break;
    case HJ_STR: json_str(c, b, v, style->ascii); break;
    case HJ_SEQ:
        if (v.sub > HJ_SEQ_TUPLE) hyp_hj_fail(c, HYP_EFORMAT, "a %s is not JSON serializable", hyp_hj_type_name(v));
        json_container(c, b, v, style, level);
        break;
    case HJ_DICT: json_container(c, b, v, style, level); break;
    default: hyp_hj_fail(c, HYP_EFORMAT, "%s is not JSON serializable", hyp_hj_type_name(v));
    }
    hyp_hj_leave(c);
}

/* tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False), as the transformers library defines it.
 * Jinja's own takes the indent first; both spellings `tojson(indent=4)` and `tojson(4)` occur. */
hj_val hyp_hj_tojson(hj_ctx *c, hj_val self, const hj_args *args) {
    json_style style = {.sort_keys = hyp_hj_arg_bool(args, 3, "sort_keys", false)};
    hj_val first = hyp_hj_arg(args, 0, "ensure_ascii"), indent = hyp_hj_arg(args, 1, "indent");
    if (first.kind == HJ_INT && indent.kind == HJ_UNDEF)
        indent = first;
    else
        style.ascii = hyp_hj_truth(first);
    style.lines = indent.kind != HJ_UNDEF && indent.kind != HJ_NONE;
    if (indent.kind == HJ_STR)
        hyp_hj_buf_put(c, &style.indent, indent.s, indent.len);
    else if (style.lines)
        hyp_hj_buf_fill(c, &style.indent, ' ',
                        (size_t)HYP_MAX(hyp_hj_arg_int(c, &(hj_args){.pos = &indent, .npos = 1}, 0, NULL, 0), 0));
    style.item_separator = hj_str(style.lines ? "," : ", ");
    style.key_separator = hj_str(": ");
    hj_val separators = hyp_hj_arg(args, 2, "separators");
    if (separators.kind == HJ_SEQ && separators.list->len == 2) {
        style.item_separator = hyp_hj_to_str(c, separators.list->items[0]);
        style.key_separator = hyp_hj_to_str(c, separators.list->items[1]);
    }
    hj_buf b = {0};
    json_put(c, &b, self, &style, 0);
    return hyp_hj_buf_str(&b);
}
