/* constrain.c - how an answer is bound to a format or to tools' schemas, and how the model marks its parts. */
#include "base/mem.h"
#include "chat/grammar.h"
#include "session/prompt_priv.h"

#include <string.h>

enum { TAIL_BYTES = 512 };

/* The grammar of the answer begins behind the reasoning. False when there is none. */
static bool after_reasoning(hyp_think_format format, hyp_trigger *ret) {
    hyp_answer_trigger end;
    if (!hyp_think_answer_trigger(format, &end)) return false;
    *ret = (hyp_trigger){.word = end.word, .lead = end.lead};
    return true;
}

/* The request's format binds the text after the reasoning. */
static int constrain_text(hyp_prompt *p, const hyp_conversation *c, hyp_err *err) {
    p->grammar = strdup(c->grammar);
    if (p->grammar == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (c->think != HYP_THINK_OFF || hyp_output_prompt_thinks(p->format.think, p->tail))
        p->n_triggers = after_reasoning(p->format.think, &p->triggers[0]);
    return HYP_OK;
}

/* A choice by name leaves one tool to call, though the prompt shows them all. */
static int keep_tool(hyp_prompt *p, const char *name, hyp_err *err) {
    yyjson_val *tool;
    size_t i, n;
    yyjson_arr_foreach(p->tools, i, n, tool) {
        if (!yyjson_equals_str(yyjson_obj_get(yyjson_obj_get(tool, "function"), "name"), name)) continue;
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        yyjson_mut_val *list = yyjson_mut_arr(doc);
        yyjson_mut_doc_set_root(doc, list);
        yyjson_doc *only =
            yyjson_mut_arr_append(list, yyjson_val_mut_copy(doc, tool)) ? yyjson_mut_doc_imut_copy(doc, NULL) : NULL;
        yyjson_mut_doc_free(doc);
        if (only == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
        p->own_tools = only;
        p->tools = yyjson_doc_get_root(only);
        return HYP_OK;
    }
    return HYP_OK; /* the codec has refused unknown names */
}

/* Calls are bound to the tools' schemas from their first character on, where the format has a grammar. Where the model
 * must call it may still think before, unless the request says that it shall not. */
static int constrain_calls(hyp_prompt *p, const hyp_conversation *c, const char *template_text, hyp_err *err) {
    bool required = c->tool_choice != NULL && strcmp(c->tool_choice, "auto") != 0;
    bool named = required && strcmp(c->tool_choice, "required") != 0;
    unsigned flags = (required ? HYP_CALLS_REQUIRED : 0u) | (named || c->one_call ? HYP_CALLS_ONE : 0u) |
                     (c->think == HYP_THINK_OFF ? HYP_CALLS_AT_ONCE : 0u);
    hyp_tool_grammar grammar = {0};
    hyp_err why = HYP_ERR_NONE;
    int code = named ? keep_tool(p, c->tool_choice, err) : HYP_OK;
    if (code != HYP_OK) return code;
    code = hyp_grammar_for_tools(p->format.tools, template_text, p->tools, flags, &grammar, &why);
    if (code == HYP_ENOMEM) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (code != HYP_OK) return HYP_OK; /* then calls are only read, not bound */
    p->grammar = HYP_TAKE(grammar.gbnf);
    for (size_t i = 0; i < grammar.n_triggers; i++)
        p->triggers[p->n_triggers++] =
            (hyp_trigger){.word = grammar.triggers[i].word, .at_start = grammar.triggers[i].at_start};
    /* In channels the grammar of the calls knows the reasoning itself. */
    bool thinks = c->think == HYP_THINK_ON || hyp_output_prompt_thinks(p->format.think, p->tail);
    if (required && thinks && !hyp_tools_use_channels(p->format.tools))
        p->n_triggers = after_reasoning(p->format.think, &p->triggers[0]);
    hyp_tool_grammar_clear(&grammar);
    return HYP_OK;
}

int hyp_prompt_constrain(hyp_prompt *p, const hyp_renderer *r, const hyp_str *text, hyp_err *err) {
    const hyp_conversation *c = r->job->conversation;
    const char *template_text = hyp_template_text(r->template);
    size_t n = HYP_MIN(text->length, (size_t)TAIL_BYTES);
    p->format = hyp_output_format_detect(template_text);
    bool wants_tools = hyp_renderer_offers_tools(r);
    if (wants_tools) p->tools = yyjson_doc_get_root(c->tools);
    if (!wants_tools && !hyp_tools_use_channels(p->format.tools)) p->format.tools = HYP_TOOLS_NONE;
    p->tail = strndup(text->length > 0 ? text->data + text->length - n : "", n);
    if (p->tail == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (c->grammar != NULL) return constrain_text(p, c, err);
    return wants_tools ? constrain_calls(p, c, template_text, err) : HYP_OK;
}
