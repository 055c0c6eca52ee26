/* template.h - a model's own chat template, from a conversation as clients send it to the prompt's text.
 *
 * A template is compiled once. On the way it is tried on a few tiny conversations, which tells what it understands (a
 * system role, tools, content as parts, ...); hyp_template_render() then bends a request to that: it merges a system
 * message into the first user message where there is no system role, turns call arguments into objects, fills in what
 * clients leave out. Templates come from untrusted files: see jinja/jinja.h for their limits. */
#pragma once
#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "chat/message.h"
#include "jinja/jinja.h"

#include <yyjson.h>

typedef struct hyp_template hyp_template;

typedef enum hyp_think {
    HYP_THINK_UNSET, /* the template's own default */
    HYP_THINK_ON,
    HYP_THINK_OFF
} hyp_think;

/* What a template can do. The first two are read from its text, the rest found by trying. */
typedef struct hyp_template_caps {
    bool tools;            /* mentions tools or tool calls */
    bool thinking;         /* has think tags or a model family's own reasoning markers */
    bool system_role;      /* shows a system message */
    bool tool_role;        /* shows messages of role "tool" */
    bool renders_tools;    /* shows the list of tools */
    bool renders_calls;    /* shows an assistant's earlier calls */
    bool typed_content;    /* wants content as a list of parts */
    bool object_arguments; /* takes call arguments as an object (else as JSON text) */
    bool null_content;     /* wants null, not "", beside tool calls */
    bool short_ids;        /* wants tool call ids of 9 letters and digits */
} hyp_template_caps;

/* One conversation. Everything is borrowed for the call. */
typedef struct hyp_chat_request {
    const hyp_message *messages;
    size_t n_messages;
    const bool *left_out;  /* one a message: it is not shown; NULL: all are */
    yyjson_val *tools;     /* array in OpenAI's form, or NULL */
    yyjson_val *extra;     /* object whose members become variables, overriding all others; or NULL */
    const char *bos_token; /* texts of the special tokens; NULL means "" */
    const char *eos_token;
    const char *reasoning_effort; /* "low", "medium", "high", or NULL */
    hyp_think think;
    bool add_generation_prompt; /* end with the opening of the assistant's turn */
    int64_t now_unix_s;         /* the date that templates show */
} hyp_chat_request;

/* Compile and probe `text` (`n` bytes). `limits` NULL: hyp_jinja_default_limits. The caller owns `*ret`
 * (hyp_template_free). The template is immutable afterwards: any number of threads may use it at once.
 * Errors: as hyp_jinja_compile(), and HYP_EFORMAT if it cannot render even one user message. */
HYP_NODISCARD int hyp_template_compile(const char *text, size_t n, const hyp_jinja_limits *limits, hyp_template **ret,
                                       hyp_err *err);

/* Accepts NULL. */
void hyp_template_free(hyp_template *tmpl);
HYP_DEFINE_CLEANUP(hyp_template, hyp_template_free)

/* Does it know reasoning? */
bool hyp_template_can_think(const hyp_template *tmpl);

/* Its source text, which belongs to it. */
const char *hyp_template_text(const hyp_template *tmpl);

/* Append the prompt for `request` to `out`. If the template insists on alternating roles and the conversation does not
 * alternate, it is tried again with neighbouring messages of one role joined.
 * Errors: HYP_EINVAL (the template refuses the messages by raise_exception: the message says why), HYP_EFORMAT,
 * HYP_EUNSUPPORTED, HYP_ELIMIT, HYP_ENOMEM as hyp_jinja_render(). `out` is untouched then. */
HYP_NODISCARD int hyp_template_render(const hyp_template *tmpl, const hyp_chat_request *request, hyp_str *out,
                                      hyp_err *err);

/* `tools` and `thinking` of hyp_template_caps from the text alone, for listing models without compiling. */
bool hyp_template_text_has_tools(const char *text, size_t n);
bool hyp_template_text_has_thinking(const char *text, size_t n);

/* How a caller that has libllama lends its built-in templates: render `n` messages of (role, content) for the template
 * text or name `text` and append to `out`. Returns 0, or negative if it knows no such template. */
typedef int (*hyp_builtin_template_fn)(void *arg, const char *text, const char *const *roles,
                                       const char *const *contents, size_t n, bool add_generation_prompt, hyp_str *out);

/* Make the best template there is for a model: its own `text`; if that does not compile, one drawn by `builtin` (may be
 * NULL); else ChatML. `*ret_warning` (may be NULL) is a static text saying which fallback was taken, or NULL.
 * Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_template_open(const char *text, hyp_builtin_template_fn builtin, void *arg, hyp_template **ret,
                                    const char **ret_warning, hyp_err *err);
