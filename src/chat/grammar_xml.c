/* grammar_xml.c - calls whose parameters stand in tags, each with a value of its own: text as it is, or JSON. */
#include "chat/grammar_priv.h"

#include <string.h>

#include "base/mem.h"

/* Are a parameter's values written as plain text? As the parser of such calls (output_calls.c) reads them: text where
 * the schema says so or says nothing, JSON otherwise. */
static bool is_text(yyjson_mut_val *schema) {
    yyjson_mut_val *type = yyjson_mut_obj_get(schema, "type"), *t;
    size_t i, max;
    if (yyjson_mut_is_str(type)) return yyjson_mut_equals_str(type, "string");
    if (!yyjson_mut_is_arr(type)) return true;
    yyjson_mut_arr_foreach(type, i, max, t)
        if (yyjson_mut_equals_str(t, "string")) return true;
    return false;
}

/* The words that a text may be, as alternatives; false when it is not bound to any. */
static bool put_words(yyjson_mut_val *schema, hyp_str *out) {
    yyjson_mut_val *list = yyjson_mut_obj_get(schema, "enum"), *only = yyjson_mut_obj_get(schema, "const"), *word;
    size_t i, max;
    if (yyjson_mut_is_str(only)) {
        hyp_grammar_literal(out, yyjson_mut_get_str(only), yyjson_mut_get_len(only));
        return true;
    }
    if (!yyjson_mut_is_arr(list) || yyjson_mut_arr_size(list) == 0) return false;
    yyjson_mut_arr_foreach(list, i, max, word)
        if (!yyjson_mut_is_str(word)) return false;
    hyp_str_puts(out, "(");
    yyjson_mut_arr_foreach(list, i, max, word) {
        if (i > 0) hyp_str_puts(out, " | ");
        hyp_grammar_literal(out, yyjson_mut_get_str(word), yyjson_mut_get_len(word));
    }
    hyp_str_puts(out, ")");
    return true;
}

static void put_value(hyp_grammar *g, yyjson_mut_val *root, yyjson_mut_val *schema, hyp_str *out) {
    if (is_text(schema)) {
        if (!put_words(schema, out)) hyp_str_puts(out, "text0");
        return;
    }
    unsigned rule = hyp_grammar_try(g, root, schema);
    if (rule > 0)
        hyp_str_printf(out, "r%u", rule);
    else
        hyp_str_puts(out, "value");
}

static bool is_required(yyjson_mut_val *parameters, yyjson_mut_val *key) {
    yyjson_mut_val *list = yyjson_mut_obj_get(parameters, "required"), *v;
    size_t i, max;
    if (yyjson_mut_is_arr(list))
        yyjson_mut_arr_foreach(list, i, max, v)
            if (yyjson_mut_equals(v, key)) return true;
    return false;
}

static void put_parameters(hyp_grammar *g, const hyp_xml_frame *f, yyjson_mut_val *parameters, hyp_str *out) {
    yyjson_mut_val *properties = yyjson_mut_obj_get(parameters, "properties"), *key, *schema;
    size_t i, max;
    if (!yyjson_mut_is_obj(properties) || yyjson_mut_obj_size(properties) == 0) {
        /* Nothing is named: whatever the model makes up, unless the schema forbids it. */
        yyjson_mut_val *more = yyjson_mut_obj_get(parameters, "additionalProperties");
        if (yyjson_mut_is_bool(more) && !yyjson_mut_get_bool(more)) return;
        hyp_str_printf(out, " (%s [a-zA-Z0-9_.-]{1,64} %s text0 ", f->key, f->key_end);
        hyp_grammar_literal(out, f->end_tag, strlen(f->end_tag));
        hyp_str_printf(out, " %s)*", f->after);
        return;
    }
    yyjson_mut_obj_foreach(properties, i, max, key, schema) {
        hyp_str_printf(out, " (%s ", f->key);
        hyp_grammar_literal(out, yyjson_mut_get_str(key), yyjson_mut_get_len(key));
        hyp_str_printf(out, " %s ", f->key_end);
        put_value(g, parameters, schema, out);
        hyp_str_puts(out, " \"\\n\"? ");
        hyp_grammar_literal(out, f->end_tag, strlen(f->end_tag));
        hyp_str_printf(out, " %s)%s", f->after, is_required(parameters, key) ? "" : "?");
    }
}

void hyp_grammar_xml_call(hyp_grammar *g, const hyp_xml_frame *f, yyjson_mut_val *fn, hyp_str *out) {
    yyjson_mut_val *name = yyjson_mut_obj_get(fn, "name");
    if (!yyjson_mut_is_str(name)) {
        hyp_grammar_fail(g, HYP_EINVAL, "a tool has no name");
        return;
    }
    hyp_str_printf(out, "%s ", f->name);
    hyp_grammar_literal(out, yyjson_mut_get_str(name), yyjson_mut_get_len(name));
    hyp_str_printf(out, " %s", f->name_end);
    put_parameters(g, f, yyjson_mut_obj_get(fn, "parameters"), out);
    hyp_str_printf(out, " %s", f->close);
    if (out->failed) hyp_grammar_fail(g, HYP_ENOMEM, "out of memory");
}
