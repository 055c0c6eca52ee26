/* step.c - one round of computing: gather what every slot has to evaluate, decode it together, sample, hand out. */
#include "base/mem.h"
#include "base/times.h"
#include "session/scheduler_priv.h"

#include <math.h>
#include <string.h>

enum { MIN_CONTEXT = 16, PIECE_BYTES = 512 };

static void finish(hyp_scheduler *s, lane *l, slot *which, const char *reason) {
    hyp_job *job = which->job;
    answer_finish(&which->answer);
    int64_t now = hyp_mono_ns();
    hyp_event *event = calloc(1, sizeof *event);
    if (event != NULL) {
        event->kind = HYP_EVENT_DONE;
        event->reason = reason;
        event->stop = which->answer.stopped;
        event->stats = (hyp_stats){.total_ns = now - job->created_ns,
                                   .load_ns = HYP_MAX(which->load_ns, 1),
                                   .prompt_ns = HYP_MAX(which->prompt_done_ns - which->start_ns, 1),
                                   .eval_ns = HYP_MAX(now - which->prompt_done_ns, 1),
                                   .n_prompt = (int64_t)which->n_asked,
                                   .n_cached = (int64_t)which->n_cached,
                                   .n_eval = which->n_eval,
                                   .n_reasoning = which->answer.n_reasoning};
        if (job->kind == HYP_JOB_GENERATE && !job->raw &&
            (event->context = malloc((which->n_tokens + 1) * sizeof(int32_t))) != NULL) {
            memcpy(event->context, which->tokens, which->n_tokens * sizeof(int32_t));
            event->n_context = which->n_tokens;
            if (which->next >= 0) event->context[event->n_context++] = which->next;
        }
    }
    hyp_job_push(job, event);
    lane_touch(s, l, job);
    slot_release(&l->slots, which);
}

static void fail_slot(hyp_scheduler *s, lane *l, slot *which, int status, const hyp_err *err) {
    atomic_fetch_add(&s->failed, 1);
    if (err->hint[0] != '\0')
        hyp_job_fail(which->job, status, "%s (%s)", err->message, err->hint);
    else
        hyp_job_fail(which->job, status, "%s", err->message);
    lane_touch(s, l, which->job);
    slot_release(&l->slots, which);
}

void step_abort_all(hyp_scheduler *s, lane *l, int status, const char *message) {
    hyp_err err = HYP_ERR_NONE;
    hyp_err_set(&err, HYP_EENGINE, "%s", message);
    for (size_t i = 0; i < l->slots.n; i++) {
        slot *which = &l->slots.items[i];
        if (which->job != NULL) fail_slot(s, l, which, status, &err);
    }
    if (l->embedding != NULL) {
        hyp_job_fail(l->embedding, status, "%s", message);
        hyp_job_unref(l->embedding);
        l->embedding = NULL;
    }
}

static size_t context_of(const lane *l, const hyp_job *job) {
    size_t n = l->info.context_tokens;
    if (job->params.num_ctx > 0) n = HYP_MIN(n, (size_t)HYP_MAX(job->params.num_ctx, MIN_CONTEXT));
    return n;
}

int step_plan(hyp_scheduler *s, lane *l, const hyp_job *job, answer_plan *ret, int *ret_status, hyp_err *err) {
    prompt_env env = {s->config.backend.ops, l->model, &l->info, l->template, l->tool_template, context_of(l, job)};
    return prompt_build(job, &env, ret, ret_status, err);
}

static void tell_begin(const slot *which) {
    hyp_event *event = calloc(1, sizeof *event);
    if (event != NULL) {
        event->kind = HYP_EVENT_BEGIN;
        event->stats = (hyp_stats){.n_prompt = (int64_t)which->n_asked, .n_cached = (int64_t)which->n_cached};
    }
    hyp_job_push(which->job, event);
}

bool step_begin(hyp_scheduler *s, lane *l, hyp_job *job) {
    const hyp_backend_ops *ops = s->config.backend.ops;
    hyp_err err = HYP_ERR_NONE;
    answer_plan p = {0};
    int status = 500;
    void *sampler = NULL;
    size_t n_ctx = context_of(l, job);
    int r = step_plan(s, l, job, &p, &status, &err);
    if (r == HYP_OK) {
        status = 500;
        r = ops->sampler_new(l->model, &p.sampling, &sampler, &err);
    }
    slot *which = r == HYP_OK ? slots_take(&l->slots, p.tokens, p.n) : NULL;
    if (which != NULL) r = answer_open(&which->answer, job, &p, &err);
    if (which == NULL || r != HYP_OK) {
        if (sampler != NULL) ops->sampler_free(sampler);
        atomic_fetch_add(&s->failed, 1);
        hyp_job_fail(job, status, "%s", err.message);
        prompt_free(&p);
        hyp_job_unref(job);
        return false;
    }
    for (size_t i = 0; i < p.n; i++)
        ops->accept_prompt(sampler, p.tokens[i]);
    which->job = job;
    which->sampler = sampler;
    which->prompt = HYP_TAKE(p.tokens);
    which->n_prompt = which->n_asked = p.n;
    which->n_stable = p.n_stable;
    which->n_ctx = n_ctx;
    which->n_eval = 0;
    which->max_eval = job->params.num_predict > 0 ? job->params.num_predict : -1;
    if (job->shift) /* an answer that is never full would never end; the factor is Ollama's */
        which->max_eval = HYP_MIN(which->max_eval < 0 ? INT64_MAX : which->max_eval, 10 * (int64_t)n_ctx);
    which->next = which->logits = -1;
    which->start_ns = which->prompt_done_ns = hyp_mono_ns();
    which->load_ns = l->load_ns;
    l->load_ns = 0; /* only the first request waited for it */
    atomic_fetch_add(&s->prompt_tokens, p.n - which->n_cached);
    atomic_fetch_add(&s->cached_tokens, which->n_cached);
    prompt_free(&p);
    tell_begin(which);
    return true;
}

static bool can_work(const slot *which) {
    return which->job != NULL && !hyp_job_is_full(which->job);
}

/* Of a prompt, at most `room` tokens, ending where a checkpoint is wanted. */
static size_t add_prompt(hyp_scheduler *s, const lane *l, slot *which, size_t n, size_t room) {
    size_t from = which->n_tokens, take = HYP_MIN(room, which->n_prompt - from);
    if (l->info.needs_checkpoints && from < which->n_stable && from + take > which->n_stable)
        take = which->n_stable - from;
    for (size_t i = 0; i < take; i++)
        s->batch[n + i] =
            (hyp_input){which->prompt[from + i], (int32_t)(from + i), which->seq, from + i + 1 == which->n_prompt};
    which->n_batched = take;
    which->logits = from + take == which->n_prompt ? (int32_t)(n + take - 1) : -1;
    return n + take;
}

/* What a slot evaluates next: its answer's last token, or a part of its prompt. */
static size_t add_slot(hyp_scheduler *s, lane *l, slot *which, size_t n, size_t room) {
    if (which->next < 0) return add_prompt(s, l, which, n, room);
    which->logits = (int32_t)n;
    which->n_batched = 1;
    s->batch[n] = (hyp_input){which->next, (int32_t)which->n_tokens, which->seq, true};
    return n + 1;
}

/* libllama 0.7 computes wrong states when a batch holds several sequences with recurrent state, its own server included
 * (tests/server/test_engine.py shows it): there the slots take turns, one a batch. */
static size_t gather_one(hyp_scheduler *s, lane *l, bool *ret_prompts) {
    for (size_t k = 0; k < l->slots.n; k++) {
        size_t i = (l->next_turn + k) % l->slots.n;
        slot *which = &l->slots.items[i];
        if (!can_work(which)) continue;
        l->next_turn = i + 1;
        *ret_prompts = which->next < 0;
        return add_slot(s, l, which, 0, l->info.max_batch);
    }
    return 0;
}

/* Fill the batch: first a token of every answer, so that none waits for another's prompt; prompts share the rest. */
static size_t gather(hyp_scheduler *s, lane *l, bool *ret_prompts) {
    size_t n = 0, n_prompts = 0, room = l->info.max_batch;
    for (size_t i = 0; i < l->slots.n; i++) {
        l->slots.items[i].n_batched = 0;
        l->slots.items[i].logits = -1;
    }
    if (l->info.recurrent) return gather_one(s, l, ret_prompts);
    for (size_t i = 0; i < l->slots.n; i++) {
        slot *which = &l->slots.items[i];
        if (!can_work(which)) continue;
        if (which->next < 0)
            n_prompts++;
        else if (n < room)
            n = add_slot(s, l, which, n, 1);
    }
    *ret_prompts = n_prompts > 0;
    for (size_t i = 0; i < l->slots.n && n_prompts > 0; i++) {
        slot *which = &l->slots.items[i];
        if (which->next >= 0 || !can_work(which)) continue;
        n = add_slot(s, l, which, n, HYP_MAX((room - n) / n_prompts, (size_t)(room > n)));
        n_prompts--;
    }
    return n;
}

static int by_logit(const void *a, const void *b) {
    float x = ((const hyp_logprob *)a)->logprob, y = ((const hyp_logprob *)b)->logprob;
    return x < y ? 1 : x > y ? -1 : 0;
}

static bool fill_logprob(const hyp_backend_ops *ops, void *model, hyp_token token, float logprob, hyp_logprob *ret) {
    char piece[PIECE_BYTES];
    int n = ops->piece(model, token, true, piece, sizeof piece);
    if (n < 0) n = 0;
    *ret = (hyp_logprob){.bytes = malloc((size_t)n + 1), .n = (size_t)n, .logprob = logprob};
    if (ret->bytes == NULL) return false;
    memcpy(ret->bytes, piece, (size_t)n);
    ret->bytes[n] = '\0';
    return true;
}

/* log softmax of the logits at the chosen token, and the likeliest tokens beside it. */
static bool measure(const lane *l, const slot *which, hyp_token token, const hyp_backend_ops *ops, hyp_logprob *ret) {
    const float *logits = ops->logits(l->model, which->logits);
    int32_t n_vocab = l->info.n_vocab;
    if (logits == NULL || token >= n_vocab) return false;
    float max = logits[0];
    double sum = 0;
    for (int32_t i = 1; i < n_vocab; i++)
        max = fmaxf(max, logits[i]);
    for (int32_t i = 0; i < n_vocab; i++)
        sum += exp((double)logits[i] - max);
    /* cppcheck-suppress invalidFunctionArg ; the largest logit alone adds 1 */
    float norm = max + (float)log(sum);
    if (!fill_logprob(ops, l->model, token, logits[token] - norm, ret)) return false;
    size_t k = (size_t)which->job->top_logprobs;
    if (k == 0 || (ret->top = calloc(k, sizeof *ret->top)) == NULL) return true;
    int32_t best[20];
    size_t n = 0;
    for (int32_t i = 0; i < n_vocab; i++) { /* insertion into a short sorted list: k is at most 20 */
        size_t at = n;
        while (at > 0 && logits[best[at - 1]] < logits[i])
            at--;
        if (at >= k) continue;
        if (n < k) n++;
        memmove(best + at + 1, best + at, (n - at - 1) * sizeof *best);
        best[at] = i;
    }
    for (size_t i = 0; i < n; i++)
        if (fill_logprob(ops, l->model, best[i], logits[best[i]] - norm, &ret->top[ret->n_top])) ret->n_top++;
    qsort(ret->top, ret->n_top, sizeof *ret->top, by_logit);
    return true;
}

/* The context is full: as Ollama does, keep num_keep tokens (-1: the prompt) and the later half of the others. */
static void make_room(hyp_scheduler *s, lane *l, slot *which) {
    int64_t asked = which->job->params.num_keep;
    size_t keep = asked < 0 ? which->n_asked : (size_t)asked;
    if (asked >= 0 && which->tokens[0] == l->info.special.bos) keep++;
    keep = HYP_MIN(keep, which->n_ctx - 3); /* so that something can go, and something of the answer stays */
    if (slots_shift(&l->slots, which, keep, HYP_MAX((which->n_ctx - keep) / 2, (size_t)1))) return;
    hyp_err err = HYP_ERR_NONE;
    hyp_err_set(&err, HYP_ENOMEM, "out of memory");
    fail_slot(s, l, which, 500, &err);
}

/* A token was evaluated at the end of what the slot has: choose the next one. */
static void advance(hyp_scheduler *s, lane *l, slot *which) {
    const hyp_backend_ops *ops = s->config.backend.ops;
    if (which->n_eval == 0) which->prompt_done_ns = hyp_mono_ns();
    hyp_token token = ops->sample(l->model, which->sampler, which->logits);
    if (token < 0) {
        hyp_err err = HYP_ERR_NONE;
        hyp_err_set(&err, HYP_EENGINE, "no token could be sampled");
        fail_slot(s, l, which, 500, &err);
        return;
    }
    which->n_eval++;
    which->next = token;
    atomic_fetch_add(&s->output_tokens, 1);
    if (ops->is_end(l->model, token)) {
        finish(s, l, which, "stop");
        return;
    }
    char piece[PIECE_BYTES];
    int n = ops->piece(l->model, token, which->answer.output != NULL, piece, sizeof piece);
    hyp_logprob logprob;
    bool measured = which->job->logprobs && measure(l, which, token, ops, &logprob);
    if (answer_feed(&which->answer, piece, n > 0 ? (size_t)n : 0, measured ? &logprob : NULL))
        finish(s, l, which, "stop");
    else if (which->max_eval >= 0 && which->n_eval >= which->max_eval)
        finish(s, l, which, "length");
    else if (which->n_tokens + 1 >= which->n_ctx) {
        if (which->job->shift)
            make_room(s, l, which);
        else
            finish(s, l, which, "length");
    }
}

static void commit(hyp_scheduler *s, lane *l, slot *which) {
    bool good = true, prompt = which->next < 0;
    for (size_t i = 0; i < which->n_batched && good; i++)
        good = slot_remember(which, prompt ? which->prompt[which->n_tokens] : which->next);
    if (!good) {
        hyp_err err = HYP_ERR_NONE;
        hyp_err_set(&err, HYP_ENOMEM, "out of memory");
        fail_slot(s, l, which, 500, &err);
        slots_forget(&l->slots, which);
        return;
    }
    if (prompt && (which->n_tokens == which->n_stable || which->n_tokens == which->n_prompt))
        slots_checkpoint(&l->slots, which);
    if (which->logits >= 0) advance(s, l, which);
}

/* The KV cache is full: let idle slots forget. False when none holds anything. */
static bool free_memory(lane *l) {
    for (size_t i = 0; i < l->slots.n; i++) {
        slot *which = &l->slots.items[i];
        if (which->job != NULL || which->n_tokens == 0) continue;
        slots_forget(&l->slots, which);
        return true;
    }
    return false;
}

static void decode_failed(hyp_scheduler *s, lane *l, int code, const hyp_err *err) {
    if (code == HYP_ECANCELED && atomic_load(&s->closed)) return; /* the shutdown tells everyone */
    if (code == HYP_ENOMEM && free_memory(l)) return;
    step_abort_all(s, l, 500, err->message);
    /* How far the batch came is not known, so no slot's memory can be trusted. */
    for (size_t i = 0; i < l->slots.n; i++)
        slots_forget(&l->slots, &l->slots.items[i]);
}

bool step_text(hyp_scheduler *s, lane *l) {
    for (size_t i = 0; i < l->slots.n; i++) {
        slot *which = &l->slots.items[i];
        if (which->job == NULL || !hyp_job_has_ended(which->job)) continue;
        atomic_fetch_add(&s->cancelled, 1);
        lane_touch(s, l, which->job);
        slot_release(&l->slots, which);
    }
    bool prompts = false;
    size_t n = gather(s, l, &prompts);
    if (n == 0) return false;
    hyp_err err = HYP_ERR_NONE;
    int64_t start = hyp_mono_ns();
    int r = s->config.backend.ops->decode(l->model, s->batch, n, &err);
    atomic_fetch_add(prompts ? &s->prompt_ns : &s->decode_ns, (uint64_t)(hyp_mono_ns() - start));
    atomic_fetch_add(&s->decodes, 1);
    if (r != HYP_OK) {
        decode_failed(s, l, r, &err);
        return true;
    }
    if (!prompts) atomic_fetch_add(&s->decoded_tokens, n);
    for (size_t i = 0; i < l->slots.n; i++)
        if (l->slots.items[i].n_batched > 0) commit(s, l, &l->slots.items[i]);
    return true;
}
