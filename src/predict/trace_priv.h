/* trace_priv.h - private to trace_*.c: the file's constants. */
#pragma once
#include "predict/trace.h"
#include "predict/wire_priv.h"

#define TRACE_MAGIC "HYPTRACE"
enum {
    TRACE_VERSION = 1,
    TRACE_MAX_LAYERS = 4096,
    TRACE_MAX_EXPERTS = 65535,
    TRACE_MAX_TOKENS = 1 << 20,
    TRACE_TAG_PASS = 'P',
    TRACE_TAG_VISIT = 'V',
    TRACE_TAG_END = 'E',
};
#define TRACE_MAX_BYTES (UINT64_C(1) << 44)
#define TRACE_MAX_FILE ((size_t)256 << 20)
