#include "engine/offload_priv.h"

#include "base/mem.h"
#include "gguf/model.h"
#include "hw/hardware.h"
#include "plan/plan.h"

#include <ctype.h>
#include <ggml-backend.h>
#include <stdlib.h>
#include <string.h>

/* libllama matches overrides as regular expressions: every character that could mean something is escaped. */
static char *exact_pattern(const char *name) {
    char *pattern = malloc(2 * strlen(name) + 3);
    if (pattern == NULL) return NULL;
    char *p = pattern;
    *p++ = '^';
    for (; *name != '\0'; name++) {
        if (!isalnum((unsigned char)*name) && *name != '_') *p++ = '\\';
        *p++ = *name;
    }
    *p++ = '$';
    *p = '\0';
    return pattern;
}

static ggml_backend_buffer_type_t host_buffer_type(void) {
    return ggml_backend_dev_buffer_type(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU));
}

/* Where libllama would put a tensor by its layer alone: 0 the host, 1 + d. */
static uint8_t site_by_layer(const hyp_plan *plan, const hyp_tensor *t) {
    return t->layer >= 0 && (uint32_t)t->layer < plan->n_layers ? plan->layer_site[t->layer]
                                                                : plan->layer_site[plan->n_layers];
}

static int add_overrides(const hyp_model *model, const hyp_plan *plan, const ggml_backend_dev_t *devices,
                         hyp_offload *p, hyp_err *err) {
    p->overrides = calloc(model->n_tensors + 1, sizeof *p->overrides);
    p->patterns = calloc(model->n_tensors + 1, sizeof *p->patterns);
    if (p->overrides == NULL || p->patterns == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the placement");
    for (size_t i = 0; i < model->n_tensors; i++) {
        const hyp_tensor *t = &model->tensors[i];
        uint8_t site = hyp_tier_site(plan->tensor_tier[i]);
        /* libllama keeps the embedding on the host; where it is the output matrix too, it makes the device's copy
         * itself. */
        if (site == site_by_layer(plan, t) || t->bytes == 0 || t->role == HYP_ROLE_EMBEDDING) continue;
        char *pattern = exact_pattern(t->name);
        if (pattern == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the placement");
        p->patterns[p->n_overrides] = pattern;
        p->overrides[p->n_overrides++] = (struct llama_model_tensor_buft_override){
            pattern, site == 0 ? host_buffer_type() : ggml_backend_dev_buffer_type(devices[site - 1])};
    }
    return HYP_OK;
}

static int find_devices(const hyp_hardware *hardware, const hyp_plan *plan, hyp_offload *p, ggml_backend_dev_t *ret_all,
                        hyp_err *err) {
    size_t n = 0;
    for (size_t d = 0; d < plan->n_devices; d++) {
        if (plan->device_bytes[d] == 0 && plan->tensor_split[d] <= 0) continue;
        ret_all[d] = ggml_backend_dev_by_name(hardware->devices[d].name);
        if (ret_all[d] == NULL) {
            hyp_err_set(err, HYP_ENOTFOUND, "the device %s is not there any more", hardware->devices[d].name);
            hyp_err_hint(err, "\"hypura profile --force\" looks again");
            return HYP_ENOTFOUND;
        }
        p->tensor_split[n] = plan->tensor_split[d];
        p->devices[n++] = ret_all[d];
    }
    return HYP_OK;
}

int hyp_offload_make(const hyp_model *model, const hyp_hardware *hardware, const hyp_plan *plan, hyp_offload *ret,
                     hyp_err *err) {
    hyp_offload p = {.n_gpu_layers = plan->n_gpu_layers};
    ggml_backend_dev_t all[HYP_HARDWARE_MAX_DEVICES] = {0};
    p.devices = calloc(HYP_HARDWARE_MAX_DEVICES + 1, sizeof *p.devices);
    p.tensor_split = calloc(HYP_MAX(llama_max_devices(), (size_t)HYP_HARDWARE_MAX_DEVICES), sizeof *p.tensor_split);
    int r = p.devices != NULL && p.tensor_split != NULL
                ? find_devices(hardware, plan, &p, all, err)
                : hyp_err_set(err, HYP_ENOMEM, "out of memory for the placement");
    if (r == HYP_OK && p.devices[0] != NULL) r = add_overrides(model, plan, all, &p, err);
    if (r == HYP_OK)
        *ret = p;
    else
        hyp_offload_free(&p);
    return r;
}

void hyp_offload_free(hyp_offload *p) {
    for (size_t i = 0; i < p->n_overrides; i++)
        free(p->patterns[i]);
    free(p->patterns);
    free(p->overrides);
    free(p->devices);
    free(p->tensor_split);
    *p = (hyp_offload){0};
}

void hyp_offload_apply(const hyp_offload *p, struct llama_model_params *params) {
    params->n_gpu_layers = p->n_gpu_layers;
    params->devices = p->devices; /* an empty list: no device at all */
    if (p->devices[0] == NULL) return;
    params->tensor_split = p->tensor_split;
    if (p->n_overrides > 0) params->tensor_buft_overrides = p->overrides;
}
