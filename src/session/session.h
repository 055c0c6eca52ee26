/* session.h - a loaded model at work: its chat template and its sequences, on which jobs are answered.
 *
 * `run`, the terminal chat and the server are its clients. A job is prepared (rendered and tokenised), begun in a free
 * slot, and moved on by steps: each step fills a batch with what every slot has to evaluate, decodes it, and takes the
 * slots on by the tokens that came out. The server's scheduler steps a session from its compute thread; a client with
 * one job at a time calls hyp_session_answer() and takes the events on its own thread.
 *
 * Threads: hyp_session_prepare() and what only reads may be called by any thread while the session is open; everything
 * else belongs to the compute thread of the model. */
#pragma once
#include "session/backend.h"
#include "session/job.h"
#include "session/prompt.h"

#include <stdatomic.h>

typedef struct hyp_session hyp_session;

/* What sessions have done; any thread may read. They outlive the sessions that count into them. */
typedef struct hyp_session_counters {
    atomic_uint_fast64_t failed, cancelled; /* jobs */
    atomic_uint_fast64_t prompt_tokens, cached_tokens, output_tokens;
    atomic_uint_fast64_t decodes, decoded_tokens; /* batches; tokens of those that held no prompt */
    atomic_uint_fast64_t prompt_ns, decode_ns;    /* in batches that held prompts, and in the others */
    atomic_uint_fast64_t drafted_tokens, accepted_tokens;
} hyp_session_counters;

enum { HYP_MAX_DRAFT = 15 };

/* Propose up to `room` tokens that may follow `tokens` (what the sequence holds and the token chosen last, `n` of
 * them); returns how many. They are verified: a wrong one costs its evaluation, never a result. */
typedef size_t (*hyp_propose)(void *user, const hyp_token *tokens, size_t n, hyp_token *ret, size_t room);

typedef struct hyp_session_config {
    const hyp_backend_ops *ops;
    void *model;                    /* what its open() gave; outlives the session */
    const hyp_backend_info *info;   /* copied */
    hyp_session_counters *counters; /* NULL: nobody counts */
    hyp_propose propose;            /* NULL: one token a step */
    /* A slot lets go of `job`, whose last event was pushed. NULL: nobody is to be told. */
    void (*ended)(void *user, hyp_job *job);
    void *user;
} hyp_session_config;

/* Make the templates and `info->n_parallel` empty slots. A chat template that cannot be used is replaced, see
 * hyp_session_warning(). Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_session_open(const hyp_session_config *config, hyp_session **ret, hyp_err *err);
/* Every slot must be free, and nothing be in preparation. Accepts NULL. */
void hyp_session_close(hyp_session *session);

/* Which replacement of the model's chat template is in use: a static text without full stop, or NULL. */
const char *hyp_session_warning(const hyp_session *session);

/* The text of the chat template in use; the session's. */
const char *hyp_session_template(const hyp_session *session);

/* Does the chat template know reasoning? */
bool hyp_session_can_think(const hyp_session *session);

/* The context that `job` gets: the model's, or less if it asks for less. */
size_t hyp_session_context(const hyp_session *session, const hyp_job *job);

/* Render and tokenise what `job` asks. The caller frees `*ret` with hyp_prompt_free(). On failure `*ret_status` is the
 * HTTP status it deserves. Errors: as hyp_prompt_build(). Any thread. */
HYP_NODISCARD int hyp_session_prepare(const hyp_session *session, const hyp_job *job, hyp_prompt **ret, int *ret_status,
                                      hyp_err *err);

/* Slots in all, and of them those at work. */
size_t hyp_session_slots(const hyp_session *session);
size_t hyp_session_busy(const hyp_session *session);

/* Put `job` into a free slot, of which there must be one. Takes `prompt` and the caller's reference of `job`.
 * False when it had to be failed; `ended` is not called then. */
bool hyp_session_begin(hyp_session *session, hyp_job *job, hyp_prompt *prompt);

/* One round. `*ret_worked` is false when there was nothing to do. A computation that fails fails the jobs in it.
 * Errors: HYP_ECANCELED alone (the model was interrupted): the jobs stay, hyp_session_stop() ends them. */
HYP_NODISCARD int hyp_session_step(hyp_session *session, bool *ret_worked, hyp_err *err);

/* End every job in a slot as it is, with the reason "interrupted"; or with an error. */
void hyp_session_stop(hyp_session *session);
void hyp_session_abort(hyp_session *session, int status, const char *message);

/* --- the client with one job at a time --- */

/* Given each event, in order, from the thread that called; the event is freed after. Return false to end the answer. */
typedef bool (*hyp_event_sink)(void *user, const hyp_event *event);

/* Answer `job`: prepare, begin, step until DONE. The job's and the sink's are the caller's. Interrupting the model ends
 * the answer with the reason "interrupted". Errors: what failed it, with its hint; HYP_ECANCELED when `sink` wanted no
 * more. */
HYP_NODISCARD int hyp_session_answer(hyp_session *session, hyp_job *job, hyp_event_sink sink, void *user, hyp_err *err);
