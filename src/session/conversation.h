/* conversation.h - messages, tools and what is asked of the answer, as every codec hands them to the chat templates. */
#pragma once
#include "base/json.h"
#include "chat/template.h"

typedef struct hyp_conversation {
    hyp_message *messages;
    size_t n, capacity;
    yyjson_doc *tools;   /* array of {"type":"function","function":{...}}, or NULL */
    char *tool_choice;   /* "auto", "none", "required" or a function's name; NULL: auto */
    bool one_call;       /* parallel_tool_calls is false */
    char *grammar;       /* GBNF that the answer must match, made of the request's format; or NULL */
    char *template_text; /* Jinja, instead of the model's own; or NULL */
    hyp_think think;
    const char *effort; /* "low", "medium", "high" or NULL; static */
} hyp_conversation;

hyp_conversation *hyp_conversation_new(void);
void hyp_conversation_free(hyp_conversation *c); /* accepts NULL */

/* Append a message; strings are copied, bytes that are not UTF-8 become U+FFFD. Errors: HYP_ENOMEM. */
HYP_NODISCARD HYP_NONNULL(4) int hyp_conversation_add(hyp_conversation *c, const char *role, const char *content,
                                                      hyp_err *err);
/* The same before all others. */
HYP_NODISCARD HYP_NONNULL(4) int hyp_conversation_add_first(hyp_conversation *c, const char *role, const char *content,
                                                            hyp_err *err);

/* Append an answer; `thinking` may be NULL. */
HYP_NODISCARD HYP_NONNULL(4) int hyp_conversation_add_answer(hyp_conversation *c, const char *content,
                                                             const char *thinking, hyp_err *err);

/* Make the first message the system message `text`; NULL or "" removes it. Errors: HYP_ENOMEM. */
HYP_NODISCARD HYP_NONNULL(3) int hyp_conversation_set_system(hyp_conversation *c, const char *text, hyp_err *err);
/* The text of a system message that comes first, or NULL. The conversation's. */
const char *hyp_conversation_system(const hyp_conversation *c);

/* Forget the messages from index `n` on. */
void hyp_conversation_cut(hyp_conversation *c, size_t n);

/* Append Ollama's messages: missing content, ids and arguments are accepted, arguments are objects. Errors:
 * HYP_EFORMAT. */
HYP_NODISCARD HYP_NONNULL(3) int hyp_conversation_add_ollama(hyp_conversation *c, yyjson_val *messages, hyp_err *err);
/* Append OpenAI's: content may be a list of parts, arguments are strings, tool results carry tool_call_id. */
HYP_NODISCARD HYP_NONNULL(3) int hyp_conversation_add_openai(hyp_conversation *c, yyjson_val *messages, hyp_err *err);

/* Take the tools (a JSON array; empty counts as none). Errors: HYP_EFORMAT. */
HYP_NODISCARD HYP_NONNULL(3) int hyp_conversation_set_tools(hyp_conversation *c, yyjson_val *tools, hyp_err *err);
/* Render with this Jinja template, copied, instead of the model's own; NULL leaves things as they are. Errors:
 * HYP_ENOMEM. */
HYP_NODISCARD HYP_NONNULL(3) int hyp_conversation_set_template(hyp_conversation *c, const char *text, hyp_err *err);
/* Take Ollama's `format`: "json", a schema object, or empty. Errors: HYP_EFORMAT ("invalid format: ..."), also for
 * schemas that no grammar can express. */
HYP_NODISCARD HYP_NONNULL(3) int hyp_conversation_set_format(hyp_conversation *c, yyjson_val *format, hyp_err *err);
/* Take Ollama's `think`: a bool or "low", "medium", "high", "max". Errors: HYP_EFORMAT. */
HYP_NODISCARD HYP_NONNULL(3) int hyp_conversation_set_think(hyp_conversation *c, yyjson_val *think, hyp_err *err);

bool hyp_conversation_has_images(const hyp_conversation *c);

/* Write the messages as a JSON array in Ollama's form, for a file. */
void hyp_conversation_write(const hyp_conversation *c, hyp_str *out);

/* The index of the oldest message that may be dropped when the prompt is too long (neither the system messages nor the
 * last), or SIZE_MAX. */
size_t hyp_conversation_next_droppable(const hyp_conversation *c, const bool *dropped);
