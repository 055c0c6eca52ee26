/* ast_priv.h - tokens and nodes of a template; private to src/jinja. */
#pragma once
#include "jinja/jinja_priv.h"

typedef enum hj_token_type {
    HJ_T_EOF,
    HJ_T_TEXT,      /* template text, white space already trimmed */
    HJ_T_VAR_BEGIN, /* {{ */
    HJ_T_VAR_END,
    HJ_T_BLOCK_BEGIN, /* {% */
    HJ_T_BLOCK_END,
    HJ_T_NAME,
    HJ_T_CONST, /* integer, float or string in .val */
    HJ_T_OP     /* .op */
} hj_token_type;

enum { HJ_OP_FLOORDIV = 256, HJ_OP_POW, HJ_OP_EQ, HJ_OP_NE, HJ_OP_LE, HJ_OP_GE }; /* others are their character */

typedef struct hj_token {
    uint8_t type;
    uint16_t op;
    uint32_t line;
    hj_val val; /* the text of TEXT and NAME, the value of CONST */
} hj_token;

/* Split a template into tokens, the last one HJ_T_EOF. `text` must stay: tokens point into it. */
hj_token *hyp_hj_lex(hj_ctx *c, const char *text, size_t n);

typedef enum hj_node_type {
    /* expressions */
    HJ_N_CONST, /* val */
    HJ_N_NAME,  /* val: its text, terminated */
    HJ_N_HOLE,  /* the captured text that a block's filters start from */
    HJ_N_LIST,  /* a: items, linked by next */
    HJ_N_TUPLE,
    HJ_N_DICT, /* a: key, value, key, value, ... */
    HJ_N_COND, /* b if a else c */
    HJ_N_AND,  /* a, b */
    HJ_N_OR,
    HJ_N_NOT,      /* a */
    HJ_N_SIGN,     /* a; op: '-' or '+' */
    HJ_N_BINARY,   /* a, b; op: HJ_ADD... */
    HJ_N_COMPARE,  /* a, then b: linked HJ_N_RELATION */
    HJ_N_RELATION, /* op: HJ_EQ...; a: right side */
    HJ_N_ATTR,     /* a . val */
    HJ_N_ITEM,     /* a [ b ] */
    HJ_N_SLICE,    /* a [ b : c : d ] */
    HJ_N_CALL,     /* a ( b ) */
    HJ_N_FILTER,   /* a | val ( b ); fn, NULL if unknown */
    HJ_N_TEST,     /* a is val ( b ); op: 1 if negated */
    HJ_N_ARG,      /* a; op: 0 positional, '=' keyword val, '*' sequence, 'd' dictionary */
    /* statements */
    HJ_N_TEXT,         /* val */
    HJ_N_OUTPUT,       /* a */
    HJ_N_IF,           /* a: linked HJ_N_BRANCH */
    HJ_N_BRANCH,       /* a: test, NULL for else; d: body */
    HJ_N_FOR,          /* a: target, b: iterable, c: filter or NULL, d: body, e: else body */
    HJ_N_SET,          /* a = b */
    HJ_N_SET_BLOCK,    /* a = captured d, through the filters b if not NULL */
    HJ_N_MACRO,        /* val: name; a: linked HJ_N_PARAM; d: body */
    HJ_N_PARAM,        /* val: name; a: default or NULL */
    HJ_N_CALL_BLOCK,   /* b: call; c: a HJ_N_MACRO for its body */
    HJ_N_FILTER_BLOCK, /* b: filters over a hole; d: body */
    HJ_N_WITH,         /* a: linked HJ_N_SET; d: body */
    HJ_N_SCOPE,        /* d: body, run as it is (generation, block) */
    HJ_N_BREAK,
    HJ_N_CONTINUE
} hj_node_type;

struct hj_node {
    uint8_t type, op;
    uint16_t depth; /* of the tree under it, bounded by the parser */
    uint32_t line;
    hj_node *next;
    hj_node *a, *b, *c, *d, *e;
    hj_val val;
    hj_fn fn;
};

typedef struct hj_parser {
    hj_ctx *c;
    const hj_token *tok; /* the current one */
    unsigned loops;      /* enclosing for loops, for break and continue */
} hj_parser;

/* parse.c: statements */
hj_node *hyp_hj_parse(hj_ctx *c, const hj_token *tokens);

/* parse_expr.c */
hj_node *hyp_hj_node_new(hj_parser *p, hj_node_type type);
_Noreturn void hyp_hj_parse_fail(hj_parser *p, const char *expected);
bool hyp_hj_at_op(const hj_parser *p, int op);
bool hyp_hj_at_name(const hj_parser *p, const char *name);
bool hyp_hj_take_op(hj_parser *p, int op);
bool hyp_hj_take_name(hj_parser *p, const char *name);
void hyp_hj_expect_op(hj_parser *p, int op, const char *what);
hj_val hyp_hj_expect_name(hj_parser *p); /* terminated copy */
hj_node *hyp_hj_parse_expr(hj_parser *p);
hj_node *hyp_hj_parse_tuple(hj_parser *p, bool with_condition); /* one expression, or several with commas */
hj_node *hyp_hj_parse_target(hj_parser *p);                     /* names, with commas and parentheses */
hj_node *hyp_hj_parse_postfix(hj_parser *p, hj_node *n);
hj_node *hyp_hj_parse_filters(hj_parser *p, hj_node *n, bool first_without_bar);
