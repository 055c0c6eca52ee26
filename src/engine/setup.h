/* setup.h - the road from a machine to a plan: every command that plans, and every engine that is opened, takes it. */
#pragma once
#include "engine/devices.h"
#include "plan/plan.h"

typedef struct hyp_setup_options {
    hyp_plan_request wishes; /* `swa_full` and `expert_uses` are filled in here */
    hyp_device_choice devices;
    int threads;    /* of the computation; 0 = one a core */
    bool no_memory; /* plan without what earlier runs learned of the model's routing */
} hyp_setup_options;

/* A machine as it is now, and the plan that was made for it. */
typedef struct hyp_setup {
    hyp_hardware hardware;
    hyp_profile_source machine_source, disk_source; /* how its rates are known */
    hyp_plan *plan;
} hyp_setup;

/* Plan `model` on `hardware`, whatever machine that is: as an engine would be run there. `*ret` is freed with
 * hyp_plan_free() and refers to none of the inputs; its `expert_uses` tells whether earlier runs' routing was known.
 * Any thread. Errors: those of hyp_plan_make(). */
HYP_NODISCARD int hyp_setup_plan(const hyp_setup_options *options, const hyp_model *model, const hyp_hardware *hardware,
                                 hyp_plan **ret, hyp_err *err);

/* Look at this machine (hyp_devices_machine(): it is measured only where devices make it necessary), with the memory
 * that is available now, and plan `model` on it. Starts the runtime. The caller empties `ret` with hyp_setup_clear();
 * on failure nothing is left in it to clear. One thread at a time. Errors: those of hyp_devices_machine() and of
 * hyp_setup_plan(), HYP_EIO (memory unknown). */
HYP_NODISCARD int hyp_setup_make(const hyp_setup_options *options, const hyp_model *model, hyp_setup *ret,
                                 hyp_err *err);

/* Free the plan. Twice is harmless. */
void hyp_setup_clear(hyp_setup *setup);
