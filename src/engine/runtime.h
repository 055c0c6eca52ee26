/* runtime.h - the process-wide part of libllama: its backends and its log. */
#pragma once
#include "base/err.h"

/* Load ggml's backends and route libllama's log here; once a process, later calls return at once. Thread-safe.
 * Errors: HYP_EENGINE (no CPU backend was found). */
HYP_NODISCARD int hyp_runtime_start(hyp_err *err);

/* Forget, or fetch, the last error line that libllama logged ("" when none). Fetching copies into `buf`. Thread-safe.
 */
void hyp_runtime_clear_error(void);
void hyp_runtime_last_error(char *buf, size_t size);

/* What libllama allocated on the host since, by its own log: for KV cache, recurrent state, outputs and computing. 0
 * when it said nothing. Thread-safe. */
void hyp_runtime_clear_host_buffers(void);
uint64_t hyp_runtime_host_buffers(void);
