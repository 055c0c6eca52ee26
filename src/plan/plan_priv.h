/* plan_priv.h - a plan in the making; for plan.c, predict.c and assign.c. */
#pragma once
#include "plan/cost_priv.h"

typedef struct draft {
    const hyp_model *model;
    const hyp_hardware *hardware;
    hyp_plan_request request; /* defaults filled in */
    hyp_mode mode;
    uint32_t ubatch;
    uint64_t compute_bytes, overhead_bytes;
    hyp_cost cost;
    hyp_place_problem problem;
    hyp_placement greedy, best;
    bool optimal;
} draft;

/* The shares of place_priv.h for `mode`: how long the computation waits for reads, and the disk for the computation. */
void hyp_plan_shares(hyp_mode mode, const hyp_cost *cost, const hyp_hardware *hardware, double *ret_wait,
                     double *ret_idle);

/* Fill cost, buffers and problem of a draft that has model, hardware, request, mode and ubatch. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_plan_cost_draft(draft *d, hyp_err *err);
void hyp_plan_free_draft(draft *d);

/* The prediction for a finished draft. */
hyp_prediction hyp_plan_predict_draft(const draft *d);

/* Fill the parts of `plan` that follow from the placement: tiers, sums, device splits. `plan` has its arrays. */
void hyp_plan_assign(const draft *d, hyp_plan *plan);
