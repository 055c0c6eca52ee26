/* offload_priv.h - a plan in libllama's terms: devices, offloaded layers, and exact-name buffer overrides. */
#pragma once
#include "base/err.h"

#include <llama.h>

typedef struct hyp_model hyp_model;       /* gguf/model.h */
typedef struct hyp_hardware hyp_hardware; /* hw/hardware.h */
typedef struct hyp_plan hyp_plan;         /* plan/plan.h */

typedef struct hyp_offload {
    ggml_backend_dev_t *devices;                        /* terminated by NULL; empty keeps everything on the CPU */
    float *tensor_split;                                /* llama_max_devices() */
    struct llama_model_tensor_buft_override *overrides; /* terminated by a NULL pattern */
    char **patterns;                                    /* what the overrides point to */
    size_t n_overrides;
    int32_t n_gpu_layers;
} hyp_offload;

/* Translate `plan` for `model` on the devices of `hardware` (looked up by name in ggml). Freed with hyp_offload_free(),
 * after the model that was loaded with it. Errors: HYP_ENOTFOUND (a device is gone), HYP_ENOMEM. */
HYP_NODISCARD int hyp_offload_make(const hyp_model *model, const hyp_hardware *hardware, const hyp_plan *plan,
                                   hyp_offload *ret, hyp_err *err);
void hyp_offload_free(hyp_offload *placement);

/* Write it into `params`. */
void hyp_offload_apply(const hyp_offload *placement, struct llama_model_params *params);
