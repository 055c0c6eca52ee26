/* step.c - one round: gather what every slot has to evaluate, decode it together, take the slots on (accept.c). */
#include "base/mem.h"
#include "base/times.h"
#include "session/session_priv.h"

#include <string.h>

static bool can_work(const slot *which) {
    return which->job != NULL && !hyp_job_is_full(which->job);
}

/* Of a prompt, at most `room` tokens, ending where a checkpoint is wanted or a media item begins. */
static size_t add_prompt(hyp_session *s, slot *which, size_t n, size_t room) {
    const hyp_media_chunk *media = hyp_slot_next_media(which);
    size_t from = which->n_tokens, take = HYP_MIN(room, (media != NULL ? media->at : which->n_prompt) - from);
    if (s->info.needs_checkpoints && from < which->n_stable && from + take > which->n_stable)
        take = which->n_stable - from;
    for (size_t i = 0; i < take; i++)
        s->batch[n + i] =
            (hyp_input){which->prompt[from + i], (int32_t)(from + i), which->seq, from + i + 1 == which->n_prompt};
    which->n_batched = take;
    which->logits = from + take == which->n_prompt ? (int32_t)(n + take - 1) : -1;
    return n + take;
}

/* Ask what may follow. Nothing where a refused token could not be cut off again, nor beyond what may be answered. */
static void propose(hyp_session *s, slot *which, size_t room) {
    which->n_draft = 0;
    if (s->config.propose == NULL || s->info.needs_checkpoints) return;
    room = HYP_MIN(room, (size_t)HYP_MAX_DRAFT);
    room = HYP_MIN(room, which->n_ctx - HYP_MIN(which->n_ctx, which->n_tokens + 2));
    if (which->max_eval >= 0) room = HYP_MIN(room, (size_t)(which->max_eval - which->n_eval - 1));
    if (room == 0) return;
    if (which->draft == NULL && (which->draft = malloc(HYP_MAX_DRAFT * sizeof *which->draft)) == NULL) return;
    /* The token chosen last belongs to what is proposed for, though the sequence's memory does not hold it yet. */
    if (!hyp_slot_remember(which, which->next)) return;
    which->n_tokens--;
    which->n_draft =
        HYP_MIN(s->config.propose(s->config.user, which->tokens, which->n_tokens + 1, which->draft, room), room);
    atomic_fetch_add(&s->config.counters->drafted_tokens, which->n_draft);
}

/* The answer's last token and what is proposed to follow it; all with logits, which verify it. */
static size_t add_answer(hyp_session *s, slot *which, size_t n, size_t room) {
    propose(s, which, room - 1);
    which->logits = (int32_t)n;
    which->n_batched = 1 + which->n_draft;
    for (size_t i = 0; i < which->n_batched; i++)
        s->batch[n + i] =
            (hyp_input){i == 0 ? which->next : which->draft[i - 1], (int32_t)(which->n_tokens + i), which->seq, true};
    return n + which->n_batched;
}

static size_t add_slot(hyp_session *s, slot *which, size_t n, size_t room) {
    return which->next < 0 ? add_prompt(s, which, n, room) : add_answer(s, which, n, room);
}

/* libllama 0.7 computes wrong states when a batch holds several sequences with recurrent state, its own server included
 * (tests/server/test_engine.py shows it): there the slots take turns, one a batch. */
static size_t gather_one(hyp_session *s, bool *ret_prompts) {
    for (size_t k = 0; k < s->slots.n; k++) {
        size_t i = (s->next_turn + k) % s->slots.n;
        slot *which = &s->slots.items[i];
        if (!can_work(which)) continue;
        s->next_turn = i + 1;
        *ret_prompts = which->next < 0;
        return add_slot(s, which, 0, s->info.max_batch);
    }
    return 0;
}

/* Fill the batch: first a token of every answer, so that none waits for another's prompt; prompts share the rest.
 * Drafts are made only when no prompt wants the room. */
static size_t gather(hyp_session *s, bool *ret_prompts) {
    size_t n = 0, n_prompts = 0, n_answers = 0, room = s->info.max_batch;
    for (size_t i = 0; i < s->slots.n; i++) {
        slot *which = &s->slots.items[i];
        which->n_batched = which->n_draft = 0;
        which->logits = -1;
        if (!can_work(which)) continue;
        if (which->next < 0)
            n_prompts++;
        else
            n_answers++;
    }
    *ret_prompts = n_prompts > 0;
    if (s->info.recurrent) return gather_one(s, ret_prompts);
    for (size_t i = 0; i < s->slots.n && n_answers > 0; i++) {
        slot *which = &s->slots.items[i];
        if (which->next < 0 || !can_work(which)) continue;
        if (n < room) n = add_slot(s, which, n, n_prompts > 0 ? 1 : HYP_MAX((room - n) / n_answers, (size_t)1));
        n_answers--;
    }
    for (size_t i = 0; i < s->slots.n && n_prompts > 0; i++) {
        slot *which = &s->slots.items[i];
        if (which->next >= 0 || !can_work(which)) continue;
        n = add_slot(s, which, n, HYP_MAX((room - n) / n_prompts, (size_t)(room > n)));
        n_prompts--;
    }
    return n;
}

/* The KV cache is full: let an idle slot forget. False when none holds anything. */
static bool free_memory(hyp_session *s) {
    for (size_t i = 0; i < s->slots.n; i++) {
        slot *which = &s->slots.items[i];
        if (which->job != NULL || which->n_tokens == 0) continue;
        hyp_slots_forget(&s->slots, which);
        return true;
    }
    return false;
}

/* Jobs whose clients are gone. */
static void release_ended(hyp_session *s) {
    for (size_t i = 0; i < s->slots.n; i++) {
        slot *which = &s->slots.items[i];
        if (which->job == NULL || !hyp_job_has_ended(which->job)) continue;
        HYP_JOB_LOG(which->job, "let go by slot %d: its client is gone", which->seq);
        atomic_fetch_add(&s->config.counters->cancelled, 1);
        hyp_session_release(s, which);
    }
}

/* An item is evaluated by itself, outside the batch. Returns what failed, told by `err`. */
static int decode_media(hyp_session *s, slot *which, const hyp_media_chunk *m, hyp_err *err) {
    const hyp_backend_ops *ops = s->config.ops;
    if (ops->decode_media == NULL) return hyp_err_set(err, HYP_EUNSUPPORTED, "this model takes no images");
    int r = ops->decode_media(s->config.model, which->seq, (int32_t)m->at, m->item, m->n, err);
    for (size_t i = 0; r == HYP_OK && i < m->n; i++)
        if (!hyp_slot_remember(which, hyp_media_cell(m->id))) r = hyp_err_set(err, HYP_ENOMEM, "out of memory");
    return r;
}

/* Slots whose prompt goes on with a media item. True when there was one. */
static bool step_media(hyp_session *s) {
    bool worked = false;
    for (size_t i = 0; i < s->slots.n; i++) {
        slot *which = &s->slots.items[i];
        const hyp_media_chunk *m = which->next < 0 && can_work(which) ? hyp_slot_next_media(which) : NULL;
        if (m == NULL || m->at != which->n_tokens) continue;
        hyp_err err = HYP_ERR_NONE;
        worked = true;
        if (decode_media(s, which, m, &err) == HYP_OK) continue;
        hyp_session_fail_slot(s, which, err.code == HYP_EUNSUPPORTED ? 400 : 500, &err);
        hyp_slots_forget(&s->slots, which);
    }
    return worked;
}

int hyp_session_step(hyp_session *s, bool *ret_worked, hyp_err *err) {
    hyp_session_counters *count = s->config.counters;
    bool prompts = false;
    hyp_err why = HYP_ERR_NONE;
    release_ended(s);
    bool media = step_media(s);
    size_t n = gather(s, &prompts);
    *ret_worked = n > 0 || media;
    if (n == 0) return HYP_OK;
    int64_t start = hyp_mono_ns();
    int r = s->config.ops->decode(s->config.model, s->batch, n, &why);
    atomic_fetch_add(prompts ? &count->prompt_ns : &count->decode_ns, (uint64_t)(hyp_mono_ns() - start));
    atomic_fetch_add(&count->decodes, 1);
    if (r == HYP_ECANCELED) {
        hyp_err_pass(err, &why);
        return r;
    }
    if (r != HYP_OK) {
        if (r != HYP_ENOMEM || !free_memory(s)) hyp_session_decode_failed(s, &why);
        return HYP_OK;
    }
    s->with_prompts = prompts;
    for (size_t i = 0; i < s->slots.n; i++)
        if (s->slots.items[i].n_batched > 0) hyp_session_commit(s, &s->slots.items[i]);
    return HYP_OK;
}
