#include "hw/hardware.h"

#include <ggml.h>
#include <math.h>

/* Two cores of a mid-range server CPU of 2023 read quantised weights at 5 to 12 GB/s; a desktop does better. A SATA SSD
 * reads 0.5 GB/s, the slowest NVMe ones about 1.5. */
static const hyp_weight_rate modest = {.decode_bytes_per_s = 6e9,
                                       .repacked_bytes_per_s = 7e9,
                                       .decode_cached_bytes_per_s = 6e9,
                                       .repacked_cached_bytes_per_s = 7e9,
                                       .prefill_flop_per_s = 6e10,
                                       .repacked_flop_per_s = 9e10};

void hyp_hardware_default(hyp_hardware *ret) {
    *ret = (hyp_hardware){.cpu = "unknown",
                          .threads = 2,
                          .memory_bytes_per_s = 15e9,
                          .node_s = 3e-6,
                          .disk_bytes_per_s = 1e9,
                          .disk_fault_bytes_per_s = 0.6e9,
                          .disk_request_bytes = 1 << 20,
                          .disk_depth = 16};
}

static double bits_per_weight(int type) {
    if (type < 0 || type >= GGML_TYPE_COUNT || ggml_blck_size((enum ggml_type)type) == 0) return 0;
    return 8.0 * (double)ggml_type_size((enum ggml_type)type) / (double)ggml_blck_size((enum ggml_type)type);
}

hyp_weight_rate hyp_hardware_rate(const hyp_hardware *hardware, int type) {
    const hyp_weight_rate *best = NULL;
    double bits = bits_per_weight(type), nearest = INFINITY;
    for (size_t i = 0; i < hardware->n_rates; i++) {
        double distance = fabs(bits_per_weight(hardware->rates[i].type) - bits);
        if (hardware->rates[i].type == type) distance = -1;
        if (distance < nearest) nearest = distance, best = &hardware->rates[i];
    }
    hyp_weight_rate rate = best != NULL ? *best : modest;
    rate.type = type;
    return rate;
}
