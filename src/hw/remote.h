/* remote.h - what a device behind a network can do, measured in a fraction of a second and a few megabytes of traffic.
 */
#pragma once
#include "hw/hardware.h"

struct ggml_backend_device;

/* Describe `dev` (name, memory, kind HYP_DEVICE_REMOTE) and measure its rates: the round trip, the network's rate from
 * here to there, and how fast weights are worked through there. Sends 2 MiB, and up to 16 MiB more when that was quick.
 * Blocks. Errors: HYP_EENGINE (the device cannot be started, or refuses memory). ggml aborts the process when the
 * server goes away meanwhile. */
HYP_NODISCARD int hyp_remote_measure(struct ggml_backend_device *dev, hyp_device *ret, hyp_err *err);
