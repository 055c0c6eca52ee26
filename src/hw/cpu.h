/* cpu.h - the processor: what it is called, how many cores this process may use, what it can do. */
#pragma once
#include "base/err.h"

typedef struct hyp_cpu {
    char name[96];
    uint32_t logical;     /* processors this process may run on (affinity, and a control group's quota, rounded up) */
    uint32_t cores;       /* distinct physical cores among them: the number of compute threads to use */
    char isa[160];        /* instruction sets that matter to ggml, separated by blanks */
    uint64_t cache_bytes; /* the last level of cache that the first processor sees; 0: unknown */
} hyp_cpu;

/* Ask the system. Thread-safe, well under a millisecond; what is unknown is left empty or counted as one core. */
void hyp_cpu_probe(hyp_cpu *ret);

/* The same over a copy of /proc and /sys; affinity is the system's. For tests; only in the Linux build. */
void hyp_cpu_probe_at(const char *root, hyp_cpu *ret);
