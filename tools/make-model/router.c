#include "router.h"
#include "base/mem.h"
#include "rng.h"

#include <math.h>

double hyp_make_router_quantile(double p) {
    double low = -9, high = 9;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (erfc(-middle / M_SQRT2) / 2 < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

void hyp_make_router_popularity(int n, int used, double skew, double *ret) {
    const double most = used < n ? 0.98 : 1;
    /* Capping the head of the distribution leaves more for its tail: the factor that makes them sum to `used` is found
     * by bisection. */
    double low = 0, high = (double)used * pow(n, skew) + 1;
    for (int i = 0; i < 80; i++) {
        double factor = (low + high) / 2, sum = 0;
        for (int r = 0; r < n; r++)
            sum += ret[r] = fmin(most, factor * pow(r + 1, -skew));
        if (sum < used)
            low = factor;
        else
            high = factor;
    }
}

int hyp_make_router_new(const hyp_make_shape *shape, int layer, hyp_make_router *ret, hyp_err *err) {
    const int n = shape->experts;
    HYP_AUTOFREE float *bias = calloc((size_t)n, sizeof *bias);
    HYP_AUTOFREE double *popularity = calloc((size_t)n, sizeof *popularity);
    HYP_AUTOFREE int *rank = calloc((size_t)n, sizeof *rank);
    if (bias == NULL || popularity == NULL || rank == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for a router of %d experts", n);
    const hyp_make_rms rms = hyp_make_shape_rms(shape, layer, true);
    hyp_make_router_popularity(n, shape->experts_used, shape->skew, popularity);
    uint64_t state = hyp_make_mix((uint64_t)shape->seed) ^ hyp_make_mix(0x726f75746572ull + (uint64_t)layer);
    for (int i = 0; i < n; i++)
        rank[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)(hyp_make_next(&state) % (uint64_t)(i + 1)), t = rank[i];
        rank[i] = rank[j];
        rank[j] = t;
    }
    /* A logit is a bias plus token-dependent noise of standard deviation s. With many experts the k-th largest logit
     * hardly moves, so an expert is chosen about when bias + noise exceeds a fixed threshold: with probability p for a
     * bias of s * quantile(p). The normed constant coordinate is constant / rms. */
    const double s = shape->router_scale;
    for (int i = 0; i < n && shape->skew > 0; i++)
        bias[i] = (float)(s * hyp_make_router_quantile(popularity[rank[i]]) * rms.all / shape->constant);
    const double n_token = shape->context_from - 1, n_context = shape->width - shape->context_from;
    /* Both parts of the normed stream have coordinates of rms part / all. */
    ret->token_scale = s * sqrt(1 - shape->sticky) * rms.all / (rms.token * sqrt(n_token));
    ret->context_scale = s * sqrt(shape->sticky) * rms.all / (rms.context * sqrt(n_context));
    ret->bias = HYP_TAKE(bias);
    return HYP_OK;
}
