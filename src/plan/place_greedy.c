/* place_greedy.c - the quick placement: devices from the last layer backward, then RAM by what it saves. */
#include "base/mem.h"
#include "plan/place_priv.h"

#include <string.h>

typedef enum filling {
    FILL_NONE,   /* nothing on devices */
    FILL_LAYERS, /* whole layers, bulk included, as long as they fit */
    FILL_BASES,  /* every base that fits first, then bulks into what is left */
    N_FILLINGS,
} filling;

/* What RAM must hold whatever is streamed, and what it would hold if nothing were. */
static void ram_needs(const hyp_place_problem *problem, const hyp_placement *p, uint64_t *ret_least,
                      uint64_t *ret_all) {
    uint64_t must = problem->ram_fixed_bytes, may = 0, device[HYP_HARDWARE_MAX_DEVICES] = {0};
    for (size_t i = 0; i < problem->n_layers; i++) {
        const hyp_place_layer *layer = &problem->layers[i];
        uint64_t base = layer->base_bytes + layer->kv_bytes;
        if (p->site[i] == 0)
            must += base;
        else
            device[p->site[i] - 1] += base;
        if (p->bulk_site[i] != 0)
            device[p->bulk_site[i] - 1] += layer->bulk_bytes;
        else if (layer->streamable)
            may += layer->bulk_bytes;
        else
            must += layer->bulk_bytes;
    }
    for (size_t d = 0; d < problem->n_devices; d++)
        if (device[d] > 0 && problem->devices[d].unified) must += device[d] + problem->devices[d].buffer_bytes;
    *ret_all = must + may;
    *ret_least = HYP_MIN(must + may, must + problem->stream_bytes);
}

/* The unfilled piece of a streamable host bulk that saves most a byte and fits into `left`. */
static size_t best_piece(const hyp_place_problem *problem, const hyp_placement *p, bool only_divisible, uint64_t left,
                         uint64_t *ret_bytes) {
    size_t best = SIZE_MAX;
    double best_density = 0;
    for (size_t i = 0; i < problem->n_layers; i++) {
        const hyp_place_layer *layer = &problem->layers[i];
        if (p->bulk_site[i] != 0 || !layer->streamable || p->bulk_ram[i] == layer->bulk_bytes) continue;
        if (!layer->divisible && (only_divisible || layer->bulk_bytes > left)) continue;
        uint64_t piece = layer->bulk_bytes;
        double density = hyp_place_touched(layer) / (double)layer->bulk_bytes;
        if (layer->divisible) {
            uint64_t end = 0;
            size_t s = 0;
            while (s < layer->n_segments && (end += layer->segments[s].bytes) <= p->bulk_ram[i])
                s++;
            /* Bytes beyond the last segment (rounding) save nothing. */
            piece = s < layer->n_segments ? end - p->bulk_ram[i] : layer->bulk_bytes - p->bulk_ram[i];
            density = s < layer->n_segments ? layer->segments[s].saved_bytes / (double)layer->segments[s].bytes : 0;
        }
        if (best != SIZE_MAX && density <= best_density) continue;
        best = i;
        best_density = density;
        *ret_bytes = HYP_MIN(piece, left);
    }
    return best;
}

bool hyp_place_fill_ram(const hyp_place_problem *problem, hyp_placement *p, bool only_divisible) {
    uint64_t least, all;
    ram_needs(problem, p, &least, &all);
    if (least > problem->ram_bytes) return false;
    for (size_t i = 0; i < problem->n_layers; i++) {
        const hyp_place_layer *layer = &problem->layers[i];
        bool whole = p->bulk_site[i] == 0 && (!layer->streamable || all <= problem->ram_bytes);
        bool kept = only_divisible && !layer->divisible && p->bulk_site[i] == 0;
        if (!kept || whole) p->bulk_ram[i] = whole ? layer->bulk_bytes : 0;
    }
    if (all <= problem->ram_bytes) return true;
    uint64_t used = least;
    for (size_t i = 0; i < problem->n_layers; i++)
        if (p->bulk_site[i] == 0 && problem->layers[i].streamable) used += p->bulk_ram[i];
    if (used > problem->ram_bytes) return false;
    uint64_t left = problem->ram_bytes - used, piece = 0;
    for (size_t i; left > 0 && (i = best_piece(problem, p, only_divisible, left, &piece)) != SIZE_MAX && piece > 0;
         left -= piece)
        p->bulk_ram[i] += piece;
    return true;
}

static void fill_devices(const hyp_place_problem *problem, filling how, hyp_placement *p) {
    uint64_t used[HYP_HARDWARE_MAX_DEVICES] = {0};
    size_t n = problem->n_layers, site = problem->n_devices;
    memset(p->site, 0, n);
    memset(p->bulk_site, 0, n);
    if (how == FILL_NONE) return;
    for (size_t i = n; i-- > 0 && site > 0;) {
        const hyp_place_layer *layer = &problem->layers[i];
        uint64_t base = layer->base_bytes + layer->kv_bytes,
                 bytes = base + (how == FILL_LAYERS ? layer->bulk_bytes : 0);
        for (; site > 0; site--) {
            const hyp_place_device *device = &problem->devices[site - 1];
            uint64_t with = used[site - 1] + bytes + (used[site - 1] == 0 ? device->buffer_bytes : 0);
            if (with > device->capacity_bytes) continue;
            used[site - 1] = with;
            p->site[i] = (uint8_t)site;
            if (how == FILL_LAYERS && layer->bulk_bytes > 0) p->bulk_site[i] = (uint8_t)site;
            break;
        }
    }
    for (size_t i = n; i-- > 0;) {
        uint8_t at = p->site[i];
        if (at == 0 || p->bulk_site[i] != 0 || problem->layers[i].bulk_bytes == 0) continue;
        if (used[at - 1] + problem->layers[i].bulk_bytes > problem->devices[at - 1].capacity_bytes) continue;
        used[at - 1] += problem->layers[i].bulk_bytes;
        p->bulk_site[i] = at;
    }
}

int hyp_place_greedy(const hyp_place_problem *problem, hyp_placement *ret, uint64_t *ret_least_bytes, hyp_err *err) {
    hyp_placement best = {0}, trial = {0};
    uint64_t least_of_all = UINT64_MAX;
    int r = hyp_placement_new(problem->n_layers, &trial, err);
    bool found = false;
    for (int how = FILL_NONE; r == HYP_OK && how < (problem->n_devices > 0 ? N_FILLINGS : FILL_NONE + 1); how++) {
        uint64_t least, all;
        fill_devices(problem, (filling)how, &trial);
        ram_needs(problem, &trial, &least, &all);
        least_of_all = HYP_MIN(least_of_all, least);
        if (!hyp_place_fill_ram(problem, &trial, false) || !hyp_place_evaluate(problem, &trial)) continue;
        if (found && trial.token_s >= best.token_s) continue;
        hyp_placement_free(&best);
        r = hyp_placement_copy(&trial, &best, err);
        found = r == HYP_OK;
    }
    hyp_placement_free(&trial);
    if (ret_least_bytes != NULL) *ret_least_bytes = least_of_all;
    if (r == HYP_OK && !found) {
        const double gb = 1e-9;
        hyp_err_set(err, HYP_ENOMEM, "a budget of %.2f GB does not hold what every token needs",
                    (double)problem->ram_bytes * gb);
        r = HYP_ENOMEM;
        hyp_err_hint(err, "at least %.2f GB are needed (--ram)", (double)least_of_all * gb + 0.005);
    }
    if (r == HYP_OK) *ret = best;
    return r;
}
