/* session_priv.h - shared by session.c, begin.c, step.c, accept.c, logprobs.c and finish.c. */
#pragma once
#include "session/session.h"
#include "session/slot_priv.h"

struct hyp_session {
    hyp_session_config config; /* `counters` is never NULL */
    hyp_backend_info info;
    hyp_session_counters own_counters;
    slots slots;
    hyp_template *template;      /* the model's chat template, or what stands in for it */
    hyp_template *tool_template; /* the model's for conversations with tools; NULL: the same */
    const char *warning;
    hyp_input *batch;  /* info.max_batch */
    bool with_prompts; /* the batch just decoded held parts of prompts */
    size_t next_turn;  /* the slot to be served next, where each batch is one slot's */
};

enum { HYP_SESSION_PIECE_BYTES = 512 };

/* accept.c: a slot's inputs of the batch were evaluated; take it on. */
void hyp_session_commit(hyp_session *s, slot *which);

/* logprobs.c: log softmax of the logits of input `index` at `token`, and the `n_top` (20 at most) likeliest tokens.
 * False, with nothing to free, when there are no logits or no memory. */
bool hyp_session_measure(const hyp_session *s, int32_t index, hyp_token token, size_t n_top, hyp_logprob *ret);

/* finish.c: a slot's job ends: answered, failed, or let go without a word because its client is gone. */
void hyp_session_finish(hyp_session *s, slot *which, const char *reason);
void hyp_session_fail_slot(hyp_session *s, slot *which, int status, const hyp_err *err);
void hyp_session_fail_memory(hyp_session *s, slot *which);
void hyp_session_release(hyp_session *s, slot *which);
/* A batch failed: so do all jobs in it, and no sequence's memory is kept. */
void hyp_session_decode_failed(hyp_session *s, const hyp_err *err);
