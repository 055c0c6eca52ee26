/* gain.c - what packing would gain, before it is done: the disk's rate for reads of a part's size against its rate for
 * reads of a unit's size, each as many in flight as a layer's missing experts are, put into the plan's own model of a
 * token. */
#include "base/mem.h"
#include "hw/hardware.h"
#include "io/probe.h"
#include "plan/plan.h"
#include "sidecar/sidecar_priv.h"

#include <math.h>

/* As src/io: reads of a chunk, up to a quarter more; so many in flight. */
enum { CHUNK_BYTES = 1 << 20, DEPTH = 16, MAX_SIZES = 32 };

static bool counts(const hyp_probe_point *point, const hyp_probe_point *points) {
    return point->cache == HYP_PROBE_DIRECT && point->random && !point->expert && point->bytes_per_s > 0 &&
           point->backend == points[0].backend;
}

/* The rate at a measured size: along the measured depths, evenly by their logarithm; constant beyond them. */
static double rate_at_depth(const hyp_probe_point *points, size_t n, uint32_t size, double depth) {
    const hyp_probe_point *below = NULL, *above = NULL;
    for (size_t i = 0; i < n; i++) {
        const hyp_probe_point *p = &points[i];
        if (!counts(p, points) || p->size_bytes != size) continue;
        if (p->depth <= depth && (below == NULL || p->depth > below->depth)) below = p;
        if (p->depth >= depth && (above == NULL || p->depth < above->depth)) above = p;
    }
    if (below == NULL || above == NULL || below->depth == above->depth)
        return below != NULL ? below->bytes_per_s : above != NULL ? above->bytes_per_s : 0;
    double share = log2(depth / below->depth) / log2((double)above->depth / below->depth);
    return below->bytes_per_s + share * (above->bytes_per_s - below->bytes_per_s);
}

static int compare_sizes(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static size_t measured_sizes(const hyp_probe_point *points, size_t n, uint32_t ret[MAX_SIZES]) {
    size_t n_sizes = 0;
    for (size_t i = 0; i < n && n_sizes < MAX_SIZES; i++) {
        bool known = !counts(&points[i], points);
        for (size_t j = 0; j < n_sizes; j++)
            known = known || ret[j] == points[i].size_bytes;
        if (!known) ret[n_sizes++] = points[i].size_bytes;
    }
    qsort(ret, n_sizes, sizeof *ret, compare_sizes); /* cppcheck-suppress uninitvar */
    return n_sizes;
}

double hyp_sidecar_rate(const hyp_probe_point *points, size_t n, double size, double depth) {
    uint32_t sizes[MAX_SIZES];
    size_t n_sizes = measured_sizes(points, n, sizes);
    if (n_sizes == 0 || size <= 0) return 0;
    size_t i = 0; /* the pair of sizes that `size` lies between, or the pair nearest to it */
    while (i + 2 < n_sizes && size > sizes[i + 1])
        i++;
    double low = rate_at_depth(points, n, sizes[i], depth);
    if (n_sizes == 1) return low;
    if (size >= sizes[n_sizes - 1]) return rate_at_depth(points, n, sizes[n_sizes - 1], depth);
    /* What a read takes grows evenly with its size: so much for itself, and so much a byte. */
    double high = rate_at_depth(points, n, sizes[i + 1], depth);
    double low_s = sizes[i] / low, high_s = sizes[i + 1] / high;
    double per_byte = (high_s - low_s) / (sizes[i + 1] - sizes[i]);
    double seconds = low_s + (size - sizes[i]) * per_byte;
    return size / HYP_MAX(seconds, size / HYP_MAX(low, high)); /* never faster than what was measured */
}

/* Decoding by the same plan request on a disk of another rate; 0: it does not run. */
static double rate_on_disk(const hyp_model *model, const hyp_hardware *hardware, double disk, const hyp_plan *plan) {
    hyp_hardware hw = *hardware;
    hyp_plan *then = NULL;
    hw.disk_bytes_per_s = disk; /* what plain mmap gets follows other laws: it stays */
    if (hyp_plan_make(model, &hw, &plan->request, &then, NULL) != HYP_OK) return 0;
    double rate = then->prediction.decode_tok_per_s;
    hyp_plan_free(then);
    return rate;
}

int hyp_sidecar_predict(const hyp_model *model, const hyp_sidecar *layout, const hyp_hardware *hardware,
                        const hyp_probe_point *points, size_t n_points, const hyp_plan *plan, hyp_sidecar_gain *ret,
                        hyp_err *err) {
    if (layout->n_units == 0 || layout->n_runs == 0) return hyp_err_set(err, HYP_EINVAL, "an empty layout");
    hyp_sidecar_gain g = {.bytes = layout->bytes};
    uint64_t pages = layout->bytes - layout->data_offset, unit = pages / layout->n_units;
    uint64_t part = pages / layout->n_runs;
    g.read_bytes_now = HYP_MIN(part, (uint64_t)CHUNK_BYTES);
    g.read_bytes_then = HYP_MIN(unit, (uint64_t)CHUNK_BYTES * 5 / 4);
    g.too_large = part >= CHUNK_BYTES;
    const bool streaming = plan != NULL && hyp_mode_streams(plan->mode);
    const double hit_rate = plan != NULL ? plan->prediction.hit_rate : 0;
    g.tok_per_s_now = plan != NULL ? plan->prediction.decode_tok_per_s : 0;
    g.streams = streaming && plan->prediction.read_bytes > 0;
    /* Of the experts that a token uses in a layer, those that are not in memory are read together. */
    double used = model->n_experts > 0 ? HYP_MAX(model->n_experts_used, 1u) : 1;
    double missing = HYP_MAX(used * (1 - hit_rate), 1);
    double parts = (double)layout->n_runs / layout->n_units;
    double now = missing * HYP_MAX(parts, (double)unit / CHUNK_BYTES);
    double then = missing * HYP_MAX(1, (double)unit / CHUNK_BYTES);
    g.depth_now = (uint32_t)HYP_MIN(now + 0.5, DEPTH);
    g.depth_then = (uint32_t)HYP_MIN(then + 0.5, DEPTH);
    g.bytes_per_s_now = hyp_sidecar_rate(points, n_points, (double)g.read_bytes_now, g.depth_now);
    g.bytes_per_s_then = hyp_sidecar_rate(points, n_points, (double)g.read_bytes_then, g.depth_then);
    /* What the plan takes the disk's rate to be stands for the reads of now, so that both speeds compare with the
     * plan's. */
    g.tok_per_s_then = g.tok_per_s_now;
    if (g.streams && g.bytes_per_s_now > 0)
        g.tok_per_s_then =
            rate_on_disk(model, hardware, hardware->disk_bytes_per_s * g.bytes_per_s_then / g.bytes_per_s_now, plan);
    *ret = g;
    return HYP_OK;
}
