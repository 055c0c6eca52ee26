/* units.h - a model cut into what streams. Made here once; the planner, the stream and the sidecar read it.
 *
 * A unit is what is used together and comes and goes as one: in mode experts the matrices of one expert, in mode ffn
 * those of one dense layer. Its parts are slices of the layer's tensors, in the order in which a graph reads them, so
 * that part 0 can be computed while part 1 is read. Units are numbered layer after layer, within a layer by expert.
 * What is no unit and lies in RAM is `always` there.
 *
 * Pure data. Nothing is keyed to an architecture's name, only to roles. */
#pragma once
#include "gguf/model.h"
#include "plan/mode.h"

enum { HYP_UNITS_MAX_PARTS = 8, HYP_UNITS_NONE = UINT32_MAX };

/* Bytes of one of the model's files. */
typedef struct hyp_units_range {
    uint32_t file;
    uint64_t offset, bytes;
} hyp_units_range;

/* A layer that streams. */
typedef struct hyp_units_layer {
    int model_layer;
    uint32_t first_unit, n_units;        /* n_units: its experts, or 1 */
    uint32_t n_parts;                    /* of each of its units */
    size_t tensors[HYP_UNITS_MAX_PARTS]; /* n_parts indices into model->tensors: part p is a slice of tensors[p] */
    uint64_t frame_bytes;                /* of all its units */
} hyp_units_layer;

/* Where a tensor is in the layers. */
typedef struct hyp_units_ref {
    uint32_t layer; /* index into `layers`, or HYP_UNITS_NONE: it is in no unit */
    uint8_t part;
} hyp_units_ref;

typedef struct hyp_units {
    hyp_units_layer *layers; /* in the model's order */
    uint32_t n_layers, n_units;
    hyp_units_ref *tensors;  /* parallel to model->tensors */
    hyp_units_range *always; /* what is pinned beside the units, in the model's order, joined to few long runs */
    size_t n_always;
    uint64_t always_bytes; /* frame bytes */
} hyp_units;

/* Does a streaming mode stream this tensor? False for every tensor in other modes. Pure. */
bool hyp_units_is_streamed(const hyp_tensor *tensor, hyp_mode mode);

/* The streaming mode by whose rule `model` is cut in `mode`: the mode itself; where nothing streams (resident, mmap,
 * auto), experts for a mixture of experts, else ffn. Pure. */
hyp_mode hyp_units_mode(const hyp_model *model, hyp_mode mode);

/* Cut `model` for the streaming mode `mode`, as a plan's `tensor_tier` says where each tensor lies: units are cut from
 * what is on the host. With NULL everything is on the host and nothing `always` there. Frames are of this system's
 * pages. A layer whose matrices differ in their number of experts is not cut; there may be no layer at all, when
 * everything that could stream is on devices. The caller frees with hyp_units_free(). Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_units_make(const hyp_model *model, hyp_mode mode, const uint8_t *tensor_tier, hyp_units *ret,
                                 hyp_err *err);

/* The same for every unit that `model` has, wherever a plan would put it: without tiers, in the mode that
 * hyp_units_mode() gives to a model of which nothing else is known. */
HYP_NODISCARD int hyp_units_of_model(const hyp_model *model, hyp_units *ret, hyp_err *err);
void hyp_units_free(hyp_units *units);

/* The bytes of part `part` of unit `index` (an expert, or 0) of layer `layer`. Pure. */
hyp_units_range hyp_units_slice(const hyp_model *model, const hyp_units_layer *layer, uint32_t index, uint32_t part);

/* Bytes of the pages that `bytes` bytes at `offset` of a file touch: what a frame of theirs takes. Pure. */
uint64_t hyp_units_frame_bytes(uint64_t offset, uint64_t bytes, uint64_t page_bytes);

/* The most that hyp_units_frame_bytes() can be for any of the equal slices of `slice_bytes` that `tensor` is cut into:
 * frames are kept in classes, each as large as its largest. Of this system's pages, which are 16 or 64 KiB on some
 * machines; where one plans for another machine, its page is taken for ours. Pure. */
uint64_t hyp_units_frame_bound(const hyp_tensor *tensor, uint64_t slice_bytes);
