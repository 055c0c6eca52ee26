/* grammar_tools.c - grammars of tool calls, format by format: the frame of a call around the grammar of its arguments. */
#include "chat/grammar_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* How a format writes one call, and what stands around and between calls. */
typedef struct frame {
    const char *open;    /* expression before the calls (the trigger's text included) */
    const char *name;    /* literal before the name, from the start of one call */
    const char *between; /* literal between the name and the arguments */
    const char *close;   /* expression after the arguments, ending one call */
    const char *join;    /* expression between two calls; NULL: one call only */
    const char *end;     /* expression after the last */
    const char *trigger; /* regular expression of what starts the grammar; NULL: no lazy form */
} frame;

static const frame *frame_of(hyp_tool_format format, const char *text) {
    static const frame hermes = {
        "",           "<tool_call>\n{\"name\": \"", "\", \"arguments\": ", "\"}\" ws \"</tool_call>\"", "\"\\n\"?", "",
        "<tool_call>"};
    static const frame llama = {
        "\"<|python_tag|>\"?", "{\"name\": \"", "\", \"parameters\": ", "\"}\"", NULL, "", NULL};
    static const frame mistral = {"\"[TOOL_CALLS]\" \" \"? \"[\"",
                                  "{\"name\": \"",
                                  "\", \"arguments\": ",
                                  "(\", \\\"id\\\": \\\"\" [a-zA-Z0-9]{9} \"\\\"\")? \"}\"",
                                  "\", \"",
                                  "\"]\"",
                                  "\\[TOOL_CALLS\\]"};
    static const frame tekken = {"", "[TOOL_CALLS]", "[ARGS]", "", "", "", "\\[TOOL_CALLS\\]"};
    static const frame deepseek = {"\"<｜tool▁calls▁begin｜>\"?",
                                   "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
                                   "\n```json\n",
                                   "\"\\n```<｜tool▁call▁end｜>\"",
                                   "\"\\n\"?",
                                   "\"<｜tool▁calls▁end｜>\"?",
                                   "<｜tool▁calls▁begin｜>|<｜tool▁call▁begin｜>"};
    static const frame deepseek31 = {"\"<｜tool▁calls▁begin｜>\"?",
                                     "<｜tool▁call▁begin｜>",
                                     "<｜tool▁sep｜>",
                                     "\"<｜tool▁call▁end｜>\"",
                                     "",
                                     "\"<｜tool▁calls▁end｜>\"?",
                                     "<｜tool▁calls▁begin｜>|<｜tool▁call▁begin｜>"};
    static const frame granite = {
        "\"<|tool_call|>\" ws \"[\"", "{\"name\": \"", "\", \"arguments\": ", "\"}\"", "\", \"", "\"]\"",
        "<\\|tool_call\\|>"};
    static const frame command = {"\"<|START_ACTION|>[\" ws",
                                  "{\"tool_call_id\": \"0\", \"tool_name\": \"",
                                  "\", \"parameters\": ",
                                  "\"}\"",
                                  "\",\" ws",
                                  "ws \"]<|END_ACTION|>\"",
                                  "<\\|START_ACTION\\|>"};
    static const frame kimi = {"\"<|tool_calls_section_begin|>\"?",
                               "<|tool_call_begin|>functions.",
                               NULL,
                               "\"<|tool_call_end|>\"",
                               "",
                               "\"<|tool_calls_section_end|>\"?",
                               "<\\|tool_calls_section_begin\\|>|<\\|tool_call_begin\\|>"};
    static const frame nemotron = {"\"<TOOLCALL>[\"", "{\"name\": \"",    "\", \"arguments\": ", "\"}\"",
                                   "\", \"",          "\"]</TOOLCALL>\"", "<TOOLCALL>"};
    bool xml = text != NULL && (strstr(text, "<function=") != NULL || strstr(text, "<arg_key>") != NULL);
    switch (format) {
    case HYP_TOOLS_TAGS: return xml ? NULL : &hermes;
    case HYP_TOOLS_LLAMA3: return &llama;
    case HYP_TOOLS_MISTRAL: return text != NULL && strstr(text, "[ARGS]") != NULL ? &tekken : &mistral;
    case HYP_TOOLS_DEEPSEEK: return text != NULL && strstr(text, "```json") == NULL ? &deepseek31 : &deepseek;
    case HYP_TOOLS_GRANITE: return &granite;
    case HYP_TOOLS_COMMAND: return &command;
    case HYP_TOOLS_KIMI: return &kimi;
    case HYP_TOOLS_NEMOTRON: return &nemotron;
    default: return NULL;
    }
}

/* The rule of a tool's arguments; 0 for any object, which also stands in for schemas that cannot be expressed. */
static unsigned arguments_rule(hyp_grammar *g, yyjson_mut_val *fn) {
    yyjson_mut_val *parameters = yyjson_mut_obj_get(fn, "parameters");
    if (!yyjson_mut_is_obj(parameters)) return 0;
    hyp_err ignored = HYP_ERR_NONE, *err = g->err;
    size_t length = g->rules.length;
    g->err = &ignored;
    g->root = parameters;
    g->n_refs = 0;
    g->path[0] = '\0';
    unsigned rule = hyp_grammar_visit(g, parameters);
    g->err = err;
    if (g->code == 0) return rule;
    if (g->code != HYP_ENOMEM) { /* without this tool's schema; its rule numbers stay unused */
        g->code = 0;
        g->depth = 0;
        g->rules.length = length;
        if (g->rules.data != NULL) g->rules.data[length] = '\0';
    }
    return 0;
}

static void one_call(hyp_grammar *g, const frame *f, yyjson_mut_val *fn, hyp_str *out) {
    yyjson_mut_val *name = yyjson_mut_obj_get(fn, "name");
    hyp_str text = {0};
    unsigned rule = arguments_rule(g, fn);
    if (!yyjson_mut_is_str(name)) {
        hyp_grammar_fail(g, HYP_EINVAL, "a tool has no name");
        return;
    }
    hyp_str_printf(&text, "%s%s%s", f->name, yyjson_mut_get_str(name), f->between != NULL ? f->between : ":");
    hyp_grammar_literal(out, text.data != NULL ? text.data : "", text.length);
    if (f->between == NULL) hyp_str_puts(out, " [0-9]{1,3} \"<|tool_call_argument_begin|>\"");
    if (rule > 0)
        hyp_str_printf(out, " r%u %s", rule, f->close);
    else
        hyp_str_printf(out, " object %s", f->close);
    hyp_str_free(&text);
}

static void build(hyp_grammar *g, const frame *f, bool several, hyp_str *out) {
    yyjson_mut_val *tools = g->root, *tool;
    hyp_str calls = {0};
    size_t i, max;
    yyjson_mut_arr_foreach(tools, i, max, tool) {
        yyjson_mut_val *fn = yyjson_mut_obj_get(tool, "function");
        if (i > 0) hyp_str_puts(&calls, " | ");
        one_call(g, f, fn != NULL ? fn : tool, &calls);
    }
    hyp_str_printf(out, "root ::= %s call", f->open);
    if (several && f->join != NULL) hyp_str_printf(out, " (%s call)*", f->join);
    hyp_str_printf(out, " %s\ncall ::= %s\n%s%s", f->end, calls.data != NULL ? calls.data : "\"\"",
                   g->rules.data != NULL ? g->rules.data : "", hyp_grammar_common);
    hyp_str_free(&calls);
}

int hyp_grammar_for_tools(hyp_tool_format format, const char *template_text, yyjson_val *tools, unsigned flags,
                          hyp_tool_grammar *ret, hyp_err *err) {
    const frame *f = frame_of(format, template_text);
    if (!yyjson_is_arr(tools) || yyjson_arr_size(tools) == 0)
        return hyp_err_set(err, HYP_EINVAL, "tools must be a list");
    if (f == NULL) return hyp_err_set(err, HYP_EUNSUPPORTED, "calls in this model's format are not bound by a grammar");
    hyp_grammar g;
    hyp_str out = {0}, pattern = {0};
    hyp_grammar_begin(&g, tools, err);
    bool required = (flags & HYP_CALLS_REQUIRED) != 0;
    if (g.code == 0) build(&g, f, (flags & HYP_CALLS_ONE) == 0, &out);
    hyp_tool_grammar made = {0};
    if (!required && f->trigger != NULL) hyp_str_printf(&pattern, "[\\s\\S]*?(%s)[\\s\\S]*", f->trigger);
    if (!required && f->trigger == NULL) { /* Llama: a bare call is one only at the very beginning */
        hyp_str_puts(&pattern, "[\\s\\S]*?(<\\|python_tag\\|>)[\\s\\S]*");
        made.patterns[made.n_patterns++] = strdup("\\s*(\\{\\s*\"name\")[\\s\\S]*");
    }
    if (!required) made.patterns[made.n_patterns++] = pattern.data;
    if (g.code == 0 && (out.failed || pattern.failed)) hyp_grammar_fail(&g, HYP_ENOMEM, "out of memory");
    made.gbnf = out.data;
    int rc = g.code;
    hyp_grammar_end(&g);
    if (rc < 0)
        hyp_tool_grammar_clear(&made);
    else
        *ret = made;
    return rc;
}

void hyp_tool_grammar_clear(hyp_tool_grammar *grammar) {
    free(grammar->gbnf);
    for (size_t i = 0; i < grammar->n_patterns; i++)
        free(grammar->patterns[i]);
    *grammar = (hyp_tool_grammar){0};
}
