/* setup.c - see setup.h. */
#include "engine/setup.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "gguf/model.h"
#include "stream/expert_uses.h"

#include <stdlib.h>

#define FIELD_TEXT(key, value) ((hyp_log_field){.name = key, .kind = HYP_LOG_FIELD_TEXT, .text = value})
#define FIELD_INT(key, value) ((hyp_log_field){.name = key, .kind = HYP_LOG_FIELD_INT, .integer = (int64_t)(value)})
#define FIELD_REAL(key, value) ((hyp_log_field){.name = key, .kind = HYP_LOG_FIELD_REAL, .real = value})

/* Where a layer lies: the members of `placement` in what `estimate` and `run` print as JSON, the tiers beside them. */
static void log_layer(const hyp_model *model, const hyp_plan *plan, uint32_t layer) {
    uint64_t bytes[HYP_N_TIERS];
    hyp_log_field fields[4 + HYP_N_TIERS] = {FIELD_INT("layer", layer), FIELD_INT("site", plan->layer_site[layer]),
                                             FIELD_INT("bulk_site", plan->bulk_site[layer]),
                                             FIELD_REAL("bulk_resident", (double)plan->bulk_resident[layer])};
    size_t n = 4;
    hyp_plan_layer_bytes(model, plan, layer, bytes);
    for (int t = 0; t < HYP_N_TIERS; t++)
        if (bytes[t] > 0) fields[n++] = FIELD_INT(hyp_tier_name((hyp_tier)t), bytes[t]);
    hyp_log_event(HYP_LOG_PLAN, HYP_LOG_DEBUG, "layer", fields, n);
}

static void log_plan(const hyp_model *model, const hyp_plan *plan) {
    const hyp_log_field fields[] = {FIELD_TEXT("model", model->path),
                                    FIELD_TEXT("mode", hyp_mode_name(plan->mode)),
                                    FIELD_TEXT("reason", plan->reason),
                                    FIELD_INT("budget_bytes", plan->budget_bytes),
                                    FIELD_INT("pinned_bytes", plan->pinned_bytes),
                                    FIELD_INT("cache_bytes", plan->cache_bytes),
                                    FIELD_INT("kv_bytes", plan->kv_bytes),
                                    FIELD_INT("compute_bytes", plan->compute_bytes),
                                    FIELD_INT("overhead_bytes", plan->overhead_bytes),
                                    FIELD_INT("context_tokens", plan->context_tokens),
                                    FIELD_INT("parallel", plan->n_parallel),
                                    FIELD_INT("batch_tokens", plan->ubatch_tokens)};
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
