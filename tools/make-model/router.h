/* router.h - routers whose popularity of experts and dependence on the context are set on purpose. */
#pragma once
#include "plan.h"

typedef struct hyp_make_router {
    double token_scale, context_scale; /* standard deviation of the weights on the two parts of the stream */
    float *bias;                       /* each expert's weight on the constant coordinate, `experts` of them */
} hyp_make_router;

/* The router of `layer`. `ret->bias` is the caller's to free().
 * Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_make_router_new(const hyp_make_shape *shape, int layer, hyp_make_router *ret, hyp_err *err);

/* Target popularity: for each rank 0..n-1, the chance that the expert is among the `used` chosen: proportional to
 * (rank+1)^-skew, at most 0.98, summing to `used` (or to what the bound allows). */
void hyp_make_router_popularity(int n, int used, double skew, double *ret);

/* The standard normal's quantile of `p` in (0, 1). */
double hyp_make_router_quantile(double p);
