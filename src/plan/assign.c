/* assign.c - from a placement of layers to the tier of every tensor and the sums people and the engine read. */
#include "base/mem.h"
#include "plan/plan_priv.h"

#include <string.h>

static hyp_tier tier_of(const draft *d, const hyp_tensor *t) {
    size_t head = d->cost.n_layers - 1, l = t->layer >= 0 && (size_t)t->layer < head ? (size_t)t->layer : head;
    /* On the host, whatever its layer's site: no device is spent on what is not multiplied with. */
    if (!hyp_cost_is_touched(d->model, t)) return HYP_TIER_FILE;
    bool bulk = l < head && hyp_units_is_streamed(t, hyp_units_mode(d->model, d->mode));
    uint8_t site = bulk ? d->best.bulk_site[l] : d->best.site[l];
    if (site > 0) return hyp_tier_of_site(site);
    if (d->mode == HYP_MODE_MMAP) return HYP_TIER_FILE;
    if (!bulk || d->mode == HYP_MODE_RESIDENT) return HYP_TIER_PINNED;
    if (d->mode == HYP_MODE_EXPERTS) return HYP_TIER_CACHE;
    return d->best.bulk_ram[l] == d->cost.layers[l].bulk_bytes ? HYP_TIER_PINNED : HYP_TIER_STREAM;
}

static void assign_tensors(const draft *d, hyp_plan *plan) {
    for (size_t i = 0; i < d->model->n_tensors; i++) {
        const hyp_tensor *t = &d->model->tensors[i];
        hyp_tier tier = tier_of(d, t);
        plan->tensor_tier[i] = (uint8_t)tier;
        uint64_t here = t->bytes;
        if (tier == HYP_TIER_CACHE) {
            /* What the cache holds of it when full, and the rest: the sums by tier show both, the tensor has one tier.
             */
            const hyp_place_layer *layer = &d->cost.layers[t->layer];
            here = (uint64_t)((double)t->bytes * ((double)d->best.bulk_ram[t->layer] / (double)layer->bulk_bytes));
            plan->bytes[HYP_TIER_STREAM][t->role] += t->bytes - here;
        }
        plan->bytes[tier][t->role] += here;
    }
}

static void assign_layers(const draft *d, hyp_plan *plan) {
    uint64_t *device_kv = plan->device_kv_bytes;
    plan->n_devices = d->problem.n_devices;
    for (size_t l = 0; l < d->cost.n_layers; l++) {
        const hyp_place_layer *layer = &d->cost.layers[l];
        uint8_t site = plan->layer_site[l] = d->best.site[l];
        plan->bulk_site[l] = layer->bulk_bytes == 0 ? site : d->best.bulk_site[l];
        plan->bulk_resident[l] = plan->bulk_site[l] != 0 || layer->bulk_bytes == 0
                                     ? 1
                                     : (float)((double)d->best.bulk_ram[l] / (double)layer->bulk_bytes);
        if (site > 0) {
            plan->n_gpu_layers++;
            plan->tensor_split[site - 1] += 1;
            device_kv[site - 1] += layer->kv_bytes;
        } else {
            plan->kv_bytes += layer->kv_bytes;
            plan->pinned_bytes += layer->base_bytes;
        }
        if (plan->bulk_site[l] != 0 || layer->bulk_bytes == 0) continue;
        bool cached = d->mode == HYP_MODE_EXPERTS;
        if (cached)
            plan->cache_bytes += d->best.bulk_ram[l];
        else
            plan->pinned_bytes += d->best.bulk_ram[l];
        bool streams = d->best.bulk_ram[l] < layer->bulk_bytes;
        if (layer->streamable && (cached || streams)) plan->streamed_bytes += layer->bulk_bytes;
        if (d->mode == HYP_MODE_FFN) streams ? plan->n_ffn_streamed++ : plan->n_ffn_pinned++;
    }
}

void hyp_plan_assign(const draft *d, hyp_plan *plan) {
    plan->mode = d->mode;
    plan->request = d->request;
    plan->request.expert_uses = plan->expert_uses;
    plan->budget_bytes = d->problem.ram_bytes;
    plan->compute_bytes = d->compute_bytes;
    plan->overhead_bytes = d->overhead_bytes;
    plan->token_bytes = d->cost.token_bytes;
    plan->context_tokens = d->request.context_tokens;
    plan->n_parallel = d->request.n_parallel;
    plan->ubatch_tokens = d->ubatch;
    assign_layers(d, plan);
    assign_tensors(d, plan);
    for (size_t i = 0; i < plan->n_devices; i++)
        plan->device_kind[i] = (uint8_t)d->hardware->devices[i].kind;
    memcpy(plan->device_bytes, d->best.device_bytes, sizeof plan->device_bytes);
    if (d->mode == HYP_MODE_MMAP) plan->pinned_bytes = 0; /* placed as if in RAM (try_width()), held by nobody */
    if (d->best.streams) plan->cache_bytes += d->problem.stream_bytes;
    uint64_t used =
        plan->pinned_bytes + plan->cache_bytes + plan->kv_bytes + plan->compute_bytes + plan->overhead_bytes;
    for (size_t i = 0; i < plan->n_devices; i++)
        if (d->problem.devices[i].unified) used += plan->device_bytes[i];
    plan->spare_bytes = plan->budget_bytes > used ? plan->budget_bytes - used : 0;
}

uint64_t hyp_plan_device_weights(const hyp_plan *plan, bool remote) {
    uint64_t sum = 0;
    for (uint8_t d = 0; d < plan->n_devices; d++)
        for (int r = 0; r < HYP_N_ROLES && (plan->device_kind[d] == HYP_DEVICE_REMOTE) == remote; r++)
            sum += plan->bytes[hyp_tier_of_site(d + 1)][r];
    return sum;
}
