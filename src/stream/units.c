#include "stream/units.h"

#include "base/mem.h"
#include "plan/plan.h"

#include <string.h>

/* Runs of pinned tensors are joined across gaps up to this size and cut at this length: few extents, large reads. */
enum { JOIN_GAP_BYTES = 65536, MAX_RUN_BYTES = 256 << 20 };

static bool on_host(const hyp_plan *plan, size_t i) {
    return plan->tensor_tier[i] < HYP_TIER_DEVICE;
}

static bool is_streamed(const hyp_model *model, const hyp_plan *plan, size_t i) {
    return on_host(plan, i) && hyp_plan_is_streamed(&model->tensors[i], plan->mode);
}

/* The order of use within a layer: down needs what gate and up made. */
static int use_order(const char *name) {
    return strstr(name, "down") != NULL ? 2 : strstr(name, "up") != NULL && strstr(name, "gate") == NULL ? 1 : 0;
}

/* The streamed tensors of `layer` in the order of use; returns their number, at most HYP_UNIT_MAX_EXTENTS. */
static size_t tensors_of_layer(const hyp_model *model, const hyp_plan *plan, int layer, size_t *ret) {
    size_t n = 0;
    for (int order = 0; order <= 2; order++)
        for (size_t i = 0; i < model->n_tensors && n < HYP_UNIT_MAX_EXTENTS; i++) {
            const hyp_tensor *t = &model->tensors[i];
            if (t->layer == layer && is_streamed(model, plan, i) && use_order(t->name) == order) ret[n++] = i;
        }
    return n;
}

static uint64_t frame_bytes(const hyp_extent *e, uint64_t page) {
    uint64_t first = e->offset / page * page, last = (e->offset + e->bytes + page - 1) / page * page;
    return last - first;
}

static void add_layer(const hyp_model *model, hyp_mode mode, int layer, const size_t *tensors, size_t n, hyp_units *u) {
    uint32_t n_slices = mode == HYP_MODE_EXPERTS ? model->tensors[tensors[0]].n_experts : 1;
    uint32_t first_unit = (uint32_t)u->n_units;
    for (uint32_t slice = 0; slice < n_slices; slice++) {
        u->units[u->n_units++] =
            (hyp_unit){.first_extent = (uint32_t)u->n_extents, .n_extents = (uint32_t)n, .layer = u->n_layers};
        for (size_t i = 0; i < n; i++) {
            const hyp_tensor *t = &model->tensors[tensors[i]];
            uint64_t bytes = t->bytes / n_slices;
            u->extents[u->n_extents++] = (hyp_extent){t->file, t->offset + slice * bytes, bytes};
        }
    }
    for (size_t i = 0; i < n; i++)
        u->tensors[tensors[i]] = (hyp_unit_ref){u->n_layers, first_unit, n_slices, (uint8_t)i};
    u->model_layers[u->n_layers++] = layer;
}

/* Pinned by the plan, or of a streamed kind but not cut (matrices of unequal numbers of experts). */
static bool is_pinned(const hyp_model *model, const hyp_plan *plan, size_t i, const hyp_units *u) {
    if (u->tensors[i].layer != HYP_NOT_STREAMED || model->tensors[i].bytes == 0) return false;
    return on_host(plan, i) && plan->tensor_tier[i] != HYP_TIER_FILE;
}

static void add_always_runs(const hyp_model *model, const hyp_plan *plan, uint64_t page, hyp_units *u) {
    hyp_extent *run = NULL;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const hyp_tensor *t = &model->tensors[i];
        if (!is_pinned(model, plan, i, u)) {
            /* What lies between belongs to somebody else: do not read it along. */
            if (t->bytes > JOIN_GAP_BYTES) run = NULL;
            continue;
        }
        if (run != NULL && run->file == t->file && t->offset >= run->offset + run->bytes &&
            t->offset - (run->offset + run->bytes) <= JOIN_GAP_BYTES && run->bytes + t->bytes <= MAX_RUN_BYTES) {
            run->bytes = t->offset + t->bytes - run->offset;
            continue;
        }
        u->units[u->n_units++] = (hyp_unit){.first_extent = (uint32_t)u->n_extents, .n_extents = 1, .always = true};
        run = &u->extents[u->n_extents++];
        *run = (hyp_extent){t->file, t->offset, t->bytes};
    }
    for (size_t i = u->n_streamed; i < u->n_units; i++)
        u->always_bytes += frame_bytes(&u->extents[u->units[i].first_extent], page);
}

/* One token needs the experts it uses, at once, of one layer; a dense layer's parts are needed one after the other. */
static void measure(const hyp_model *model, hyp_mode mode, uint64_t page, hyp_units *u) {
    for (size_t i = 0; i < u->n_streamed; i++) {
        const hyp_unit *unit = &u->units[i];
        uint64_t bytes = 0;
        for (uint32_t p = 0; p < unit->n_extents; p++)
            bytes += frame_bytes(&u->extents[unit->first_extent + p], page);
        u->streamed_bytes += bytes;
        uint64_t step = mode == HYP_MODE_EXPERTS ? bytes * HYP_MAX(model->n_experts_used, 1u) : bytes;
        u->largest_step_bytes = HYP_MAX(u->largest_step_bytes, step);
    }
}

int hyp_units_make(const hyp_model *model, const hyp_plan *plan, uint64_t page, hyp_units *ret, hyp_err *err) {
    hyp_mode mode = plan->mode;
    size_t max_units = model->n_tensors, max_extents = model->n_tensors;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (is_streamed(model, plan, i)) {
            max_units += HYP_MAX(model->tensors[i].n_experts, 1u);
            max_extents += HYP_MAX(model->tensors[i].n_experts, 1u);
        }
    hyp_units u = {
        .extents = calloc(max_extents, sizeof *u.extents),
        .units = calloc(max_units, sizeof *u.units),
        .model_layers = calloc(model->n_layers + 1u, sizeof *u.model_layers),
        .tensors = calloc(model->n_tensors, sizeof *u.tensors),
    };
    if (u.extents == NULL || u.units == NULL || u.model_layers == NULL || u.tensors == NULL) {
        hyp_units_free(&u);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the tables of %zu units", max_units);
    }
    for (size_t i = 0; i < model->n_tensors; i++)
        u.tensors[i].layer = HYP_NOT_STREAMED;
    for (int layer = 0; layer < (int)model->n_layers; layer++) {
        size_t tensors[HYP_UNIT_MAX_EXTENTS];
        size_t n = tensors_of_layer(model, plan, layer, tensors);
        bool even = n > 0; /* every matrix of the layer must have the same number of experts */
        for (size_t i = 1; i < n; i++)
            even = even && model->tensors[tensors[i]].n_experts == model->tensors[tensors[0]].n_experts;
        if (even) add_layer(model, mode, layer, tensors, n, &u);
    }
    u.n_streamed = u.n_units;
    if (u.n_streamed == 0) {
        hyp_units_free(&u);
        hyp_err_set(err, HYP_EUNSUPPORTED, "this model has no %s to stream",
                    mode == HYP_MODE_EXPERTS ? "routed experts" : "dense FFN");
        hyp_err_hint(err, "use --mode %s", mode == HYP_MODE_EXPERTS ? "ffn" : "experts");
        return HYP_EUNSUPPORTED;
    }
    add_always_runs(model, plan, page, &u);
    measure(model, mode, page, &u);
    *ret = u;
    return HYP_OK;
}

void hyp_units_free(hyp_units *u) {
    if (u == NULL) return;
    free(u->extents);
    free(u->units);
    free(u->model_layers);
    free(u->tensors);
    *u = (hyp_units){0};
}
