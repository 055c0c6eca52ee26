/* predict.c - from a placement to seconds. */
#include "base/mem.h"
#include "plan/place_priv.h"

#include "plan/plan_priv.h"
#include <math.h>

/* How much of the shorter side hides: see README.md, "Overlap". mmap reads only when a page is missing: nothing hides. */
double hyp_plan_overlap(hyp_mode mode) {
    switch (mode) {
    case HYP_MODE_EXPERTS: return 0.75;
    case HYP_MODE_FFN: return 0.9;
    default: return 0;
    }
}

/* Repacking a weight at load reads, shuffles and writes it: about a third of the rate of plain reading. */
static const double repack_share_of_memory_rate = 0.3;

static double both(double overlap, double compute_s, double read_s) {
    return overlap * HYP_MAX(compute_s, read_s) + (1 - overlap) * (compute_s + read_s);
}

/* What the kernel's page cache leaves to be read for a token when `ram` bytes of it remain. A dense model is read in the same
 * order again and again, which a recency list serves not at all; with experts, what every token touches stays. */
static double mmap_misses(const draft *d, uint64_t ram, double *ret_hit) {
    double common = 0, bulk = 0, touched = 0, left = (double)ram;
    for (size_t l = 0; l < d->cost.n_layers; l++) {
        const hyp_place_layer *layer = &d->cost.layers[l];
        common += (double)layer->base_bytes;
        bulk += (double)layer->bulk_bytes;
        touched += hyp_place_touched(layer);
    }
    *ret_hit = 1;
    if (common + bulk <= left) return 0;
    if (d->model->n_experts == 0 || common >= left) {
        *ret_hit = 0;
        return common + touched;
    }
    *ret_hit = (left - common) / bulk;
    return touched * (1 - *ret_hit);
}

/* Seconds and read bytes of a pass over `tokens` tokens. */
static double pass_seconds(const draft *d, double tokens) {
    double wide = 0, one = d->best.compute_s, read = 0;
    for (size_t l = 0; l < d->cost.n_layers; l++) {
        const hyp_place_layer *layer = &d->cost.layers[l];
        wide += d->cost.wide[l].base_s[d->best.site[l]] + d->cost.wide[l].bulk_s[d->best.bulk_site[l]];
        if (d->best.bulk_site[l] != 0 || layer->bulk_bytes == 0) continue;
        double missing = (double)(layer->bulk_bytes - d->best.bulk_ram[l]);
        double share =
            layer->divisible
                ? hyp_cost_distinct_experts(d->model->n_experts, d->model->n_experts_used, tokens) / d->model->n_experts
                : 1;
        read += missing * share;
    }
    double compute = HYP_MAX(wide * tokens, one);
    double rate = HYP_MAX(d->hardware->disk_bytes_per_s, 1);
    return both(d->problem.overlap, compute, read / rate);
}

static hyp_limit limit_of(const draft *d, double compute_s, double read_s) {
    if (read_s > compute_s) return HYP_LIMIT_DISK;
    /* Close to what plain reading of memory gives, more cores would not help. */
    double rate = compute_s > 0 ? (double)d->cost.token_bytes / compute_s : 0;
    return rate > 0.6 * d->hardware->memory_bytes_per_s ? HYP_LIMIT_MEMORY : HYP_LIMIT_COMPUTE;
}

hyp_prediction hyp_plan_predict(const draft *d) {
    const hyp_hardware *hw = d->hardware;
    hyp_prediction p = {
        .compute_s = d->best.compute_s, .read_s = d->best.read_s, .read_bytes = d->best.read_bytes, .hit_rate = 1};
    double touched = 0, pinned = 0;
    for (size_t l = 0; l < d->cost.n_layers; l++) {
        const hyp_place_layer *layer = &d->cost.layers[l];
        pinned += (double)layer->base_bytes;
        if (d->best.bulk_site[l] == 0 && layer->streamable) touched += hyp_place_touched(layer);
        if (!layer->streamable || !layer->divisible)
            pinned += (double)(d->best.bulk_site[l] == 0 ? d->best.bulk_ram[l] : layer->bulk_bytes);
    }
    if (touched > 0) p.hit_rate = 1 - p.read_bytes / touched;
    uint32_t prompt = d->request.prompt_tokens;
    double passes = ceil((double)prompt / d->ubatch), width = HYP_MIN(prompt, d->ubatch), pass = pass_seconds(d, width);
    if (d->mode == HYP_MODE_MMAP) {
        uint64_t fixed = d->compute_bytes + d->overhead_bytes;
        for (size_t l = 0; l < d->cost.n_layers; l++)
            fixed += d->cost.layers[l].kv_bytes;
        p.read_bytes = mmap_misses(d, d->problem.ram_bytes > fixed ? d->problem.ram_bytes - fixed : 0, &p.hit_rate);
        p.read_s = p.read_bytes / HYP_MAX(hw->disk_fault_bytes_per_s, 1);
        /* A wide batch of experts touches nearly all of them. */
        double wide_read = p.hit_rate < 1 ? (1 - p.hit_rate) * (double)d->model->tensor_bytes : 0;
        pass += wide_read / HYP_MAX(hw->disk_fault_bytes_per_s, 1);
        pinned = 0;
    }
    double token = both(d->problem.overlap, p.compute_s, p.read_s);
    p.decode_tok_per_s = token > 0 ? 1 / token : 0;
    p.bound_tok_per_s = 1 / HYP_MAX(HYP_MAX(p.compute_s, p.read_s), 1e-9);
    p.prefill_tok_per_s = pass > 0 ? width / pass : 0;
    p.first_token_s = passes * pass;
    p.load_s = pinned / HYP_MAX(hw->disk_bytes_per_s, 1);
    if (d->mode == HYP_MODE_RESIDENT && !d->request.no_repack)
        p.load_s += pinned / HYP_MAX(hw->memory_bytes_per_s * repack_share_of_memory_rate, 1);
    p.limit = limit_of(d, p.compute_s, p.read_s);
    return p;
}
