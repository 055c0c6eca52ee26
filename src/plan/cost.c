#include "plan/cost_priv.h"

#include "base/mem.h"
#include "plan/kv_priv.h"
#include "plan/place_priv.h"

#include <ggml.h>
#include <math.h>
#include <string.h>

/* Graph nodes a weight tensor brings along (norm, multiply, rope, add, view, copy to the cache ...): 3.5 on average
 * over dense and expert graphs of libllama 0.7. */
static const double nodes_per_tensor = 3.5;

bool hyp_cost_is_touched(const hyp_model *model, const hyp_tensor *t) {
    /* Trailing layers for multi-token prediction are not run. */
    if (t->layer >= 0 && (uint32_t)t->layer + model->n_layers_nextn >= model->n_layers && model->n_layers_nextn > 0)
        return false;
    if (t->role != HYP_ROLE_EMBEDDING) return true;
    /* Without an output tensor the embedding is the output head: multiplied whole for every token. */
    return strcmp(t->name, "token_embd.weight") == 0 && hyp_model_tensor(model, "output.weight") == NULL;
}

static double elements(const hyp_tensor *t) {
    return (double)t->ne[0] * (double)t->ne[1] * (double)t->ne[2] * (double)t->ne[3];
}

typedef struct rates {
    const hyp_hardware *hardware;
    bool repacked;
    bool cached; /* all weights of a token stay in the processor's cache until the next */
} rates;

/* Half of the cache may hold weights: activations, the KV cache and other programs want some too. */
static rates rates_of(const hyp_model *model, const hyp_hardware *hardware, bool repacked) {
    double touched = 0;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (hyp_cost_is_touched(model, &model->tensors[i]))
            touched += (double)hyp_tensor_touched_bytes(model, &model->tensors[i]);
    return (rates){hardware, repacked, touched <= (double)hardware->cache_bytes / 2};
}

/* The line through the two batches that were measured: what a token costs beyond the first. Never less than nothing. */
static double further_token_s(double one_s, double wide_s) {
    return HYP_MAX((HYP_HARDWARE_WIDE_TOKENS * wide_s - one_s) / (HYP_HARDWARE_WIDE_TOKENS - 1), 0);
}

/* Seconds that `share` of a tensor costs one token, and each further one of a batch, at every site. */
static void add_tensor_times(const rates *r, const hyp_tensor *t, double share, double *one_s, double *wide_s) {
    hyp_weight_rate cpu = hyp_hardware_rate(r->hardware, t->type);
    double bytes = (double)t->bytes * share, flop = 2 * elements(t) * share;
    double memory = r->repacked ? cpu.repacked_bytes_per_s : cpu.decode_bytes_per_s;
    double cached = r->repacked ? cpu.repacked_cached_bytes_per_s : cpu.decode_cached_bytes_per_s;
    /* The few tokens that share an expert do not fill the tiles of a repacked product. */
    double wide = r->repacked && t->n_experts == 0 ? cpu.repacked_flop_per_s : cpu.prefill_flop_per_s;
    one_s[0] += bytes / (r->cached ? cached : memory);
    wide_s[0] += further_token_s(bytes / cached, flop / wide);
    for (size_t d = 0; d < r->hardware->n_devices; d++) {
        const hyp_device *device = &r->hardware->devices[d];
        double one = bytes / HYP_MAX(device->weight_bytes_per_s, 1);
        one_s[d + 1] += one;
        wide_s[d + 1] += further_token_s(one, flop / HYP_MAX(device->flop_per_s, 1));
    }
}

static double repack_seconds(const hyp_hardware *hardware, const hyp_tensor *t) {
    double rate = hyp_hardware_rate(hardware, t->type).repack_bytes_per_s;
    return rate > 0 ? (double)t->bytes / rate : 0;
}

/* What is gathered for each layer while the tensors are gone through. */
typedef struct layer_sums {
    uint64_t step_bytes;
    uint32_t n_tensors, n_parts;
} layer_sums;

static void add_bulk(const hyp_model *model, const rates *r, const hyp_tensor *t, hyp_cost *cost, layer_sums *sums) {
    hyp_place_layer *layer = &cost->layers[t->layer];
    bool streams = hyp_mode_streams(cost->mode);
    uint32_t n = t->n_experts > 0 ? t->n_experts : 1;
    /* A token touches the experts it uses; at least one, in a file that does not say how many. */
    double share = t->n_experts > 0 ? (double)HYP_MIN(HYP_MAX(model->n_experts_used, 1u), n) / n : 1;
    uint64_t slice = streams ? hyp_units_frame_bound(t, t->bytes / n) : t->bytes / n;
    add_tensor_times(r, t, share, layer->bulk_s, cost->wide[t->layer].bulk_s);
    layer->bulk_bytes += slice * n;
    layer->divisible = t->n_experts > 0;
    layer->streamable = streams;
    layer->segments[0].bytes = layer->bulk_bytes;
    layer->segments[0].saved_bytes += (double)t->bytes * share;
    layer->n_segments = 1;
    cost->token_bytes += (uint64_t)((double)t->bytes * share);
    cost->widest_part_bytes = HYP_MAX(cost->widest_part_bytes, slice);
    if (streams) cost->n_slices += n;
    sums->step_bytes += (uint64_t)((double)(slice * n) * share + 0.5);
    sums->n_parts++;
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
    if (total <= 0) return; /* nothing is known of this layer: it stays one segment, all experts alike */
    qsort(uses, n, sizeof *uses, by_uses);
    uint64_t expert = layer->bulk_bytes / n;
    uint32_t next = 0;
    layer->n_segments = 0;
    for (uint32_t s = 0; s < HYP_PLACE_MAX_SEGMENTS && next < n; s++) {
        uint32_t end = s + 1 == HYP_PLACE_MAX_SEGMENTS ? n : HYP_MAX(n >> (HYP_PLACE_MAX_SEGMENTS - 1 - s), next + 1);
        double share = 0;
        for (uint32_t i = next; i < end; i++)
            share += uses[i] > 0 ? (double)uses[i] / total : 0;
        /* The last segment takes what division left over, so that the segments make up the bulk. */
        uint64_t bytes = end == n ? layer->bulk_bytes - expert * next : expert * (end - next);
        layer->segments[layer->n_segments++] = (hyp_place_segment){bytes, touched * share};
        next = end;
    }
}

static int cut_all(const hyp_model *model, const hyp_plan_request *request, hyp_cost *cost, hyp_err *err) {
    uint32_t n = model->n_experts;
    if (request->expert_uses == NULL || n == 0) return HYP_OK;
    HYP_AUTOFREE float *uses = malloc(n * sizeof *uses);
    if (uses == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the planner");
    for (size_t l = 0; l < model->n_layers; l++) {
        if (!cost->layers[l].divisible || cost->layers[l].bulk_bytes < n) continue;
        memcpy(uses, request->expert_uses + l * n, n * sizeof *uses);
        cut_segments(&cost->layers[l], uses, n);
    }
    return HYP_OK;
}

double hyp_cost_context_used(const hyp_plan_request *request) {
    double tokens = (double)request->prompt_tokens + request->output_tokens / 2.0;
    return HYP_MIN(1.0, tokens / request->context_tokens);
}

double hyp_cost_crossing_s(const hyp_device *device, double values) {
    return 4 * values / HYP_MAX(device->copy_bytes_per_s, 1);
}

/* Attention over a conversation half way through its answer, and the fixed cost of a graph node. On the CPU libllama
 * goes through a layer's keys and values once for every query head that shares them, at the rate of 16-bit products. */
static void add_fixed_times(const hyp_hardware *hw, const hyp_plan_request *request, const layer_sums *sums,
                            uint32_t readers, hyp_place_layer *layer, hyp_cost_wide *wide) {
    double used = hyp_cost_context_used(request);
    double kv = (double)layer->kv_bytes / hyp_cost_contexts(request);
    double rate = hyp_hardware_rate(hw, request->kv_type_k).decode_bytes_per_s;
    /* A batch looks at a tile of cells at once: two operations for each of the 16-bit numbers. */
    wide->attention_s = 2 * kv / 2 * readers / HYP_MAX(hyp_hardware_rate(hw, request->kv_type_k).prefill_flop_per_s, 1);
    wide->attention_one_s = kv * readers / HYP_MAX(rate, 1);
    layer->base_s[0] += wide->attention_one_s * used + sums->n_tensors * nodes_per_tensor * hw->node_s;
    for (size_t d = 0; d < hw->n_devices; d++)
        layer->base_s[d + 1] += kv * used / HYP_MAX(hw->devices[d].weight_bytes_per_s, 1);
}

/* Go through the tensors once: bytes, seconds and counts of every layer; the last entry is the output head. */
static void add_tensors(const hyp_model *model, const rates *r, hyp_cost *cost, layer_sums *sums) {
    const size_t head = cost->n_layers - 1;
    /* A resident or mapped model is cut as it would stream, so that its FFN or experts can be placed apart from the
     * layer. */
    const hyp_mode bulk_mode = hyp_units_mode(model, cost->mode);
    for (size_t i = 0; i < model->n_tensors; i++) {
        const hyp_tensor *t = &model->tensors[i];
        size_t l = t->layer >= 0 && (size_t)t->layer < head ? (size_t)t->layer : head;
        if (!hyp_cost_is_touched(model, t)) continue; /* left to the page cache */
        sums[l].n_tensors++;
        if (r->repacked) cost->wide[l].repack_s += repack_seconds(r->hardware, t);
        if (l < head && hyp_units_is_streamed(t, bulk_mode)) {
            add_bulk(model, r, t, cost, &sums[l]);
            continue;
        }
        cost->layers[l].base_bytes += t->bytes;
        cost->token_bytes += t->bytes;
        /* Of a prompt only the last token has logits: further tokens cost the head nothing. */
        double unused[HYP_PLACE_SITES] = {0};
        add_tensor_times(r, t, 1, cost->layers[l].base_s, l < head ? cost->wide[l].base_s : unused);
    }
}

/* What does not come from single tensors: caches, attention, graph nodes, and what the widest layer needs. Errors:
 * HYP_ENOMEM. */
static int add_fixed(const hyp_model *model, const hyp_hardware *hardware, const hyp_plan_request *request,
                     uint32_t ubatch, const layer_sums *sums, hyp_cost *cost, hyp_err *err) {
    const size_t n = cost->n_layers;
    const hyp_kv_request cache = {.context_tokens = request->context_tokens,
                                  .n_parallel = hyp_cost_contexts(request),
                                  .ubatch_tokens = ubatch,
                                  .type_k = request->kv_type_k,
                                  .type_v = request->kv_type_v,
                                  .swa_full = request->swa_full};
    /* The head's entries stay 0: it keeps nothing. */
    HYP_AUTOFREE uint64_t *kv = calloc(n, sizeof *kv);
    HYP_AUTOFREE uint32_t *readers = calloc(n, sizeof *readers);
    if (kv == NULL || readers == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the planner");
    hyp_kv_bytes(model, &cache, kv);
    hyp_kv_readers(model, readers);
    for (size_t l = 0; l < n; l++) {
        cost->layers[l].kv_bytes = kv[l];
        cost->step_bytes = HYP_MAX(cost->step_bytes, sums[l].step_bytes);
        cost->n_parts = HYP_MAX(cost->n_parts, sums[l].n_parts);
        add_fixed_times(hardware, request, &sums[l], readers[l], &cost->layers[l], &cost->wide[l]);
    }
    /* The logits of a head on a device come back to be sampled from. */
    for (size_t d = 0; d < hardware->n_devices; d++)
        cost->layers[n - 1].base_s[d + 1] +=
            hardware->devices[d].hop_s + hyp_cost_crossing_s(&hardware->devices[d], model->n_vocab);
    return HYP_OK;
}

int hyp_cost_make(const hyp_model *model, const hyp_hardware *hardware, const hyp_plan_request *request, hyp_mode mode,
                  uint32_t ubatch, hyp_cost *ret, hyp_err *err) {
    size_t n = (size_t)model->n_layers + 1;
    hyp_cost cost = {
        .mode = mode, .n_layers = n, .layers = calloc(n, sizeof *cost.layers), .wide = calloc(n, sizeof *cost.wide)};
    HYP_AUTOFREE layer_sums *sums = calloc(n, sizeof *sums);
    int r = HYP_OK;
    if (cost.layers == NULL || cost.wide == NULL || sums == NULL)
        r = hyp_err_set(err, HYP_ENOMEM, "out of memory for the planner");
    if (r == HYP_OK) {
        rates all = rates_of(model, hardware, hyp_mode_is_resident(mode) && !request->no_repack);
        add_tensors(model, &all, &cost, sums);
        r = add_fixed(model, hardware, request, ubatch, sums, &cost, err);
    }
    if (r == HYP_OK) r = cut_all(model, request, &cost, err);
    if (r == HYP_OK)
        *ret = cost;
    else
        hyp_cost_free(&cost);
    return r;
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
