/* output.h - what a model writes, sorted as it streams: reasoning, answer, tool calls.
 *
 * Every family marks these in its own way (family.h); hyp_output_format_detect() reads the way from the template. Text
 * is fed in pieces of any size; markers are held back until they are whole, characters stay whole, and the result does
 * not depend on where the pieces are cut. A call is delivered when it is complete. What looks like a call but is not
 * one comes out as plain content. */
#pragma once
#include "base/err.h"
#include "chat/family.h"

#include <yyjson.h>

typedef struct hyp_tool_call {
    const char *name;      /* terminated */
    const char *arguments; /* JSON text of an object, terminated */
    const char *id;        /* as the model gave it, or NULL */
} hyp_tool_call;

/* Where the sorted text goes. What the pointers show is valid during the call only. */
typedef struct hyp_output_sink {
    void *arg;
    void (*content)(void *arg, const char *bytes, size_t n);
    void (*thinking)(void *arg, const char *bytes, size_t n);
    void (*call)(void *arg, const hyp_tool_call *call);
} hyp_output_sink;

/* Does the rendered prompt end with the opening marker of reasoning, so that the answer begins inside it? */
bool hyp_output_prompt_thinks(hyp_think_format format, const char *prompt);

typedef struct hyp_output hyp_output;

/* Start sorting. `prompt` is the rendered prompt (or its end): a template may have opened the reasoning in it. `tools`
 * is the request's array of tools, borrowed until the parser is freed; without it nothing is taken for a call, and
 * with it arguments that are written without types (XML forms) get those of the tool's schema. For one thread at a
 * time. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_output_new(hyp_output_format format, const char *prompt, yyjson_val *tools, hyp_output_sink sink,
                                 hyp_output **ret, hyp_err *err);

/* The next piece of generated text, special tokens included as text. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_output_feed(hyp_output *output, const char *bytes, size_t n, hyp_err *err);

/* The generation has ended: deliver what was held back. Nothing may be fed after it. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_output_finish(hyp_output *output, hyp_err *err);

/* Accepts NULL. */
void hyp_output_free(hyp_output *output);
