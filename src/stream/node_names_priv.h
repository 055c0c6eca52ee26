/* node_names_priv.h - a small set of node names with a number each: which nodes of a graph to stop at. Open addressing
 * over name hashes; it grows while graphs are learnt and then only answers. One owner. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { HYP_NAMES_NONE = UINT32_MAX };

typedef struct hyp_names {
    struct hyp_names_slot {
        uint64_t hash; /* 0: empty */
        uint32_t value;
    } * slots;
    uint32_t n_slots, n_used; /* n_slots is a power of two */
} hyp_names;

/* Remember `value` for `name`, replacing an earlier one. Returns false without memory. */
bool hyp_names_put(hyp_names *names, const char *name, uint32_t value);

/* The value of `name`, or HYP_NAMES_NONE. A collision of 64-bit hashes is possible and harmless: one stop too many. */
uint32_t hyp_names_get(const hyp_names *names, const char *name);
void hyp_names_free(hyp_names *names);
