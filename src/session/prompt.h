/* prompt.h - from what a job asks to the tokens to evaluate: template, tokeniser, and what to leave out when it is too
 * long. */
#pragma once
#include "chat/output.h"
#include "session/backend.h"
#include "session/job.h"

typedef struct answer_plan {
    hyp_token *tokens;
    size_t n;
    size_t n_stable;       /* leading tokens that the conversation's next turn repeats for sure */
    hyp_sampling sampling; /* strings in it are owned by this object */
    char *grammar;
    hyp_trigger triggers[4]; /* their strings are static */
    size_t n_triggers;
    hyp_output_format format; /* how the model marks reasoning and calls; none for raw text */
    yyjson_doc *tools;        /* the request's, or NULL */
    char *tail;               /* the rendered prompt's end, which may have opened the reasoning; or NULL */
} answer_plan;

/* What a loaded model brings along. */
typedef struct prompt_env {
    const hyp_backend_ops *ops;
    void *model;
    const hyp_backend_info *info;
    const hyp_template *template;      /* of the model */
    const hyp_template *tool_template; /* of the model, for conversations with tools; NULL: the same */
    size_t n_ctx;                      /* the request's context */
} prompt_env;

/* Build; what is only to be counted may be of any length. On failure `*ret_status` is the HTTP status it deserves.
 * Errors: HYP_EINVAL (too long, empty), HYP_EFORMAT (template, grammar), HYP_ENOMEM, HYP_EENGINE. */
HYP_NODISCARD int prompt_build(const hyp_job *job, const prompt_env *env, answer_plan *ret, int *ret_status,
                               hyp_err *err);
void prompt_free(answer_plan *p);
