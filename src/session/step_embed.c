/* step_embed.c - one round of embeddings: as many whole inputs as fit a batch, each a sequence of its own.
 *
 * A round takes inputs up to ROUND_TOKENS together, one at least, so that texts that wait for their next token wait for
 * about one prompt's batch. */
#include "base/mem.h"
#include "base/times.h"
#include "session/scheduler_priv.h"

#include <string.h>

enum { ROUND_TOKENS = 512 };

/* The tokens of one input, cut to what the model can take. The caller frees `*ret`. */
static int read_input(const lane *l, const hyp_job *job, const char *text, hyp_token **ret, size_t *ret_n,
                      hyp_err *err) {
    size_t n = 0, limit = HYP_MIN(l->info.context_tokens, l->info.max_batch);
    hyp_token *tokens = NULL;
    int r = l->ops->tokenize(l->model, text, strlen(text), true, false, &tokens, &n, err);
    if (r != HYP_OK) return r;
    if (n == 0 || (n > limit && !job->truncate)) {
        free(tokens);
        return hyp_err_set(err, HYP_EINVAL,
                           n == 0 ? "the input is empty" : "the input length exceeds the context length");
    }
    if (n > limit) {
        /* The end marker belongs to what is pooled. */
        if (tokens[n - 1] == l->info.special.eos) tokens[limit - 1] = tokens[n - 1];
        n = limit;
    }
    *ret = tokens;
    *ret_n = n;
    return HYP_OK;
}

void hyp_step_embed_prepare(const lane *l, const hyp_job *job, hyp_preparation *p) {
    p->inputs = calloc(job->n_inputs + 1, sizeof *p->inputs);
    p->n_input_tokens = calloc(job->n_inputs + 1, sizeof *p->n_input_tokens);
    p->code =
        p->inputs != NULL && p->n_input_tokens != NULL ? HYP_OK : hyp_err_set(&p->err, HYP_ENOMEM, "out of memory");
    for (; p->code == HYP_OK && p->n_inputs < job->n_inputs && !atomic_load(&job->cancelled); p->n_inputs++) {
        p->code = read_input(l, job, job->inputs[p->n_inputs], &p->inputs[p->n_inputs], &p->n_input_tokens[p->n_inputs],
                             &p->err);
        if (p->code == HYP_EINVAL) p->status = 400;
    }
    if (p->code == HYP_OK && p->n_inputs < job->n_inputs) p->code = HYP_ECANCELED;
}

/* Add inputs to the batch from the job's next one on. Returns how many were taken; `*ret_n` tokens in all. */
static size_t gather(const lane *l, size_t *ret_n) {
    const hyp_preparation *p = l->embedding->preparation;
    size_t n = 0, taken = 0;
    while (taken < l->info.n_parallel && l->n_embedded + taken < p->n_inputs) {
        const hyp_token *tokens = p->inputs[l->n_embedded + taken];
        size_t n_tokens = p->n_input_tokens[l->n_embedded + taken];
        if (taken > 0 && n + n_tokens > HYP_MIN((size_t)ROUND_TOKENS, (size_t)l->info.max_batch)) break;
        for (size_t i = 0; i < n_tokens; i++)
            l->batch[n++] = (hyp_input){tokens[i], (int32_t)i, (int32_t)taken, true};
        taken++;
    }
    *ret_n = n;
    return taken;
}

static int push_vector(hyp_scheduler *s, lane *l, int32_t seq, hyp_err *err) {
    const float *vector = s->config.backend.ops->embedding(l->model, seq);
    if (vector == NULL) return hyp_err_set(err, HYP_EUNSUPPORTED, "this model does not support embeddings");
    hyp_event *event = calloc(1, sizeof *event);
    size_t bytes = (size_t)l->info.n_embd * sizeof *vector;
    if (event == NULL || (event->embedding = malloc(bytes)) == NULL) {
        free(event);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    }
    memcpy(event->embedding, vector, bytes);
    event->kind = HYP_EVENT_EMBEDDING;
    event->n_embedding = (size_t)l->info.n_embd;
    hyp_job_push(l->embedding, event);
    return HYP_OK;
}

static int embed_some(hyp_scheduler *s, lane *l, hyp_err *err) {
    const hyp_backend_ops *ops = s->config.backend.ops;
    size_t n = 0, taken = gather(l, &n);
    for (size_t i = 0; i < taken; i++)
        ops->truncate(l->model, (int32_t)i, 0);
    int r = ops->decode(l->model, l->batch, n, err);
    for (size_t i = 0; i < taken && r == HYP_OK; i++)
        r = push_vector(s, l, (int32_t)i, err);
    if (r != HYP_OK) return r;
    l->n_embedded += taken;
    l->embed_stats.n_prompt += (int64_t)n;
    atomic_fetch_add(&s->counters.prompt_tokens, n);
    return HYP_OK;
}

/* The lane's job has had its last event: let it go. */
static void release(hyp_scheduler *s, lane *l) {
    hyp_job *job = l->embedding;
    hyp_lane_touch(s, l, job);
    l->embedding = NULL;
    hyp_job_unref(job);
}

static void embed_done(hyp_scheduler *s, lane *l) {
    hyp_job *job = l->embedding;
    hyp_event *event = calloc(1, sizeof *event);
    if (event != NULL) {
        event->kind = HYP_EVENT_DONE;
        event->reason = "stop";
        event->stats = l->embed_stats;
        event->stats.total_ns = hyp_mono_ns() - job->created_ns;
        event->stats.load_ns = HYP_MAX(event->stats.load_ns, 1);
    }
    hyp_job_push(job, event);
    release(s, l);
}

bool hyp_step_embed(hyp_scheduler *s, lane *l) {
    hyp_job *job = l->embedding;
    if (job == NULL) return false;
    if (hyp_job_has_ended(job)) {
        atomic_fetch_add(&s->counters.cancelled, 1);
        release(s, l);
        return true;
    }
    if (l->n_embedded == job->n_inputs) {
        embed_done(s, l);
        return true;
    }
    if (hyp_job_is_full(job)) return false;
    hyp_err err = HYP_ERR_NONE;
    int r = embed_some(s, l, &err);
    if (r == HYP_OK) return true;
    atomic_fetch_add(&s->counters.failed, 1);
    hyp_job_fail(job, r == HYP_EINVAL || r == HYP_EUNSUPPORTED ? 400 : 500, "%s", err.message);
    release(s, l);
    return true;
}
