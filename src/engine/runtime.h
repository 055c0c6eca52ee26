/* runtime.h - the process-wide part of libllama: its backends and its log. */
#pragma once
#include "base/err.h"
#include "engine/context_memory.h"

/* Load ggml's backends and route libllama's log here; once a process, later calls return at once. Thread-safe.
 * Errors: HYP_EENGINE (no CPU backend was found). */
HYP_NODISCARD int hyp_runtime_start(hyp_err *err);

/* Forget, or fetch, the last error line that libllama logged ("" when none). Fetching copies into `buf`. Thread-safe.
 */
void hyp_runtime_clear_error(void);
void hyp_runtime_last_error(char *buf, size_t size);

/* Forget, or fetch, what libllama's log told of a context's memory since. Thread-safe; one context at a time can be
 * watched in a process. */
void hyp_runtime_clear_context_memory(void);
hyp_context_memory hyp_runtime_context_memory(void);
