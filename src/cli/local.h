/* local.h - the session of a command that answers by itself, one job at a time, on its own thread. */
#pragma once
#include "session/session.h"

typedef struct hyp_local {
    hyp_engine *engine; /* the caller's, which outlives it */
    void *model;        /* of hyp_backend_engine_ops */
    hyp_session *session;
} hyp_local;

/* Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_local_open(hyp_engine *engine, hyp_local *ret, hyp_err *err);
/* Accepts one never opened, {0}. */
void hyp_local_close(hyp_local *local);

/* A job for `conversation`, which is lent: it stays the caller's, and outlives the job. A conversation that says
 * nothing of reasoning is answered as the server answers it: with, where the template knows how. NULL without memory.
 */
hyp_job *hyp_local_chat(const hyp_local *local, hyp_conversation *conversation);
/* Can the model answer it? Errors: HYP_EUNSUPPORTED (it has tools, which the template does not show). */
HYP_NODISCARD int hyp_local_check(const hyp_local *local, const hyp_conversation *conversation, hyp_err *err);
/* Accepts NULL. */
void hyp_local_end_chat(hyp_job *job);

/* How an answer is written. */
typedef struct hyp_local_options {
    hyp_sampling_params sampling;
    int max_tokens; /* < 0: until the context is full; 0: the prompt is evaluated and nothing answered */
    const char *const *stops;
    size_t n_stops;
    bool ignore_end; /* go on after the model's end token */
} hyp_local_options;

/* Copied. Errors: HYP_ELIMIT (too many stop strings), HYP_ENOMEM. */
HYP_NODISCARD int hyp_local_set_options(hyp_job *job, const hyp_local_options *options, hyp_err *err);

typedef enum hyp_stop_reason { HYP_STOP_EOG, HYP_STOP_LENGTH, HYP_STOP_INTERRUPTED } hyp_stop_reason;

/* What an answer took. */
typedef struct hyp_local_result {
    hyp_stop_reason stop;
    size_t n_prompt, n_evaluated; /* tokens of the prompt, and those of them that had to be evaluated */
    size_t n_dropped;             /* messages that did not fit the context */
    size_t n_output;              /* tokens generated, the final end token not counted */
    size_t n_decoded;             /* of them, those evaluated within decode_s */
    double ttft_s;                /* from the begin of the prefill to the first token */
    double prefill_s, decode_s;
    hyp_engine_stats before_decode, after_decode; /* counters: their difference is what decoding cost */
    uint64_t digest;                              /* of a job that asks for it */
} hyp_local_result;

/* Given text as it becomes certain: whole characters, never part of a stop string. Return false to stop. */
typedef bool (*hyp_text_sink)(void *user, const char *text, size_t n, bool thinking);

/* Answer `job`. An interruption of the engine ends the answer, and is no error. Errors: those of hyp_session_answer(),
 * but HYP_ECANCELED: a sink that wants no more has its own reason. */
HYP_NODISCARD int hyp_local_answer(hyp_local *local, hyp_job *job, hyp_text_sink sink, void *user,
                                   hyp_local_result *ret, hyp_err *err);
