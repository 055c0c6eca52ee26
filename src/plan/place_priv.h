/* place_priv.h - where the weights go: layers over devices, RAM and the SSD, so that a token takes the least time.
 *
 * The problem is numbers only. A layer has a `base`, which every token touches and which lies where the layer computes
 * (attention, norms, router, shared experts, the KV cache), and a `bulk` (its dense FFN, or its routed experts), which
 * may lie with the base on a device or on the host, there in RAM or on the SSD. What libllama can express is built in:
 * the layers on devices are the last ones, each device has a contiguous range, devices stand in the order of the list,
 * and a bulk is on the host or on its layer's device as a whole.
 *
 * Time of a token: the parts compute one after the other (compute_s, with `hop_s` for entering a device), reads run
 * beside them, but not beside all of them: token_s = max(compute_s + wait_share * read_s, read_s + idle_share *
 * compute_s). */
#pragma once
#include "hw/hardware.h"

enum { HYP_PLACE_MAX_SEGMENTS = 6, HYP_PLACE_SITES = 1 + HYP_HARDWARE_MAX_DEVICES };

/* A part of a bulk that is used equally often: `bytes` of RAM save `saved_bytes` of reads a token. */
typedef struct hyp_place_segment {
    uint64_t bytes;
    double saved_bytes;
} hyp_place_segment;

typedef struct hyp_place_layer {
    uint64_t base_bytes, kv_bytes, bulk_bytes;
    double base_s[HYP_PLACE_SITES], bulk_s[HYP_PLACE_SITES]; /* per token; [0] the CPU, [1 + d] device d */
    bool divisible;  /* experts: any part of the bulk may be in RAM. A dense FFN is there as a whole or not at all */
    bool streamable; /* the bulk may stay on the SSD */
    hyp_place_segment
        segments[HYP_PLACE_MAX_SEGMENTS]; /* of the bulk, most saved per byte first; one for a dense FFN */
    size_t n_segments;
} hyp_place_layer;

typedef struct hyp_place_device {
    uint64_t capacity_bytes; /* for weights, KV and buffers */
    uint64_t buffer_bytes;   /* taken once anything is on it */
    bool unified;            /* counts against RAM too */
    double hop_s;
} hyp_place_device;

typedef struct hyp_place_problem {
    const hyp_place_layer *layers; /* the last one is the output head */
    size_t n_layers;
    hyp_place_device devices[HYP_HARDWARE_MAX_DEVICES];
    size_t n_devices;
    uint64_t ram_bytes;       /* the budget */
    uint64_t ram_fixed_bytes; /* buffers and overheads */
    uint64_t stream_bytes;    /* frames for reads in flight, needed as soon as anything is on the SSD */
    double disk_bytes_per_s;
    double wait_share;   /* of the reads: the computation stands still meanwhile; 0 to 1 */
    double idle_share;   /* of the computation: the disk stands still meanwhile; 0 to 1. Both 1: they take turns */
    double time_limit_s; /* for the optimiser; 0 = 2 */
} hyp_place_problem;

typedef struct hyp_placement {
    uint8_t *site;      /* n_layers: where a layer computes: 0 the CPU, 1 + d */
    uint8_t *bulk_site; /* n_layers: 0 the host, 1 + d; 0 or equal to `site` */
    uint64_t *bulk_ram; /* n_layers: bytes of the bulk in host RAM; the rest of a host bulk is on the SSD */
    size_t n_layers;
    uint64_t ram_bytes; /* everything the budget covers, fixed part and frames included */
    uint64_t device_bytes[HYP_HARDWARE_MAX_DEVICES];
    double compute_s, read_s, token_s, read_bytes;
    bool streams; /* something is on the SSD */
} hyp_placement;

/* Fill the sums and times of `placement` from its site, bulk_site and bulk_ram. Returns whether it obeys every capacity
 * and every rule above. Pure. */
bool hyp_place_evaluate(const hyp_place_problem *problem, hyp_placement *placement);

/* The greedy placement: the best of three fillings, each from the last layer backward. Linear time. The caller frees it
 * with hyp_placement_free(). Errors: HYP_ENOMEM with `*ret_least_bytes` (may be NULL) the least ram_bytes that the
 * greedy filling needs; `*ret_least_bytes` is filled on success too. */
HYP_NODISCARD int hyp_place_greedy(const hyp_place_problem *problem, hyp_placement *ret, uint64_t *ret_least_bytes,
                                   hyp_err *err);

/* The optimum by mixed integer programming, started from `start`. Deterministic unless the time limit strikes. The
 * result is never worse than `start`: on any failure of the optimiser it is a copy, and `*ret_optimal` is false.
 * Errors: HYP_ENOMEM (memory). */
HYP_NODISCARD int hyp_place_optimise(const hyp_place_problem *problem, const hyp_placement *start, hyp_placement *ret,
                                     bool *ret_optimal, hyp_err *err);

/* Seconds of a token, or of a pass, that computes for `compute_s` and reads for `read_s`: the formula above. Pure. */
double hyp_place_time(const hyp_place_problem *problem, double compute_s, double read_s);

void hyp_placement_free(hyp_placement *placement);

/* --- shared by the files that place --- */

/* Arrays for `n` layers, everything on the CPU and the SSD. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_placement_new(size_t n, hyp_placement *ret, hyp_err *err);
HYP_NODISCARD int hyp_placement_copy(const hyp_placement *from, hyp_placement *ret, hyp_err *err);

/* Reads a token that reading all of the layer's bulk would cost. */
double hyp_place_touched(const hyp_place_layer *layer);

/* Set bulk_ram of `placement` from its site and bulk_site: everything if it fits, else what saves most reads a byte
 * first. With `only_divisible`, the dense FFNs in RAM stay as they are. Returns false when RAM cannot hold what must be
 * there. */
bool hyp_place_fill_ram(const hyp_place_problem *problem, hyp_placement *placement, bool only_divisible);
