/* family_priv.h - the rows of family.c, and the functions that they name. */
#pragma once
#include "chat/family.h"
#include "chat/scan_priv.h"

#include <yyjson.h>

/* Calls found in one body: (name, arguments, id) strings owned by the list. */
typedef struct hyp_call_list {
    struct {
        char *name, *arguments, *id;
    } * items;
    size_t len, cap;
    bool failed; /* out of memory */
} hyp_call_list;

/* Reads the inside of a call, which starts at `s` just after the opening mark. HYP_CALL_DONE: the calls are appended to
 * `list` and `*ret_used` bytes belong to them, perhaps with their closing mark. HYP_CALL_MORE: the end is not in sight;
 * the answer for a longer text will not contradict. Depends on the text alone. `tools`, the request's, tell the types
 * of arguments that are written without. Any thread. */
typedef hyp_call_status (*hyp_call_parser)(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list,
                                           size_t *ret_used);

/* output_calls.c: the readers there are. */
hyp_call_status hyp_call_parse_json(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list, size_t *ret_used);
hyp_call_status hyp_call_parse_tags(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list, size_t *ret_used);
hyp_call_status hyp_call_parse_invoke(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list,
                                      size_t *ret_used);
hyp_call_status hyp_call_parse_mistral(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list,
                                       size_t *ret_used);
hyp_call_status hyp_call_parse_deepseek(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list,
                                        size_t *ret_used);
hyp_call_status hyp_call_parse_kimi(const char *s, size_t n, yyjson_val *tools, hyp_call_list *list, size_t *ret_used);

/* How a grammar writes one call around the JSON of its arguments, and what stands around and between calls. Every field
 * is a GBNF expression but `name` and `between`, which are literal. */
typedef struct hyp_call_frame {
    const char *open;    /* before the calls (the trigger's text included) */
    const char *name;    /* before the function's name, from the start of one call */
    const char *between; /* after the name */
    const char *lead;    /* after that, before the arguments; NULL: nothing */
    const char *close;   /* after the arguments, ending one call */
    const char *join;    /* between two calls; NULL: one call only */
    const char *end;     /* after the last */
} hyp_call_frame;

/* The same for calls in tags (grammar_xml.c). Every field is an expression but `end_tag`. */
typedef struct hyp_xml_frame {
    const char *before, *name, *name_end; /* before the calls; before and after the function's name */
    const char *key, *key_end;            /* before and after a parameter's name */
    const char *end_tag;                  /* the text that ends a value */
    const char *after;                    /* after that */
    const char *close, *join, *end;       /* after the last parameter; between calls; after the last */
} hyp_xml_frame;

enum { HYP_FAMILY_TRIGGERS = 4, HYP_FAMILY_DIALECTS = 3 };

/* One way to write calls that a grammar can bind. Without triggers: no such way. */
typedef struct hyp_call_dialect {
    const char *with, *without;                     /* taken if this is, if this is not in the template; NULL: always */
    hyp_call_frame json;                            /* .name NULL: calls are written otherwise */
    hyp_xml_frame xml;                              /* the same */
    hyp_tool_trigger triggers[HYP_FAMILY_TRIGGERS]; /* what begins a call in running text; ends with .word NULL */
} hyp_call_dialect;

/* A tool-call family. Lists of words end with NULL. */
typedef struct hyp_tool_family {
    hyp_tool_format format;
    const char *name;
    const char *detect[3]; /* a template with one of these is of this family, unless an earlier row claims it */
    const char *hint;      /* so is one with this, if no row claims it by `detect`; NULL: none */
    const char *open[3];   /* a call starts */
    const char *inside;    /* which of `open` the parser wants to see too; NULL: none */
    const char *close[4];  /* may follow a call, after white space; dropped there */
    const char *drop[5];   /* means nothing by itself; dropped in content */
    char separator;        /* may follow a call as well; '\0': none */
    bool bare;             /* a JSON call may also begin an answer without any mark */
    bool wrapped;          /* and may then stand in a code fence, or in doubled braces */
    bool channels;         /* calls, reasoning and answer stand in channels, which output.c and grammar_tools.c know */
    hyp_call_parser parse; /* what stands after `open`; NULL: none */
    hyp_call_dialect dialects[HYP_FAMILY_DIALECTS]; /* the first that fits is spoken; none: calls are not bound */
} hyp_tool_family;

/* A form of reasoning. */
typedef struct hyp_think_family {
    hyp_think_format format;
    const char *name;
    const char *detect[4]; /* as above */
    struct {
        const char *word, *and; /* `and` may be NULL */
    } known[3];                 /* a template that has one of these pairs can think */
    const char *open, *close;   /* NULL: no marks, but channels or nothing */
    const char *answer;         /* the mark after which the answer comes; NULL: none */
    const char *lead;           /* expression of what may follow it before the answer; NULL with `answer` */
    bool channels;              /* as above */
} hyp_think_family;

/* The tables: rows in the order of detection, after the one of _NONE. */
extern const hyp_tool_family hyp_tool_families[];
extern const size_t hyp_n_tool_families;
extern const hyp_think_family hyp_think_families[];
extern const size_t hyp_n_think_families;

/* The row of a format; never NULL. */
const hyp_tool_family *hyp_tool_family_of(hyp_tool_format format);
const hyp_think_family *hyp_think_family_of(hyp_think_format format);

/* The dialect of a family that a template (may be NULL) speaks; NULL when the family's calls cannot be bound. */
const hyp_call_dialect *hyp_tool_family_dialect(const hyp_tool_family *family, const char *template_text);
