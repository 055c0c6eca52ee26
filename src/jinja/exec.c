/* exec.c - statements, scopes, and calls of macros.
 *
 * Scopes as in Jinja: a loop's body (anew at each turn), a macro, and the bodies of set, call, filter and with blocks
 * have their own; `if` has none. An assignment stays in the innermost scope, so a loop cannot change a variable of its
 * surroundings except through a namespace. */
#include "jinja/ast_priv.h"

static hj_frame *push_frame(hj_ctx *c) {
    return c->frame = hyp_hj_frame_new(c, c->frame);
}
static void pop_frame(hj_ctx *c) {
    c->frame = c->frame->up;
}

/* Run the body, return what it wrote. */
static hj_val capture(hj_ctx *c, const hj_node *body) {
    hj_buf text = {0}, *outer = c->out;
    c->out = &text;
    hyp_hj_exec(c, body);
    c->out = outer;
    return hyp_hj_buf_str(&text);
}

static hj_val capture_in_scope(hj_ctx *c, const hj_node *body, const hj_node *filters) {
    push_frame(c);
    hj_val text = capture(c, body);
    pop_frame(c);
    if (filters == NULL) return text;
    hj_val outer = c->hole;
    c->hole = text;
    text = hyp_hj_eval(c, filters);
    c->hole = outer;
    return text;
}

static void assign(hj_ctx *c, const hj_node *target, hj_val v) {
    if (target->type == HJ_N_NAME) {
        hyp_hj_frame_set(c, c->frame, target->val.s, v);
        return;
    }
    if (target->type == HJ_N_ATTR) {
        hj_val object = hyp_hj_eval(c, target->a);
        if (object.kind != HJ_NAMESPACE) hyp_hj_fail(c, HYP_EFORMAT, "cannot assign attribute on non-namespace object");
        hyp_hj_dict_set(c, object.dict, target->val, v);
        return;
    }
    hyp_hj_enter(c);
    const hj_list *items = hyp_hj_iterate(c, v);
    uint32_t i = 0;
    for (const hj_node *t = target->a; t != NULL; t = t->next, i++) {
        if (i >= items->len) hyp_hj_fail(c, HYP_EFORMAT, "not enough values to unpack");
        assign(c, t, items->items[i]);
    }
    if (i != items->len) hyp_hj_fail(c, HYP_EFORMAT, "too many values to unpack (expected %u)", i);
    hyp_hj_leave(c);
}

/* The items for which the loop's own `if` holds. */
static const hj_list *loop_items(hj_ctx *c, const hj_node *n) {
    const hj_list *all = hyp_hj_iterate(c, hyp_hj_eval(c, n->b));
    hj_val kept = hyp_hj_seq(c, HJ_SEQ_LIST, n->c == NULL ? all->len : 0);
    hj_frame *frame = push_frame(c);
    for (uint32_t i = 0; i < all->len; i++) { /* a copy: the body may change the list */
        frame->len = 0;
        if (n->c != NULL) {
            assign(c, n->a, all->items[i]);
            if (!hyp_hj_truth(hyp_hj_eval(c, n->c))) continue;
        }
        hyp_hj_push(c, kept.list, all->items[i]);
    }
    pop_frame(c);
    return kept.list;
}

static hj_flow exec_for(hj_ctx *c, const hj_node *n) {
    const hj_list *items = loop_items(c, n);
    hj_flow flow = HJ_FLOW_NEXT;
    hj_loop *loop = hyp_hj_alloc0(c, 1, sizeof *loop);
    loop->items = items;
    loop->depth0 = c->loop_depth++;
    hj_frame *frame = push_frame(c);
    for (uint32_t i = 0; i < items->len && flow != HJ_FLOW_BREAK; i++) {
        frame->len = 0;
        loop->index0 = i;
        hyp_hj_frame_set(c, frame, "loop", (hj_val){.kind = HJ_LOOP, .loop = loop});
        assign(c, n->a, items->items[i]);
        flow = hyp_hj_exec(c, n->d);
    }
    pop_frame(c);
    c->loop_depth--;
    if (items->len > 0 || n->e == NULL) return HJ_FLOW_NEXT;
    push_frame(c);
    flow = hyp_hj_exec(c, n->e);
    pop_frame(c);
    return flow;
}

static hj_val make_macro(hj_ctx *c, const hj_node *n) {
    hj_func *f = hyp_hj_alloc0(c, 1, sizeof *f);
    f->macro = n;
    f->name = n->val.s;
    f->closure = c->frame;
    return (hj_val){.kind = HJ_FUNC, .func = f};
}

static void exec_call_block(hj_ctx *c, const hj_node *n) {
    hj_val callee = hyp_hj_eval(c, n->b->a);
    hj_args args = hyp_hj_eval_args(c, n->b->b);
    hj_kw *kw = hyp_hj_alloc(c, (args.nkw + 1u) * sizeof *kw);
    if (args.nkw > 0) memcpy(kw, args.kw, args.nkw * sizeof *kw);
    kw[args.nkw] = (hj_kw){.name = "caller", .val = make_macro(c, n->c)};
    args.kw = kw;
    args.nkw++;
    hyp_hj_put_str(c, c->out, hyp_hj_call(c, callee, &args));
}

static void exec_with(hj_ctx *c, const hj_node *n) {
    hj_frame *inner = hyp_hj_frame_new(c, c->frame), *outer = c->frame;
    for (const hj_node *set = n->a; set != NULL; set = set->next) {
        c->frame = outer;
        hj_val v = hyp_hj_eval(c, set->b);
        c->frame = inner;
        assign(c, set->a, v);
    }
    c->frame = inner;
}

static hj_flow exec_if(hj_ctx *c, const hj_node *n) {
    for (const hj_node *branch = n->a; branch != NULL; branch = branch->next)
        if (branch->a == NULL || hyp_hj_truth(hyp_hj_eval(c, branch->a))) return hyp_hj_exec(c, branch->d);
    return HJ_FLOW_NEXT;
}

static hj_flow exec_node(hj_ctx *c, const hj_node *n) {
    hj_flow flow = HJ_FLOW_NEXT;
    switch ((hj_node_type)n->type) {
    case HJ_N_TEXT: hyp_hj_buf_put(c, c->out, n->val.s, n->val.len); break;
    case HJ_N_OUTPUT: hyp_hj_put_str(c, c->out, hyp_hj_eval(c, n->a)); break;
    case HJ_N_IF: return exec_if(c, n);
    case HJ_N_FOR: return exec_for(c, n);
    case HJ_N_SET: assign(c, n->a, hyp_hj_eval(c, n->b)); break;
    case HJ_N_SET_BLOCK: assign(c, n->a, capture_in_scope(c, n->d, n->b)); break;
    case HJ_N_MACRO: hyp_hj_frame_set(c, c->frame, n->val.s, make_macro(c, n)); break;
    case HJ_N_CALL_BLOCK: exec_call_block(c, n); break;
    case HJ_N_FILTER_BLOCK: hyp_hj_put_str(c, c->out, capture_in_scope(c, n->d, n->b)); break;
    case HJ_N_WITH:
        exec_with(c, n);
        flow = hyp_hj_exec(c, n->d);
        pop_frame(c);
        break;
    case HJ_N_SCOPE: return hyp_hj_exec(c, n->d);
    case HJ_N_BREAK: return HJ_FLOW_BREAK;
    case HJ_N_CONTINUE: return HJ_FLOW_CONTINUE;
    default: hyp_hj_fail(c, HYP_EFORMAT, "not a statement");
    }
    return flow;
}

hj_flow hyp_hj_exec(hj_ctx *c, const hj_node *list) {
    hj_flow flow = HJ_FLOW_NEXT;
    hyp_hj_enter(c);
    for (const hj_node *n = list; n != NULL && flow == HJ_FLOW_NEXT; n = n->next) {
        hyp_hj_steps(c, 1);
        c->line = n->line;
        flow = exec_node(c, n);
    }
    hyp_hj_leave(c);
    return flow;
}

/* --- calls --- */

static bool keyword(const hj_args *args, const char *name, hj_val *ret) {
    for (uint32_t i = 0; i < args->nkw; i++) {
        if (strcmp(args->kw[i].name, name) != 0) continue;
        *ret = args->kw[i].val;
        return true;
    }
    return false;
}

/* Arguments beyond the parameters, as `varargs` and `kwargs`. */
static void bind_rest(hj_ctx *c, hj_frame *frame, const hj_node *macro, const hj_args *args, uint32_t taken) {
    hj_val rest = hyp_hj_seq(c, HJ_SEQ_TUPLE, 0), named = hyp_hj_dict_new(c);
    for (uint32_t i = taken; i < args->npos; i++)
        hyp_hj_push(c, rest.list, args->pos[i]);
    for (uint32_t i = 0; i < args->nkw; i++) {
        bool is_param = strcmp(args->kw[i].name, "caller") == 0;
        for (const hj_node *p = macro->a; p != NULL && !is_param; p = p->next)
            is_param = strcmp(p->val.s, args->kw[i].name) == 0;
        if (!is_param) hyp_hj_dict_set(c, named.dict, hj_str(args->kw[i].name), args->kw[i].val);
    }
    hyp_hj_frame_set(c, frame, "varargs", rest);
    hyp_hj_frame_set(c, frame, "kwargs", named);
}

static hj_val call_macro(hj_ctx *c, const hj_func *f, const hj_args *args) {
    hj_frame *outer = c->frame, *frame = hyp_hj_frame_new(c, f->closure);
    c->frame = frame;
    uint32_t i = 0;
    hj_val v;
    for (const hj_node *p = f->macro->a; p != NULL; p = p->next, i++) {
        if (i < args->npos)
            v = args->pos[i];
        else if (!keyword(args, p->val.s, &v))
            v = p->a != NULL ? hyp_hj_eval(c, p->a) : hyp_hj_undef(c, p->val.s, p->val.len);
        hyp_hj_frame_set(c, frame, p->val.s, v);
    }
    bind_rest(c, frame, f->macro, args, i);
    if (keyword(args, "caller", &v)) hyp_hj_frame_set(c, frame, "caller", v);
    unsigned loops = c->loop_depth;
    c->loop_depth = 0;
    hj_val text = capture(c, f->macro->d);
    c->loop_depth = loops;
    c->frame = outer;
    return text;
}

hj_val hyp_hj_call(hj_ctx *c, hj_val callee, const hj_args *args) {
    if (callee.kind == HJ_UNDEF)
        hyp_hj_fail(c, HYP_EFORMAT, "'%.80s' is undefined", callee.s != NULL ? callee.s : "value");
    if (callee.kind != HJ_FUNC) hyp_hj_fail(c, HYP_EFORMAT, "'%s' object is not callable", hyp_hj_type_name(callee));
    hyp_hj_enter(c);
    const hj_func *f = callee.func;
    hj_val v = f->fn != NULL ? f->fn(c, f->self, args) : call_macro(c, f, args);
    hyp_hj_leave(c);
    return v;
}
