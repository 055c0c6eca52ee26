/* bandwidth_priv.h - how fast the machine works through weights: measured with ggml's own operations on weights of the
 * sizes that models have, because nothing else predicts them. The backends of ggml must have been loaded by the
 * program. */
#pragma once
#include "hw/hardware.h"

struct ggml_backend_device;

typedef struct hyp_bandwidth_probe {
    int threads;               /* of the CPU */
    uint64_t weight_bytes;     /* read by one measurement; 0 = 192 MiB, far more than the caches hold */
    double seconds;            /* least time of one measurement; 0 = 0.05 */
    double memory_bytes_per_s; /* hyp_bandwidth_memory() of the same threads, or 0 when unknown */
    uint64_t cache_bytes;      /* the processor's last level of cache; 0 when unknown */
    uint64_t most_bytes;       /* of memory that a measurement may take; 0: no limit */
    bool *disturbed;           /* set where other programs took the processor from a measurement; may be NULL */
} hyp_bandwidth_probe;

/* Plain reading of memory by `threads` threads, bytes per second: of three times what the cache holds, so that it
 * cannot help. 0 when there is no memory to try. */
double hyp_bandwidth_memory(const hyp_bandwidth_probe *bench);

/* The four rates of one ggml type on the CPU. Errors: HYP_EENGINE (no CPU backend, or the type cannot be computed),
 * HYP_ENOMEM. */
HYP_NODISCARD int hyp_bandwidth_type(const hyp_bandwidth_probe *bench, int type, hyp_weight_rate *ret, hyp_err *err);

/* The fixed cost of one node of a graph on the CPU, seconds; on a busy machine at most four times what one thread alone
 * needs. Errors: as above. */
HYP_NODISCARD int hyp_bandwidth_node(const hyp_bandwidth_probe *bench, double *ret_s, hyp_err *err);

/* Fill the measured fields of `device` (weight_bytes_per_s, flop_per_s, copy_bytes_per_s, hop_s) for a ggml device.
 * Errors: HYP_EENGINE, HYP_ENOMEM. */
HYP_NODISCARD int hyp_bandwidth_device(const hyp_bandwidth_probe *bench, struct ggml_backend_device *dev,
                                       hyp_device *device, hyp_err *err);

/* Describe every ggml device that is not a CPU (name, kind, memory), without measuring. Returns their number;
 * `ret_devs` (may be NULL) gets ggml's handles. */
size_t hyp_bandwidth_devices(hyp_device *ret, struct ggml_backend_device **ret_devs, size_t max);
