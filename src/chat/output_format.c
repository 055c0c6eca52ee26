/* output_format.c - the families' markers, and which family a template belongs to. */
#include "chat/output_priv.h"

#include <string.h>

#include "base/mem.h"

const hyp_marker_set *hyp_output_markers(hyp_tool_format format) {
    static const char *const none[] = {NULL};
    static const char *const tags[] = {"<tool_call>", "<function=", NULL}, *const tags_end[] = {"</tool_call>", NULL};
    static const char *const llama[] = {"<|python_tag|>", NULL}, *const llama_end[] = {"<|eom_id|>", "<|eot_id|>",
                                                                                       NULL};
    static const char *const mistral[] = {"[TOOL_CALLS]", NULL};
    static const char *const deepseek[] = {"<｜tool▁call▁begin｜>", NULL};
    static const char *const deepseek_end[] = {"```", "<｜tool▁call▁end｜>", NULL};
    static const char *const deepseek_drop[] = {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", NULL};
    static const char *const granite[] = {"<|tool_call|>", NULL}, *const granite_end[] = {"<|/tool_call|>", NULL};
    static const char *const command[] = {"<|START_ACTION|>", NULL}, *const command_end[] = {"<|END_ACTION|>", NULL};
    static const char *const command_drop[] = {"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>",
                                               "<|END_TEXT|>", NULL};
    static const char *const kimi[] = {"<|tool_call_begin|>", NULL}, *const kimi_end[] = {"<|tool_call_end|>", NULL};
    static const char *const kimi_drop[] = {"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", NULL};
    static const char *const seed[] = {"<seed:tool_call>", NULL}, *const seed_end[] = {"</seed:tool_call>", NULL};
    static const char *const minimax[] = {"<minimax:tool_call>", NULL}, *const minimax_end[] = {"</minimax:tool_call>",
                                                                                                NULL};
    static const char *const nemotron[] = {"<TOOLCALL>", NULL}, *const nemotron_end[] = {"</TOOLCALL>", NULL};
    static const hyp_marker_set sets[] = {
        [HYP_TOOLS_NONE] = {none, none, none},
        [HYP_TOOLS_TAGS] = {tags, tags_end, none},
        [HYP_TOOLS_LLAMA3] = {llama, llama_end, none},
        [HYP_TOOLS_MISTRAL] = {mistral, none, none},
        [HYP_TOOLS_DEEPSEEK] = {deepseek, deepseek_end, deepseek_drop},
        [HYP_TOOLS_HARMONY] = {none, none, none},
        [HYP_TOOLS_GRANITE] = {granite, granite_end, none},
        [HYP_TOOLS_COMMAND] = {command, command_end, command_drop},
        [HYP_TOOLS_KIMI] = {kimi, kimi_end, kimi_drop},
        [HYP_TOOLS_SEED] = {seed, seed_end, none},
        [HYP_TOOLS_MINIMAX] = {minimax, minimax_end, none},
        [HYP_TOOLS_NEMOTRON] = {nemotron, nemotron_end, none},
    };
    return &sets[format];
}

hyp_think_markers hyp_output_think_markers(hyp_think_format format) {
    static const hyp_think_markers markers[] = {
        [HYP_THINK_NONE] = {NULL, NULL},
        [HYP_THINK_TAGS] = {"<think>", "</think>"},
        [HYP_THINK_SEED] = {"<seed:think>", "</seed:think>"},
        [HYP_THINK_MISTRAL] = {"[THINK]", "[/THINK]"},
        [HYP_THINK_COMMAND] = {"<|START_THINKING|>", "<|END_THINKING|>"},
        [HYP_THINK_HARMONY] = {NULL, NULL},
    };
    return markers[format];
}

hyp_output_format hyp_output_format_detect(const char *text) {
    static const struct {
        const char *word;
        hyp_tool_format tools;
    } tools[] = {
        {"<|channel|>", HYP_TOOLS_HARMONY},
        {"<seed:tool_call>", HYP_TOOLS_SEED},
        {"<minimax:tool_call>", HYP_TOOLS_MINIMAX},
        {"<｜tool▁call▁begin｜>", HYP_TOOLS_DEEPSEEK},
        {"<|tool_call_begin|>", HYP_TOOLS_KIMI},
        {"<|START_ACTION|>", HYP_TOOLS_COMMAND},
        {"[TOOL_CALLS]", HYP_TOOLS_MISTRAL},
        {"<TOOLCALL>", HYP_TOOLS_NEMOTRON},
        {"<|tool_call|>", HYP_TOOLS_GRANITE},
        {"<tool_call>", HYP_TOOLS_TAGS},
        {"<|python_tag|>", HYP_TOOLS_LLAMA3},
        {"\"parameters\": ", HYP_TOOLS_LLAMA3},
        {"tool_call", HYP_TOOLS_TAGS}, /* names no markers: most fine-tunes then speak Hermes */
    };
    static const struct {
        const char *word;
        hyp_think_format think;
    } thinks[] = {{"<|channel|>", HYP_THINK_HARMONY},
                  {"<seed:think>", HYP_THINK_SEED},
                  {"<|START_THINKING|>", HYP_THINK_COMMAND},
                  {"[THINK]", HYP_THINK_MISTRAL},
                  {"</think>", HYP_THINK_TAGS},
                  {"<think>", HYP_THINK_TAGS},
                  {"reasoning_content", HYP_THINK_TAGS}};
    hyp_output_format f = {HYP_TOOLS_NONE, HYP_THINK_NONE};
    if (text == NULL) return f;
    for (size_t i = 0; i < HYP_ARRAY_LEN(tools) && f.tools == HYP_TOOLS_NONE; i++)
        if (strstr(text, tools[i].word) != NULL) f.tools = tools[i].tools;
    for (size_t i = 0; i < HYP_ARRAY_LEN(thinks) && f.think == HYP_THINK_NONE; i++)
        if (strstr(text, thinks[i].word) != NULL) f.think = thinks[i].think;
    return f;
}
