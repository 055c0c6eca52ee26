/* setup.h - the road from a machine to a plan: every command that plans, and every engine that is opened, takes it. */
#pragma once
#include "engine/machine.h"
#include "plan/plan.h"

typedef struct hyp_setup_options {
    hyp_plan_request wishes; /* `swa_full` is filled in here, and `expert_uses` where it is NULL */
    hyp_machine_wishes machine;
    bool no_memory; /* plan without what earlier runs learned of the model's routing */
} hyp_setup_options;

/* A machine as it is now, and the plan that was made for it. */
typedef struct hyp_setup {
    hyp_machine machine;
    hyp_plan *plan;
} hyp_setup;

/* Plan `model` on `machine`, whatever machine that is, as an engine would be run there: with the expert uses of the
 * wishes, else with what earlier runs learned of the model's routing, unless the machine is imagined. `*ret` is freed
 * with hyp_plan_free() and refers to none of the inputs; its `expert_uses` tells whether that routing was known. Any
 * thread. Errors: those of hyp_plan_make(). */
HYP_NODISCARD int hyp_setup_plan(const hyp_setup_options *options, const hyp_model *model, const hyp_machine *machine,
                                 hyp_plan **ret, hyp_err *err);

/* Look at the machine and plan `model` on it. The caller empties `ret` with hyp_setup_clear(); on failure nothing is
 * left in it to clear. One thread at a time. Errors: those of hyp_machine_look() and of hyp_setup_plan(). */
HYP_NODISCARD int hyp_setup_make(const hyp_setup_options *options, const hyp_model *model, hyp_setup *ret,
                                 hyp_err *err);

/* Free the plan. Twice is harmless. */
void hyp_setup_clear(hyp_setup *setup);
