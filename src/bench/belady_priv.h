/* belady_priv.h - private to replay.c: the oracle, with the calls of policy.h that replay needs. */
#pragma once
#include "base/err.h"

typedef struct belady belady;

/* `next_use[unit]` is read at every call and kept by the caller: the visit in which the unit is used next. */
belady *hyp_belady_new(const uint32_t *next_use, size_t n);
void hyp_belady_free(belady *b);
/* After an allocation has failed, further calls do nothing and hyp_belady_failed() returns true. */
void hyp_belady_set_evictable(belady *b, uint32_t unit, bool evictable);
uint32_t hyp_belady_victim(belady *b);
bool hyp_belady_failed(const belady *b);
