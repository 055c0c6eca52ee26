/* jinja.h - the part of Jinja2 that chat templates use, compiled once and rendered many times.
 *
 * A chat template comes with the model file, so it is untrusted: compiling and rendering are bounded in steps, nesting,
 * memory and output, and every excess is an error (HYP_ELIMIT), never a crash or a hang. Nothing a template can say
 * touches files, the environment or the network. Behaviour follows Python's jinja2 as the transformers library sets it
 * up: trim_blocks and lstrip_blocks on, loop controls, `tojson` without HTML escapes and with non-ASCII text kept,
 * `raise_exception` and `strftime_now` as globals, autoescape off. README.md lists the differences that are known. */
#pragma once
#include "base/err.h"
#include "base/text.h"

#include <yyjson.h>

typedef struct hyp_jinja hyp_jinja;

typedef struct hyp_jinja_limits {
    size_t max_template_bytes; /* source text */
    size_t max_memory_bytes;   /* of one compilation, and of one render */
    size_t max_output_bytes;   /* all text written in one render, captured blocks and macros included */
    uint64_t max_steps;        /* evaluation steps of one render */
    unsigned max_depth;        /* nesting of expressions, blocks, calls and data */
} hyp_jinja_limits;

/* Generous for every template seen (the longest take some 10^5 steps for long conversations), and quick to run into:
 * 20 million steps are about a second. */
extern const hyp_jinja_limits hyp_jinja_default_limits;

/* Compile `n` bytes of template text. `limits` NULL means the default ones. The result is immutable and belongs to the
 * caller (hyp_jinja_free); any number of threads may render it at once.
 * Errors: HYP_EFORMAT (syntax, with the line), HYP_EUNSUPPORTED (a statement outside the subset), HYP_ELIMIT,
 * HYP_ENOMEM. */
HYP_NODISCARD int hyp_jinja_compile(const char *text, size_t n, const hyp_jinja_limits *limits, hyp_jinja **ret,
                                    hyp_err *err);

/* Accepts NULL. */
void hyp_jinja_free(hyp_jinja *jinja);

/* Render with the members of the object `vars` as variables and append to `out`. `vars` is only read and must outlive
 * the call. `now_unix_s` is what `strftime_now` shows, in the process's time zone.
 * Errors: HYP_EINVAL (the template called raise_exception: its text is the message), HYP_EFORMAT (a type error, an
 * undefined value used), HYP_EUNSUPPORTED (unknown filter or test), HYP_ELIMIT, HYP_ENOMEM. `out` is untouched then. */
HYP_NODISCARD int hyp_jinja_render(const hyp_jinja *jinja, yyjson_mut_val *vars, int64_t now_unix_s, hyp_str *out,
                                   hyp_err *err);
