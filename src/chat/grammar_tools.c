/* grammar_tools.c - grammars of tool calls: the frame of a call, as its family writes it, around the grammar of its
 * arguments.
 */
#include "chat/grammar_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

unsigned hyp_grammar_try(hyp_grammar *g, yyjson_mut_val *root, yyjson_mut_val *schema) {
    hyp_err ignored = HYP_ERR_NONE, *err = g->err;
    size_t length = g->rules.length;
    g->err = &ignored;
    g->root = root;
    g->n_refs = 0;
    g->path[0] = '\0';
    unsigned rule = hyp_grammar_visit(g, schema);
    g->err = err;
    if (g->code == 0) return rule;
    if (g->code != HYP_ENOMEM) { /* without this schema; its rule numbers stay unused */
        g->code = 0;
        g->depth = 0;
        g->rules.length = length;
        if (g->rules.data != NULL) g->rules.data[length] = '\0';
    }
    return 0;
}

/* The rule of a tool's arguments; 0 for any object, which also stands in for schemas that cannot be expressed. */
static unsigned arguments_rule(hyp_grammar *g, yyjson_mut_val *fn) {
    yyjson_mut_val *parameters = yyjson_mut_obj_get(fn, "parameters");
    return yyjson_mut_is_obj(parameters) ? hyp_grammar_try(g, parameters, parameters) : 0;
}

static void one_call(hyp_grammar *g, const hyp_call_frame *f, yyjson_mut_val *fn, hyp_str *out) {
    yyjson_mut_val *name = yyjson_mut_obj_get(fn, "name");
    hyp_str text = {0};
    unsigned rule = arguments_rule(g, fn);
    if (!yyjson_mut_is_str(name)) {
        hyp_grammar_fail(g, HYP_EINVAL, "a tool has no name");
        return;
    }
    hyp_str_printf(&text, "%s%s%s", f->name, yyjson_mut_get_str(name), f->between);
    hyp_grammar_literal(out, text.data != NULL ? text.data : "", text.length);
    if (f->lead != NULL) hyp_str_printf(out, " %s", f->lead);
    if (rule > 0)
        hyp_str_printf(out, " r%u %s", rule, f->close);
    else
        hyp_str_printf(out, " object %s", f->close);
    hyp_str_free(&text);
}

/* A call in gpt-oss's channels: the recipient stands in the channel's header, or before it. */
static void harmony_call(hyp_grammar *g, yyjson_mut_val *fn, hyp_str *out) {
    yyjson_mut_val *name = yyjson_mut_obj_get(fn, "name");
    unsigned rule = arguments_rule(g, fn);
    if (!yyjson_mut_is_str(name)) {
        hyp_grammar_fail(g, HYP_EINVAL, "a tool has no name");
        return;
    }
    hyp_grammar_literal(out, yyjson_mut_get_str(name), yyjson_mut_get_len(name));
    hyp_str_puts(out, " (\"<|channel|>\" [a-z]{1,20})? (\" json\" | \" \"? \"<|constrain|>json\")? \"<|message|>\"");
    if (rule > 0)
        hyp_str_printf(out, " r%u", rule);
    else
        hyp_str_puts(out, " object");
}

static void put_call(hyp_grammar *g, const hyp_call_dialect *d, yyjson_mut_val *fn, hyp_str *out) {
    if (d->xml.name != NULL)
        hyp_grammar_xml_call(g, &d->xml, fn, out);
    else if (d->json.name != NULL)
        one_call(g, &d->json, fn, out);
    else
        harmony_call(g, fn, out);
}

static void put_root(const hyp_call_dialect *d, unsigned flags, hyp_str *out) {
    bool one = (flags & HYP_CALLS_ONE) != 0, xml = d->xml.name != NULL;
    if (!xml && d->json.name == NULL) { /* channels */
        bool may_think = (flags & (HYP_CALLS_REQUIRED | HYP_CALLS_AT_ONCE)) == HYP_CALLS_REQUIRED;
        hyp_str_puts(out, "root ::= ");
        if (may_think)
            hyp_str_puts(out, "(\"<|channel|>analysis<|message|>\" thought0 \"<|end|><|start|>assistant\")? ");
        hyp_str_puts(
            out,
            "(\"<|channel|>\" (\"commentary\" | \"analysis\") \" \" | \"assistant \" | \" \")? \"to=functions.\" call "
            "\"<|call|>\"?\n");
        if (may_think) hyp_grammar_text_without(out, "thought", "<|end|>");
        return;
    }
    const char *before = xml ? d->xml.before : d->json.open;
    const char *join = xml ? d->xml.join : d->json.join;
    const char *end = xml ? d->xml.end : d->json.end;
    hyp_str_printf(out, "root ::= %s call", before);
    if (join != NULL && !one) hyp_str_printf(out, " (%s call)*", join);
    hyp_str_printf(out, " %s\n", end);
    if (xml) hyp_grammar_text_without(out, "text", d->xml.end_tag);
}

static void build(hyp_grammar *g, const hyp_call_dialect *d, unsigned flags, hyp_str *out) {
    yyjson_mut_val *tools = g->root, *tool;
    hyp_str calls = {0};
    size_t i, max;
    yyjson_mut_arr_foreach(tools, i, max, tool) {
        yyjson_mut_val *fn = yyjson_mut_obj_get(tool, "function");
        if (i > 0) hyp_str_puts(&calls, " | ");
        put_call(g, d, fn != NULL ? fn : tool, &calls);
    }
    put_root(d, flags, out);
    hyp_str_printf(out, "call ::= %s\n%s%s", calls.data != NULL ? calls.data : "\"\"",
                   g->rules.data != NULL ? g->rules.data : "", hyp_grammar_common);
    out->failed |= calls.failed;
    hyp_str_free(&calls);
}

int hyp_grammar_for_tools(hyp_tool_format format, const char *template_text, yyjson_val *tools, unsigned flags,
                          hyp_tool_grammar *ret, hyp_err *err) {
    const hyp_call_dialect *d = hyp_tool_family_dialect(hyp_tool_family_of(format), template_text);
    if (!yyjson_is_arr(tools) || yyjson_arr_size(tools) == 0)
        return hyp_err_set(err, HYP_EINVAL, "tools must be a list");
    if (d == NULL) return hyp_err_set(err, HYP_EUNSUPPORTED, "calls in this model's format are not bound by a grammar");
    hyp_grammar g;
    hyp_str out = {0};
    hyp_grammar_begin(&g, tools, err);
    if (g.code == 0) build(&g, d, flags, &out);
    if (g.code == 0 && out.failed) hyp_grammar_fail(&g, HYP_ENOMEM, "out of memory");
    int rc = g.code;
    hyp_grammar_end(&g);
    hyp_tool_grammar made = {.gbnf = out.data};
    while ((flags & HYP_CALLS_REQUIRED) == 0 && made.n_triggers < HYP_ARRAY_LEN(made.triggers) &&
           d->triggers[made.n_triggers].word != NULL) {
        made.triggers[made.n_triggers] = d->triggers[made.n_triggers];
        made.n_triggers++;
    }
    if (rc < 0)
        hyp_tool_grammar_clear(&made);
    else
        *ret = made;
    return rc;
}

void hyp_tool_grammar_clear(hyp_tool_grammar *grammar) {
    free(grammar->gbnf);
    *grammar = (hyp_tool_grammar){0};
}
