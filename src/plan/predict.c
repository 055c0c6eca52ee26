/* predict.c - from a placement to seconds. README.md derives the formulas. */
#include "base/mem.h"
#include "plan/place_priv.h"

#include "plan/plan_priv.h"
#include <math.h>

/* Share of the missing experts that are read before their layer's router has run: 0.39 to 0.47 of the missing bytes,
 * with caches of 40 to 80 % of the experts. The next layer's router names more of them rightly (0.83 there, 0.53 to
 * 0.79 in real models), but some reads come too late, or find no frame worth giving up. */
static const double read_ahead_share = 0.43;

/* What reading costs the computation itself, however early it was: frames are mapped, and touched for the first time
 * through page faults. Streaming 7B models computed 0.07 to 0.1 s longer for each GB read. */
static const double map_s_per_byte = 0.08e-9;

/* A dense ring knows its order, and its reads never wait for a decision; but they take processor time while all
 * processors compute. On two cores a token took the reads and half of the computation: 0.47 and 0.50 (1.5B at two
 * budgets), 0.6 (7B). */
static const double ring_idle_share = 0.5;

void hyp_plan_shares(hyp_mode mode, const hyp_cost *cost, const hyp_hardware *hardware, double *ret_wait,
                     double *ret_idle) {
    double base = 0, bulk = 0;
    bool streams = mode == HYP_MODE_EXPERTS || mode == HYP_MODE_FFN;
    *ret_wait = *ret_idle = mode == HYP_MODE_MMAP; /* a page fault stops whoever computes: they take turns */
    if (streams) *ret_wait = HYP_MIN(map_s_per_byte * hardware->disk_bytes_per_s, 1.0);
    if (mode == HYP_MODE_FFN) *ret_idle = ring_idle_share;
    if (mode != HYP_MODE_EXPERTS || cost->n_parts == 0) return;
    for (size_t l = 0; l < cost->n_layers; l++) {
        base += cost->layers[l].base_s[0];
        bulk += cost->layers[l].bulk_s[0];
    }
    if (base + bulk <= 0) return;
    /* What was not read ahead: the computation waits for the first matrix of the experts; the disk waits while
     * attention and the router compute, and while the last matrix does. */
    *ret_wait = HYP_MIN(*ret_wait + (1 - read_ahead_share) / cost->n_parts, 1.0);
    *ret_idle = (1 - read_ahead_share) * (base + bulk / cost->n_parts) / (base + bulk);
}

/* What the kernel's page cache leaves to be read for a token when `ram` bytes of it remain. A dense model is read in
 * the same order again and again, which a recency list serves not at all; with experts, what every token touches stays.
 */
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

/* The activations of a batch's further tokens on their way to the devices and back: the first one's are in compute_s.
 */
static double crossings_s(const draft *d, double further) {
    double sum = 0;
    uint8_t before = 0;
    for (size_t l = 0; l < d->cost.n_layers; l++) {
        uint8_t site = d->best.site[l];
        bool back = site != 0 && d->best.bulk_site[l] == 0 && d->cost.layers[l].bulk_bytes > 0;
        double times = (site != before ? 1 : 0) + (back ? 2 : 0);
        if (times > 0) sum += times * hyp_cost_crossing_s(&d->hardware->devices[site - 1], d->model->n_embd);
        before = site;
    }
    return further * sum;
}

/* Seconds of a pass over `tokens` tokens that see `seen` tokens each. A `cold` one finds no expert in the cache. */
static double pass_seconds(const draft *d, double tokens, double seen, bool cold) {
    /* What a single token costs, and what the others add. */
    double compute = d->best.compute_s + crossings_s(d, tokens - 1), read = 0, n = d->model->n_experts,
           used = d->model->n_experts_used;
    double look = HYP_MIN(seen / d->request.context_tokens, 1.0), looked = hyp_cost_context_used(&d->request);
    /* Experts touched, in units of those that one token touches. */
    double experts = n > 0 && used > 0 ? hyp_cost_distinct_experts((uint32_t)n, (uint32_t)used, tokens) / used : 1;
    for (size_t l = 0; l < d->cost.n_layers; l++) {
        const hyp_place_layer *layer = &d->cost.layers[l];
        const hyp_cost_wide *wide = &d->cost.wide[l];
        uint8_t site = d->best.site[l], bulk = d->best.bulk_site[l];
        double groups = layer->divisible ? experts : 1;
        compute += (tokens - 1) * wide->base_s[site];
        compute += (groups - 1) * layer->bulk_s[bulk] + HYP_MAX(tokens - groups, 0) * wide->bulk_s[bulk];
        if (site == 0) compute += tokens * look * wide->attention_s - looked * wide->attention_one_s;
        if (bulk != 0 || layer->bulk_bytes == 0 || !layer->streamable) continue;
        double there = layer->divisible && cold ? 0 : (double)d->best.bulk_ram[l];
        read += ((double)layer->bulk_bytes - there) * (layer->divisible ? experts * used / n : 1);
    }
    double rate = HYP_MAX(d->hardware->disk_bytes_per_s, 1);
    return hyp_place_time(&d->problem, compute, read / rate);
}

/* A mapped model that does not fit is read anew by every pass; a wide batch of experts touches nearly all of them. */
static double mapped_pass_s(const draft *d, double hit) {
    return hit < 1 ? (1 - hit) * (double)d->model->tensor_bytes / HYP_MAX(d->hardware->disk_fault_bytes_per_s, 1) : 0;
}

static hyp_limit limit_of(const draft *d, double compute_s, double read_s) {
    if (read_s > compute_s) return HYP_LIMIT_DISK;
    /* Close to what plain reading of memory gives, more cores would not help. */
    double rate = compute_s > 0 ? (double)d->cost.token_bytes / compute_s : 0;
    return rate > 0.6 * d->hardware->memory_bytes_per_s ? HYP_LIMIT_MEMORY : HYP_LIMIT_COMPUTE;
}

/* The prompt: the first pass finds an empty cache, the others what it left. */
static void predict_prompt(const draft *d, double hit, hyp_prediction *p) {
    double prompt = d->request.prompt_tokens, width = HYP_MIN(prompt, (double)d->ubatch);
    double mapped = d->mode == HYP_MODE_MMAP ? mapped_pass_s(d, hit) : 0;
    p->first_token_s = pass_seconds(d, width, width / 2, true) + mapped;
    if (prompt > width)
        p->first_token_s += (prompt - width) / width * (pass_seconds(d, width, (prompt + width) / 2, false) + mapped);
    p->prefill_tok_per_s = p->first_token_s > 0 ? prompt / p->first_token_s : 0;
}

static double touched_on_host(const draft *d) {
    double touched = 0;
    for (size_t l = 0; l < d->cost.n_layers; l++)
        if (d->best.bulk_site[l] == 0 && d->cost.layers[l].streamable) touched += hyp_place_touched(&d->cost.layers[l]);
    return touched;
}

/* What is read once at load, from the disk, and what of it is copied into another layout or to a device. */
static void predict_load(const draft *d, hyp_prediction *p) {
    double pinned = 0, move_s = 0;
    for (size_t l = 0; l < d->cost.n_layers && d->mode != HYP_MODE_MMAP; l++) {
        const hyp_place_layer *layer = &d->cost.layers[l];
        uint8_t site = d->best.site[l];
        uint64_t there = layer->base_bytes + (d->best.bulk_site[l] != 0 ? layer->bulk_bytes : 0);
        move_s += site == 0 ? d->cost.wide[l].repack_s
                            : (double)there / HYP_MAX(d->hardware->devices[site - 1].copy_bytes_per_s, 1);
        pinned += (double)layer->base_bytes;
        if (!layer->streamable || !layer->divisible)
            pinned += (double)(d->best.bulk_site[l] == 0 ? d->best.bulk_ram[l] : layer->bulk_bytes);
    }
    p->load_s = pinned / HYP_MAX(d->hardware->disk_bytes_per_s, 1) + move_s;
}

hyp_prediction hyp_plan_predict_draft(const draft *d) {
    const hyp_hardware *hw = d->hardware;
    hyp_prediction p = {
        .compute_s = d->best.compute_s, .read_s = d->best.read_s, .read_bytes = d->best.read_bytes, .hit_rate = 1};
    double touched = touched_on_host(d);
    if (touched > 0) p.hit_rate = 1 - p.read_bytes / touched;
    if (d->mode == HYP_MODE_MMAP) {
        uint64_t fixed = d->compute_bytes + d->overhead_bytes;
        for (size_t l = 0; l < d->cost.n_layers; l++)
            fixed += d->cost.layers[l].kv_bytes;
        p.read_bytes = mmap_misses(d, d->problem.ram_bytes > fixed ? d->problem.ram_bytes - fixed : 0, &p.hit_rate);
        p.read_s = p.read_bytes / HYP_MAX(hw->disk_fault_bytes_per_s, 1);
    }
    double token = hyp_place_time(&d->problem, p.compute_s, p.read_s);
    p.decode_tok_per_s = token > 0 ? 1 / token : 0;
    p.bound_tok_per_s = 1 / HYP_MAX(HYP_MAX(p.compute_s, p.read_s), 1e-9);
    predict_prompt(d, p.hit_rate, &p);
    predict_load(d, &p);
    p.limit = limit_of(d, p.compute_s, p.read_s);
    return p;
}

/* --- an actual run --- */

/* Share of a layer's experts that tokens have touched by the middle of the answer, uniform routing: a cache that began
 * empty holds no more. The mean over the answer, at `N_POINTS` of its tokens. */
static double filled_share(const hyp_model *model, double prompt, double output, double capacity_share) {
    enum { N_POINTS = 16 };
    double sum = 0;
    for (int i = 0; i < N_POINTS; i++) {
        double tokens = prompt + output * (i + 0.5) / N_POINTS;
        double seen = hyp_cost_distinct_experts(model->n_experts, model->n_experts_used, tokens) / model->n_experts;
        sum += HYP_MIN(seen, capacity_share);
    }
    return sum / N_POINTS;
}

/* The frames as they were laid out: `cache` bytes over all experts alike, or the FFN layers that were pinned. */
static void use_frames(draft *d, const hyp_plan_run *run) {
    uint64_t base = 0, bulk = 0;
    for (size_t l = 0; l < d->cost.n_layers; l++) {
        if (d->best.site[l] == 0) base += d->cost.layers[l].base_bytes;
        if (d->best.bulk_site[l] == 0) bulk += d->cost.layers[l].bulk_bytes;
    }
    bool experts = d->mode == HYP_MODE_EXPERTS;
    double room = (double)(experts ? run->cache_bytes : run->pinned_bytes > base ? run->pinned_bytes - base : 0);
    double share = bulk > 0 ? HYP_MIN(room / (double)bulk, 1.0) : 1, before = 0;
    for (size_t l = 0; l < d->cost.n_layers; l++) {
        const hyp_place_layer *layer = &d->cost.layers[l];
        if (d->best.bulk_site[l] != 0 || !layer->streamable) continue;
        if (experts)
            d->best.bulk_ram[l] = (uint64_t)((double)layer->bulk_bytes * share);
        else {
            double after = before + (double)layer->bulk_bytes;
            /* Half a percent of rounding to pages must not unpin a layer. */
            bool pinned = floor((after * share + 0.005 * room) / (double)layer->bulk_bytes) >
                          floor((before * share + 0.005 * room) / (double)layer->bulk_bytes);
            d->best.bulk_ram[l] = pinned || share >= 1 ? layer->bulk_bytes : 0;
            before = after;
        }
    }
}

/* Of a model whose routing is known the cache begins with what is used most: nothing has to be learnt first. */
static void fill_slowly(draft *d, const hyp_plan_run *run) {
    double read = 0;
    if (d->request.expert_uses != NULL || d->mode != HYP_MODE_EXPERTS || run->output_tokens == 0 ||
        d->model->n_experts == 0)
        return;
    for (size_t l = 0; l < d->cost.n_layers; l++) {
        const hyp_place_layer *layer = &d->cost.layers[l];
        if (d->best.bulk_site[l] != 0 || !layer->streamable || layer->bulk_bytes == 0) continue;
        double room = (double)d->best.bulk_ram[l] / (double)layer->bulk_bytes;
        read +=
            hyp_place_touched(layer) * (1 - filled_share(d->model, d->request.prompt_tokens, run->output_tokens, room));
    }
    d->best.read_bytes = read;
    d->best.read_s = read / HYP_MAX(d->hardware->disk_bytes_per_s, 1);
}

static int place_as_planned(const hyp_plan *plan, draft *d, hyp_err *err) {
    int r = hyp_placement_new(d->cost.n_layers, &d->best, err);
    for (size_t l = 0; r == HYP_OK && l < d->cost.n_layers; l++) {
        d->best.site[l] = plan->layer_site[l];
        d->best.bulk_site[l] = plan->bulk_site[l];
        bool host = plan->bulk_site[l] == 0;
        d->best.bulk_ram[l] =
            host ? (uint64_t)((double)d->cost.layers[l].bulk_bytes * (double)plan->bulk_resident[l] + 0.5) : 0;
    }
    return r;
}

int hyp_plan_predict(const hyp_model *model, const hyp_hardware *hardware, const hyp_plan *plan,
                     const hyp_plan_run *run, hyp_prediction *ret, hyp_err *err) {
    draft d = {.model = model, .hardware = hardware, .request = plan->request, .mode = plan->mode};
    d.ubatch = run->ubatch_tokens > 0 ? run->ubatch_tokens : plan->ubatch_tokens;
    if (run->prompt_tokens > 0) d.request.prompt_tokens = run->prompt_tokens;
    if (run->output_tokens > 0) d.request.output_tokens = run->output_tokens;
    int r = hyp_plan_cost_draft(&d, err);
    if (r == HYP_OK) r = place_as_planned(plan, &d, err);
    if (r == HYP_OK) {
        bool streams = d.mode == HYP_MODE_EXPERTS || d.mode == HYP_MODE_FFN;
        if (streams && run->pinned_bytes + run->cache_bytes > 0) use_frames(&d, run);
        /* Whether it fits was decided when it was planned: the times are what is wanted here. */
        (void)!hyp_place_evaluate(&d.problem, &d.best);
        fill_slowly(&d, run);
        *ret = hyp_plan_predict_draft(&d);
    }
    hyp_plan_free_draft(&d);
    return r;
}
