/* prompt.h - from what a job asks to what is evaluated: template, tokeniser, what to leave out when it is too long, and
 * how the answer is bound and read. */
#pragma once
#include "chat/output.h"
#include "session/backend.h"
#include "session/job.h"

enum { HYP_PROMPT_MAX_TRIGGERS = 4 };

/* A prompt ready to be evaluated, and what its answer needs. Immutable but for hyp_session_begin(), which takes it. */
typedef struct hyp_prompt {
    hyp_token *tokens;
    size_t n;
    size_t n_stable;       /* leading tokens that the conversation's next turn repeats for sure */
    size_t n_dropped;      /* messages left out */
    hyp_sampling sampling; /* strings in it are owned by this object */
    char *grammar;
    hyp_trigger triggers[HYP_PROMPT_MAX_TRIGGERS]; /* their strings are static */
    size_t n_triggers;
    hyp_output_format format; /* how the model marks reasoning and calls; none for raw text */
    yyjson_doc *tools;        /* the request's, or NULL */
    char *tail;               /* the rendered prompt's end, which may have opened the reasoning; or NULL */
} hyp_prompt;

/* What a loaded model brings along. */
typedef struct hyp_prompt_env {
    const hyp_backend_ops *ops;
    void *model;
    const hyp_backend_info *info;
    const hyp_template *template;      /* of the model */
    const hyp_template *tool_template; /* of the model, for conversations with tools; NULL: the same */
    size_t n_ctx;                      /* the request's context */
} hyp_prompt_env;

/* Build; what is only to be counted may be of any length. Any thread. On failure `*ret_status` is the HTTP status it
 * deserves. Errors: HYP_ETOOLONG, HYP_EINVAL (empty), HYP_EFORMAT (template, grammar), HYP_ENOMEM, HYP_EENGINE. */
HYP_NODISCARD int hyp_prompt_build(const hyp_job *job, const hyp_prompt_env *env, hyp_prompt **ret, int *ret_status,
                                   hyp_err *err);

/* Accepts NULL. */
void hyp_prompt_free(hyp_prompt *prompt);
