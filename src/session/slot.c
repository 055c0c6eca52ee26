#include "session/slot_priv.h"

#include "base/mem.h"
#include "base/times.h"

#include <string.h>

int hyp_slots_open(slots *s, const hyp_backend_ops *ops, void *model, size_t n, bool needs_checkpoints, hyp_err *err) {
    *s = (slots){
        .items = calloc(n, sizeof(slot)), .n = n, .ops = ops, .model = model, .needs_checkpoints = needs_checkpoints};
    if (s->items == NULL) {
        s->n = 0;
        return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        s->items[i].seq = (int32_t)i;
        s->items[i].logits = s->items[i].next = -1;
        s->items[i].n_exact = SIZE_MAX;
    }
    return HYP_OK;
}

static void drop_checkpoints(slot *which, size_t beyond) {
    while (which->n_checkpoints > 0 && which->checkpoints[which->n_checkpoints - 1].n_tokens > beyond)
        free(which->checkpoints[--which->n_checkpoints].data);
}

void hyp_slots_close(slots *s) {
    for (size_t i = 0; i < s->n; i++) {
        for (size_t c = 0; c < s->items[i].n_checkpoints; c++)
            free(s->items[i].checkpoints[c].data);
        free(s->items[i].tokens);
        free(s->items[i].draft);
    }
    free(s->items);
    *s = (slots){0};
}

void hyp_slots_forget(slots *s, slot *which) {
    s->ops->truncate(s->model, which->seq, 0);
    which->n_tokens = which->n_ahead = 0;
    while (which->n_checkpoints > 0)
        free(which->checkpoints[--which->n_checkpoints].data);
}

/* Cut a slot's memory down to its first `n` tokens, or to the nearest state before that can be had. */
static void rewind_to(slots *s, slot *which, size_t n) {
    if (n >= which->n_tokens) return;
    if (n > 0 && s->ops->truncate(s->model, which->seq, (int32_t)n)) {
        which->n_tokens = n;
        drop_checkpoints(which, n);
        return;
    }
    drop_checkpoints(which, n);
    while (which->n_checkpoints > 0) {
        slot_checkpoint *c = &which->checkpoints[which->n_checkpoints - 1];
        hyp_err ignored = HYP_ERR_NONE;
        if (s->ops->restore(s->model, which->seq, c->data, c->bytes, &ignored) == HYP_OK &&
            s->ops->truncate(s->model, which->seq, (int32_t)c->n_tokens)) {
            which->n_tokens = c->n_tokens;
            return;
        }
        free(c->data); /* of no use: try the one before */
        which->n_checkpoints--;
    }
    hyp_slots_forget(s, which);
}

void hyp_slots_checkpoint(slots *s, slot *which) {
    if (!s->needs_checkpoints || which->n_tokens == 0) return;
    if (which->n_checkpoints > 0 && which->checkpoints[which->n_checkpoints - 1].n_tokens >= which->n_tokens) return;
    slot_checkpoint c = {.n_tokens = which->n_tokens};
    hyp_err ignored = HYP_ERR_NONE; /* without it the next turn is only slower */
    if (s->ops->save(s->model, which->seq, &c.data, &c.bytes, &ignored) != HYP_OK) return;
    if (which->n_checkpoints == SLOT_CHECKPOINTS) {
        free(which->checkpoints[0].data);
        memmove(which->checkpoints, which->checkpoints + 1, (SLOT_CHECKPOINTS - 1) * sizeof c);
        which->n_checkpoints--;
    }
    which->checkpoints[which->n_checkpoints++] = c;
}

/* The slot's memory without the `n` tokens after `n_keep`, then the token that is next, as a prompt to be evaluated. */
static bool evaluate_anew(slots *s, slot *which, size_t n_keep, size_t n) {
    size_t rest = which->n_tokens - n_keep - n;
    hyp_token *prompt = malloc((n_keep + rest + 1) * sizeof *prompt);
    if (prompt == NULL) {
        hyp_slots_forget(s, which);
        return false;
    }
    memcpy(prompt, which->tokens, n_keep * sizeof *prompt);
    memcpy(prompt + n_keep, which->tokens + n_keep + n, rest * sizeof *prompt);
    prompt[n_keep + rest] = which->next;
    free(which->prompt);
    which->prompt = prompt;
    which->n_prompt = n_keep + rest + 1;
    which->n_stable = 0;
    which->next = -1;
    rewind_to(s, which, n_keep);
    return true;
}

void hyp_slots_drop_ahead(slots *s, slot *which) {
    if (which->n_ahead == 0) return;
    which->n_ahead = 0;
    if (!s->ops->truncate(s->model, which->seq, (int32_t)which->n_tokens)) hyp_slots_forget(s, which);
}

void hyp_slots_recover(slots *s, slot *which) {
    which->n_ahead = 0;
    if (s->needs_checkpoints || !s->ops->truncate(s->model, which->seq, (int32_t)which->n_tokens))
        hyp_slots_forget(s, which);
}

bool hyp_slots_shift(slots *s, slot *which, size_t n_keep, size_t n) {
    if (!s->ops->shift(s->model, which->seq, (int32_t)n_keep, (int32_t)(n_keep + n)))
        return evaluate_anew(s, which, n_keep, n);
    drop_checkpoints(which, n_keep);
    which->n_exact = HYP_MIN(which->n_exact, n_keep);
    which->n_tokens -= n;
    memmove(which->tokens + n_keep, which->tokens + n_keep + n, (which->n_tokens - n_keep) * sizeof *which->tokens);
    return true;
}

const hyp_media_chunk *hyp_slot_next_media(const slot *s) {
    for (size_t i = 0; i < s->n_media; i++)
        if (s->media[i].at >= s->n_tokens) return &s->media[i];
    return NULL;
}

bool hyp_slot_remember(slot *s, hyp_token token) {
    if (s->n_tokens == s->capacity) {
        size_t capacity = s->capacity == 0 ? 1024 : 2 * s->capacity;
        hyp_token *more = realloc(s->tokens, capacity * sizeof *more);
        if (more == NULL) return false;
        s->tokens = more;
        s->capacity = capacity;
    }
    s->tokens[s->n_tokens++] = token;
    return true;
}

static size_t common(const slot *s, const hyp_token *prompt, size_t n) {
    size_t i = 0, exact = HYP_MIN(s->n_tokens, s->n_exact);
    while (i < exact && i < n && s->tokens[i] == prompt[i])
        i++;
    return i;
}

/* Of the common part, what this slot could go on from: with checkpoints, the last one within it. */
static size_t reusable(const slots *s, const slot *which, size_t shared) {
    if (!s->needs_checkpoints || shared == which->n_tokens) return shared;
    for (size_t c = which->n_checkpoints; c-- > 0;)
        if (which->checkpoints[c].n_tokens <= shared) return which->checkpoints[c].n_tokens;
    return 0;
}

static bool copy_prefix(slots *s, const slot *from, slot *to, size_t n) {
    hyp_slots_forget(s, to);
    for (size_t i = 0; i < n; i++)
        if (!hyp_slot_remember(to, from->tokens[i])) {
            to->n_tokens = 0;
            return false;
        }
    s->ops->copy(s->model, from->seq, to->seq, (int32_t)n);
    return true;
}

slot *hyp_slots_take(slots *s, const hyp_token *prompt, size_t n) {
    slot *own = NULL, *oldest = NULL;
    const slot *donor = NULL;
    size_t own_shared = 0, donor_shared = 0, limit = n > 0 ? n - 1 : 0;
    for (size_t i = 0; i < s->n; i++) {
        slot *c = &s->items[i];
        size_t shared = reusable(s, c, HYP_MIN(common(c, prompt, n), limit));
        if (!s->needs_checkpoints && shared > donor_shared) donor = c, donor_shared = shared;
        if (c->job != NULL) continue;
        if (own == NULL || shared > own_shared) own = c, own_shared = shared;
        if (oldest == NULL || c->used_ns < oldest->used_ns) oldest = c;
    }
    if (own == NULL) return NULL;
    /* Going on in `own` loses what lies beyond the shared part. When that is most of it, it is another conversation's.
     */
    bool foreign = own_shared < own->n_tokens / 2;
    slot *take = foreign ? oldest : own;
    size_t take_shared = reusable(s, take, HYP_MIN(common(take, prompt, n), limit));
    if (donor != NULL && donor != take && donor_shared > take_shared && copy_prefix(s, donor, take, donor_shared))
        take_shared = donor_shared;
    rewind_to(s, take, take_shared);
    take->n_cached = take->n_tokens;
    take->used_ns = hyp_mono_ns();
    return take;
}

void hyp_slot_release(slots *s, slot *which) {
    hyp_slots_drop_ahead(s, which);
    rewind_to(s, which, which->n_exact);
    which->n_exact = SIZE_MAX;
    if (which->sampler != NULL) s->ops->sampler_free(which->sampler);
    hyp_answer_close(&which->answer);
    free(which->prompt);
    free(which->media);
    hyp_job_unref(which->job);
    which->sampler = NULL;
    which->prompt = NULL;
    which->media = NULL;
    which->n_media = 0;
    which->job = NULL;
    which->n_prompt = which->n_stable = which->n_batched = which->n_draft = 0;
    which->next = which->logits = -1;
    which->used_ns = hyp_mono_ns();
}

size_t hyp_slots_busy(const slots *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += s->items[i].job != NULL;
    return n;
}
