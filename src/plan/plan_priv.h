/* plan_priv.h - a plan in the making; for plan.c, predict.c and assign.c. */
#pragma once
#include "plan/cost.h"

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

/* Share of the shorter of computing and reading that hides behind the longer one. Measured; README.md tells how. */
double hyp_plan_overlap(hyp_mode mode);

/* The prediction for a finished draft. */
hyp_prediction hyp_plan_predict(const draft *d);

/* Fill the parts of `plan` that follow from the placement: tiers, sums, device splits. `plan` has its arrays. */
void hyp_plan_assign(const draft *d, hyp_plan *plan);
