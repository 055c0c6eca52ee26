/* belady_priv.h - private to replay.c: the oracle, with the calls of policy.h that replay needs. */
#pragma once
#include "base/err.h"

typedef struct belady belady;

/* `next_use[unit]` is read at every call and kept by the caller: the visit in which the unit is used next. */
belady *belady_new(const uint32_t *next_use, size_t n);
void belady_free(belady *b);
/* After an allocation has failed, further calls do nothing and belady_failed() returns true. */
void belady_set_evictable(belady *b, uint32_t unit, bool evictable);
uint32_t belady_victim(belady *b);
bool belady_failed(const belady *b);
