/* family.c - the table of model families, and what can be asked of it without knowing the rest. A new family is a row
 * here, with its name in family.h, and a parser in output_calls.c where none of those there reads its calls. */
#include "chat/family_priv.h"

#include <string.h>

#include "base/mem.h"

/* --- tool calls --- */

/* The order is that of detection, from marks that nobody else writes to those that many templates mention: <tool_call>
 * stands in templates whose models write something more special. */
const hyp_tool_family hyp_tool_families[] = {
    {.format = HYP_TOOLS_NONE, .name = "none"},
    {.format = HYP_TOOLS_HARMONY,
     .name = "harmony",
     .detect = {"<|channel|>"},
     .channels = true,
     .dialects = {{.triggers = {{"<|channel|>commentary to=functions.", false},
                                {"<|channel|>analysis to=functions.", false},
                                {"assistant to=functions.", false},
                                {"to=functions.", true}}}}},
    {.format = HYP_TOOLS_SEED,
     .name = "seed",
     .detect = {"<seed:tool_call>"},
     .open = {"<seed:tool_call>"},
     .close = {"</seed:tool_call>"},
     .parse = hyp_call_parse_tags,
     .dialects = {{.xml = {.before = "",
                           .name = "\"<seed:tool_call>\" \"\\n\"? \"<function=\"",
                           .name_end = "\">\" \"\\n\"?",
                           .key = "\"<parameter=\"",
                           .key_end = "\">\"",
                           .end_tag = "</parameter>",
                           .after = "\"\\n\"?",
                           .close = "\"</function>\" \"\\n\"? \"</seed:tool_call>\"",
                           .join = "\"\\n\"?",
                           .end = ""},
                   .triggers = {{"<seed:tool_call>", false}}}}},
    {.format = HYP_TOOLS_MINIMAX,
     .name = "minimax",
     .detect = {"<minimax:tool_call>"},
     .open = {"<minimax:tool_call>"},
     .close = {"</minimax:tool_call>"},
     .parse = hyp_call_parse_invoke,
     .dialects = {{.xml = {.before = "\"<minimax:tool_call>\" \"\\n\"?",
                           .name = "\"<invoke name=\\\"\"",
                           .name_end = "\"\\\">\" \"\\n\"?",
                           .key = "\"<parameter name=\\\"\"",
                           .key_end = "\"\\\">\"",
                           .end_tag = "</parameter>",
                           .after = "\"\\n\"?",
                           .close = "\"</invoke>\" \"\\n\"?",
                           .join = "",
                           .end = "\"</minimax:tool_call>\""},
                   .triggers = {{"<minimax:tool_call>", false}}}}},
    {.format = HYP_TOOLS_DEEPSEEK,
     .name = "deepseek",
     .detect = {"<｜tool▁call▁begin｜>"},
     .open = {"<｜tool▁call▁begin｜>"},
     .close = {"```", "<｜tool▁call▁end｜>"},
     .drop = {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"},
     .parse = hyp_call_parse_deepseek,
     .dialects = {{/* V3.1 and later */
                   .without = "```json",
                   .json = {.open = "\"<｜tool▁calls▁begin｜>\"?",
                            .name = "<｜tool▁call▁begin｜>",
                            .between = "<｜tool▁sep｜>",
                            .close = "\"<｜tool▁call▁end｜>\"",
                            .join = "",
                            .end = "\"<｜tool▁calls▁end｜>\"?"},
                   .triggers = {{"<｜tool▁calls▁begin｜>", false}, {"<｜tool▁call▁begin｜>", false}}},
                  {/* V3 and R1 */
                   .json = {.open = "\"<｜tool▁calls▁begin｜>\"?",
                            .name = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
                            .between = "\n```json\n",
                            .close = "\"\\n```<｜tool▁call▁end｜>\"",
                            .join = "\"\\n\"?",
                            .end = "\"<｜tool▁calls▁end｜>\"?"},
                   .triggers = {{"<｜tool▁calls▁begin｜>", false}, {"<｜tool▁call▁begin｜>", false}}}}},
    {.format = HYP_TOOLS_KIMI,
     .name = "kimi",
     .detect = {"<|tool_call_begin|>"},
     .open = {"<|tool_call_begin|>"},
     .close = {"<|tool_call_end|>"},
     .drop = {"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"},
     .parse = hyp_call_parse_kimi,
     .dialects = {{.json = {.open = "\"<|tool_calls_section_begin|>\"?",
                            .name = "<|tool_call_begin|>functions.",
                            .between = ":",
                            .lead = "[0-9]{1,3} \"<|tool_call_argument_begin|>\"",
                            .close = "\"<|tool_call_end|>\"",
                            .join = "",
                            .end = "\"<|tool_calls_section_end|>\"?"},
                   .triggers = {{"<|tool_calls_section_begin|>", false}, {"<|tool_call_begin|>", false}}}}},
    {.format = HYP_TOOLS_COMMAND,
     .name = "command",
     .detect = {"<|START_ACTION|>"},
     .open = {"<|START_ACTION|>"},
     .close = {"<|END_ACTION|>"},
     .drop = {"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"},
     .parse = hyp_call_parse_json,
     .dialects = {{.json = {.open = "\"<|START_ACTION|>[\" ws",
                            .name = "{\"tool_call_id\": \"0\", \"tool_name\": \"",
                            .between = "\", \"parameters\": ",
                            .close = "\"}\"",
                            .join = "\",\" ws",
                            .end = "ws \"]<|END_ACTION|>\""},
                   .triggers = {{"<|START_ACTION|>", false}}}}},
    {.format = HYP_TOOLS_MISTRAL,
     .name = "mistral",
     .detect = {"[TOOL_CALLS]"},
     .open = {"[TOOL_CALLS]"},
     .parse = hyp_call_parse_mistral,
     .dialects =
         {{.with = "[ARGS]",
           .json = {.open = "", .name = "[TOOL_CALLS]", .between = "[ARGS]", .close = "", .join = "", .end = ""},
           .triggers = {{"[TOOL_CALLS]", false}}},
          {.json = {.open = "\"[TOOL_CALLS]\" \" \"? \"[\"",
                    .name = "{\"name\": \"",
                    .between = "\", \"arguments\": ",
                    .close = "(\", \\\"id\\\": \\\"\" [a-zA-Z0-9]{9} \"\\\"\")? \"}\"",
                    .join = "\", \"",
                    .end = "\"]\""},
           .triggers = {{"[TOOL_CALLS]", false}}}}},
    {.format = HYP_TOOLS_NEMOTRON,
     .name = "nemotron",
     .detect = {"<TOOLCALL>"},
     .open = {"<TOOLCALL>"},
     .close = {"</TOOLCALL>"},
     .parse = hyp_call_parse_json,
     .dialects = {{.json = {.open = "\"<TOOLCALL>[\"",
                            .name = "{\"name\": \"",
                            .between = "\", \"arguments\": ",
                            .close = "\"}\"",
                            .join = "\", \"",
                            .end = "\"]</TOOLCALL>\""},
                   .triggers = {{"<TOOLCALL>", false}}}}},
    {.format = HYP_TOOLS_GRANITE,
     .name = "granite",
     .detect = {"<|tool_call|>"},
     .open = {"<|tool_call|>"},
     .close = {"<|/tool_call|>"},
     .parse = hyp_call_parse_json,
     .dialects = {{.json = {.open = "\"<|tool_call|>\" ws \"[\"",
                            .name = "{\"name\": \"",
                            .between = "\", \"arguments\": ",
                            .close = "\"}\"",
                            .join = "\", \"",
                            .end = "\"]\""},
                   .triggers = {{"<|tool_call|>", false}}}}},
    {.format = HYP_TOOLS_TAGS,
     .name = "tags",
     .detect = {"<tool_call>"},
     .hint = "tool_call", /* names no marks: most fine-tunes then speak Hermes */
     .open = {"<tool_call>", "<function="},
     .inside = "<function=",
     .close = {"</tool_call>"},
     .bare = true,
     .wrapped = true,
     .parse = hyp_call_parse_tags,
     .dialects = {{/* Qwen3-Coder */
                   .with = "<function=",
                   .xml = {.before = "",
                           .name = "(\"<tool_call>\" \"\\n\"?)? \"<function=\"",
                           .name_end = "\">\" \"\\n\"?",
                           .key = "\"<parameter=\"",
                           .key_end = "\">\" \"\\n\"?",
                           .end_tag = "</parameter>",
                           .after = "\"\\n\"?",
                           .close = "\"</function>\" (\"\\n\"? \"</tool_call>\")?",
                           .join = "\"\\n\"?",
                           .end = ""},
                   .triggers = {{"<tool_call>", false}, {"<function=", false}}},
                  {/* GLM */
                   .with = "<arg_key>",
                   .xml = {.before = "",
                           .name = "\"<tool_call>\" \"\\n\"?",
                           .name_end = "\"\\n\"?",
                           .key = "\"<arg_key>\"",
                           .key_end = "\"</arg_key>\" \"\\n\"? \"<arg_value>\"",
                           .end_tag = "</arg_value>",
                           .after = "\"\\n\"?",
                           .close = "\"</tool_call>\"",
                           .join = "\"\\n\"?",
                           .end = ""},
                   .triggers = {{"<tool_call>", false}}},
                  {/* Hermes, Qwen */
                   .json = {.open = "",
                            .name = "<tool_call>\n{\"name\": \"",
                            .between = "\", \"arguments\": ",
                            .close = "\"}\" ws \"</tool_call>\"",
                            .join = "\"\\n\"?",
                            .end = ""},
                   .triggers = {{"<tool_call>", false}}}}},
    {.format = HYP_TOOLS_LLAMA3,
     .name = "llama3",
     .detect = {"<|python_tag|>", "\"parameters\": "},
     .open = {"<|python_tag|>"},
     .close = {"<|eom_id|>", "<|eot_id|>"},
     .separator = ';',
     .bare = true,
     .parse = hyp_call_parse_json,
     .dialects = {{.json = {.open = "\"<|python_tag|>\"?",
                            .name = "{\"name\": \"",
                            .between = "\", \"parameters\": ",
                            .close = "\"}\"",
                            .end = ""},
                   .triggers = {{"<|python_tag|>", false}, {"{\"name\"", true}}}}},
};
const size_t hyp_n_tool_families = HYP_ARRAY_LEN(hyp_tool_families);

/* --- reasoning --- */

#define SPACE "[ \\n]*"

const hyp_think_family hyp_think_families[] = {
    {.format = HYP_THINK_NONE,
     .name = "none",
     .known = {{"<|channel>", "thought"}}}, /* Gemma 4: thinks, but its marks are not sorted out */
    {.format = HYP_THINK_HARMONY,
     .name = "harmony",
     .detect = {"<|channel|>"},
     .known = {{"<|channel|>", "analysis"}},
     .answer = "<|channel|>final",
     .lead = "[^<]* \"<|message|>\"",
     .channels = true},
    {.format = HYP_THINK_SEED,
     .name = "seed",
     .detect = {"<seed:think>"},
     .known = {{"<seed:think>", NULL}},
     .open = "<seed:think>",
     .close = "</seed:think>",
     .answer = "</seed:think>",
     .lead = SPACE},
    {.format = HYP_THINK_COMMAND,
     .name = "command",
     .detect = {"<|START_THINKING|>"},
     .known = {{"<|START_THINKING|>", NULL}},
     .open = "<|START_THINKING|>",
     .close = "<|END_THINKING|>",
     .answer = "<|END_THINKING|>",
     .lead = SPACE " \"<|START_RESPONSE|>\"?"},
    {.format = HYP_THINK_MISTRAL,
     .name = "mistral",
     .detect = {"[THINK]"},
     .known = {{"[THINK]", NULL}},
     .open = "[THINK]",
     .close = "[/THINK]",
     .answer = "[/THINK]",
     .lead = SPACE},
    {.format = HYP_THINK_TAGS,
     .name = "tags",
     .detect = {"</think>", "<think>", "reasoning_content"},
     .known = {{"<think>", "</think>"}, {"reasoning_content", NULL}},
     .open = "<think>",
     .close = "</think>",
     .answer = "</think>",
     .lead = SPACE},
};
const size_t hyp_n_think_families = HYP_ARRAY_LEN(hyp_think_families);

/* --- questions --- */

/* A format is an index for callers and not for the table, which is ordered by detection; a dozen rows are soon
 * looked through. */
const hyp_tool_family *hyp_tool_family_of(hyp_tool_format format) {
    size_t i = hyp_n_tool_families - 1;
    while (i > 0 && hyp_tool_families[i].format != format)
        i--;
    return &hyp_tool_families[i];
}

const hyp_think_family *hyp_think_family_of(hyp_think_format format) {
    size_t i = hyp_n_think_families - 1;
    while (i > 0 && hyp_think_families[i].format != format)
        i--;
    return &hyp_think_families[i];
}

static bool has_any(const char *text, const char *const *words) {
    for (; *words != NULL; words++)
        if (strstr(text, *words) != NULL) return true;
    return false;
}

static hyp_tool_format detect_tools(const char *text) {
    for (size_t i = 0; i < hyp_n_tool_families; i++)
        if (has_any(text, hyp_tool_families[i].detect)) return hyp_tool_families[i].format;
    for (size_t i = 0; i < hyp_n_tool_families; i++) {
        const char *hint = hyp_tool_families[i].hint;
        if (hint != NULL && strstr(text, hint) != NULL) return hyp_tool_families[i].format;
    }
    return HYP_TOOLS_NONE;
}

static hyp_think_format detect_think(const char *text) {
    for (size_t i = 0; i < hyp_n_think_families; i++)
        if (has_any(text, hyp_think_families[i].detect)) return hyp_think_families[i].format;
    return HYP_THINK_NONE;
}

hyp_output_format hyp_output_format_detect(const char *text) {
    if (text == NULL) return (hyp_output_format){HYP_TOOLS_NONE, HYP_THINK_NONE};
    return (hyp_output_format){detect_tools(text), detect_think(text)};
}

static bool has(const char *text, size_t n, const char *part) {
    return memmem(text, n, part, strlen(part)) != NULL;
}

bool hyp_think_is_known_to(const char *text, size_t n) {
    for (size_t i = 0; i < hyp_n_think_families; i++) {
        const hyp_think_family *f = &hyp_think_families[i];
        for (size_t k = 0; k < HYP_ARRAY_LEN(f->known) && f->known[k].word != NULL; k++)
            if (has(text, n, f->known[k].word) && (f->known[k].and == NULL || has(text, n, f->known[k].and)))
                return true;
    }
    return false;
}

bool hyp_tools_use_channels(hyp_tool_format format) {
    return hyp_tool_family_of(format)->channels;
}

bool hyp_think_answer_trigger(hyp_think_format format, hyp_answer_trigger *ret) {
    const hyp_think_family *f = hyp_think_family_of(format);
    if (f->answer == NULL) return false;
    *ret = (hyp_answer_trigger){f->answer, f->lead};
    return true;
}

/* Without a template nothing is known to be in it, and nothing to be absent: then it is the family's last dialect. */
const hyp_call_dialect *hyp_tool_family_dialect(const hyp_tool_family *family, const char *text) {
    for (size_t i = 0; i < HYP_FAMILY_DIALECTS && family->dialects[i].triggers[0].word != NULL; i++) {
        const hyp_call_dialect *d = &family->dialects[i];
        if (d->with != NULL && (text == NULL || strstr(text, d->with) == NULL)) continue;
        if (d->without != NULL && (text == NULL || strstr(text, d->without) != NULL)) continue;
        return d;
    }
    return NULL;
}
