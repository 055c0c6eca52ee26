#include "engine/devices.h"

#include "base/mem.h"
#include "engine/rpc.h"
#include "gguf/model.h"

#include <string.h>

bool hyp_devices_is_software(const hyp_device *device) {
    static const char *const signs[] = {"llvmpipe", "SwiftShader", "softpipe"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(signs); i++)
        if (strstr(device->description, signs[i]) != NULL) return true;
    return false;
}

static const hyp_device *find(const hyp_hardware *hw, const char *name) {
    for (size_t i = 0; i < hw->n_devices; i++)
        if (strcmp(hw->devices[i].name, name) == 0) return &hw->devices[i];
    return NULL;
}

static int unknown_device(const hyp_device_choice *choice, const hyp_hardware *hw, const char *name, hyp_err *err) {
    char names[160] = "";
    size_t n = 0;
    for (size_t i = 0; i < hw->n_devices && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i > 0 ? ", " : "", hw->devices[i].name);
    hyp_err_set(err, HYP_EINVAL, "there is no device \"%s\"", name);
    if (choice->imagine != NULL)
        hyp_err_hint(err, "\"hypura profile\" lists them; one that is not there is written "
                          "NAME:MEMORY[:BYTES_PER_SECOND[:gpu|unified|remote]], as in gpu:24G:900G");
    else if (n > 0)
        hyp_err_hint(err, "there is: %s", names);
    else
        hyp_err_hint(err, "ggml found no device besides the CPU");
    return HYP_EINVAL;
}

int hyp_devices_choose(const hyp_device_choice *choice, hyp_hardware *hw, hyp_err *err) {
    hyp_device chosen[HYP_HARDWARE_MAX_DEVICES];
    size_t n = 0;
    for (size_t i = 0; i < hw->n_devices && choice->n_names == 0; i++)
        if (!hyp_devices_is_software(&hw->devices[i])) chosen[n++] = hw->devices[i];
    for (size_t i = 0; i < choice->n_names && n < HYP_HARDWARE_MAX_DEVICES; i++) {
        if (strcmp(choice->names[i], "none") == 0) continue;
        const hyp_device *device = find(hw, choice->names[i]);
        if (device == NULL && choice->imagine != NULL && choice->imagine(choice->names[i], &chosen[n], choice->user)) {
            n++;
            continue;
        }
        if (device == NULL) return unknown_device(choice, hw, choice->names[i], err);
        bool twice = false;
        for (size_t k = 0; k < n; k++)
            twice = twice || strcmp(chosen[k].name, device->name) == 0;
        if (!twice) chosen[n++] = *device;
    }
    memcpy(hw->devices, chosen, n * sizeof *chosen);
    hw->n_devices = n;
    return HYP_OK;
}

int hyp_devices_each_server(const hyp_device_choice *choice, int (*each)(const char *, void *, hyp_err *), void *user,
                            hyp_err *err) {
    for (size_t i = 0; i < choice->n_servers; i++)
        for (const char *at = choice->servers[i]; *at != '\0';) {
            char address[256];
            size_t n = strcspn(at, ",");
            if (n >= sizeof address) return hyp_err_set(err, HYP_EINVAL, "the address of an RPC server is too long");
            memcpy(address, at, n);
            address[n] = '\0';
            at += n + (at[n] == ',');
            int r = n > 0 ? each(address, user, err) : HYP_OK;
            if (r != HYP_OK) return r;
        }
    return HYP_OK;
}

static int add_server(const char *address, void *user, hyp_err *err) {
    hyp_hardware *hw = user;
    size_t n = 0;
    int r = hyp_rpc_add(address, hw->devices + hw->n_devices, HYP_HARDWARE_MAX_DEVICES - hw->n_devices, &n, err);
    if (r == HYP_OK && n == 0) r = hyp_err_set(err, HYP_ELIMIT, "more than %d devices", HYP_HARDWARE_MAX_DEVICES);
    if (r == HYP_OK) hw->n_devices += n;
    return r;
}

int hyp_devices_add_remote(const hyp_device_choice *choice, hyp_hardware *hw, hyp_err *err) {
    return hyp_devices_each_server(choice, add_server, hw, err);
}

uint64_t hyp_devices_types(const hyp_model *model) {
    enum { MAX_TYPES = 64, LEAST_SHARE = 50 };
    uint64_t bytes[MAX_TYPES] = {0}, types = 0;
    for (size_t i = 0; i < model->n_tensors; i++)
        if (model->tensors[i].type >= 0 && model->tensors[i].type < MAX_TYPES)
            bytes[model->tensors[i].type] += hyp_tensor_touched_bytes(model, &model->tensors[i]);
    uint64_t all = 0;
    for (int t = 0; t < MAX_TYPES; t++)
        all += bytes[t];
    for (int t = 0; t < MAX_TYPES; t++)
        if (bytes[t] > all / LEAST_SHARE) types |= (uint64_t)1 << t;
    return types;
}
