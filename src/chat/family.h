/* family.h - model families: in which marks a model writes its reasoning and its tool calls.
 *
 * Families differ in nothing but a row of a table (family.c): how their templates are recognised, which marks they
 * write, what reads the inside of a call and what grammar binds one. Everything that depends on the family asks the
 * row. All texts handed out here are static. */
#pragma once
#include "base/err.h"

typedef enum hyp_tool_format {
    HYP_TOOLS_NONE,
    HYP_TOOLS_TAGS,     /* <tool_call> with JSON (Hermes, Qwen), <function=> (Qwen3-Coder) or <arg_key> (GLM) inside */
    HYP_TOOLS_LLAMA3,   /* {"name":..,"parameters":..}, perhaps after <|python_tag|> */
    HYP_TOOLS_MISTRAL,  /* [TOOL_CALLS] with a list, or name[ARGS]{..} */
    HYP_TOOLS_DEEPSEEK, /* <｜tool▁call▁begin｜> */
    HYP_TOOLS_HARMONY,  /* channels of gpt-oss */
    HYP_TOOLS_GRANITE,  /* <|tool_call|>[..] */
    HYP_TOOLS_COMMAND,  /* <|START_ACTION|>[..] */
    HYP_TOOLS_KIMI,     /* <|tool_call_begin|> */
    HYP_TOOLS_SEED,     /* <seed:tool_call> with <function=> */
    HYP_TOOLS_MINIMAX,  /* <minimax:tool_call> with <invoke name=> */
    HYP_TOOLS_NEMOTRON  /* <TOOLCALL>[..] */
} hyp_tool_format;

typedef enum hyp_think_format {
    HYP_THINK_NONE,
    HYP_THINK_TAGS,    /* <think> */
    HYP_THINK_SEED,    /* <seed:think> */
    HYP_THINK_MISTRAL, /* [THINK] */
    HYP_THINK_COMMAND, /* <|START_THINKING|> */
    HYP_THINK_HARMONY  /* the analysis channel */
} hyp_think_format;

typedef struct hyp_output_format {
    hyp_tool_format tools;
    hyp_think_format think;
} hyp_output_format;

/* Which marks a model with this chat template uses. NULL: none. Any thread. */
hyp_output_format hyp_output_format_detect(const char *template_text);

/* Does a template of `n` bytes know reasoning? Asks for more evidence than the detection of its marks, since it becomes
 * a promise to users; and knows marks that are not sorted out. Any thread. */
bool hyp_think_is_known_to(const char *template_text, size_t n);

/* Do calls, reasoning and answer of this family stand in channels of their own? Then the answer is marked, too, and
 * must be taken apart even where no tools are offered. Any thread. */
bool hyp_tools_use_channels(hyp_tool_format format);

/* A word (static) whose appearance in the generated text begins a call; with `at_start` only where nothing but white
 * space is before it. */
typedef struct hyp_tool_trigger {
    const char *word;
    bool at_start;
} hyp_tool_trigger;

/* Where the answer begins behind the reasoning: after `word` and what matches the GBNF expression `lead` (static). */
typedef struct hyp_answer_trigger {
    const char *word, *lead;
} hyp_answer_trigger;

/* What ends the reasoning of a format, so that a grammar of the answer can begin to bind there. False, and `*ret`
 * untouched, when the format has no reasoning. Any thread. */
bool hyp_think_answer_trigger(hyp_think_format format, hyp_answer_trigger *ret);
