/* fit.c - prompts that are too long: which messages to leave out, or which tokens. */
#include "base/mem.h"
#include "session/prompt_priv.h"

#include <string.h>

static int too_long(const hyp_prompt *p, hyp_limits limits, hyp_err *err) {
    (void)hyp_err_set(err, HYP_ETOOLONG, "the prompt has %zu tokens, more than the context of %zu", p->n, limits.n_ctx);
    hyp_err_hint(err, "try --context %zu", (p->n + 1023) / 512 * 512);
    return HYP_ETOOLONG;
}

/* Keep the beginning (num_keep tokens) and as much of the end as fits; not amid media, which is one piece. */
static void cut_middle(hyp_prompt *p, size_t limit, int64_t num_keep) {
    if (p->n <= limit || p->n_media > 0) return;
    size_t keep = num_keep < 0 ? limit / 2 : HYP_MIN((size_t)num_keep, limit / 2), tail = limit - keep;
    memmove(p->tokens + keep, p->tokens + p->n - tail, tail * sizeof *p->tokens);
    p->n = limit;
    p->n_stable = 0;
}

/* Mark the `n` oldest messages that may be dropped; the results of dropped calls go with them. Returns how many were.
 */
static size_t mark_dropped(const hyp_renderer *r, size_t n) {
    const hyp_conversation *c = r->job->conversation;
    size_t marked = 0;
    memset(r->dropped, 0, c->n * sizeof *r->dropped);
    for (size_t i; marked < n && (i = hyp_conversation_next_droppable(c, r->dropped)) != SIZE_MAX;) {
        r->dropped[i] = true;
        marked++;
        while (i + 2 < c->n && strcmp(c->messages[i + 1].role, "tool") == 0)
            r->dropped[++i] = true;
    }
    return marked;
}

/* How long the prompt may be after messages were dropped. What is dropped is a multiple of an eighth of the context:
 * the tokens of a conversation's first messages are the same in every turn, so the turns that follow drop the same
 * messages, and find the rest of the prompt in memory, until the next eighth is needed. Dropping the fewest that
 * suffice would change the prompt's beginning, and evaluate all of it anew, every turn. */
static size_t stable_limit(size_t n_full, hyp_limits limits) {
    size_t step = HYP_MAX(limits.n_ctx / 8, (size_t)1), need = n_full - limits.wanted;
    size_t drop = (need + step - 1) / step * step;
    return drop < n_full ? n_full - drop : 0;
}

/* Find the fewest of the oldest messages without which the prompt has at most `limit` tokens: bisection, since every
 * try renders and tokenises. On return `p` is the last try; it may still be too long when nothing more can be dropped.
 */
static int drop_oldest(const hyp_renderer *r, size_t limit, hyp_prompt *p, hyp_str *text, hyp_err *err) {
    size_t too_few = 0, enough = mark_dropped(r, SIZE_MAX), tried = enough;
    int code = hyp_renderer_try(r, p, text, err);
    p->n_dropped = enough;
    if (code != HYP_OK || p->n > limit) return code;
    while (code == HYP_OK && enough - too_few > 1) {
        size_t middle = too_few + (enough - too_few) / 2;
        mark_dropped(r, middle);
        code = hyp_renderer_try(r, p, text, err);
        if (code == HYP_OK && p->n > limit)
            too_few = middle;
        else
            enough = middle;
        tried = middle;
    }
    p->n_dropped = enough;
    if (code != HYP_OK || tried == enough) return code;
    mark_dropped(r, enough);
    return hyp_renderer_try(r, p, text, err);
}

int hyp_fit_chat(const hyp_renderer *r, hyp_limits limits, hyp_prompt *p, hyp_str *text, hyp_err *err) {
    const hyp_job *job = r->job;
    if (p->n <= (job->truncate ? limits.wanted : limits.n_ctx)) return HYP_OK;
    if (!job->truncate) return too_long(p, limits, err);
    size_t stable = stable_limit(p->n, limits);
    int code = drop_oldest(r, stable, p, text, err);
    if (code == HYP_OK && p->n > stable && p->n <= limits.wanted) /* there is not so much: then the fewest */
        code = drop_oldest(r, limits.wanted, p, text, err);
    if (code != HYP_OK || p->n <= limits.wanted) return code;
    if (job->shift) cut_middle(p, limits.wanted, job->params.num_keep);
    if (p->n > limits.n_ctx) return too_long(p, limits, err);
    return HYP_OK;
}

int hyp_fit_raw(const hyp_job *job, hyp_limits limits, hyp_prompt *p, hyp_err *err) {
    if (job->truncate && job->shift) cut_middle(p, limits.wanted, job->params.num_keep);
    return p->n <= limits.n_ctx ? HYP_OK : too_long(p, limits, err);
}
