/* gotemplate.h - the small part of Go's text/template that prompts given in a request's `template` use: {{ .System }},
 * {{ .Prompt }}, {{ .Suffix }}, {{ .Response }}, {{ if .X }}...{{ else }}...{{ end }}, trimming dashes, comments. */
#pragma once
#include "base/text.h"

#include <stdbool.h>

/* Is this template Jinja (as in GGUF files) rather than Go's text/template (as in Ollama's Modelfiles)? */
bool hyp_gotemplate_is_jinja(const char *text);

typedef struct hyp_gotemplate_values {
    const char *system, *prompt, *suffix, *response; /* never NULL */
} hyp_gotemplate_values;

/* Append the rendering to `out`; what follows {{ .Response }} is left out, since the model writes it.
 * Errors: HYP_EFORMAT naming what is not understood. Thread-safe. */
HYP_NODISCARD int hyp_gotemplate_render(const char *text, const hyp_gotemplate_values *values, hyp_str *out,
                                        hyp_err *err);
