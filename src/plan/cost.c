#include "plan/cost.h"

#include "base/mem.h"
#include "plan/kv.h"
#include "plan/place_priv.h"

#include <ggml.h>
#include <math.h>
#include <string.h>

enum {
    PAGE_BYTES = 4096,
    MIN_SLICE_BYTES = 16384, /* smaller slices are biases and scales: pinned with the rest */
};

/* Graph nodes a weight tensor brings along (norm, multiply, rope, add, view, copy to the cache ...): 3.5 on average over
 * dense and expert graphs of libllama 0.7. */
static const double nodes_per_tensor = 3.5;

bool hyp_plan_is_streamed(const hyp_tensor *t, hyp_mode mode) {
    if (t->layer < 0) return false;
    if (mode == HYP_MODE_EXPERTS)
        return t->role == HYP_ROLE_ROUTED_EXPERT && t->n_experts > 0 && t->expert_bytes >= MIN_SLICE_BYTES;
    bool ffn = t->role == HYP_ROLE_FFN_GATE || t->role == HYP_ROLE_FFN_UP || t->role == HYP_ROLE_FFN_DOWN;
    return mode == HYP_MODE_FFN && ffn && t->bytes >= MIN_SLICE_BYTES;
}

bool hyp_cost_is_touched(const hyp_model *model, const hyp_tensor *t) {
    /* Trailing layers for multi-token prediction are not run. */
    if (t->layer >= 0 && (uint32_t)t->layer + model->n_layers_nextn >= model->n_layers && model->n_layers_nextn > 0)
        return false;
    if (t->role != HYP_ROLE_EMBEDDING) return true;
    /* Without an output tensor the embedding is the output head: multiplied whole for every token. */
    return strcmp(t->name, "token_embd.weight") == 0 && hyp_model_tensor(model, "output.weight") == NULL;
}

/* Frames of one slice: page-rounded on both sides unless it happens to be aligned. */
static uint64_t frame_bytes(const hyp_tensor *t, uint64_t bytes) {
    bool aligned = t->offset % PAGE_BYTES == 0 && bytes % PAGE_BYTES == 0;
    return aligned ? bytes : (bytes + 2 * PAGE_BYTES - 2) / PAGE_BYTES * PAGE_BYTES;
}

static double elements(const hyp_tensor *t) {
    return (double)t->ne[0] * (double)t->ne[1] * (double)t->ne[2] * (double)t->ne[3];
}

typedef struct rates {
    const hyp_hardware *hardware;
    bool repacked;
} rates;

/* Seconds that `share` of a tensor costs one token, alone and in a wide batch, at every site. */
static void add_tensor_times(const rates *r, const hyp_tensor *t, double share, double *one_s, double *wide_s) {
    hyp_weight_rate cpu = hyp_hardware_rate(r->hardware, t->type);
    double bytes = (double)t->bytes * share, flop = 2 * elements(t) * share;
    one_s[0] += bytes / (r->repacked ? cpu.repacked_bytes_per_s : cpu.decode_bytes_per_s);
    wide_s[0] += flop / (r->repacked ? cpu.repacked_flop_per_s : cpu.prefill_flop_per_s);
    for (size_t d = 0; d < r->hardware->n_devices; d++) {
        const hyp_device *device = &r->hardware->devices[d];
        one_s[d + 1] += bytes / HYP_MAX(device->weight_bytes_per_s, 1);
        wide_s[d + 1] += flop / HYP_MAX(device->flop_per_s, 1);
    }
}

/* Which of the two kinds of bulk a tensor belongs to in `mode`, if any. A resident or mapped model is cut the same way, so
 * that its FFN or experts can be placed apart from the layer. */
static bool is_bulk(const hyp_model *model, const hyp_tensor *t, hyp_mode mode) {
    if (mode == HYP_MODE_RESIDENT || mode == HYP_MODE_MMAP)
        mode = model->n_experts > 0 ? HYP_MODE_EXPERTS : HYP_MODE_FFN;
    return hyp_plan_is_streamed(t, mode);
}

static void add_bulk(const hyp_model *model, const rates *r, const hyp_tensor *t, hyp_cost *cost,
                     uint64_t *part_of_layer) {
    hyp_place_layer *layer = &cost->layers[t->layer];
    bool streams = cost->mode == HYP_MODE_EXPERTS || cost->mode == HYP_MODE_FFN;
    uint32_t n = t->n_experts > 0 ? t->n_experts : 1;
    double share = t->n_experts > 0 ? (double)HYP_MIN(HYP_MAX(model->n_experts_used, 1u), n) / n : 1;
    uint64_t slice = streams ? frame_bytes(t, t->bytes / n) : t->bytes / n;
    add_tensor_times(r, t, share, layer->bulk_s, cost->wide[t->layer].bulk_s);
    layer->bulk_bytes += slice * n;
    layer->divisible = t->n_experts > 0;
    layer->streamable = streams;
    layer->segments[0].bytes = layer->bulk_bytes;
    layer->segments[0].saved_bytes += (double)t->bytes * share;
    layer->n_segments = 1;
    cost->token_bytes += (uint64_t)((double)t->bytes * share);
    cost->widest_part_bytes = HYP_MAX(cost->widest_part_bytes, slice);
    *part_of_layer += (uint64_t)((double)(slice * n) * share + 0.5);
}

static int by_uses(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Cut the experts of a layer into segments of like use, most used first, the sizes doubling: the head of the curve is
 * where it bends. `uses` has one entry an expert and is sorted in place. */
static void cut_segments(hyp_place_layer *layer, float *uses, uint32_t n) {
    double total = 0, touched = hyp_place_touched(layer);
    for (uint32_t i = 0; i < n; i++)
        total += uses[i] > 0 ? (double)uses[i] : 0;
    if (total <= 0) return;
    qsort(uses, n, sizeof *uses, by_uses);
    uint64_t expert = layer->bulk_bytes / n;
    uint32_t next = 0;
    layer->n_segments = 0;
    for (uint32_t s = 0; s < HYP_PLACE_MAX_SEGMENTS && next < n; s++) {
        uint32_t end = s + 1 == HYP_PLACE_MAX_SEGMENTS ? n : HYP_MAX(n >> (HYP_PLACE_MAX_SEGMENTS - 1 - s), next + 1);
        double share = 0;
        for (uint32_t i = next; i < end; i++)
            share += uses[i] > 0 ? (double)uses[i] / total : 0;
        uint64_t bytes = end == n ? layer->bulk_bytes - expert * next : expert * (end - next);
        layer->segments[layer->n_segments++] = (hyp_place_segment){bytes, touched * share};
        next = end;
    }
}

static int cut_all(const hyp_model *model, const hyp_plan_request *request, hyp_cost *cost, hyp_err *err) {
    uint32_t n = model->n_experts;
    if (request->expert_uses == NULL || n == 0) return HYP_OK;
    HYP_AUTOFREE float *uses = malloc(n * sizeof *uses);
    if (uses == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for the planner");
    for (size_t l = 0; l < model->n_layers; l++) {
        if (!cost->layers[l].divisible || cost->layers[l].bulk_bytes < n) continue;
        memcpy(uses, request->expert_uses + l * n, n * sizeof *uses);
        cut_segments(&cost->layers[l], uses, n);
    }
    return HYP_OK;
}

/* Reading the keys and values of a conversation as long as the prompt, and the fixed cost of a graph node. */
static void add_fixed_times(const hyp_hardware *hw, const hyp_plan_request *request, size_t n_tensors,
                            hyp_place_layer *layer) {
    double used = HYP_MIN(1.0, (double)(request->prompt_tokens + 128) / request->context_tokens);
    double kv = (double)layer->kv_bytes / request->n_parallel * used;
    layer->base_s[0] += kv / HYP_MAX(hw->memory_bytes_per_s, 1) + (double)n_tensors * nodes_per_tensor * hw->node_s;
    for (size_t d = 0; d < hw->n_devices; d++)
        layer->base_s[d + 1] += kv / HYP_MAX(hw->devices[d].weight_bytes_per_s, 1);
}

int hyp_cost_make(const hyp_model *model, const hyp_hardware *hardware, const hyp_plan_request *request, hyp_mode mode,
                  uint32_t ubatch, hyp_cost *ret, hyp_err *err) {
    size_t n = (size_t)model->n_layers + 1;
    hyp_cost cost = {
        .mode = mode, .n_layers = n, .layers = calloc(n, sizeof *cost.layers), .wide = calloc(n, sizeof *cost.wide)};
    HYP_AUTOFREE uint64_t *kv = calloc(n, sizeof *kv), *step = calloc(n, sizeof *step);
    HYP_AUTOFREE size_t *n_tensors = calloc(n, sizeof *n_tensors);
    if (cost.layers == NULL || cost.wide == NULL || kv == NULL || step == NULL || n_tensors == NULL) {
        hyp_cost_free(&cost);
        return hyp_err_set(err, HYP_ENOMEM, "no memory for the planner");
    }
    rates r = {hardware, mode == HYP_MODE_RESIDENT && !request->no_repack};
    for (size_t i = 0; i < model->n_tensors; i++) {
        const hyp_tensor *t = &model->tensors[i];
        size_t l = t->layer >= 0 && (uint32_t)t->layer < model->n_layers ? (size_t)t->layer : n - 1;
        if (!hyp_cost_is_touched(model, t)) {
            cost.page_cache_bytes += t->bytes;
            continue;
        }
        n_tensors[l]++;
        if (l + 1 < n && is_bulk(model, t, mode)) {
            add_bulk(model, &r, t, &cost, &step[l]);
            continue;
        }
        cost.layers[l].base_bytes += t->bytes;
        cost.token_bytes += t->bytes;
        add_tensor_times(&r, t, 1, cost.layers[l].base_s, cost.wide[l].base_s);
    }
    hyp_kv_bytes(model,
                 &(hyp_kv_request){.context_tokens = request->context_tokens,
                                   .n_parallel = request->n_parallel,
                                   .ubatch_tokens = ubatch,
                                   .type_k = request->kv_type_k,
                                   .type_v = request->kv_type_v,
                                   .swa_full = request->swa_full},
                 kv);
    for (size_t l = 0; l < n; l++) {
        cost.layers[l].kv_bytes = kv[l];
        cost.step_bytes = HYP_MAX(cost.step_bytes, step[l]);
        add_fixed_times(hardware, request, n_tensors[l], &cost.layers[l]);
    }
    int status = cut_all(model, request, &cost, err);
    if (status != HYP_OK)
        hyp_cost_free(&cost);
    else
        *ret = cost;
    return status;
}

void hyp_cost_free(hyp_cost *cost) {
    if (cost == NULL) return;
    free(cost->layers);
    free(cost->wide);
    *cost = (hyp_cost){0};
}

double hyp_cost_distinct_experts(uint32_t n_experts, uint32_t n_used, double tokens) {
    if (n_experts == 0) return 0;
    double share = HYP_MIN(1.0, (double)n_used / n_experts);
    return n_experts * (1 - pow(1 - share, tokens));
}
