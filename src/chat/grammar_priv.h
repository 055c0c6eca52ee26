/* grammar_priv.h - shared by grammar.c (schemas), grammar_text.c (strings and numbers) and grammar_tools.c. */
#pragma once
#include "chat/family_priv.h"
#include "chat/grammar.h"

enum {
    HYP_GRAMMAR_MAX_DEPTH = 64,
    HYP_GRAMMAR_MAX_RULES = 4000,
    HYP_GRAMMAR_MAX_BYTES = 1 << 20,
    HYP_GRAMMAR_MAX_REPEAT = 1000 /* libllama refuses more than 2000 */
};

/* One conversion. The first error wins and stops it. */
typedef struct hyp_grammar {
    yyjson_mut_doc *doc;  /* working copy of the schema, and what is merged */
    yyjson_mut_val *root; /* where $ref starts */
    hyp_str rules;
    unsigned n_rules, depth;
    struct hyp_grammar_ref {
        const char *path;
        unsigned rule;
    } * refs;
    size_t n_refs, cap_refs;
    char path[200]; /* of the schema being converted, for messages */
    hyp_err *err;
    int code; /* 0 while nothing failed */
} hyp_grammar;

int hyp_grammar_fail(hyp_grammar *g, int code, const char *format, ...) HYP_PRINTF(3, 4);
unsigned hyp_grammar_reserve(hyp_grammar *g); /* a fresh rule number: rule N is called rN */
void hyp_grammar_define(hyp_grammar *g, unsigned rule, const hyp_str *body);

/* Convert a schema into rules; the number of the rule that matches its values. 0 on failure. */
unsigned hyp_grammar_visit(hyp_grammar *g, yyjson_mut_val *schema);
void hyp_grammar_begin(hyp_grammar *g, yyjson_val *schema, hyp_err *err);
void hyp_grammar_end(hyp_grammar *g);

/* The rules that all conversions share (ws, value, object, string, ...). */
extern const char hyp_grammar_common[];

/* grammar_text.c: append expressions. */
void hyp_grammar_literal(hyp_str *out, const char *s, size_t n); /* "..." with escapes */
void hyp_grammar_class_char(hyp_str *out, uint32_t cp);          /* a character inside [..] */
void hyp_grammar_string(hyp_grammar *g, yyjson_mut_val *schema, hyp_str *out);
void hyp_grammar_number(hyp_grammar *g, yyjson_mut_val *schema, bool integer, hyp_str *out);
void hyp_grammar_not_in(hyp_str *out, const char *const *names,
                        size_t n);                                 /* the inside of a key that is none of these */
void hyp_grammar_repeat(hyp_str *out, uint64_t min, uint64_t max); /* {min,max}; max UINT64_MAX: none */

/* grammar_regex.c: a `pattern`, as the inside of a JSON string. */
void hyp_grammar_pattern(hyp_grammar *g, const char *pattern, size_t n, hyp_str *out);

/* Rules WORD-0 .. of a text in which `word` does not occur, whose first character must not occur in it again. */
void hyp_grammar_text_without(hyp_str *out, const char *rule, const char *word);

/* grammar_tools.c: the rule of a schema that stands on its own, whose references start at `root`; 0 when it cannot be
 * expressed. Clears what such a failure left behind. */
unsigned hyp_grammar_try(hyp_grammar *g, yyjson_mut_val *root, yyjson_mut_val *schema);

/* grammar_xml.c: append the alternatives of one call to `fn`. */
void hyp_grammar_xml_call(hyp_grammar *g, const hyp_xml_frame *f, yyjson_mut_val *fn, hyp_str *out);
