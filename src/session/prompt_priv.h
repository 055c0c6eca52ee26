/* prompt_priv.h - shared by prompt.c, render.c, fit.c and constrain.c. */
#pragma once
#include "session/prompt.h"

enum { HYP_PIECE_BYTES = 256 };

/* What is common to rendering the same conversation several times. */
typedef struct hyp_renderer {
    const hyp_job *job;
    const hyp_prompt_env *env;
    const hyp_template *template;
    hyp_template *own_template; /* the request's, to be freed */
    char bos[HYP_PIECE_BYTES], eos[HYP_PIECE_BYTES];
    bool *dropped; /* by message: left out */
} hyp_renderer;

/* render.c */
HYP_NODISCARD int hyp_renderer_open(hyp_renderer *r, const hyp_job *job, const hyp_prompt_env *env, hyp_err *err);
void hyp_renderer_close(hyp_renderer *r);
/* Are there tools that the model is to see? */
bool hyp_renderer_offers_tools(const hyp_renderer *r);
/* Render without what is dropped, tokenise, put the job's context before. Replaces what `p` and `text` held. */
HYP_NODISCARD int hyp_renderer_try(const hyp_renderer *r, hyp_prompt *p, hyp_str *text, hyp_err *err);
/* Find `p->n_stable` for a prompt whose text is `full`. */
HYP_NODISCARD int hyp_renderer_note_stable(const hyp_renderer *r, const hyp_str *full, hyp_prompt *p, hyp_err *err);
/* Put the tokens of the job's `context` before. */
HYP_NODISCARD int hyp_prompt_prepend_context(const hyp_job *job, hyp_prompt *p, hyp_err *err);

/* fit.c: make a prompt that is too long fit. */
typedef struct hyp_limits {
    size_t wanted; /* tokens: leaves room for an answer */
    size_t n_ctx;  /* beyond this nothing can be evaluated */
} hyp_limits;

/* `p` and `text` hold the first try. Errors: HYP_ETOOLONG when the job forbids what it would take. */
HYP_NODISCARD int hyp_fit_chat(const hyp_renderer *r, hyp_limits limits, hyp_prompt *p, hyp_str *text, hyp_err *err);
HYP_NODISCARD int hyp_fit_raw(const hyp_job *job, hyp_limits limits, hyp_prompt *p, hyp_err *err);

/* constrain.c: how the answer is bound while it is written, and taken apart after. `text` is the rendered prompt. */
HYP_NODISCARD int hyp_prompt_constrain(hyp_prompt *p, const hyp_renderer *r, const hyp_str *text, hyp_err *err);
