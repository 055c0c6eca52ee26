/* devices.h - which devices shall be used: those of this machine by name, and those of others by address. */
#pragma once
#include "hw/hardware.h"

typedef struct hyp_model hyp_model; /* gguf/model.h */

typedef struct hyp_device_choice {
    const char *const *names; /* of local devices ("Vulkan0"); "none" alone: no local device. Empty: every real one */
    size_t n_names;
    const char *const *servers; /* "host:port", or several separated by commas: RPC servers, whose devices join */
    size_t n_servers;
    /* Describe the device that `name`, of none that is there, stands for; false: it stands for none. NULL: every one
     * must be there. */
    bool (*imagine)(const char *name, hyp_device *ret, void *user);
    void *user;
} hyp_device_choice;

/* A device that computes on the CPU (Mesa's llvmpipe and the like): slower than the CPU itself, good for tests. Pure.
 */
bool hyp_devices_is_software(const hyp_device *device);

/* Leave in `hardware` the local devices of `choice`, in its order, each that is there once. Errors: HYP_EINVAL (there
 * is none of that name). Pure but for `imagine`. */
HYP_NODISCARD int hyp_devices_choose(const hyp_device_choice *choice, hyp_hardware *hardware, hyp_err *err);

/* Reach every server of `choice` and append its devices to `hardware`. After hyp_runtime_start(); one thread at a time.
 * Errors: those of hyp_rpc_add(), HYP_ELIMIT (too many devices). */
HYP_NODISCARD int hyp_devices_add_remote(const hyp_device_choice *choice, hyp_hardware *hardware, hyp_err *err);

/* The ggml types that most of a model's weights have, as a bit set: those whose speed is worth measuring. Pure. */
uint64_t hyp_devices_types(const hyp_model *model);

/* Call `each` with every single address in `servers`, which may be lists separated by commas. Stops at the first result
 * that is not 0 and returns it. Errors: HYP_EINVAL (an address is too long). */
int hyp_devices_each_server(const hyp_device_choice *choice, int (*each)(const char *address, void *user, hyp_err *err),
                            void *user, hyp_err *err);
