/* parse.c - statements: the tags of a template to a tree. */
#include "jinja/ast_priv.h"

static hj_node *parse_body(hj_parser *p, const char *const *ends);

static void expect_block_end(hj_parser *p) {
    if (p->tok->type != HJ_T_BLOCK_END) hyp_hj_parse_fail(p, "'%}'");
    p->tok++;
}

/* Take the tag that closed a body: {% name %}, of which "{%" is gone. */
static void expect_end_tag(hj_parser *p, const char *name) {
    if (!hyp_hj_take_name(p, name)) hyp_hj_parse_fail(p, name);
    if (p->tok->type == HJ_T_NAME) p->tok++; /* {% endmacro name %} */
    expect_block_end(p);
}

static hj_node *body_until(hj_parser *p, const char *end) {
    const char *const ends[] = {end, NULL};
    expect_block_end(p);
    hj_node *body = parse_body(p, ends);
    expect_end_tag(p, end);
    return body;
}

static hj_node *parse_if(hj_parser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    hj_node *n = hyp_hj_node_new(p, HJ_N_IF), **tail = &n->a;
    for (bool last = false;;) {
        hj_node *branch = hyp_hj_node_new(p, HJ_N_BRANCH);
        branch->a = last ? NULL : hyp_hj_parse_tuple(p, true);
        expect_block_end(p);
        branch->d = parse_body(p, ends);
        *tail = branch;
        tail = &branch->next;
        if (hyp_hj_take_name(p, "endif")) break;
        if (last) hyp_hj_parse_fail(p, "endif");
        last = hyp_hj_at_name(p, "else");
        p->tok++;
    }
    expect_block_end(p);
    return n;
}

static hj_node *parse_for(hj_parser *p) {
    static const char *const ends[] = {"else", "endfor", NULL};
    hj_node *n = hyp_hj_node_new(p, HJ_N_FOR);
    n->a = hyp_hj_parse_target(p);
    if (!hyp_hj_take_name(p, "in")) hyp_hj_parse_fail(p, "'in'");
    n->b = hyp_hj_parse_tuple(p, false);
    if (hyp_hj_take_name(p, "if")) n->c = hyp_hj_parse_expr(p);
    if (hyp_hj_at_name(p, "recursive")) hyp_hj_fail(p->c, HYP_EUNSUPPORTED, "recursive loops are not supported");
    expect_block_end(p);
    p->loops++;
    n->d = parse_body(p, ends);
    p->loops--;
    if (hyp_hj_take_name(p, "else")) {
        expect_block_end(p);
        n->e = parse_body(p, ends + 1);
    }
    expect_end_tag(p, "endfor");
    return n;
}

static hj_node *parse_set(hj_parser *p) {
    hj_node *n = hyp_hj_node_new(p, HJ_N_SET);
    if (p->tok->type == HJ_T_NAME && p->tok[1].type == HJ_T_OP && p->tok[1].op == '.') {
        hj_node *object = hyp_hj_node_new(p, HJ_N_NAME);
        object->val = hyp_hj_expect_name(p);
        p->tok++;
        n->a = hyp_hj_node_new(p, HJ_N_ATTR);
        n->a->a = object;
        n->a->val = hyp_hj_expect_name(p);
    } else {
        n->a = hyp_hj_parse_target(p);
    }
    if (hyp_hj_take_op(p, '=')) {
        n->b = hyp_hj_parse_tuple(p, true);
        expect_block_end(p);
        return n;
    }
    n->type = HJ_N_SET_BLOCK;
    if (hyp_hj_at_op(p, '|')) n->b = hyp_hj_parse_filters(p, hyp_hj_node_new(p, HJ_N_HOLE), false);
    n->d = body_until(p, "endset");
    return n;
}

static hj_node *parse_params(hj_parser *p) {
    hj_node *head = NULL, **tail = &head;
    bool defaults = false;
    while (!hyp_hj_take_op(p, ')')) {
        if (head != NULL) {
            hyp_hj_expect_op(p, ',', "',' or ')'");
            if (hyp_hj_take_op(p, ')')) break;
        }
        hj_node *n = hyp_hj_node_new(p, HJ_N_PARAM);
        n->val = hyp_hj_expect_name(p);
        if (hyp_hj_take_op(p, '=')) {
            n->a = hyp_hj_parse_expr(p);
            defaults = true;
        } else if (defaults) {
            hyp_hj_parse_fail(p, "a default value");
        }
        *tail = n;
        tail = &n->next;
    }
    return head;
}

static hj_node *parse_macro(hj_parser *p) {
    hj_node *n = hyp_hj_node_new(p, HJ_N_MACRO);
    n->val = hyp_hj_expect_name(p);
    hyp_hj_expect_op(p, '(', "'('");
    n->a = parse_params(p);
    unsigned loops = p->loops;
    p->loops = 0;
    n->d = body_until(p, "endmacro");
    p->loops = loops;
    return n;
}

static hj_node *parse_call_block(hj_parser *p) {
    hj_node *n = hyp_hj_node_new(p, HJ_N_CALL_BLOCK);
    n->c = hyp_hj_node_new(p, HJ_N_MACRO);
    n->c->val = hj_str("caller");
    if (hyp_hj_take_op(p, '(')) n->c->a = parse_params(p);
    n->b = hyp_hj_parse_expr(p);
    if (n->b->type != HJ_N_CALL) hyp_hj_parse_fail(p, "a call");
    unsigned loops = p->loops;
    p->loops = 0;
    n->c->d = body_until(p, "endcall");
    p->loops = loops;
    return n;
}

static hj_node *parse_with(hj_parser *p) {
    hj_node *n = hyp_hj_node_new(p, HJ_N_WITH), **tail = &n->a;
    while (p->tok->type != HJ_T_BLOCK_END) {
        if (n->a != NULL) hyp_hj_expect_op(p, ',', "','");
        hj_node *set = hyp_hj_node_new(p, HJ_N_SET);
        set->a = hyp_hj_parse_target(p);
        hyp_hj_expect_op(p, '=', "'='");
        set->b = hyp_hj_parse_expr(p);
        *tail = set;
        tail = &set->next;
    }
    n->d = body_until(p, "endwith");
    return n;
}

static hj_node *parse_jump(hj_parser *p, hj_node_type type) {
    if (p->loops == 0) hyp_hj_fail(p->c, HYP_EFORMAT, "break or continue outside a loop");
    hj_node *n = hyp_hj_node_new(p, type);
    expect_block_end(p);
    return n;
}

static hj_node *parse_filter_block(hj_parser *p) {
    hj_node *n = hyp_hj_node_new(p, HJ_N_FILTER_BLOCK);
    n->b = hyp_hj_parse_filters(p, hyp_hj_node_new(p, HJ_N_HOLE), true);
    n->d = body_until(p, "endfilter");
    return n;
}

static hj_node *parse_statement(hj_parser *p) {
    p->c->line = p->tok->line;
    if (hyp_hj_take_name(p, "if")) return parse_if(p);
    if (hyp_hj_take_name(p, "for")) return parse_for(p);
    if (hyp_hj_take_name(p, "set")) return parse_set(p);
    if (hyp_hj_take_name(p, "macro")) return parse_macro(p);
    if (hyp_hj_take_name(p, "call")) return parse_call_block(p);
    if (hyp_hj_take_name(p, "filter")) return parse_filter_block(p);
    if (hyp_hj_take_name(p, "with")) return parse_with(p);
    if (hyp_hj_take_name(p, "break")) return parse_jump(p, HJ_N_BREAK);
    if (hyp_hj_take_name(p, "continue")) return parse_jump(p, HJ_N_CONTINUE);
    if (hyp_hj_take_name(p, "generation")) { /* marks the assistant's part for training; means nothing here */
        hj_node *n = hyp_hj_node_new(p, HJ_N_SCOPE);
        n->d = body_until(p, "endgeneration");
        return n;
    }
    if (p->tok->type == HJ_T_NAME)
        hyp_hj_fail(p->c, HYP_EUNSUPPORTED, "unknown tag '%.*s'", (int)(p->tok->val.len < 40 ? p->tok->val.len : 40),
                    p->tok->val.s);
    hyp_hj_parse_fail(p, "a tag's name");
}

static bool at_end(const hj_parser *p, const char *const *ends) {
    for (; *ends != NULL; ends++)
        if (hyp_hj_at_name(p, *ends)) return true;
    return false;
}

/* Statements until a tag named in `ends`, whose "{%" is taken and whose name is the current token then. */
static hj_node *parse_body(hj_parser *p, const char *const *ends) {
    hj_node *head = NULL, **tail = &head;
    hyp_hj_enter(p->c);
    for (;;) {
        hj_node *n = NULL;
        p->c->line = p->tok->line;
        switch (p->tok->type) {
        case HJ_T_TEXT:
            n = hyp_hj_node_new(p, HJ_N_TEXT);
            n->val = p->tok++->val;
            break;
        case HJ_T_VAR_BEGIN:
            p->tok++;
            n = hyp_hj_node_new(p, HJ_N_OUTPUT);
            n->a = hyp_hj_parse_tuple(p, true);
            if (p->tok->type != HJ_T_VAR_END) hyp_hj_parse_fail(p, "'}}'");
            p->tok++;
            break;
        case HJ_T_BLOCK_BEGIN:
            p->tok++;
            if (at_end(p, ends)) {
                hyp_hj_leave(p->c);
                return head;
            }
            n = parse_statement(p);
            break;
        default:
            if (*ends != NULL) hyp_hj_parse_fail(p, ends[0]);
            hyp_hj_leave(p->c);
            return head;
        }
        *tail = n;
        tail = &n->next;
    }
}

hj_node *hyp_hj_parse(hj_ctx *c, const hj_token *tokens) {
    static const char *const none[] = {NULL};
    hj_parser p = {.c = c, .tok = tokens};
    return parse_body(&p, none);
}
