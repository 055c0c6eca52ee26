#include "hw/hardware.h"

#include <ggml.h>
#include <math.h>
#include <stdio.h>

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

const char *hyp_device_kind_name(hyp_device_kind kind) {
    static const char *const names[HYP_N_DEVICE_KINDS] = {"gpu", "unified", "remote"};
    return (unsigned)kind < HYP_N_DEVICE_KINDS ? names[kind] : "?";
}

void hyp_hardware_assume_device(const char *name, hyp_device_kind kind, uint64_t bytes, double weight_bytes_per_s,
                                hyp_device *ret) {
    /* A GPU computes some 60 operations for each byte it can read in the same time, a processor 10; what is not read or
     * computed is PCIe and launching, or a gigabit network and its round trip. By default the slowest GPUs that are
     * bought for this (GDDR6 of 288 GB/s, seven eighths of it reached), the memory of a laptop's chip, and a PC of
     * eight cores. */
    static const struct {
        double weight_bytes_per_s, flop_per_byte, copy_bytes_per_s, hop_s;
    } typical[HYP_N_DEVICE_KINDS] = {[HYP_DEVICE_GPU] = {250e9, 60, 10e9, 5e-5},
                                     [HYP_DEVICE_UNIFIED] = {80e9, 60, 10e9, 5e-5},
                                     [HYP_DEVICE_REMOTE] = {25e9, 10, 0.11e9, 4e-4}};
    double rate = weight_bytes_per_s > 0 ? weight_bytes_per_s : typical[kind].weight_bytes_per_s;
    *ret = (hyp_device){.kind = kind,
                        .assumed = true,
                        .total_bytes = bytes,
                        .free_bytes = bytes,
                        .weight_bytes_per_s = rate,
                        .flop_per_s = typical[kind].flop_per_byte * rate,
                        .copy_bytes_per_s = typical[kind].copy_bytes_per_s,
                        .hop_s = typical[kind].hop_s};
    snprintf(ret->name, sizeof ret->name, "%s", name);
    snprintf(ret->description, sizeof ret->description, "not there");
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
        if (distance < nearest) {
            nearest = distance;
            best = &hardware->rates[i];
        }
    }
    hyp_weight_rate rate = best != NULL ? *best : modest;
    rate.type = type;
    return rate;
}
