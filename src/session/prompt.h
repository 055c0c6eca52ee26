/* prompt.h - from what a job asks to what is evaluated: template, tokeniser, what to leave out when it is too long, and
 * how the answer is bound and read. */
#pragma once
#include "chat/output.h"
#include "session/backend.h"
#include "session/job.h"

enum { HYP_PROMPT_MAX_TRIGGERS = 4 };

/* A prompt travels as chunks: runs of tokens, and between them media items (a picture, a sound) that take positions of
 * the context as tokens do. It is a row of cells, one a position; those of an item all hold hyp_media_cell() of it, so
 * that prompts are compared cell by cell, whatever is in them. */
typedef struct hyp_media_chunk {
    size_t at, n;     /* first position, and how many; not the prompt's last */
    uint64_t id;      /* what tells it from other items: a hash of its bytes */
    const void *item; /* as decode_media() of the backend takes it; outlives the job */
} hyp_media_chunk;

/* Never a token: negative, and not the -1 that stands for none. */
static inline hyp_token hyp_media_cell(uint64_t id) {
    return (hyp_token)(-2 - (int64_t)((id ^ id >> 32) & 0x3fffffff));
}

/* A prompt ready to be evaluated, and what its answer needs. Immutable but for hyp_session_begin(), which takes it. */
typedef struct hyp_prompt {
    hyp_token *tokens; /* the cells */
    size_t n;
    hyp_media_chunk *media; /* in order; NULL: all cells are tokens */
    size_t n_media;
    size_t n_stable;       /* leading tokens that the conversation's next turn repeats for sure */
    size_t n_dropped;      /* messages left out */
    hyp_sampling sampling; /* strings in it are owned by this object */
    char *grammar;
    hyp_trigger triggers[HYP_PROMPT_MAX_TRIGGERS]; /* their strings are static */
    size_t n_triggers;
    hyp_output_format format; /* how the model marks reasoning and calls; none for raw text */
    yyjson_val *tools;        /* those that may be called: the conversation's, or of `own_tools`; NULL: none */
    yyjson_doc *own_tools;    /* or NULL */
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
