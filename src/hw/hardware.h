/* hardware.h - a machine as numbers: what the planner plans for, measured (profile.h) or made up ("what would twice the
 * disk give?"). Pure data. */
#pragma once
#include "base/err.h"

enum {
    HYP_HARDWARE_MAX_DEVICES = 16,
    HYP_HARDWARE_MAX_RATES = 24,
    HYP_HARDWARE_WIDE_TOKENS = 64, /* the batch at which the rates of matrix times matrix were measured */
};

/* How fast the CPU works through weights of one quantisation, all threads together. */
typedef struct hyp_weight_rate {
    int type;                         /* enum ggml_type */
    double decode_bytes_per_s;        /* matrix times vector, weights in the file's layout, out of memory */
    double repacked_bytes_per_s;      /* the same with weights repacked at load (resident mode) */
    double decode_cached_bytes_per_s; /* the same two with weights that stay in the processor's cache */
    double repacked_cached_bytes_per_s;
    double prefill_flop_per_s; /* matrix times matrix; 2 * rows * columns * tokens operations */
    double repacked_flop_per_s;
    double repack_bytes_per_s; /* into that layout, once, at load; 0: libllama keeps the file's */
} hyp_weight_rate;

typedef enum hyp_device_kind {
    HYP_DEVICE_GPU,     /* memory of its own */
    HYP_DEVICE_UNIFIED, /* shares the machine's RAM: what it holds counts against the RAM budget too */
    HYP_DEVICE_REMOTE,  /* another machine's memory, behind a network */
    HYP_N_DEVICE_KINDS,
} hyp_device_kind;

typedef struct hyp_device {
    char name[64]; /* ggml's name: "Vulkan0", "RPC0" */
    char description[96];
    hyp_device_kind kind;
    bool assumed; /* it is not there: hyp_hardware_assume_device() */
    uint64_t total_bytes, free_bytes;
    double weight_bytes_per_s; /* matrix times vector, quantised weights */
    double flop_per_s;         /* matrix times matrix */
    double copy_bytes_per_s;   /* from the host */
    double hop_s;              /* to hand one token's activations over, there or back */
} hyp_device;

typedef struct hyp_hardware {
    char cpu[96];
    int threads;
    uint64_t ram_total_bytes, ram_available_bytes; /* available: hyp_memory.available_bytes */
    uint64_t ram_budget_bytes;                     /* hyp_memory_budget() */
    double memory_bytes_per_s;                     /* plain reading of memory by all threads, past every cache */
    uint64_t cache_bytes;                          /* the processor's last level of cache; 0: unknown */
    hyp_weight_rate rates[HYP_HARDWARE_MAX_RATES];
    size_t n_rates;
    double node_s;                 /* fixed cost of one graph node: waking and joining the threads */
    double disk_bytes_per_s;       /* direct reads at disk_request_bytes and disk_depth: what streaming gets */
    double disk_fault_bytes_per_s; /* through page faults on a mapping: what plain mmap gets */
    double disk_short_bytes_per_s; /* direct reads of 128 KiB, 16 in flight; 0: not measured */
    uint32_t disk_request_bytes, disk_depth; /* where the disk saturates */
    hyp_device devices[HYP_HARDWARE_MAX_DEVICES];
    size_t n_devices;
} hyp_hardware;

/* How the rates of a machine are known. */
typedef enum hyp_profile_source {
    HYP_PROFILE_DEFAULT,  /* not measured: hyp_hardware_default() */
    HYP_PROFILE_QUICK,    /* measured in a fraction of a second */
    HYP_PROFILE_MEASURED, /* measured at length */
} hyp_profile_source;

/* A modest PC, for whatever was not measured: figures below most real machines, so that an estimate errs to the slow
 * side. RAM fields are zero. Pure. */
void hyp_hardware_default(hyp_hardware *ret);

/* A device that is not there, called `name`, of `bytes` memory, all free, that works through weights at
 * `weight_bytes_per_s`; 0: what a modest one of its kind does. Its other rates are assumed from its kind. Pure. */
void hyp_hardware_assume_device(const char *name, hyp_device_kind kind, uint64_t bytes, double weight_bytes_per_s,
                                hyp_device *ret);

/* "gpu", "unified", "remote". Static storage. */
const char *hyp_device_kind_name(hyp_device_kind kind);

/* The rates for ggml type `type`: its own row, else the row whose bits per weight are nearest, else defaults. Pure. */
hyp_weight_rate hyp_hardware_rate(const hyp_hardware *hardware, int type);
