/* slot_priv.h - one sequence of the context: what it remembers, and the job it works on.
 *
 * A slot keeps its tokens between requests. A request that begins with what a slot holds evaluates only the rest; what
 * lies beyond the common part is cut off, or, where the model cannot be cut (recurrent state, a sliding window), the
 * last checkpoint before it is restored. Compute thread only. */
#pragma once
#include "session/answer_priv.h"
#include "session/backend.h"
#include "session/job.h"

enum { SLOT_CHECKPOINTS = 6 };

typedef struct slot_checkpoint {
    size_t n_tokens; /* the state after this many tokens */
    void *data;
    size_t bytes;
} slot_checkpoint;

typedef struct slot {
    int32_t seq;
    hyp_token *tokens; /* what the sequence's memory holds */
    size_t n_tokens, capacity;
    size_t n_exact; /* of them, those whose state a fresh evaluation would give; others were moved (hyp_slots_shift) */
    slot_checkpoint checkpoints[SLOT_CHECKPOINTS]; /* ascending by n_tokens */
    size_t n_checkpoints;
    int64_t used_ns; /* when it last worked */

    hyp_job *job; /* NULL: idle; a reference */
    hyp_token *prompt;
    hyp_media_chunk *media; /* of the prompt; owned */
    size_t n_media;
    size_t n_prompt, n_stable; /* n_stable: the part that the next turn will surely repeat; 0: not known */
    size_t n_asked;            /* n_prompt as the request came, whatever was dropped since */
    size_t n_cached;           /* of the prompt, found in memory */
    void *sampler;
    answer answer;
    hyp_token next;           /* sampled, not yet evaluated; -1 while the prompt is */
    hyp_token *draft;         /* proposed to follow it, HYP_MAX_DRAFT at most; owned */
    size_t n_draft;           /* of them in the batch just built */
    size_t n_ahead;           /* evaluated beyond `tokens`: drafts that are not verified, or were refused */
    int32_t logits;           /* index of the first output in the batch just decoded, -1: none */
    size_t n_batched;         /* inputs of the batch just built */
    int64_t n_decoded;        /* of the answer's tokens, those evaluated */
    uint64_t digest;          /* of the logits that tokens were chosen from */
    size_t n_dropped;         /* messages left out of the prompt */
    int64_t n_eval, max_eval; /* max_eval < 0: no limit but the context */
    size_t n_ctx;             /* the request's context */
    int64_t start_ns, prompt_done_ns;
} slot;

typedef struct slots {
    slot *items;
    size_t n;
    const hyp_backend_ops *ops;
    void *model;
    bool needs_checkpoints;
} slots;

/* `n` empty slots for a loaded model. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_slots_open(slots *s, const hyp_backend_ops *ops, void *model, size_t n, bool needs_checkpoints,
                                 hyp_err *err);
/* Every slot must be idle. */
void hyp_slots_close(slots *s);

/* An idle slot for this prompt, prepared so that its memory is a prefix of it, or NULL when all are busy. The slot that
 * shares most is preferred, but not at the price of what another conversation keeps there: then the least recently used
 * one gets a copy of the shared part. At least one token is left to evaluate. */
slot *hyp_slots_take(slots *s, const hyp_token *prompt, size_t n);

/* Forget what was evaluated beyond `tokens`. */
void hyp_slots_drop_ahead(slots *s, slot *which);

/* The media item of the prompt that begins at or after what the slot's memory holds, or NULL. */
const hyp_media_chunk *hyp_slot_next_media(const slot *s);

/* The slot's memory was extended by `token`. */
bool hyp_slot_remember(slot *s, hyp_token token);

/* Keep the state as it is now, if the model needs that. */
void hyp_slots_checkpoint(slots *s, slot *which);

/* Make room in the middle of an answer: of the slot's memory keep the first `n_keep` tokens, forget the `n` after them,
 * move up the rest. Where the model cannot do that, what is kept and the token that is next become the slot's prompt,
 * to be evaluated anew. n_keep + n < n_tokens. False without memory: the slot's own is then empty. */
HYP_NODISCARD bool hyp_slots_shift(slots *s, slot *which, size_t n_keep, size_t n);

/* A decode ended amid the slot's inputs: cut its memory to `tokens` again, or empty it where it cannot be cut. */
void hyp_slots_recover(slots *s, slot *which);

/* Empty a slot's memory, whatever is in it. */
void hyp_slots_forget(slots *s, slot *which);

/* End the slot's work: sampler, prompt and job are let go; memory stays as far as it is exact, so that what a later
 * request finds there changes no answer. */
void hyp_slot_release(slots *s, slot *which);

size_t hyp_slots_busy(const slots *s);
