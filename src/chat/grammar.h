/* grammar.h - JSON Schema to llama.cpp's grammar language (GBNF): what a model may write is bounded while it writes.
 *
 * Supported: types (also lists of them, `nullable`), properties in their order with required and additionalProperties
 * (absent means none beside named properties), items, prefixItems, minItems, maxItems, enum, const, anyOf, oneOf (as
 * anyOf), allOf (merged), $ref within the document (recursive too), minLength, maxLength, pattern (regular expressions
 * without look-around and back-references), the formats date, time, date-time, uuid and ipv4, and bounds: of integers
 * exactly, of numbers when the bounds are whole. An upper count over 1000 counts as none. Other keywords that restrict
 * a value (not, if, patternProperties, uniqueItems, ...) are refused by name; mere annotations are ignored. */
#pragma once
#include "base/err.h"
#include "base/text.h"
#include "chat/family.h"

#include <yyjson.h>

/* Append a grammar whose `root` matches exactly the JSON documents of `schema`. Schemas come from the network: nesting,
 * rules and size are bounded.
 * Errors: HYP_EUNSUPPORTED (a keyword, named with its path), HYP_EINVAL (not a schema, a $ref that leads nowhere,
 * nothing can match), HYP_ELIMIT, HYP_ENOMEM. `out` is untouched then. */
HYP_NODISCARD int hyp_grammar_from_schema(yyjson_val *schema, hyp_str *out, hyp_err *err);

/* The grammar of any JSON object, for `format: "json"`. Static. */
const char *hyp_grammar_json(void);

/* A grammar for tool calls, to be used lazily: it binds the text that begins with one of the words. With n_triggers 0
 * it binds from the first character. */
typedef struct hyp_tool_grammar {
    char *gbnf;
    hyp_tool_trigger triggers[4];
    size_t n_triggers;
} hyp_tool_grammar;

enum {
    HYP_CALLS_REQUIRED = 1, /* the model must call: no triggers */
    HYP_CALLS_ONE = 2,      /* one call, not several */
    HYP_CALLS_AT_ONCE = 4   /* of a required call: no thoughts before it, where the format's grammar would allow them */
};

/* Make the grammar of calls of `tools` in a format; `template_text` tells dialects of one format apart. `flags`: of
 * HYP_CALLS_*. Arguments come in the order of the schema's properties; those whose schema
 * cannot be expressed are bound to any object, or any text.
 * Errors: HYP_EUNSUPPORTED (the format has no grammar: calls are then merely parsed), HYP_EINVAL, HYP_ELIMIT,
 * HYP_ENOMEM. */
HYP_NODISCARD int hyp_grammar_for_tools(hyp_tool_format format, const char *template_text, yyjson_val *tools,
                                        unsigned flags, hyp_tool_grammar *ret, hyp_err *err);

/* Frees what the grammar holds, not the struct. */
void hyp_tool_grammar_clear(hyp_tool_grammar *grammar);
