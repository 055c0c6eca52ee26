/* belady.c - a heap by the visit of next use, the farthest on top. A unit's use changes its key only while it is
 * pinned, so entries are never moved: what became stale (no longer evictable, or put in again) is dropped when it comes
 * to the top. */
#include "bench/belady_priv.h"

#include "base/mem.h"

typedef struct entry {
    uint32_t next_use, unit;
} entry;

struct belady {
    const uint32_t *next_use;
    bool *evictable;
    entry *heap;
    size_t n, room;
    bool failed;
};

belady *hyp_belady_new(const uint32_t *next_use, size_t n) {
    belady *b = calloc(1, sizeof *b);
    if (b == NULL) return NULL;
    b->next_use = next_use;
    b->evictable = calloc(n + 1, sizeof *b->evictable);
    if (b->evictable != NULL) return b;
    free(b);
    return NULL;
}

void hyp_belady_free(belady *b) {
    if (b == NULL) return;
    free(b->evictable);
    free(b->heap);
    free(b);
}

bool hyp_belady_failed(const belady *b) {
    return b->failed;
}

static void push(belady *b, entry e) {
    if (b->n == b->room) {
        size_t room = HYP_MAX(2 * b->room, 1024);
        entry *heap = hyp_realloc_array(b->heap, room, sizeof *heap);
        if (heap == NULL) {
            b->failed = true;
            return;
        }
        b->heap = heap;
        b->room = room;
    }
    size_t at = b->n++;
    for (; at > 0 && b->heap[(at - 1) / 2].next_use < e.next_use; at = (at - 1) / 2)
        b->heap[at] = b->heap[(at - 1) / 2];
    b->heap[at] = e;
}

static void pop(belady *b) {
    entry last = b->heap[--b->n];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < b->n; at = child) {
        if (child + 1 < b->n && b->heap[child + 1].next_use > b->heap[child].next_use) child++;
        if (b->heap[child].next_use <= last.next_use) break;
        b->heap[at] = b->heap[child];
    }
    if (b->n > 0) b->heap[at] = last;
}

void hyp_belady_set_evictable(belady *b, uint32_t unit, bool evictable) {
    b->evictable[unit] = evictable;
    if (evictable) push(b, (entry){b->next_use[unit], unit});
}

uint32_t hyp_belady_victim(belady *b) {
    while (b->n > 0) {
        entry top = b->heap[0];
        if (b->evictable[top.unit] && b->next_use[top.unit] == top.next_use) return top.unit;
        pop(b);
    }
    return UINT32_MAX;
}
