#include "plan/units.h"

#include "base/mem.h"
#include "plan/tier.h"

#include <string.h>
#include <unistd.h>

enum {
    MIN_SLICE_BYTES = 16384, /* smaller slices are biases and scales: pinned with the rest */
    /* Runs of pinned tensors are joined across gaps up to this size and cut at this length: few mappings and large
     * reads, and no single one that delays cancelling for long. */
    JOIN_GAP_BYTES = 65536,
    MAX_RUN_BYTES = 256 << 20,
};

/* --- what streams --- */

static bool is_expert(const hyp_tensor *t) {
    return t->role == HYP_ROLE_ROUTED_EXPERT && t->n_experts > 0 && t->expert_bytes >= MIN_SLICE_BYTES;
}

static bool is_ffn(const hyp_tensor *t) {
    bool ffn = t->role == HYP_ROLE_FFN_GATE || t->role == HYP_ROLE_FFN_UP || t->role == HYP_ROLE_FFN_DOWN;
    return ffn && t->bytes >= MIN_SLICE_BYTES;
}

static uint32_t one_an_expert(const hyp_tensor *t) {
    return t->n_experts;
}

static uint32_t one_a_layer(const hyp_tensor *t) {
    (void)t;
    return 1;
}

/* The two ways of cutting. */
static const struct cutting {
    bool (*takes)(const hyp_tensor *t);
    uint32_t (*n_units)(const hyp_tensor *t); /* of the layer that `t` is of */
} cuttings[HYP_N_MODES] = {
    [HYP_MODE_EXPERTS] = {is_expert, one_an_expert},
    [HYP_MODE_FFN] = {is_ffn, one_a_layer},
};

bool hyp_units_is_streamed(const hyp_tensor *t, hyp_mode mode) {
    return t->layer >= 0 && cuttings[mode].takes != NULL && cuttings[mode].takes(t);
}

hyp_mode hyp_units_mode(const hyp_model *model, hyp_mode mode) {
    if (hyp_mode_streams(mode)) return mode;
    return model->n_experts > 0 ? HYP_MODE_EXPERTS : HYP_MODE_FFN;
}

/* --- frames --- */

uint64_t hyp_units_frame_bytes(uint64_t offset, uint64_t bytes, uint64_t page) {
    return (offset + bytes + page - 1) / page * page - offset / page * page;
}

uint64_t hyp_units_frame_bound(const hyp_tensor *t, uint64_t slice_bytes) {
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    bool aligned = t->offset % page == 0 && slice_bytes % page == 0;
    /* A slice that begins on a page's last byte touches it, and as many more as the rest fills. */
    return aligned ? slice_bytes : (slice_bytes + 2 * page - 2) / page * page;
}

hyp_units_range hyp_units_slice(const hyp_model *model, const hyp_units_layer *layer, uint32_t index, uint32_t part) {
    const hyp_tensor *t = &model->tensors[layer->tensors[part]];
    uint64_t bytes = t->bytes / layer->n_units;
    return (hyp_units_range){t->file, t->offset + index * bytes, bytes};
}

/* --- cutting --- */

/* The order of use within a layer: down needs what gate and up made; a tensor of gate and up together is first. */
static int use_order(const char *name) {
    if (strstr(name, "down") != NULL) return 2;
    return strstr(name, "up") != NULL && strstr(name, "gate") == NULL ? 1 : 0;
}

/* List the streamed tensors of every layer of the model, in the order of use. `layers`: [model->n_layers], zeroed. */
static void gather(const hyp_model *model, hyp_mode mode, const uint8_t *tensor_tier, hyp_units_layer *layers) {
    for (int order = 0; order <= 2; order++)
        for (size_t i = 0; i < model->n_tensors; i++) {
            const hyp_tensor *t = &model->tensors[i];
            bool host = tensor_tier == NULL || hyp_tier_on_host(tensor_tier[i]);
            if (!host || !hyp_units_is_streamed(t, mode) || use_order(t->name) != order) continue;
            hyp_units_layer *layer = &layers[t->layer];
            if (layer->n_parts < HYP_UNITS_MAX_PARTS) layer->tensors[layer->n_parts++] = i;
        }
}

/* An expert is one slice of every matrix: they must have equally many. */
static bool is_even(const hyp_model *model, const hyp_units_layer *layer) {
    for (uint32_t p = 1; p < layer->n_parts; p++)
        if (model->tensors[layer->tensors[p]].n_experts != model->tensors[layer->tensors[0]].n_experts) return false;
    return layer->n_parts > 0;
}

/* Keep the layers that stream, number their units, and note where their tensors went. */
static void number(const hyp_model *model, hyp_mode mode, uint64_t page, hyp_units *u) {
    for (uint32_t l = 0; l < model->n_layers; l++) {
        if (!is_even(model, &u->layers[l])) continue;
        hyp_units_layer layer = u->layers[l];
        layer.model_layer = (int)l;
        layer.first_unit = u->n_units;
        layer.n_units = cuttings[mode].n_units(&model->tensors[layer.tensors[0]]);
        for (uint32_t p = 0; p < layer.n_parts; p++) {
            u->tensors[layer.tensors[p]] = (hyp_units_ref){u->n_layers, (uint8_t)p};
            for (uint32_t i = 0; i < layer.n_units; i++) {
                hyp_units_range slice = hyp_units_slice(model, &layer, i, p);
                layer.frame_bytes += hyp_units_frame_bytes(slice.offset, slice.bytes, page);
            }
        }
        u->n_units += layer.n_units;
        u->layers[u->n_layers++] = layer; /* at l or before it: the entries still to come stay as they are */
    }
}

/* Can `t` be appended to `run`? */
static bool joins(const hyp_units_range *run, const hyp_tensor *t) {
    uint64_t end = run->offset + run->bytes;
    return run->file == t->file && t->offset >= end && t->offset - end <= JOIN_GAP_BYTES &&
           run->bytes + t->bytes <= MAX_RUN_BYTES;
}

/* The runs of what the pager holds and is in no unit: pinned by the plan, or of a kind that streams but not cut. */
static void add_always(const hyp_model *model, const uint8_t *tensor_tier, uint64_t page, hyp_units *u) {
    hyp_units_range *run = NULL;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const hyp_tensor *t = &model->tensors[i];
        bool held = u->tensors[i].layer == HYP_UNITS_NONE && t->bytes > 0 && hyp_tier_is_paged(tensor_tier[i]);
        if (!held) {
            /* What lies between belongs to somebody else: do not read it along. */
            if (t->bytes > JOIN_GAP_BYTES) run = NULL;
        } else if (run != NULL && joins(run, t)) {
            run->bytes = t->offset + t->bytes - run->offset;
        } else {
            run = &u->always[u->n_always++];
            *run = (hyp_units_range){t->file, t->offset, t->bytes};
        }
    }
    for (size_t i = 0; i < u->n_always; i++)
        u->always_bytes += hyp_units_frame_bytes(u->always[i].offset, u->always[i].bytes, page);
}

int hyp_units_make(const hyp_model *model, hyp_mode mode, const uint8_t *tensor_tier, hyp_units *ret, hyp_err *err) {
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    hyp_units u = {
        .layers = calloc(model->n_layers + 1u, sizeof *u.layers),
        .tensors = calloc(model->n_tensors + 1, sizeof *u.tensors),
        .always = calloc(model->n_tensors + 1, sizeof *u.always),
    };
    if (u.layers == NULL || u.tensors == NULL || u.always == NULL) {
        hyp_units_free(&u);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the units of %zu tensors", model->n_tensors);
    }
    for (size_t i = 0; i < model->n_tensors; i++)
        u.tensors[i].layer = HYP_UNITS_NONE;
    gather(model, mode, tensor_tier, u.layers);
    number(model, mode, page, &u);
    if (tensor_tier != NULL) add_always(model, tensor_tier, page, &u);
    *ret = u;
    return HYP_OK;
}

int hyp_units_of_model(const hyp_model *model, hyp_units *ret, hyp_err *err) {
    return hyp_units_make(model, hyp_units_mode(model, HYP_MODE_AUTO), NULL, ret, err);
}

void hyp_units_free(hyp_units *u) {
    if (u == NULL) return;
    free(u->layers);
    free(u->tensors);
    free(u->always);
    *u = (hyp_units){0};
}
