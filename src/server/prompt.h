/* prompt.h - from what a job asks to the tokens to evaluate: template, tokeniser, and what to leave out when it is too long. */
#pragma once
#include "server/backend.h"
#include "server/job.h"

typedef struct answer_plan {
    hyp_token *tokens;
    size_t n;
    size_t n_stable;       /* leading tokens that the conversation's next turn repeats for sure */
    hyp_sampling sampling; /* strings in it are owned by this object */
    char *grammar;
    char **triggers;
    size_t n_triggers;
    char *output_start; /* what the template already opened of the answer ("<think>\n"), or NULL */
} answer_plan;

/* What a loaded model brings along. */
typedef struct prompt_env {
    const hyp_backend_ops *ops;
    void *model;
    const hyp_backend_info *info;
    const hyp_template *template; /* of the model */
    size_t n_ctx;                 /* the request's context */
} prompt_env;

/* Build. On failure `*ret_status` is the HTTP status it deserves.
 * Errors: HYP_EINVAL (too long, empty), HYP_EFORMAT (template, grammar), HYP_ENOMEM, HYP_EENGINE. */
HYP_NODISCARD int prompt_build(const hyp_job *job, const prompt_env *env, answer_plan *ret, int *ret_status,
                               hyp_err *err);
void prompt_free(answer_plan *p);
