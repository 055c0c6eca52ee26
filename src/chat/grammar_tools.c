/* grammar_tools.c - grammars of tool calls, format by format: the frame of a call around the grammar of its arguments.
 */
#include "chat/grammar_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* How a format writes one call, and what stands around and between calls. */
typedef struct frame {
    const char *open;             /* expression before the calls (the trigger's text included) */
    const char *name;             /* literal before the name, from the start of one call */
    const char *between;          /* literal between the name and the arguments */
    const char *close;            /* expression after the arguments, ending one call */
    const char *join;             /* expression between two calls; NULL: one call only */
    const char *end;              /* expression after the last */
    hyp_tool_trigger triggers[4]; /* what begins a call in running text */
} frame;

static const frame *frame_of(hyp_tool_format format, const char *text) {
    static const frame hermes = {
        "", "<tool_call>\n{\"name\": \"", "\", \"arguments\": ", "\"}\" ws \"</tool_call>\"", "\"\\n\"?",
        "", {{"<tool_call>", false}}};
    static const frame llama = {"\"<|python_tag|>\"?",
                                "{\"name\": \"",
                                "\", \"parameters\": ",
                                "\"}\"",
                                NULL,
                                "",
                                {{"<|python_tag|>", false}, {"{\"name\"", true}}};
    static const frame mistral = {"\"[TOOL_CALLS]\" \" \"? \"[\"",
                                  "{\"name\": \"",
                                  "\", \"arguments\": ",
                                  "(\", \\\"id\\\": \\\"\" [a-zA-Z0-9]{9} \"\\\"\")? \"}\"",
                                  "\", \"",
                                  "\"]\"",
                                  {{"[TOOL_CALLS]", false}}};
    static const frame tekken = {"", "[TOOL_CALLS]", "[ARGS]", "", "", "", {{"[TOOL_CALLS]", false}}};
    static const frame deepseek = {"\"<｜tool▁calls▁begin｜>\"?",
                                   "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
                                   "\n```json\n",
                                   "\"\\n```<｜tool▁call▁end｜>\"",
                                   "\"\\n\"?",
                                   "\"<｜tool▁calls▁end｜>\"?",
                                   {{"<｜tool▁calls▁begin｜>", false}, {"<｜tool▁call▁begin｜>", false}}};
    static const frame deepseek31 = {"\"<｜tool▁calls▁begin｜>\"?",
                                     "<｜tool▁call▁begin｜>",
                                     "<｜tool▁sep｜>",
                                     "\"<｜tool▁call▁end｜>\"",
                                     "",
                                     "\"<｜tool▁calls▁end｜>\"?",
                                     {{"<｜tool▁calls▁begin｜>", false}, {"<｜tool▁call▁begin｜>", false}}};
    static const frame granite = {
        "\"<|tool_call|>\" ws \"[\"", "{\"name\": \"", "\", \"arguments\": ", "\"}\"", "\", \"", "\"]\"",
        {{"<|tool_call|>", false}}};
    static const frame command = {"\"<|START_ACTION|>[\" ws",
                                  "{\"tool_call_id\": \"0\", \"tool_name\": \"",
                                  "\", \"parameters\": ",
                                  "\"}\"",
                                  "\",\" ws",
                                  "ws \"]<|END_ACTION|>\"",
                                  {{"<|START_ACTION|>", false}}};
    static const frame kimi = {"\"<|tool_calls_section_begin|>\"?",
                               "<|tool_call_begin|>functions.",
                               NULL,
                               "\"<|tool_call_end|>\"",
                               "",
                               "\"<|tool_calls_section_end|>\"?",
                               {{"<|tool_calls_section_begin|>", false}, {"<|tool_call_begin|>", false}}};
    static const frame nemotron = {"\"<TOOLCALL>[\"", "{\"name\": \"",    "\", \"arguments\": ",  "\"}\"",
                                   "\", \"",          "\"]</TOOLCALL>\"", {{"<TOOLCALL>", false}}};
    switch (format) {
    case HYP_TOOLS_TAGS: return &hermes;
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

/* The formats that write parameters in tags. */
typedef struct xml_format {
    hyp_xml_frame frame;
    hyp_tool_trigger triggers[4];
} xml_format;

static const xml_format *xml_of(hyp_tool_format format, const char *text) {
    static const xml_format coder = {{"", "(\"<tool_call>\" \"\\n\"?)? \"<function=\"", "\">\" \"\\n\"?",
                                      "\"<parameter=\"", "\">\" \"\\n\"?", "</parameter>", "\"\\n\"?",
                                      "\"</function>\" (\"\\n\"? \"</tool_call>\")?", "\"\\n\"?", ""},
                                     {{"<tool_call>", false}, {"<function=", false}}};
    static const xml_format glm = {{"", "\"<tool_call>\" \"\\n\"?", "\"\\n\"?", "\"<arg_key>\"",
                                    "\"</arg_key>\" \"\\n\"? \"<arg_value>\"", "</arg_value>", "\"\\n\"?",
                                    "\"</tool_call>\"", "\"\\n\"?", ""},
                                   {{"<tool_call>", false}}};
    static const xml_format seed = {{"", "\"<seed:tool_call>\" \"\\n\"? \"<function=\"", "\">\" \"\\n\"?",
                                     "\"<parameter=\"", "\">\"", "</parameter>", "\"\\n\"?",
                                     "\"</function>\" \"\\n\"? \"</seed:tool_call>\"", "\"\\n\"?", ""},
                                    {{"<seed:tool_call>", false}}};
    static const xml_format minimax = {{"\"<minimax:tool_call>\" \"\\n\"?", "\"<invoke name=\\\"\"",
                                        "\"\\\">\" \"\\n\"?", "\"<parameter name=\\\"\"", "\"\\\">\"", "</parameter>",
                                        "\"\\n\"?", "\"</invoke>\" \"\\n\"?", "", "\"</minimax:tool_call>\""},
                                       {{"<minimax:tool_call>", false}}};
    if (text == NULL) text = "";
    switch (format) {
    case HYP_TOOLS_TAGS:
        return strstr(text, "<function=") != NULL ? &coder : strstr(text, "<arg_key>") != NULL ? &glm : NULL;
    case HYP_TOOLS_SEED: return &seed;
    case HYP_TOOLS_MINIMAX: return &minimax;
    default: return NULL;
    }
}

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

static const hyp_tool_trigger harmony_triggers[] = {{"<|channel|>commentary to=functions.", false},
                                                    {"<|channel|>analysis to=functions.", false},
                                                    {"assistant to=functions.", false},
                                                    {"to=functions.", true}};

/* What a call needs of one format. */
typedef struct shape {
    const frame *json;
    const xml_format *xml; /* else harmony when both are NULL */
} shape;

static void put_call(hyp_grammar *g, const shape *f, yyjson_mut_val *fn, hyp_str *out) {
    if (f->xml != NULL)
        hyp_grammar_xml_call(g, &f->xml->frame, fn, out);
    else if (f->json != NULL)
        one_call(g, f->json, fn, out);
    else
        harmony_call(g, fn, out);
}

static void put_root(const shape *f, unsigned flags, hyp_str *out) {
    bool one = (flags & HYP_CALLS_ONE) != 0;
    if (f->xml == NULL && f->json == NULL) {
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
    const char *before = f->xml != NULL ? f->xml->frame.before : f->json->open;
    const char *join = f->xml != NULL ? f->xml->frame.join : f->json->join;
    const char *end = f->xml != NULL ? f->xml->frame.end : f->json->end;
    hyp_str_printf(out, "root ::= %s call", before);
    if (join != NULL && !one) hyp_str_printf(out, " (%s call)*", join);
    hyp_str_printf(out, " %s\n", end);
    if (f->xml != NULL) hyp_grammar_text_without(out, "text", f->xml->frame.end_tag);
}

static void build(hyp_grammar *g, const shape *f, unsigned flags, hyp_str *out) {
    yyjson_mut_val *tools = g->root, *tool;
    hyp_str calls = {0};
    size_t i, max;
    yyjson_mut_arr_foreach(tools, i, max, tool) {
        yyjson_mut_val *fn = yyjson_mut_obj_get(tool, "function");
        if (i > 0) hyp_str_puts(&calls, " | ");
        put_call(g, f, fn != NULL ? fn : tool, &calls);
    }
    put_root(f, flags, out);
    hyp_str_printf(out, "call ::= %s\n%s%s", calls.data != NULL ? calls.data : "\"\"",
                   g->rules.data != NULL ? g->rules.data : "", hyp_grammar_common);
    out->failed |= calls.failed;
    hyp_str_free(&calls);
}

int hyp_grammar_for_tools(hyp_tool_format format, const char *template_text, yyjson_val *tools, unsigned flags,
                          hyp_tool_grammar *ret, hyp_err *err) {
    shape f = {.xml = xml_of(format, template_text)};
    if (f.xml == NULL) f.json = frame_of(format, template_text);
    if (!yyjson_is_arr(tools) || yyjson_arr_size(tools) == 0)
        return hyp_err_set(err, HYP_EINVAL, "tools must be a list");
    if (f.xml == NULL && f.json == NULL && format != HYP_TOOLS_HARMONY)
        return hyp_err_set(err, HYP_EUNSUPPORTED, "calls in this model's format are not bound by a grammar");
    hyp_grammar g;
    hyp_str out = {0};
    hyp_grammar_begin(&g, tools, err);
    if (g.code == 0) build(&g, &f, flags, &out);
    if (g.code == 0 && out.failed) hyp_grammar_fail(&g, HYP_ENOMEM, "out of memory");
    int rc = g.code;
    hyp_grammar_end(&g);
    hyp_tool_grammar made = {.gbnf = out.data};
    const hyp_tool_trigger *triggers = f.xml != NULL    ? f.xml->triggers
                                       : f.json != NULL ? f.json->triggers
                                                        : harmony_triggers;
    while ((flags & HYP_CALLS_REQUIRED) == 0 && made.n_triggers < HYP_ARRAY_LEN(made.triggers) &&
           triggers[made.n_triggers].word != NULL) {
        made.triggers[made.n_triggers] = triggers[made.n_triggers];
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
