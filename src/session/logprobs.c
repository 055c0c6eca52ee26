/* logprobs.c - how likely a token was, and what else was likely. */
#include "base/mem.h"
#include "session/session_priv.h"

#include <math.h>
#include <string.h>

static int by_logit(const void *a, const void *b) {
    float x = ((const hyp_logprob *)a)->logprob, y = ((const hyp_logprob *)b)->logprob;
    return x < y ? 1 : x > y ? -1 : 0;
}

static bool fill_logprob(const hyp_backend_ops *ops, void *model, hyp_token token, float logprob, hyp_logprob *ret) {
    char piece[HYP_SESSION_PIECE_BYTES];
    int n = ops->piece(model, token, true, piece, sizeof piece);
    if (n < 0) n = 0;
    *ret = (hyp_logprob){.bytes = malloc((size_t)n + 1), .n = (size_t)n, .logprob = logprob};
    if (ret->bytes == NULL) return false;
    memcpy(ret->bytes, piece, (size_t)n);
    ret->bytes[n] = '\0';
    return true;
}

bool hyp_session_measure(const hyp_session *s, int32_t index, hyp_token token, size_t n_top, hyp_logprob *ret) {
    const hyp_backend_ops *ops = s->config.ops;
    void *model = s->config.model;
    const float *logits = ops->logits(model, index);
    int32_t n_vocab = s->info.n_vocab;
    if (logits == NULL || token >= n_vocab) return false;
    float max = logits[0];
    double sum = 0;
    for (int32_t i = 1; i < n_vocab; i++)
        max = fmaxf(max, logits[i]);
    for (int32_t i = 0; i < n_vocab; i++)
        sum += exp((double)logits[i] - max);
    /* cppcheck-suppress invalidFunctionArg ; the largest logit alone adds 1 */
    float norm = max + (float)log(sum);
    if (!fill_logprob(ops, model, token, logits[token] - norm, ret)) return false;
    size_t k = n_top;
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
        if (fill_logprob(ops, model, best[i], logits[best[i]] - norm, &ret->top[ret->n_top])) ret->n_top++;
    qsort(ret->top, ret->n_top, sizeof *ret->top, by_logit);
    return true;
}
