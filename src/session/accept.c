/* accept.c - a slot's inputs of the batch were evaluated: choose what follows, hand it out, and where tokens had been
 * proposed, go on as long as they are what is chosen.
 *
 * Proposed tokens are verified by choosing: the sampler draws from the logits behind each accepted token just as it
 * would have, had it been evaluated alone, and a proposed token counts when it is what was drawn. So what is accepted
 * is the plain answer, and plain decoding is the case of no proposal (speculative sampling's rule for a draft that
 * gives tokens without probabilities: Leviathan et al., "Fast Inference from Transformers via Speculative Decoding",
 * 2023, with a one-hot draft distribution). */
#include "base/mem.h"
#include "base/times.h"
#include "session/session_priv.h"
#include "session/tokens_priv.h"

static void prompt_done(slot *which) {
    which->prompt_done_ns = hyp_mono_ns();
    HYP_JOB_LOG(which->job, "prompt evaluated");
    hyp_event *event = calloc(1, sizeof *event);
    if (event != NULL) event->kind = HYP_EVENT_PROMPT;
    hyp_job_push(which->job, event);
}

/* The context is full: as Ollama does, keep num_keep tokens (-1: the prompt) and the later half of the others. */
static void make_room(hyp_session *s, slot *which) {
    int64_t asked = which->job->params.num_keep;
    size_t keep = asked < 0 ? which->n_asked : (size_t)asked;
    if (asked >= 0 && which->tokens[0] == s->info.special.bos) keep++;
    keep = HYP_MIN(keep, which->n_ctx - 3); /* so that something can go, and something of the answer stays */
    hyp_slots_drop_ahead(&s->slots, which);
    if (which->n_tokens == 0) { /* what was refused could not be cut off */
        hyp_session_fail_memory(s, which);
        return;
    }
    if (!hyp_slots_shift(&s->slots, which, keep, HYP_MAX((which->n_ctx - keep) / 2, (size_t)1)))
        hyp_session_fail_memory(s, which);
}

/* The bytes of the token go out. True when a stop string has ended the answer. */
static bool hand_out(hyp_session *s, slot *which, hyp_token token, int32_t index) {
    const hyp_job *job = which->job;
    const hyp_backend_ops *ops = s->config.ops;
    bool special = which->answer.output != NULL;
    char usual[HYP_SESSION_PIECE_BYTES], *piece = usual;
    hyp_logprob logprob;
    int n = ops->piece(s->config.model, token, special, usual, sizeof usual);
    HYP_AUTOFREE char *longer = n < 0 ? malloc((size_t)-n) : NULL;
    if (longer != NULL) {
        piece = longer;
        n = ops->piece(s->config.model, token, special, longer, (size_t)-n);
    }
    bool measured = job->logprobs && hyp_session_measure(s, index, token, (size_t)job->top_logprobs, &logprob);
    return hyp_answer_feed(&which->answer, piece, n > 0 ? (size_t)n : 0, measured ? &logprob : NULL);
}

/* The slot's memory ends with the input whose logits are at `index`: choose the next token. The slot may be free, or
 * back at a prompt (make_room), on return. */
static void choose(hyp_session *s, slot *which, int32_t index) {
    const hyp_backend_ops *ops = s->config.ops;
    const hyp_job *job = which->job;
    if (which->max_eval >= 0 && which->n_eval >= which->max_eval) { /* nothing is to be answered */
        hyp_session_finish(s, which, "length");
        return;
    }
    hyp_token token = ops->sample(s->config.model, which->sampler, index);
    if (token < 0) {
        hyp_err err = HYP_ERR_NONE;
        (void)hyp_err_set(&err, HYP_EENGINE, "no token could be sampled");
        hyp_session_fail_slot(s, which, 500, &err);
        return;
    }
    which->n_eval++;
    which->next = token;
    atomic_fetch_add(&s->config.counters->output_tokens, 1);
    if (!job->ignore_end && ops->is_end(s->config.model, token)) {
        hyp_session_finish(s, which, "stop");
        return;
    }
    if (job->digest)
        which->digest = hyp_digest_logits(which->digest, ops->logits(s->config.model, index), s->info.n_vocab);
    if (hand_out(s, which, token, index))
        hyp_session_finish(s, which, "stop");
    else if (which->max_eval >= 0 && which->n_eval >= which->max_eval)
        hyp_session_finish(s, which, "length");
    else if (which->n_tokens + 1 < which->n_ctx)
        return;
    else if (job->shift)
        make_room(s, which);
    else
        hyp_session_finish(s, which, "length");
}

static void commit_prompt(hyp_session *s, slot *which) {
    for (size_t i = 0; i < which->n_batched; i++)
        if (!hyp_slot_remember(which, which->prompt[which->n_tokens])) {
            hyp_session_fail_memory(s, which);
            hyp_slots_forget(&s->slots, which);
            return;
        }
    if (which->n_tokens == which->n_stable || which->n_tokens == which->n_prompt)
        hyp_slots_checkpoint(&s->slots, which);
    if (which->logits < 0) return;
    if (which->n_eval == 0) prompt_done(which);
    choose(s, which, which->logits);
}

/* The chosen token and `n_draft` proposed ones lie in the sequence's memory: accept them one by one. */
static void commit_answer(hyp_session *s, slot *which) {
    size_t n_draft = which->n_draft;
    int32_t logits = which->logits;
    which->n_ahead = which->n_batched;
    for (size_t i = 0;; i++) {
        if (!hyp_slot_remember(which, which->next)) {
            hyp_session_fail_memory(s, which);
            hyp_slots_forget(&s->slots, which);
            return;
        }
        which->n_ahead--;
        which->n_decoded++;
        if (!s->with_prompts) atomic_fetch_add(&s->config.counters->decoded_tokens, 1);
        choose(s, which, logits + (int32_t)i);
        if (which->job == NULL || which->next < 0 || which->n_ahead == 0) return; /* over, or shifted */
        if (i >= n_draft || which->next != which->draft[i]) break;
        atomic_fetch_add(&s->config.counters->accepted_tokens, 1);
    }
    hyp_slots_drop_ahead(&s->slots, which);
    if (which->n_tokens == 0) hyp_session_fail_memory(s, which);
}

void hyp_session_commit(hyp_session *s, slot *which) {
    if (which->next < 0)
        commit_prompt(s, which);
    else
        commit_answer(s, which);
}
