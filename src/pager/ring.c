/* ring.c - see ring.h. */
#include "pager/ring.h"

#include "pager/pager_priv.h"

#include <string.h>

/* --- what to pin --- */

void hyp_ring_spread(uint32_t n, uint32_t n_pinned, bool *ret_pinned) {
    uint64_t streamed = n - HYP_MIN(n_pinned, n);
    for (uint64_t i = 0; i < n; i++)
        ret_pinned[i] = (i + 1) * streamed / n == i * streamed / n;
}

/* The bytes that pinning as `pinned` says takes, with `n_slots` for the rest. */
static uint64_t needed(const uint64_t *bytes, uint32_t n, const bool *pinned, uint32_t n_slots) {
    uint64_t sum = 0, largest = 0;
    uint32_t streamed = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (pinned[i]) {
            sum += bytes[i];
            continue;
        }
        streamed++;
        largest = HYP_MAX(largest, bytes[i]);
    }
    return sum + largest * HYP_MIN(n_slots, streamed);
}

bool hyp_ring_fit(const uint64_t *bytes, uint32_t n, uint64_t budget, uint32_t n_slots, bool *ret_pinned,
                  uint32_t *ret_n_pinned) {
    for (uint32_t k = n; k > 0; k--) {
        hyp_ring_spread(n, k, ret_pinned);
        *ret_n_pinned = k;
        if (needed(bytes, n, ret_pinned, n_slots) <= budget) return true;
    }
    memset(ret_pinned, 0, n * sizeof *ret_pinned);
    *ret_n_pinned = 0;
    return needed(bytes, n, ret_pinned, 1) <= budget;
}

/* --- the window --- */

uint32_t hyp_ring_enter(hyp_ring_window *w, uint32_t at) {
    uint32_t ahead = (at + w->n - w->head) % w->n;
    uint32_t give_up = w->held; /* a jump to what is not held */
    if (w->held == w->n)
        give_up = 0;
    else if (ahead < w->held)
        give_up = ahead;
    w->head = at;
    w->held = HYP_MAX(w->held - give_up, 1u);
    return give_up;
}

/* --- driving the pager --- */

struct hyp_ring {
    hyp_pager *pager;
    hyp_ring_window window;
    bool partly;      /* the place after the window holds some of its parts */
    bool entered;     /* the head is demanded */
    uint32_t units[]; /* by place */
};

int hyp_ring_new(hyp_pager *pager, const uint32_t *units, uint32_t n, hyp_ring **ret, hyp_err *err) {
    if (n == 0) return hyp_err_set(err, HYP_EINVAL, "nothing to stream");
    for (uint32_t i = 0; i < n; i++)
        if (units[i] >= pager->n_units || pager->units[units[i]].always)
            return hyp_err_set(err, HYP_EINVAL, "unit %u cannot be streamed", units[i]);
    hyp_ring *ring = calloc(1, sizeof *ring + n * sizeof *units);
    if (ring == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the ring");
    ring->pager = pager;
    ring->window.n = n;
    memcpy(ring->units, units, n * sizeof *units);
    *ret = ring;
    return HYP_OK;
}

void hyp_ring_free(hyp_ring *ring) {
    free(ring);
}

/* Read ahead into every free frame. */
static void fill(hyp_ring *ring) {
    hyp_ring_window *w = &ring->window;
    while (w->held < w->n) {
        uint32_t u = ring->units[(w->head + w->held) % w->n];
        uint8_t all = (uint8_t)((1u << ring->pager->units[u].n_extents) - 1);
        uint8_t mask = hyp_pager_prefetch_free(ring->pager, u, all);
        ring->partly = mask != 0 && mask != all;
        if (mask != all) return;
        w->held++;
    }
    ring->partly = false;
}

void hyp_ring_start(hyp_ring *ring) {
    fill(ring);
}

int hyp_ring_step(hyp_ring *ring, uint32_t at, uint32_t n_tokens, hyp_err *err) {
    hyp_ring_window *w = &ring->window;
    const uint32_t n = w->n;
    if (n == 0 || at >= n) return hyp_err_set(err, HYP_EINVAL, "no place %u in the ring", at);
    hyp_pager *p = ring->pager;
    uint32_t old = w->head;
    if (ring->entered) hyp_pager_release(p, &ring->units[old], 1);
    /* The place after the window may hold some parts: they go with the rest when the computation jumps. */
    uint32_t held = w->held + (ring->partly ? 1 : 0);
    bool jump = (at + n - old) % n >= held;
    uint32_t give_up = hyp_ring_enter(w, at);
    if (jump) give_up = held;
    /* Released, then dropped, then demanded, then read ahead: a pinned unit cannot be dropped, the demand takes the
     * frames that come free, and only what it leaves is for the units to come. */
    for (uint32_t place = old; give_up > 0; give_up--) {
        if (place != at) hyp_pager_drop(p, ring->units[place]);
        place = place + 1 < n ? place + 1 : 0;
    }
    if (jump || at + 1 == old + held || at + 1 + n == old + held) ring->partly = false; /* gone, or now the head */
    uint32_t u = ring->units[at];
    int r = hyp_pager_demand(p, p->units[u].layer, &u, &n_tokens, 1, err);
    ring->entered = r == HYP_OK;
    if (r == HYP_OK) fill(ring);
    return r;
}

void hyp_ring_pass(hyp_ring *ring, uint8_t part_mask) {
    if (!ring->entered) return;
    /* With the whole cycle in memory there is nothing to make room for. */
    if (ring->window.held < ring->window.n)
        hyp_pager_drop_parts(ring->pager, ring->units[ring->window.head], part_mask);
    hyp_pager_poll(ring->pager);
    fill(ring);
}

uint32_t hyp_ring_held(const hyp_ring *ring) {
    return ring->window.held + (ring->partly ? 1 : 0);
}
