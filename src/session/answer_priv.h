/* answer_priv.h - from the bytes of tokens to a job's events: whole characters, stop strings, reasoning and tool calls
 * apart.
 *
 * Bytes are held back while they could still become a stop string or are part of a character. Compute thread only. */
#pragma once
#include "session/job.h"
#include "session/prompt.h"

typedef struct answer {
    hyp_job *job; /* borrowed; NULL while closed */
    hyp_str held; /* not yet delivered */
    size_t max_stop;
    const char *stopped;   /* the job's stop string that ended the answer, or NULL */
    hyp_logprob *logprobs; /* of tokens whose text is held */
    size_t n_logprobs, logprobs_capacity;
    hyp_output *output; /* splits reasoning, tool calls and content; NULL: all is content */
    yyjson_doc *tools;  /* what `output` borrows, where it is not the conversation's; or NULL */
    int n_tool_calls;
    int64_t n_fed, n_told, n_reasoning; /* tokens; those that came out as something, and of them as reasoning */
} answer;

/* Begin the answer to `job` as `prompt` says, whose tools are taken. `a` must stay where it is. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_answer_open(answer *a, hyp_job *job, hyp_prompt *prompt, hyp_err *err);

/* The next token's bytes, with its logprob (moved out of, or NULL). Returns true once a stop string has ended the
 * answer. */
bool hyp_answer_feed(answer *a, const char *bytes, size_t n, hyp_logprob *logprob);

/* No more tokens come: deliver what was held back. */
void hyp_answer_finish(answer *a);

/* Accepts an answer never opened. */
void hyp_answer_close(answer *a);
