/* template_priv.h - shared by template.c, messages.c and probe.c. */
#pragma once
#include "chat/template.h"

struct hyp_template {
    hyp_jinja *jinja; /* NULL when `builtin` draws the prompts */
    char *text;
    hyp_template_caps caps;
    hyp_builtin_template_fn builtin;
    void *builtin_arg;
};

/* Bend the messages of `request` to what the template takes, as a new array in `doc`. With `join`, neighbours of one
 * role become one message. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_messages_normalise(const hyp_template *tmpl, const hyp_chat_request *request, bool join,
                                         yyjson_mut_doc *doc, yyjson_mut_val **ret, hyp_err *err);

/* The tools as templates expect them: {"type":"function","function":{...}} each. NULL when there are none. */
yyjson_mut_val *hyp_messages_tools(yyjson_val *tools, yyjson_mut_doc *doc);

/* Find out what the template of `tmpl` understands, and fill its caps. Errors: HYP_EFORMAT. */
HYP_NODISCARD int hyp_template_probe(hyp_template *tmpl, hyp_err *err);

/* Render with messages that are normalised already. */
HYP_NODISCARD int hyp_template_render_raw(const hyp_template *tmpl, const hyp_chat_request *request,
                                          yyjson_mut_doc *doc, yyjson_mut_val *messages, hyp_str *out, hyp_err *err);
