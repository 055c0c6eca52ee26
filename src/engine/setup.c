/* setup.c - see setup.h. */
#include "engine/setup.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "gguf/model.h"
#include "stream/expert_uses.h"

#include <stdlib.h>

/* Where a layer lies: the members of `placement` in what `estimate` and `run` print as JSON, the tiers beside them. */
static void log_layer(const hyp_model *model, const hyp_plan *plan, uint32_t layer) {
    uint64_t bytes[HYP_N_TIERS];
    hyp_log_field fields[4 + HYP_N_TIERS] = {hyp_log_int("layer", layer), hyp_log_int("site", plan->layer_site[layer]),
                                             hyp_log_int("bulk_site", plan->bulk_site[layer]),
                                             hyp_log_real("bulk_resident", (double)plan->bulk_resident[layer])};
    size_t n = 4;
    hyp_plan_layer_bytes(model, plan, layer, bytes);
    for (int t = 0; t < HYP_N_TIERS; t++)
        if (bytes[t] > 0) fields[n++] = hyp_log_int(hyp_tier_name((hyp_tier)t), (int64_t)bytes[t]);
    hyp_log_event(HYP_LOG_PLAN, HYP_LOG_DEBUG, "layer", fields, n);
}

static void log_plan(const hyp_model *model, const hyp_plan *plan) {
    const hyp_log_field fields[] = {hyp_log_text("model", model->path),
                                    hyp_log_text("mode", hyp_mode_name(plan->mode)),
                                    hyp_log_text("reason", plan->reason),
                                    hyp_log_int("budget_bytes", (int64_t)plan->budget_bytes),
                                    hyp_log_int("pinned_bytes", (int64_t)plan->pinned_bytes),
                                    hyp_log_int("cache_bytes", (int64_t)plan->cache_bytes),
                                    hyp_log_int("kv_bytes", (int64_t)plan->kv_bytes),
                                    hyp_log_int("compute_bytes", (int64_t)plan->compute_bytes),
                                    hyp_log_int("overhead_bytes", (int64_t)plan->overhead_bytes),
                                    hyp_log_int("context_tokens", plan->context_tokens),
                                    hyp_log_int("parallel", plan->n_parallel),
                                    hyp_log_int("batch_tokens", plan->ubatch_tokens)};
    if (HYP_LOG_ON(PLAN, INFO)) hyp_log_event(HYP_LOG_PLAN, HYP_LOG_INFO, "plan", fields, HYP_ARRAY_LEN(fields));
    for (uint32_t l = 0; HYP_LOG_ON(PLAN, DEBUG) && l <= plan->n_layers; l++)
        log_layer(model, plan, l);
}

int hyp_setup_plan(const hyp_setup_options *options, const hyp_model *model, const hyp_machine *machine, hyp_plan **ret,
                   hyp_err *err) {
    hyp_plan_request request = options->wishes;
    HYP_AUTOFREE float *uses = NULL; /* the plan keeps a copy */
    if (request.expert_uses == NULL && !options->no_memory && !machine->imagined)
        request.expert_uses = uses = hyp_uses_known(model);
    request.swa_full = hyp_engine_keeps_whole_windows();
    int r = hyp_plan_make(model, &machine->hardware, &request, ret, err);
    if (r == HYP_OK) log_plan(model, *ret);
    return r;
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
