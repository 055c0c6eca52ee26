/* rpc.h - other machines that run ggml's RPC server: reached, registered, measured.
 *
 * ggml's client aborts the process when a server goes away. A program that uses one therefore probes the address first
 * and runs what can die in a child (hyp_rpc_record_abort() tells the parent why). The protocol knows no passwords and
 * no encryption: it belongs on a private network. */
#pragma once
#include "base/err.h"

typedef struct hyp_device hyp_device; /* hw/hardware.h */

/* Can a TCP connection to `address` ("host:port") be made within `timeout_s`? Thread-safe.
 * Errors: HYP_EINVAL (not an address), HYP_ENOTFOUND (the name is unknown, nobody listens, no answer). */
HYP_NODISCARD int hyp_rpc_probe(const char *address, double timeout_s, hyp_err *err);

/* Make the devices of the server at `address` known to ggml and describe them: at most `max` go to `ret`, their number
 * to
 * `*ret_n`. A server that is already known is probed again; its rates are measured once a process. One thread at a
 * time, after hyp_runtime_start(). Errors: those of the probe, HYP_EUNSUPPORTED (ggml has no RPC backend here),
 * HYP_EENGINE (what listens there is no RPC server of this version). */
HYP_NODISCARD int hyp_rpc_add(const char *address, hyp_device *ret, size_t max, size_t *ret_n, hyp_err *err);

/* Called in the dying thread when ggml aborts the process, after the reason was recorded; then the process dies. */
typedef void (*hyp_rpc_last_act)(const char *reason, void *user);
void hyp_rpc_before_death(hyp_rpc_last_act act, void *user);

/* From now on, write the reason into `text` (shared with the parent process, `size` bytes) when ggml aborts this
 * process, instead of printing it with a back trace. */
void hyp_rpc_record_abort(char *text, size_t size);
