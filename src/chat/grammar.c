/* grammar.c - schemas to rules. Every schema becomes a numbered rule; a $ref becomes the rule of what it names, which
 * is reserved before it is converted, so that recursion closes by itself. */
#include "chat/grammar_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char hyp_grammar_common[] =
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n"
    "char ::= [^\"\\\\\\x7F\\x00-\\x1F] | [\\\\] ([\"\\\\/bfnrt] | \"u\" [0-9a-fA-F]{4})\n"
    "string ::= \"\\\"\" char* \"\\\"\"\n"
    "integer ::= \"-\"? (\"0\" | [1-9] [0-9]{0,15})\n"
    "number ::= integer (\".\" [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?\n"
    "boolean ::= \"true\" | \"false\"\n"
    "null ::= \"null\"\n"
    "object ::= \"{\" ws (string ws \":\" ws value (ws \",\" ws string ws \":\" ws value)*)? ws \"}\"\n"
    "array ::= \"[\" ws (value (ws \",\" ws value)*)? ws \"]\"\n"
    "value ::= object | array | string | number | boolean | null\n";

const char *hyp_grammar_json(void) {
    return "root ::= object\n"
           "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n"
           "char ::= [^\"\\\\\\x7F\\x00-\\x1F] | [\\\\] ([\"\\\\/bfnrt] | \"u\" [0-9a-fA-F]{4})\n"
           "string ::= \"\\\"\" char* \"\\\"\"\n"
           "number ::= \"-\"? (\"0\" | [1-9] [0-9]{0,15}) (\".\" [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?\n"
           "object ::= \"{\" ws (string ws \":\" ws value (ws \",\" ws string ws \":\" ws value)*)? ws \"}\"\n"
           "array ::= \"[\" ws (value (ws \",\" ws value)*)? ws \"]\"\n"
           "value ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n";
}

int hyp_grammar_fail(hyp_grammar *g, int code, const char *format, ...) {
    if (g->code != 0) return g->code;
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    g->code = code;
    return hyp_err_set(g->err, code, "JSON schema, at #%.100s: %s", g->path, text);
}

unsigned hyp_grammar_reserve(hyp_grammar *g) {
    if (g->n_rules >= HYP_GRAMMAR_MAX_RULES) {
        hyp_grammar_fail(g, HYP_ELIMIT, "more than %d rules", HYP_GRAMMAR_MAX_RULES);
        return 0;
    }
    return ++g->n_rules;
}

void hyp_grammar_define(hyp_grammar *g, unsigned rule, const hyp_str *body) {
    if (g->code != 0) return;
    hyp_str_printf(&g->rules, "r%u ::= %s\n", rule, body->length > 0 ? body->data : "\"\"");
    if (g->rules.failed || body->failed) hyp_grammar_fail(g, HYP_ENOMEM, "out of memory");
    if (g->rules.length > HYP_GRAMMAR_MAX_BYTES) hyp_grammar_fail(g, HYP_ELIMIT, "the grammar is too large");
}

/* --- helpers --- */

static yyjson_mut_val *get(yyjson_mut_val *schema, const char *key) {
    return yyjson_mut_obj_get(schema, key);
}

#define NO_INDEX SIZE_MAX

/* Convert the schema under `key`, or under an index of the list there; both are for messages. */
static unsigned visit_at(hyp_grammar *g, yyjson_mut_val *schema, const char *key, size_t index) {
    size_t n = strlen(g->path);
    if (index == NO_INDEX)
        snprintf(g->path + n, sizeof g->path - n, "/%s", key);
    else
        snprintf(g->path + n, sizeof g->path - n, "/%s/%zu", key, index);
    unsigned rule = hyp_grammar_visit(g, schema);
    if (g->code == 0) g->path[n] = '\0';
    return rule;
}

static bool unsupported(hyp_grammar *g, yyjson_mut_val *schema) {
    static const char *const words[] = {"not",
                                        "if",
                                        "then",
                                        "else",
                                        "patternProperties",
                                        "propertyNames",
                                        "contains",
                                        "minContains",
                                        "maxContains",
                                        "dependentRequired",
                                        "dependentSchemas",
                                        "dependencies",
                                        "unevaluatedProperties",
                                        "unevaluatedItems",
                                        "multipleOf",
                                        "minProperties",
                                        "maxProperties",
                                        "$dynamicRef",
                                        "$recursiveRef"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(words); i++) {
        yyjson_mut_val *v = get(schema, words[i]);
        if (v == NULL || (yyjson_mut_is_bool(v) && strncmp(words[i], "unevaluated", 11) == 0)) continue;
        hyp_grammar_fail(g, HYP_EUNSUPPORTED, "\"%s\" is not supported", words[i]);
        return true;
    }
    if (yyjson_mut_get_bool(get(schema, "uniqueItems"))) {
        hyp_grammar_fail(g, HYP_EUNSUPPORTED, "\"uniqueItems\" is not supported");
        return true;
    }
    return false;
}

static bool required(yyjson_mut_val *schema, const char *name, size_t n) {
    size_t i, max;
    yyjson_mut_val *v, *list = get(schema, "required");
    if (yyjson_mut_is_arr(list))
        yyjson_mut_arr_foreach(list, i, max, v)
            if (yyjson_mut_equals_strn(v, name, n)) return true;
    return false;
}

/* --- $ref --- */

/* The schema that "#/a/b" names. */
static yyjson_mut_val *resolve(hyp_grammar *g, const char *ref) {
    yyjson_mut_val *at = NULL;
    if (strcmp(ref, "#") == 0)
        at = g->root;
    else if (ref[0] == '#' && ref[1] == '/')
        at = yyjson_mut_ptr_getn(g->root, ref + 1, strlen(ref + 1));
    else
        hyp_grammar_fail(g, HYP_EUNSUPPORTED, "$ref to another document (%.60s)", ref);
    if (at == NULL) hyp_grammar_fail(g, HYP_EINVAL, "$ref leads nowhere (%.60s)", ref);
    return at;
}

static unsigned visit_ref(hyp_grammar *g, const char *ref) {
    for (size_t i = 0; i < g->n_refs; i++)
        if (strcmp(g->refs[i].path, ref) == 0) return g->refs[i].rule;
    yyjson_mut_val *target = resolve(g, ref);
    unsigned rule = target != NULL ? hyp_grammar_reserve(g) : 0;
    if (rule == 0) return 0;
    if (g->n_refs == g->cap_refs) {
        size_t cap = g->cap_refs == 0 ? 8 : g->cap_refs * 2;
        void *refs = realloc(g->refs, cap * sizeof *g->refs);
        if (refs == NULL) {
            hyp_grammar_fail(g, HYP_ENOMEM, "out of memory");
            return 0;
        }
        g->refs = refs;
        g->cap_refs = cap;
    }
    g->refs[g->n_refs].path = ref;
    g->refs[g->n_refs++].rule = rule;
    const char *inner = yyjson_mut_get_str(get(target, "$ref"));
    if (inner != NULL && strcmp(inner, ref) == 0) {
        hyp_grammar_fail(g, HYP_EINVAL, "$ref to itself");
        return 0;
    }
    hyp_str body = {0};
    hyp_str_printf(&body, "r%u", hyp_grammar_visit(g, target));
    hyp_grammar_define(g, rule, &body);
    hyp_str_free(&body);
    return rule;
}

/* --- combinations --- */

/* `base` and `more` at once: properties and required lists joined, everything else from `more`. */
static yyjson_mut_val *merge(hyp_grammar *g, yyjson_mut_val *base, yyjson_mut_val *more) {
    for (unsigned hops = 0; yyjson_mut_is_str(get(more, "$ref")) && g->code == 0; hops++) {
        if (hops > 16)
            hyp_grammar_fail(g, HYP_ELIMIT, "too many $ref in a row");
        else
            more = resolve(g, yyjson_mut_get_str(get(more, "$ref")));
    }
    yyjson_mut_val *out = yyjson_mut_val_mut_copy(g->doc, base), *key, *val, *k, *v;
    size_t i, max, j, n;
    if (g->code != 0 || !yyjson_mut_is_obj(more)) return out;
    yyjson_mut_obj_foreach(more, i, max, key, val) {
        yyjson_mut_val *own = yyjson_mut_obj_getn(out, yyjson_mut_get_str(key), yyjson_mut_get_len(key));
        if (yyjson_mut_equals_str(key, "properties") && yyjson_mut_is_obj(own) && yyjson_mut_is_obj(val)) {
            yyjson_mut_obj_foreach(val, j, n, k, v)
                yyjson_mut_obj_put(own, yyjson_mut_val_mut_copy(g->doc, k), yyjson_mut_val_mut_copy(g->doc, v));
        } else if (yyjson_mut_is_arr(own) && yyjson_mut_is_arr(val) &&
                   (yyjson_mut_equals_str(key, "required") || yyjson_mut_equals_str(key, "allOf"))) {
            yyjson_mut_arr_foreach(val, j, n, v)
                yyjson_mut_arr_append(own, yyjson_mut_val_mut_copy(g->doc, v));
        } else {
            yyjson_mut_obj_put(out, yyjson_mut_val_mut_copy(g->doc, key), yyjson_mut_val_mut_copy(g->doc, val));
        }
    }
    return out;
}

static yyjson_mut_val *without(hyp_grammar *g, yyjson_mut_val *schema, const char *key) {
    yyjson_mut_val *out = yyjson_mut_val_mut_copy(g->doc, schema);
    yyjson_mut_obj_remove_key(out, key);
    return out;
}

/* Does the schema restrict anything besides `key`? */
static bool has_siblings(yyjson_mut_val *schema, const char *key) {
    static const char *const notes[] = {"title",      "description", "default",   "examples",    "example",
                                        "$schema",    "$id",         "$defs",     "definitions", "$comment",
                                        "deprecated", "readOnly",    "writeOnly", "nullable",    "discriminator"};
    size_t i, max;
    yyjson_mut_val *k, *v;
    yyjson_mut_obj_foreach(schema, i, max, k, v) {
        bool note = yyjson_mut_equals_str(k, key);
        for (size_t w = 0; w < HYP_ARRAY_LEN(notes) && !note; w++)
            note = yyjson_mut_equals_str(k, notes[w]);
        if (!note) return true;
    }
    return false;
}

static void visit_any_of(hyp_grammar *g, yyjson_mut_val *schema, const char *key, hyp_str *out) {
    yyjson_mut_val *list = get(schema, key), *v, *rest = NULL;
    if (has_siblings(schema, key)) rest = without(g, schema, key);
    size_t i, max;
    if (yyjson_mut_arr_size(list) == 0) hyp_grammar_fail(g, HYP_EINVAL, "\"%s\" must be a list of schemas", key);
    yyjson_mut_arr_foreach(list, i, max, v) {
        if (g->code != 0) return;
        hyp_str_printf(out, "%sr%u", i > 0 ? " | " : "", visit_at(g, rest != NULL ? merge(g, rest, v) : v, key, i));
    }
}

static unsigned visit_all_of(hyp_grammar *g, yyjson_mut_val *schema) {
    yyjson_mut_val *list = get(schema, "allOf"), *v;
    size_t i, max;
    if (!yyjson_mut_is_arr(list)) {
        hyp_grammar_fail(g, HYP_EINVAL, "\"allOf\" must be a list of schemas");
        return 0;
    }
    if (yyjson_mut_arr_size(list) == 1 && !has_siblings(schema, "allOf"))
        return visit_at(g, yyjson_mut_arr_get_first(list), "allOf", 0);
    yyjson_mut_val *merged = without(g, schema, "allOf");
    yyjson_mut_arr_foreach(list, i, max, v)
        merged = merge(g, merged, v);
    return visit_at(g, merged, "allOf", NO_INDEX);
}

static void visit_const(hyp_grammar *g, yyjson_mut_val *v, hyp_str *out) {
    size_t n;
    char *json = yyjson_mut_val_write(v, 0, &n);
    if (json == NULL)
        hyp_grammar_fail(g, HYP_EINVAL, "a constant cannot be written");
    else
        hyp_grammar_literal(out, json, n);
    free(json);
}

static void visit_enum(hyp_grammar *g, yyjson_mut_val *list, hyp_str *out) {
    size_t i, max;
    yyjson_mut_val *v;
    if (yyjson_mut_arr_size(list) == 0) hyp_grammar_fail(g, HYP_EINVAL, "\"enum\" must be a list of values");
    yyjson_mut_arr_foreach(list, i, max, v) {
        if (i > 0) hyp_str_puts(out, " | ");
        visit_const(g, v, out);
    }
}

/* --- objects --- */

typedef struct member {
    const char *name;
    unsigned rule; /* key, colon and value */
    bool required;
} member;

static unsigned member_rule(hyp_grammar *g, yyjson_mut_val *key, unsigned value) {
    unsigned rule = hyp_grammar_reserve(g);
    hyp_str body = {0};
    visit_const(g, key, &body);
    hyp_str_printf(&body, " ws \":\" ws r%u", value);
    hyp_grammar_define(g, rule, &body);
    hyp_str_free(&body);
    return rule;
}

/* A rule for one member beyond the named ones; 0 if there may be none. */
static unsigned additional_rule(hyp_grammar *g, yyjson_mut_val *schema, const member *members, size_t n) {
    yyjson_mut_val *more = get(schema, "additionalProperties");
    if (more == NULL || yyjson_mut_is_false(more)) return 0;
    unsigned value = yyjson_mut_is_obj(more) ? visit_at(g, more, "additionalProperties", NO_INDEX) : 0;
    unsigned rule = hyp_grammar_reserve(g);
    hyp_str body = {0};
    HYP_AUTOFREE const char **names = calloc(n + 1, sizeof *names);
    if (names == NULL) {
        hyp_grammar_fail(g, HYP_ENOMEM, "out of memory");
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        names[i] = members[i].name;
    hyp_str_puts(&body, "\"\\\"\" ");
    hyp_grammar_not_in(&body, names, n);
    hyp_str_puts(&body, " \"\\\"\" ws \":\" ws ");
    if (value > 0)
        hyp_str_printf(&body, "r%u", value);
    else
        hyp_str_puts(&body, "value");
    hyp_grammar_define(g, rule, &body);
    hyp_str_free(&body);
    return rule;
}

/* Members from i on, when none came before: the first that is present decides. Rules chain from the last to the first.
 */
static void members_body(hyp_grammar *g, const member *m, size_t n, unsigned additional, hyp_str *out) {
    hyp_str rest = {0}; /* what may follow a member: ", member" each */
    unsigned *rest_rules = calloc(n + 1, sizeof *rest_rules), first = 0;
    if (rest_rules == NULL) {
        hyp_grammar_fail(g, HYP_ENOMEM, "out of memory");
        return;
    }
    for (size_t i = n + 1; i-- > 0 && g->code == 0;) {
        rest.length = 0;
        if (i == n && additional > 0)
            hyp_str_printf(&rest, "(ws \",\" ws r%u)*", additional);
        else if (i < n)
            hyp_str_printf(&rest, m[i].required ? "ws \",\" ws r%u r%u" : "(ws \",\" ws r%u)? r%u", m[i].rule,
                           rest_rules[i + 1]);
        rest_rules[i] = hyp_grammar_reserve(g);
        hyp_grammar_define(g, rest_rules[i], &rest);
    }
    for (size_t i = n + 1; i-- > 0 && g->code == 0;) {
        rest.length = 0;
        unsigned own = hyp_grammar_reserve(g);
        if (i == n && additional > 0)
            hyp_str_printf(&rest, "(r%u r%u)?", additional, rest_rules[n]);
        else if (i < n && m[i].required)
            hyp_str_printf(&rest, "r%u r%u", m[i].rule, rest_rules[i + 1]);
        else if (i < n)
            hyp_str_printf(&rest, "r%u r%u | r%u", m[i].rule, rest_rules[i + 1], first);
        hyp_grammar_define(g, own, &rest);
        first = own;
    }
    hyp_str_printf(out, "\"{\" ws r%u ws \"}\"", first);
    hyp_str_free(&rest);
    free(rest_rules);
}

static void visit_object(hyp_grammar *g, yyjson_mut_val *schema, hyp_str *out) {
    yyjson_mut_val *properties = get(schema, "properties"), *key, *val, *list = get(schema, "required");
    size_t named = yyjson_mut_obj_size(properties), n = 0, i, max;
    if (named == 0 && yyjson_mut_arr_size(list) == 0 && get(schema, "additionalProperties") == NULL) {
        hyp_str_puts(out, "object");
        return;
    }
    HYP_AUTOFREE member *members = calloc(named + yyjson_mut_arr_size(list) + 1, sizeof *members);
    if (members == NULL) {
        hyp_grammar_fail(g, HYP_ENOMEM, "out of memory");
        return;
    }
    if (yyjson_mut_is_obj(properties))
        yyjson_mut_obj_foreach(properties, i, max, key, val) {
            const char *name = yyjson_mut_get_str(key);
            unsigned value = visit_at(g, val, name, NO_INDEX);
            members[n++] = (member){name, member_rule(g, key, value), required(schema, name, yyjson_mut_get_len(key))};
        }
    if (yyjson_mut_is_arr(list)) /* required, but not described */
        yyjson_mut_arr_foreach(list, i, max, val) {
            if (!yyjson_mut_is_str(val) ||
                yyjson_mut_obj_getn(properties, yyjson_mut_get_str(val), yyjson_mut_get_len(val)) != NULL)
                continue;
            unsigned any = hyp_grammar_reserve(g);
            hyp_str body = {0};
            hyp_str_puts(&body, "value");
            hyp_grammar_define(g, any, &body);
            hyp_str_free(&body);
            members[n++] = (member){yyjson_mut_get_str(val), member_rule(g, val, any), true};
        }
    if (g->code == 0) members_body(g, members, n, additional_rule(g, schema, members, n), out);
}

/* --- arrays --- */

static uint64_t count_of(hyp_grammar *g, yyjson_mut_val *schema, const char *key, uint64_t fallback) {
    yyjson_mut_val *v = get(schema, key);
    if (v == NULL) return fallback;
    if (!yyjson_mut_is_uint(v)) hyp_grammar_fail(g, HYP_EINVAL, "\"%s\" must be a whole number", key);
    return yyjson_mut_get_uint(v);
}

/* Prefix items one by one: each may end the list once `min` are there. */
static void tuple_body(hyp_grammar *g, yyjson_mut_val *prefix, const char *item, uint64_t min, hyp_str *out) {
    size_t n = yyjson_mut_arr_size(prefix), i, max;
    HYP_AUTOFREE unsigned *rules = calloc(n + 1, sizeof *rules);
    yyjson_mut_val *v;
    if (rules == NULL) {
        hyp_grammar_fail(g, HYP_ENOMEM, "out of memory");
        return;
    }
    yyjson_mut_arr_foreach(prefix, i, max, v)
        rules[i] = visit_at(g, v, "prefixItems", i);
    hyp_str body = {0};
    unsigned tail = hyp_grammar_reserve(g);
    if (item[0] != '\0') {
        hyp_str_printf(&body, "(ws \",\" ws %s)", item);
        hyp_grammar_repeat(&body, min > n ? min - n : 0, UINT64_MAX);
    }
    hyp_grammar_define(g, tail, &body);
    for (i = n; i-- > 0 && g->code == 0;) {
        body.length = 0;
        hyp_str_printf(&body, i < min ? "%sr%u r%u" : "(%sr%u r%u)?", i > 0 ? "ws \",\" ws " : "", rules[i], tail);
        tail = hyp_grammar_reserve(g);
        hyp_grammar_define(g, tail, &body);
    }
    hyp_str_printf(out, "\"[\" ws r%u ws \"]\"", tail);
    hyp_str_free(&body);
}

static void visit_array(hyp_grammar *g, yyjson_mut_val *schema, hyp_str *out) {
    yyjson_mut_val *items = get(schema, "items"), *prefix = get(schema, "prefixItems");
    uint64_t min = count_of(g, schema, "minItems", 0), max = count_of(g, schema, "maxItems", UINT64_MAX);
    char item[24] = "value";
    if (yyjson_mut_is_arr(items)) { /* the older spelling of prefixItems */
        prefix = items;
        items = get(schema, "additionalItems");
    }
    if (min > HYP_GRAMMAR_MAX_REPEAT || max < min) {
        hyp_grammar_fail(g, HYP_EUNSUPPORTED, "\"minItems\" over %d or over \"maxItems\"", HYP_GRAMMAR_MAX_REPEAT);
        return;
    }
    if (yyjson_mut_is_obj(items)) snprintf(item, sizeof item, "r%u", visit_at(g, items, "items", NO_INDEX));
    if (yyjson_mut_is_false(items)) item[0] = '\0';
    if (yyjson_mut_is_arr(prefix) && yyjson_mut_arr_size(prefix) > 0) {
        if (max != UINT64_MAX && max <= yyjson_mut_arr_size(prefix))
            item[0] = '\0';
        else if (max != UINT64_MAX)
            hyp_grammar_fail(g, HYP_EUNSUPPORTED, "\"maxItems\" beyond \"prefixItems\"");
        if (max < yyjson_mut_arr_size(prefix))
            hyp_grammar_fail(g, HYP_EUNSUPPORTED, "\"maxItems\" below \"prefixItems\"");
        tuple_body(g, prefix, item, min, out);
    } else if (item[0] == '\0' || max == 0) {
        hyp_str_puts(out, "\"[\" ws \"]\"");
    } else {
        hyp_str_printf(out, "\"[\" ws %s%s (ws \",\" ws %s)", min == 0 ? "(" : "", item, item);
        hyp_grammar_repeat(out, min > 0 ? min - 1 : 0, max == UINT64_MAX ? max : max - 1);
        hyp_str_puts(out, min == 0 ? ")? ws \"]\"" : " ws \"]\"");
    }
}

/* --- any schema --- */

static void visit_type(hyp_grammar *g, yyjson_mut_val *schema, const char *type, hyp_str *out) {
    if (strcmp(type, "object") == 0)
        visit_object(g, schema, out);
    else if (strcmp(type, "array") == 0)
        visit_array(g, schema, out);
    else if (strcmp(type, "string") == 0)
        hyp_grammar_string(g, schema, out);
    else if (strcmp(type, "integer") == 0)
        hyp_grammar_number(g, schema, true, out);
    else if (strcmp(type, "number") == 0)
        hyp_grammar_number(g, schema, false, out);
    else if (strcmp(type, "boolean") == 0 || strcmp(type, "null") == 0)
        hyp_str_puts(out, type);
    else
        hyp_grammar_fail(g, HYP_EINVAL, "unknown type \"%.40s\"", type);
}

/* The type of a schema that names none, from the keywords that only one type has; NULL if any value fits. */
static const char *implied_type(yyjson_mut_val *schema) {
    static const char *const hints[][2] = {{"properties", "object"},
                                           {"required", "object"},
                                           {"additionalProperties", "object"},
                                           {"items", "array"},
                                           {"prefixItems", "array"},
                                           {"minItems", "array"},
                                           {"maxItems", "array"},
                                           {"pattern", "string"},
                                           {"minLength", "string"},
                                           {"maxLength", "string"},
                                           {"minimum", "number"},
                                           {"maximum", "number"},
                                           {"exclusiveMinimum", "number"},
                                           {"exclusiveMaximum", "number"}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(hints); i++)
        if (get(schema, hints[i][0]) != NULL) return hints[i][1];
    return NULL;
}

static void visit_body(hyp_grammar *g, yyjson_mut_val *schema, hyp_str *out) {
    yyjson_mut_val *type = get(schema, "type"), *v;
    size_t i, max;
    if (get(schema, "$ref") != NULL) {
        const char *ref = yyjson_mut_get_str(get(schema, "$ref"));
        if (ref == NULL)
            hyp_grammar_fail(g, HYP_EINVAL, "\"$ref\" must be text");
        else
            hyp_str_printf(out, "r%u", visit_ref(g, ref));
    } else if (get(schema, "const") != NULL) {
        visit_const(g, get(schema, "const"), out);
    } else if (get(schema, "enum") != NULL) {
        visit_enum(g, get(schema, "enum"), out);
    } else if (get(schema, "allOf") != NULL) {
        hyp_str_printf(out, "r%u", visit_all_of(g, schema));
    } else if (get(schema, "anyOf") != NULL) {
        visit_any_of(g, schema, "anyOf", out);
    } else if (get(schema, "oneOf") != NULL) {
        visit_any_of(g, schema, "oneOf", out);
    } else if (yyjson_mut_is_arr(type)) {
        if (yyjson_mut_arr_size(type) == 0) hyp_grammar_fail(g, HYP_EINVAL, "\"type\" is an empty list");
        yyjson_mut_arr_foreach(type, i, max, v) {
            if (i > 0) hyp_str_puts(out, " | ");
            visit_type(g, schema, yyjson_mut_is_str(v) ? yyjson_mut_get_str(v) : "?", out);
        }
    } else if (type != NULL && !yyjson_mut_is_str(type)) {
        hyp_grammar_fail(g, HYP_EINVAL, "\"type\" must be text or a list");
    } else {
        const char *name = type != NULL ? yyjson_mut_get_str(type) : implied_type(schema);
        if (name != NULL)
            visit_type(g, schema, name, out);
        else
            hyp_str_puts(out, "value");
    }
    if (yyjson_mut_get_bool(get(schema, "nullable"))) hyp_str_puts(out, " | null");
}

unsigned hyp_grammar_visit(hyp_grammar *g, yyjson_mut_val *schema) {
    if (g->code != 0) return 0;
    if (g->depth >= HYP_GRAMMAR_MAX_DEPTH) {
        hyp_grammar_fail(g, HYP_ELIMIT, "nested more than %d deep", HYP_GRAMMAR_MAX_DEPTH);
        return 0;
    }
    unsigned rule = hyp_grammar_reserve(g);
    hyp_str body = {0};
    g->depth++;
    if (yyjson_mut_is_true(schema))
        hyp_str_puts(&body, "value");
    else if (!yyjson_mut_is_obj(schema))
        hyp_grammar_fail(g, HYP_EINVAL,
                         yyjson_mut_is_false(schema) ? "nothing can match" : "a schema must be an object");
    else if (!unsupported(g, schema))
        visit_body(g, schema, &body);
    g->depth--;
    hyp_grammar_define(g, rule, &body);
    hyp_str_free(&body);
    return g->code == 0 ? rule : 0;
}

void hyp_grammar_begin(hyp_grammar *g, yyjson_val *schema, hyp_err *err) {
    *g = (hyp_grammar){.doc = yyjson_mut_doc_new(NULL), .err = err};
    g->root = yyjson_val_mut_copy(g->doc, schema);
    if (g->root == NULL)
        hyp_grammar_fail(g, schema == NULL ? HYP_EINVAL : HYP_ENOMEM, schema == NULL ? "no schema" : "out of memory");
}

void hyp_grammar_end(hyp_grammar *g) {
    yyjson_mut_doc_free(g->doc);
    hyp_str_free(&g->rules);
    free(g->refs);
}

int hyp_grammar_from_schema(yyjson_val *schema, hyp_str *out, hyp_err *err) {
    hyp_grammar g;
    hyp_grammar_begin(&g, schema, err);
    unsigned root = hyp_grammar_visit(&g, g.root);
    if (g.code == 0) {
        hyp_str_printf(out, "root ::= r%u\n%s%s", root, g.rules.data, hyp_grammar_common);
        if (out->failed) hyp_grammar_fail(&g, HYP_ENOMEM, "out of memory");
    }
    hyp_grammar_end(&g);
    return g.code;
}
