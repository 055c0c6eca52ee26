/* policy_heap.c - the reference kinds: LRU and (undecayed) LFU, an indexed binary heap over the evictable units. */
#include "pager/policy_priv.h"

#include "base/mem.h"

typedef struct rank {
    uint64_t uses; /* LFU; 0 under LRU */
    uint64_t last; /* touch number */
} rank;

typedef struct heap_state {
    bool count_uses;
    uint64_t clock, visit_clock; /* visit_clock: as the current layer was entered */
    rank *ranks;                 /* of every unit, resident or not */
    uint32_t *heap;              /* evictable units, the lowest rank first */
    uint32_t *position;          /* of a unit in the heap, plus 1; 0 when absent */
    uint32_t n_heap;
} heap_state;

static bool below(const heap_state *s, uint32_t a, uint32_t b) {
    const rank *x = &s->ranks[a], *y = &s->ranks[b];
    return x->uses != y->uses ? x->uses < y->uses : x->last < y->last;
}

static void put(heap_state *s, uint32_t at, uint32_t unit) {
    s->heap[at] = unit;
    s->position[unit] = at + 1;
}

static void sift(heap_state *s, uint32_t at) {
    uint32_t unit = s->heap[at];
    for (; at > 0 && below(s, unit, s->heap[(at - 1) / 2]); at = (at - 1) / 2)
        put(s, at, s->heap[(at - 1) / 2]);
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= s->n_heap) break;
        if (child + 1 < s->n_heap && below(s, s->heap[child + 1], s->heap[child])) child++;
        if (!below(s, s->heap[child], unit)) break;
        put(s, at, s->heap[child]);
        at = child;
    }
    put(s, at, unit);
}

static void heap_free(void *state) {
    heap_state *s = state;
    if (s == NULL) return;
    free(s->ranks);
    free(s->heap);
    free(s->position);
    free(s);
}

static void *heap_new(size_t n, bool count_uses) {
    heap_state *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->count_uses = count_uses;
    s->ranks = calloc(n + 1, sizeof *s->ranks);
    s->heap = calloc(n + 1, sizeof *s->heap);
    s->position = calloc(n + 1, sizeof *s->position);
    if (s->ranks != NULL && s->heap != NULL && s->position != NULL) return s;
    heap_free(s);
    return NULL;
}

static void *lru_new(const hyp_policy_unit *units, size_t n, uint32_t n_layers) {
    (void)units, (void)n_layers;
    return heap_new(n, false);
}

static void *lfu_new(const hyp_policy_unit *units, size_t n, uint32_t n_layers) {
    (void)units, (void)n_layers;
    return heap_new(n, true);
}

static void heap_enter_layer(void *state, uint32_t layer) {
    heap_state *s = state;
    (void)layer;
    s->visit_clock = s->clock;
}

static void heap_touch(void *state, uint32_t unit, uint32_t n_tokens) {
    heap_state *s = state;
    s->ranks[unit].last = ++s->clock;
    if (s->count_uses) s->ranks[unit].uses += n_tokens;
    if (s->position[unit] > 0) sift(s, s->position[unit] - 1);
}

static void heap_arrived(void *state, uint32_t unit) {
    heap_state *s = state;
    if (s->ranks[unit].last > s->visit_clock) return; /* demanded, and so touched already */
    /* Prefetched: as if used now, or it would be the oldest and leave again before its layer comes. */
    s->ranks[unit].last = ++s->clock;
}

static void heap_set_evictable(void *state, uint32_t unit, bool evictable) {
    heap_state *s = state;
    if (evictable) {
        put(s, s->n_heap++, unit);
        sift(s, s->n_heap - 1);
        return;
    }
    uint32_t at = s->position[unit] - 1, last = s->heap[--s->n_heap];
    s->position[unit] = 0;
    if (last == unit) return;
    put(s, at, last);
    sift(s, at);
}

static void heap_prime(void *state, uint32_t unit, float weight) {
    heap_state *s = state;
    if (!s->count_uses) return;
    s->ranks[unit].uses = (uint64_t)(100 * HYP_MIN(weight, 1e9f));
    if (s->position[unit] > 0) sift(s, s->position[unit] - 1);
}

static uint32_t heap_victim(void *state) {
    const heap_state *s = state;
    return s->n_heap > 0 ? s->heap[0] : UINT32_MAX;
}

static bool heap_worth(const void *state, uint32_t unit, uint32_t victim) {
    const heap_state *s = state;
    return !s->count_uses || s->ranks[unit].uses >= s->ranks[victim].uses;
}

#define HEAP_OPS(name, new)                                                                                            \
    {                                                                                                                  \
        name, new, heap_free, heap_enter_layer, heap_touch, heap_arrived, heap_set_evictable, heap_prime, heap_victim, \
            heap_worth                                                                                                 \
    }

const policy_ops hyp_policy_lru_ops = HEAP_OPS("lru", lru_new);
const policy_ops hyp_policy_lfu_ops = HEAP_OPS("lfu", lfu_new);
