#include "plan/place_priv.h"

#include "base/mem.h"

#include <string.h>

int hyp_placement_new(size_t n, hyp_placement *ret, hyp_err *err) {
    hyp_placement p = {
        .site = calloc(n, 1), .bulk_site = calloc(n, 1), .bulk_ram = calloc(n, sizeof *p.bulk_ram), .n_layers = n};
    if (p.site == NULL || p.bulk_site == NULL || p.bulk_ram == NULL) {
        hyp_placement_free(&p);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory placing %zu layers", n);
    }
    *ret = p;
    return HYP_OK;
}

int hyp_placement_copy(const hyp_placement *from, hyp_placement *ret, hyp_err *err) {
    hyp_placement p;
    int r = hyp_placement_new(from->n_layers, &p, err);
    if (r != HYP_OK) return r;
    memcpy(p.site, from->site, from->n_layers);
    memcpy(p.bulk_site, from->bulk_site, from->n_layers);
    memcpy(p.bulk_ram, from->bulk_ram, from->n_layers * sizeof *p.bulk_ram);
    *ret = *from;
    ret->site = p.site;
    ret->bulk_site = p.bulk_site;
    ret->bulk_ram = p.bulk_ram;
    return HYP_OK;
}

void hyp_placement_free(hyp_placement *p) {
    if (p == NULL) return;
    free(p->site);
    free(p->bulk_site);
    free(p->bulk_ram);
    *p = (hyp_placement){0};
}

double hyp_place_touched(const hyp_place_layer *layer) {
    double touched = 0;
    for (size_t i = 0; i < layer->n_segments; i++)
        touched += layer->segments[i].saved_bytes;
    return touched;
}

/* Reads a token that the first `ram` bytes of layer's bulk save, out of hyp_place_touched(). */
static double place_saved(const hyp_place_layer *layer, uint64_t ram) {
    double saved = 0;
    if (!layer->divisible) return ram >= layer->bulk_bytes ? hyp_place_touched(layer) : 0;
    for (size_t i = 0; i < layer->n_segments && ram > 0; i++) {
        uint64_t take = HYP_MIN(ram, layer->segments[i].bytes);
        if (take > 0) saved += layer->segments[i].saved_bytes * ((double)take / (double)layer->segments[i].bytes);
        ram -= take;
    }
    return saved;
}

/* The rules that are about one layer: where its bulk may lie. */
static bool layer_obeys(const hyp_place_problem *problem, const hyp_placement *p, size_t i) {
    const hyp_place_layer *layer = &problem->layers[i];
    if (p->site[i] > problem->n_devices || (i > 0 && p->site[i] < p->site[i - 1])) return false;
    if (p->bulk_site[i] != 0) return p->bulk_site[i] == p->site[i] && p->bulk_ram[i] == 0;
    if (p->bulk_ram[i] > layer->bulk_bytes) return false;
    return p->bulk_ram[i] == layer->bulk_bytes || (layer->streamable && (layer->divisible || p->bulk_ram[i] == 0));
}

double hyp_place_time(const hyp_place_problem *problem, double compute_s, double read_s) {
    return HYP_MAX(compute_s + problem->wait_share * read_s, read_s + problem->idle_share * compute_s);
}

bool hyp_place_evaluate(const hyp_place_problem *problem, hyp_placement *p) {
    bool good = true;
    uint8_t before = 0;
    p->ram_bytes = problem->ram_fixed_bytes;
    p->compute_s = p->read_bytes = 0;
    p->streams = false;
    memset(p->device_bytes, 0, sizeof p->device_bytes);
    for (size_t i = 0; i < problem->n_layers; i++) {
        const hyp_place_layer *layer = &problem->layers[i];
        if (!layer_obeys(problem, p, i)) return false;
        uint8_t site = p->site[i], bulk = p->bulk_site[i];
        uint64_t base = layer->base_bytes + layer->kv_bytes;
        p->compute_s += layer->base_s[site] + layer->bulk_s[bulk];
        if (site == 0)
            p->ram_bytes += base;
        else
            p->device_bytes[site - 1] += base;
        if (site != before) p->compute_s += problem->devices[site - 1].hop_s;
        before = site;
        if (bulk != 0) {
            p->device_bytes[bulk - 1] += layer->bulk_bytes;
            continue;
        }
        p->ram_bytes += p->bulk_ram[i];
        if (site != 0 && layer->bulk_bytes > 0) p->compute_s += 2 * problem->devices[site - 1].hop_s;
        p->read_bytes += hyp_place_touched(layer) - place_saved(layer, p->bulk_ram[i]);
        p->streams = p->streams || p->bulk_ram[i] < layer->bulk_bytes;
    }
    for (size_t d = 0; d < problem->n_devices; d++) {
        if (p->device_bytes[d] > 0) p->device_bytes[d] += problem->devices[d].buffer_bytes;
        good = good && p->device_bytes[d] <= problem->devices[d].capacity_bytes;
        if (problem->devices[d].unified) p->ram_bytes += p->device_bytes[d];
    }
    if (p->streams) p->ram_bytes += problem->stream_bytes;
    p->read_s = problem->disk_bytes_per_s > 0 ? p->read_bytes / problem->disk_bytes_per_s
                : p->read_bytes > 0           ? 1e30
                                              : 0;
    p->token_s = hyp_place_time(problem, p->compute_s, p->read_s);
    return good && p->ram_bytes <= problem->ram_bytes;
}
