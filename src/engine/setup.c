/* setup.c - see setup.h. */
#include "engine/setup.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "stream/expert_uses.h"

#include <stdlib.h>

int hyp_setup_plan(const hyp_setup_options *options, const hyp_model *model, const hyp_machine *machine, hyp_plan **ret,
                   hyp_err *err) {
    HYP_AUTOFREE float *uses = options->no_memory || machine->imagined ? NULL : hyp_uses_known(model);
    hyp_plan_request request = options->wishes;
    request.expert_uses = uses; /* the plan keeps a copy */
    request.swa_full = hyp_engine_keeps_whole_windows();
    int r = hyp_plan_make(model, &machine->hardware, &request, ret, err);
    if (r != HYP_OK) return r;
    const hyp_plan *plan = *ret; /* NOLINT(clang-analyzer-core.NullDereference): hyp_plan_make() sets it */
    HYP_LOG(PLAN, INFO, "mode %s: %s", hyp_mode_name(plan->mode), plan->reason);
    HYP_LOG(PLAN, DEBUG, "budget %llu bytes: pinned %llu, cache %llu, KV %llu, computing %llu, batch %u tokens",
            (unsigned long long)plan->budget_bytes, (unsigned long long)plan->pinned_bytes,
            (unsigned long long)plan->cache_bytes, (unsigned long long)plan->kv_bytes,
            (unsigned long long)plan->compute_bytes, plan->ubatch_tokens);
    return HYP_OK;
}

int hyp_setup_make(const hyp_setup_options *options, const hyp_model *model, hyp_setup *ret, hyp_err *err) {
    ret->plan = NULL;
    int r = hyp_machine_look(&options->machine, model, &ret->machine, err);
    return r == HYP_OK ? hyp_setup_plan(options, model, &ret->machine, &ret->plan, err) : r;
}

void hyp_setup_clear(hyp_setup *setup) {
    hyp_plan_free(setup->plan);
    setup->plan = NULL;
}
