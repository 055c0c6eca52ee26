/* replan.c - the plan once more, when a context has shown what it really takes. */
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine_priv.h"
#include "engine/setup.h"
#include "gguf/model.h"

#include <string.h>

static void log_context(const hyp_plan *plan, uint64_t taken_bytes) {
    const hyp_log_field fields[] = {
        {.name = "planned_bytes",
         .kind = HYP_LOG_FIELD_INT,
         .integer = (int64_t)(plan->kv_bytes + plan->compute_bytes + plan->overhead_bytes)},
        {.name = "taken_bytes", .kind = HYP_LOG_FIELD_INT, .integer = (int64_t)taken_bytes},
        {.name = "batch_tokens", .kind = HYP_LOG_FIELD_INT, .integer = plan->ubatch_tokens}};
    if (HYP_LOG_ON(PLAN, INFO))
        hyp_log_event(HYP_LOG_PLAN, HYP_LOG_INFO, "the context takes more than planned", fields, HYP_ARRAY_LEN(fields));
}

bool hyp_engine_plan_again(hyp_engine *e, uint64_t taken_bytes) {
    const hyp_plan *plan = e->plan;
    const uint64_t wanted = taken_bytes + plan->pinned_bytes + plan->cache_bytes;
    if (wanted <= plan->budget_bytes) return false;
    if (hyp_plan_device_weights(plan, false) + hyp_plan_device_weights(plan, true) > 0) return false;
    log_context(plan, taken_bytes);
    /* Weights and cache are what they are: it is the compute buffers whose size had to be guessed. They grow with the
     * batch, so that it is their ratio to the guess that holds for narrower ones, too. */
    const double scale = plan->request.compute_scale > 0 ? plan->request.compute_scale : 1;
    const double found = (double)(plan->compute_bytes + (wanted - plan->budget_bytes));
    hyp_setup_options options = {.wishes = plan->request, .no_memory = true}; /* what is known is in the request */
    options.wishes.mode = plan->mode;                                         /* the weights are mapped for it */
    options.wishes.batch_tokens = plan->ubatch_tokens;
    options.wishes.compute_scale = scale * found / (double)plan->compute_bytes;
    hyp_machine machine = e->setup->machine;
    machine.hardware.n_devices = 0; /* nothing was loaded there */
    hyp_plan *again = NULL;
    if (hyp_setup_plan(&options, e->model, &machine, &again, NULL) != HYP_OK) return false;
    hyp_plan_free(e->replanned);
    e->plan = e->replanned = again;
    snprintf(e->info.reason, sizeof e->info.reason, "%s", again->reason);
    return true;
}

const hyp_plan *hyp_engine_first_plan(const hyp_engine *e) {
    return e->setup->plan;
}
