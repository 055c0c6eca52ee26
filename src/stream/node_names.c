#include "stream/node_names_priv.h"

#include <stdlib.h>

static uint64_t hash_of(const char *name) {
    uint64_t hash = 1469598103934665603u; /* 64-bit FNV-1a */
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    return hash != 0 ? hash : 1; /* 0 marks an empty slot */
}

static struct hyp_names_slot *find(const hyp_names *names, uint64_t hash) {
    /* Ends, since at least half of the slots are empty. */
    for (uint32_t i = (uint32_t)hash & (names->n_slots - 1);; i = (i + 1) & (names->n_slots - 1))
        if (names->slots[i].hash == 0 || names->slots[i].hash == hash) return &names->slots[i];
}

static bool grow(hyp_names *names) {
    hyp_names bigger = {.n_slots = names->n_slots == 0 ? 64 : names->n_slots * 2, .n_used = names->n_used};
    bigger.slots = calloc(bigger.n_slots, sizeof *bigger.slots);
    if (bigger.slots == NULL) return false;
    for (uint32_t i = 0; i < names->n_slots; i++)
        if (names->slots[i].hash != 0) *find(&bigger, names->slots[i].hash) = names->slots[i];
    free(names->slots);
    *names = bigger;
    return true;
}

bool hyp_names_put(hyp_names *names, const char *name, uint32_t value) {
    if (2 * (names->n_used + 1) > names->n_slots && !grow(names)) return false;
    uint64_t hash = hash_of(name);
    struct hyp_names_slot *slot = find(names, hash);
    names->n_used += slot->hash == 0;
    *slot = (struct hyp_names_slot){hash, value};
    return true;
}

uint32_t hyp_names_get(const hyp_names *names, const char *name) {
    if (names->n_used == 0) return HYP_NAMES_NONE;
    const struct hyp_names_slot *slot = find(names, hash_of(name));
    return slot->hash != 0 ? slot->value : HYP_NAMES_NONE;
}

void hyp_names_free(hyp_names *names) {
    free(names->slots);
    *names = (hyp_names){0};
}
