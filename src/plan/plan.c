/* plan.c - chooses the mode and the batch width, places, and writes the plan down. */
#include "plan/plan.h"

#include "base/mem.h"
#include "base/text.h"
#include "plan/pin.h"
#include "plan/place_priv.h"
#include "plan/plan_priv.h"

#include <ggml.h>
#include <string.h>

/* A pass reads every weight it touches once, so a narrow one wastes reads; below this width a resident model is still
 * better served by narrow batches than by streaming. */
enum { LEAST_UBATCH = 32, DEFAULT_BATCH = 512, DEFAULT_CONTEXT = 4096, DEFAULT_PROMPT = 512, DEFAULT_OUTPUT = 256 };

/* Left free on a device: driver, display, and libllama's staging. */
static uint64_t device_capacity(const hyp_device *device, const hyp_plan_request *request) {
    uint64_t headroom = HYP_MIN(HYP_MAX(device->free_bytes / 20, (uint64_t)128 << 20), (uint64_t)1 << 30);
    uint64_t open = device->free_bytes > headroom ? device->free_bytes - headroom : 0;
    return request->vram_bytes > 0 ? HYP_MIN(request->vram_bytes, device->free_bytes) : open;
}

static hyp_plan_request with_defaults(const hyp_plan_request *request, const hyp_hardware *hardware) {
    hyp_plan_request r = *request;
    if (r.ram_bytes == 0) r.ram_bytes = hardware->ram_budget_bytes;
    if (r.context_tokens == 0) r.context_tokens = DEFAULT_CONTEXT;
    if (r.n_parallel == 0) r.n_parallel = 1;
    if (r.batch_tokens == 0) r.batch_tokens = DEFAULT_BATCH;
    if (r.prompt_tokens == 0) r.prompt_tokens = DEFAULT_PROMPT;
    if (r.output_tokens == 0) r.output_tokens = DEFAULT_OUTPUT;
    if (r.kv_type_k == 0) r.kv_type_k = GGML_TYPE_F16;
    if (r.kv_type_v == 0) r.kv_type_v = GGML_TYPE_F16;
    return r;
}

void hyp_plan_free_draft(draft *d) {
    hyp_cost_free(&d->cost);
    hyp_placement_free(&d->greedy);
    hyp_placement_free(&d->best);
}

static void set_problem(draft *d) {
    hyp_place_problem *p = &d->problem;
    *p = (hyp_place_problem){.layers = d->cost.layers,
                             .n_layers = d->cost.n_layers,
                             .n_devices = d->hardware->n_devices,
                             .ram_bytes = d->request.ram_bytes,
                             .ram_fixed_bytes = d->compute_bytes + d->overhead_bytes,
                             .disk_bytes_per_s = d->hardware->disk_bytes_per_s,
                             .time_limit_s = d->request.time_limit_s};
    hyp_plan_shares(d->mode, &d->cost, d->hardware, &p->wait_share, &p->idle_share);
    /* Experts: one layer's choice must be in memory at once. Dense: one FFN computes while the next is read. */
    p->stream_bytes = d->mode == HYP_MODE_FFN ? HYP_PIN_SLOTS * d->cost.step_bytes : d->cost.step_bytes;
    for (size_t i = 0; i < p->n_devices; i++) {
        const hyp_device *device = &d->hardware->devices[i];
        p->devices[i] = (hyp_place_device){.capacity_bytes = device_capacity(device, &d->request),
                                           .buffer_bytes = d->compute_bytes,
                                           .unified = device->kind == HYP_DEVICE_UNIFIED,
                                           .hop_s = device->hop_s + hyp_cost_crossing_s(device, d->model->n_embd)};
    }
}

int hyp_plan_cost_draft(draft *d, hyp_err *err) {
    int r = hyp_cost_make(d->model, d->hardware, &d->request, d->mode, d->ubatch, &d->cost, err);
    if (r != HYP_OK) return r;
    d->compute_bytes = hyp_cost_compute_bytes(d->model, &d->request, d->ubatch);
    d->overhead_bytes = hyp_cost_overhead_bytes(d->model, &d->request, &d->cost);
    set_problem(d);
    return HYP_OK;
}

/* Cost and place greedily for one mode and width. HYP_ENOMEM with the least budget when it does not fit. */
static int try_width(draft *d, uint64_t *ret_least, hyp_err *err) {
    int r = hyp_plan_cost_draft(d, err);
    if (r != HYP_OK) return r;
    if (d->mode == HYP_MODE_MMAP) {
        /* The page cache places: only what is not weights must fit. As good as unlimited, and sums do not overflow. */
        d->problem.ram_bytes = UINT64_MAX / 4;
        d->problem.n_devices = 0;
    }
    r = hyp_place_greedy(&d->problem, &d->greedy, ret_least, err);
    if (d->mode == HYP_MODE_MMAP) d->problem.ram_bytes = d->request.ram_bytes;
    return r;
}

/* A batch must not touch more experts of a layer than the cache holds, a matrix at a time. */
static bool width_fits_cache(const draft *d) {
    if (d->mode != HYP_MODE_EXPERTS || !d->greedy.streams) return true;
    uint64_t cache = d->problem.stream_bytes;
    for (size_t l = 0; l < d->cost.n_layers; l++)
        if (d->cost.layers[l].divisible) cache += d->greedy.bulk_ram[l];
    /* A part at a time, since a batch's matrices are computed one after the other: gates, then ups, then downs. */
    double distinct = hyp_cost_distinct_experts(d->model->n_experts, d->model->n_experts_used, d->ubatch);
    return distinct * (double)d->cost.widest_part_bytes <= (double)cache;
}

/* The widest batch at which `mode` fits, from what was asked for down to LEAST_UBATCH. A width that fits the budget but
 * not the cache is taken when no smaller one is better: it faults, but it runs. */
static int draft_mode(draft *d, hyp_mode mode, uint64_t *ret_least, hyp_err *err) {
    d->mode = mode;
    uint32_t width = d->request.batch_tokens;
    for (;;) {
        hyp_err why = HYP_ERR_NONE;
        d->ubatch = width;
        int r = try_width(d, ret_least, &why);
        /* Without a cost it was memory of this process that ran out, not the budget: narrower would not help. */
        bool last = width <= LEAST_UBATCH;
        if (r == HYP_OK && (last || width_fits_cache(d))) return HYP_OK;
        if (r != HYP_OK && (last || d->cost.layers == NULL)) {
            hyp_err_pass(err, &why);
            hyp_plan_free_draft(d);
            *d = (draft){.model = d->model, .hardware = d->hardware, .request = d->request};
            return r;
        }
        hyp_plan_free_draft(d);
        d->cost = (hyp_cost){0};
        width = HYP_MAX(width / 2, (uint32_t)LEAST_UBATCH);
    }
}

static bool has_streamable(const hyp_model *model, hyp_mode mode) {
    for (size_t i = 0; i < model->n_tensors; i++)
        if (hyp_units_is_streamed(&model->tensors[i], mode)) return true;
    return false;
}

/* The least budget of the mode asked for; of any that holds its weights itself, where that was left open. */
static uint64_t least_budget(const draft *like) {
    uint64_t least = UINT64_MAX;
    static const hyp_mode modes[] = {HYP_MODE_EXPERTS, HYP_MODE_FFN, HYP_MODE_RESIDENT};
    for (size_t i = 0; i < HYP_ARRAY_LEN(modes); i++) {
        draft d = {.model = like->model, .hardware = like->hardware, .request = like->request, .mode = modes[i]};
        d.ubatch = HYP_MIN(d.request.batch_tokens, (uint32_t)LEAST_UBATCH);
        uint64_t here = UINT64_MAX;
        hyp_mode wanted = d.request.mode;
        if (wanted != HYP_MODE_AUTO && wanted != HYP_MODE_MMAP && wanted != modes[i]) continue;
        if (modes[i] != HYP_MODE_RESIDENT && !has_streamable(d.model, modes[i])) continue;
        int r = try_width(&d, &here, NULL);
        (void)r; /* too small a budget is an answer here */
        least = HYP_MIN(least, here);
        hyp_plan_free_draft(&d);
    }
    return least;
}

static int too_small(const draft *d, hyp_err *err) {
    char budget[32], least[32];
    hyp_err_set(err, HYP_ENOMEM, "a budget of %s does not hold %s",
                hyp_text_format_bytes(d->request.ram_bytes, budget, sizeof budget),
                d->request.mode == HYP_MODE_RESIDENT ? "the whole model" : "what every token of this model needs");
    hyp_err_hint(err, "it needs at least %s (--ram), or a shorter --context",
                 hyp_text_format_bytes(hyp_text_round_bytes_up(least_budget(d)), least, sizeof least));
    return HYP_ENOMEM;
}

/* Resident if it fits, else experts for a mixture of experts, else the dense ring. */
static int choose(draft *d, hyp_err *err) {
    hyp_mode wanted = d->request.mode;
    uint64_t least;
    int r = HYP_ENOMEM;
    bool experts = has_streamable(d->model, HYP_MODE_EXPERTS), ffn = has_streamable(d->model, HYP_MODE_FFN);
    if ((wanted == HYP_MODE_EXPERTS && !experts) || (wanted == HYP_MODE_FFN && !ffn)) {
        hyp_err_set(err, HYP_EUNSUPPORTED, "this model has no %s to stream", hyp_mode_streamed(wanted));
        hyp_err_hint(err, "use --mode auto");
        return HYP_EUNSUPPORTED;
    }
    if (wanted != HYP_MODE_AUTO)
        r = draft_mode(d, wanted, &least, NULL);
    else {
        r = draft_mode(d, HYP_MODE_RESIDENT, &least, NULL);
        if (r == HYP_ENOMEM && experts) r = draft_mode(d, HYP_MODE_EXPERTS, &least, NULL);
        if (r == HYP_ENOMEM && ffn) r = draft_mode(d, HYP_MODE_FFN, &least, NULL);
    }
    return r == HYP_ENOMEM ? too_small(d, err) : r;
}

/* Replace the best placement by `other`, which the model of place_priv.h holds for as good but reality prefers: if it
 * fits, and is slower by 1 % at most (rounding to whole layers). Takes `other`. */
static void take_if_no_slower(draft *d, hyp_placement *other) {
    bool taken = hyp_place_evaluate(&d->problem, other) && other->token_s <= d->best.token_s * 1.01;
    hyp_placement_free(taken ? &d->best : other);
    if (taken) d->best = *other;
}

/* The same number of dense FFNs in RAM, but those that the stream would pin (pin.h): spread evenly over the layers, so
 * that between two reads there is always something to compute. The model of place_priv.h does not see the difference,
 * the disk does. */
static void spread_ffn(draft *d) {
    hyp_placement even;
    uint32_t n_host = 0, n_ram = 0, seen = 0;
    if (d->mode != HYP_MODE_FFN || !d->best.streams) return;
    HYP_AUTOFREE bool *pinned = calloc(d->cost.n_layers, sizeof *pinned);
    if (pinned == NULL || hyp_placement_copy(&d->best, &even, NULL) != HYP_OK) return;
    for (size_t l = 0; l < d->cost.n_layers; l++) {
        bool host = even.bulk_site[l] == 0 && d->cost.layers[l].bulk_bytes > 0;
        n_host += host;
        n_ram += host && even.bulk_ram[l] > 0;
    }
    hyp_pin_spread(n_host, n_ram, pinned);
    for (size_t l = 0; l < d->cost.n_layers; l++)
        if (even.bulk_site[l] == 0 && d->cost.layers[l].bulk_bytes > 0)
            even.bulk_ram[l] = pinned[seen++] ? d->cost.layers[l].bulk_bytes : 0;
    take_if_no_slower(d, &even);
}

/* Which part of which layer's experts the cache holds is decided while running. Where nothing tells the experts apart,
 * the plan shows every layer with the same share, which takes the same memory and saves the same reads. */
static void spread_experts(draft *d) {
    hyp_placement even;
    uint64_t cached = 0, all = 0;
    bool wanted = d->mode == HYP_MODE_EXPERTS && d->best.streams && d->request.expert_uses == NULL;
    if (!wanted || hyp_placement_copy(&d->best, &even, NULL) != HYP_OK) return;
    for (size_t l = 0; l < d->cost.n_layers; l++) {
        if (even.bulk_site[l] != 0) continue;
        cached += even.bulk_ram[l];
        all += d->cost.layers[l].bulk_bytes;
    }
    for (size_t l = 0; l < d->cost.n_layers && all > 0; l++)
        if (even.bulk_site[l] == 0)
            even.bulk_ram[l] = (uint64_t)((double)d->cost.layers[l].bulk_bytes * ((double)cached / (double)all));
    take_if_no_slower(d, &even);
}

static void write_reason(const draft *d, hyp_plan *plan) {
    char model[32], budget[32], cache[32];
    hyp_text_format_bytes(d->model->tensor_bytes, model, sizeof model);
    hyp_text_format_bytes(plan->budget_bytes, budget, sizeof budget);
    hyp_text_format_bytes(plan->cache_bytes, cache, sizeof cache);
    int n = snprintf(plan->reason, sizeof plan->reason, "%s model, %s budget: ", model, budget);
    char *rest = plan->reason + n;
    size_t left = sizeof plan->reason - (size_t)n;
    switch (plan->mode) {
    case HYP_MODE_RESIDENT:
        if (plan->n_gpu_layers > 0)
            snprintf(rest, left, "everything fits in memory, %d layers on devices", plan->n_gpu_layers);
        else
            snprintf(rest, left, "everything fits in RAM");
        break;
    case HYP_MODE_EXPERTS: snprintf(rest, left, "experts stream from the SSD, %s cache", cache); break;
    case HYP_MODE_FFN:
        snprintf(rest, left, "%u of %u FFN layers stay in RAM, the rest streams from the SSD", plan->n_ffn_pinned,
                 plan->n_ffn_pinned + plan->n_ffn_streamed);
        break;
    default: snprintf(rest, left, "plain mmap, the page cache decides"); break;
    }
}

void hyp_plan_layer_bytes(const hyp_model *model, const hyp_plan *plan, uint32_t layer, uint64_t ret[HYP_N_TIERS]) {
    memset(ret, 0, HYP_N_TIERS * sizeof *ret);
    for (size_t i = 0; i < model->n_tensors; i++) {
        uint32_t of = model->tensors[i].layer < 0 ? plan->n_layers : (uint32_t)model->tensors[i].layer;
        if (of == layer) ret[plan->tensor_tier[i]] += model->tensors[i].bytes;
    }
}

static float *copy_uses(const draft *d) {
    size_t bytes = (size_t)d->model->n_layers * d->model->n_experts * sizeof(float);
    float *copy = malloc(bytes);
    return copy != NULL ? memcpy(copy, d->request.expert_uses, bytes) : NULL;
}

static int write_plan(draft *d, hyp_plan **ret, hyp_err *err) {
    hyp_plan *plan = calloc(1, sizeof *plan);
    size_t n = d->cost.n_layers;
    bool known = d->request.expert_uses != NULL && d->model->n_experts > 0;
    if (plan != NULL) {
        plan->expert_uses = known ? copy_uses(d) : NULL;
        plan->tensor_tier = calloc(d->model->n_tensors + 1, 1);
        plan->layer_site = calloc(n, 1);
        plan->bulk_site = calloc(n, 1);
        plan->bulk_resident = calloc(n, sizeof *plan->bulk_resident);
    }
    if (plan == NULL || plan->tensor_tier == NULL || plan->layer_site == NULL || plan->bulk_site == NULL ||
        plan->bulk_resident == NULL || (known && plan->expert_uses == NULL)) {
        hyp_plan_free(plan);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the plan");
    }
    plan->n_tensors = d->model->n_tensors;
    plan->n_layers = d->model->n_layers;
    plan->greedy_token_s = d->greedy.token_s;
    plan->optimal_token_s = d->best.token_s;
    plan->optimal = d->optimal;
    plan->least_budget_bytes = least_budget(d);
    /* The times above are of the placement as it was solved; what follows shows it as it will be executed. */
    spread_ffn(d);
    spread_experts(d);
    hyp_plan_assign(d, plan);
    if (hyp_mode_streams(plan->mode)) {
        int r = hyp_units_make(d->model, plan->mode, plan->tensor_tier, &plan->units, err);
        if (r != HYP_OK) {
            hyp_plan_free(plan);
            return r;
        }
    }
    plan->prediction = hyp_plan_predict_draft(d);
    write_reason(d, plan);
    *ret = plan;
    return HYP_OK;
}

int hyp_plan_make(const hyp_model *model, const hyp_hardware *hardware, const hyp_plan_request *request, hyp_plan **ret,
                  hyp_err *err) {
    draft d = {.model = model, .hardware = hardware, .request = with_defaults(request, hardware)};
    int r = choose(&d, err);
    if (r == HYP_OK && d.mode != HYP_MODE_MMAP)
        r = hyp_place_optimise(&d.problem, &d.greedy, &d.best, &d.optimal, err);
    else if (r == HYP_OK) {
        /* The page cache places, there is nothing to optimise. The arrays have one owner: what is left of `greedy` is
         * its time. */
        d.best = d.greedy;
        d.greedy = (hyp_placement){.token_s = d.best.token_s};
    }
    if (r == HYP_OK) r = write_plan(&d, ret, err);
    hyp_plan_free_draft(&d);
    return r;
}

void hyp_plan_free(hyp_plan *plan) {
    if (plan == NULL) return;
    free(plan->tensor_tier);
    free(plan->layer_site);
    free(plan->bulk_site);
    free(plan->bulk_resident);
    free(plan->expert_uses);
    hyp_units_free(&plan->units);
    free(plan);
}

const char *hyp_limit_name(hyp_limit limit) {
    return limit == HYP_LIMIT_DISK ? "disk" : limit == HYP_LIMIT_MEMORY ? "memory" : "compute";
}
