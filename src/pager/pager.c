/* pager.c - the operations: demand, wait, release, drop, prefetch. */
#include "pager/pager_priv.h"

#include "base/log.h"
#include "base/text.h"
#include "io/io.h"
#include "pager/policy.h"

#include <assert.h>

/* --- frames for spans --- */

typedef enum take_mode {
    TAKE_FREE,  /* evict nothing */
    TAKE_WORTH, /* evict what the policy finds worth less than the unit */
    TAKE_ANY,   /* evict what the policy names */
} take_mode;

/* Evict every part of `u` that is not being read. False when nothing came free. */
static bool evict_unit(hyp_pager *p, uint32_t u) {
    bool any = false;
    for (uint32_t part = 0; part < p->units[u].n_extents; part++) {
        uint32_t s = unit_span(p, &p->units[u], part);
        pager_span *span = &p->spans[s];
        if (span->state == SPAN_ARRIVED) {
            hyp_span_set_state(p, s, SPAN_ON_DISK);
            any = true;
        } else if (span->state == SPAN_RESIDENT) {
            bool gone = hyp_span_unmap(p, s);
            any = any || gone;
            if (!gone) hyp_unit_set_stuck(p, u, true);
        }
    }
    return any;
}

static bool take_frame(hyp_pager *p, uint32_t s, take_mode mode) {
    pager_span *span = &p->spans[s];
    /* Each round takes a frame, evicts a unit, or marks one as stuck, which the policy does not name again: it ends. A
     * victim of another class helps too, for hyp_frames_take() punches free frames of other classes. */
    for (;;) {
        if (p->n_held < p->max_held && hyp_frames_take(&p->frames, span->cls, &span->frame)) return true;
        if (mode == TAKE_FREE) return false;
        uint32_t victim = hyp_policy_victim(p->policy);
        if (victim == UINT32_MAX) return false;
        if (mode == TAKE_WORTH && !hyp_policy_worth(p->policy, span->unit, victim)) return false;
        HYP_LOG(PAGER, DEBUG, "unit %u is evicted for unit %u", victim, span->unit);
        if (!evict_unit(p, victim) && !p->units[victim].stuck) return false;
    }
}

static void starve(hyp_pager *p, uint32_t s) {
    pager_span *span = &p->spans[s];
    span->starved = true;
    if (span->in_starved) return;
    span->in_starved = true;
    p->starved[p->n_starved++] = s;
}

/* Start what waits for a frame, as far as there are any, in the order of demand: the first that finds none stops all
 * behind it, or small parts would take, frame by frame, the room that a large one waits for. */
static void serve_starved(hyp_pager *p) {
    size_t kept = 0;
    bool full = false;
    for (size_t i = 0; i < p->n_starved; i++) {
        uint32_t s = p->starved[i];
        pager_span *span = &p->spans[s];
        bool wants = span->starved && span->state == SPAN_ON_DISK;
        if (wants && !full && take_frame(p, s, TAKE_ANY)) {
            hyp_read_start(p, s, HYP_IO_DEMAND);
            wants = false;
        }
        span->starved = span->in_starved = wants;
        full = full || wants;
        if (wants) p->starved[kept++] = s;
    }
    p->n_starved = kept;
    hyp_packed_flush(p);
}

/* --- failures --- */

static int report_failure(hyp_pager *p, uint32_t s, hyp_err *err) {
    hyp_span_forget_failure(p, s);
    return hyp_io_describe(p->io, &p->requests[s], err);
}

/* Report one failure and forget the others: they have one cause. */
static int report_any_failure(hyp_pager *p, hyp_err *err) {
    int r = HYP_OK;
    for (uint32_t s = 0; s < p->n_spans && p->n_failed > 0; s++) {
        if (p->spans[s].failed && r == HYP_OK) r = report_failure(p, s, err);
        hyp_span_forget_failure(p, s);
    }
    return r;
}

/* --- demand, wait, release --- */

static void count_demand(hyp_pager *p, const pager_unit *u) {
    p->stats.n_demands++;
    bool prefetched = false;
    for (uint32_t part = 0; part < u->n_extents; part++) {
        pager_span *s = &p->spans[unit_span(p, u, part)];
        bool here = s->state == SPAN_RESIDENT || s->state == SPAN_ARRIVED;
        if (u->always) { /* one span can hold several parts, or parts of several units */
            if (!here) {
                p->stats.miss_bytes += u->file_bytes;
                return;
            }
            continue;
        }
        *(here ? &p->stats.hit_bytes : &p->stats.miss_bytes) += s->file_bytes;
        if (!s->guessed) continue;
        s->guessed = false;
        p->stats.prefetch_used_bytes += s->file_bytes;
        prefetched = true;
    }
    if (u->always) p->stats.hit_bytes += u->file_bytes;
    p->stats.n_prefetch_hits += prefetched;
}

/* Make sure that a part of a pinned unit will be resident: read it, or put it in line for a frame. */
static void fetch(hyp_pager *p, uint32_t s) {
    pager_span *span = &p->spans[s];
    switch ((span_state)span->state) {
    case SPAN_ON_DISK:
        if (p->n_starved == 0 && take_frame(p, s, TAKE_ANY)) {
            hyp_read_start(p, s, HYP_IO_DEMAND);
        } else {
            /* The first to starve calls off the prefetches: their frames are the only ones that can still come free
             * while everything else is pinned. Whoever follows waits behind it. */
            if (p->n_starved == 0) hyp_pager_cancel_prefetches(p);
            starve(p, s);
        }
        break;
    case SPAN_READING:
        span->doomed = false;
        if (p->requests[s].cls == HYP_IO_PREFETCH) hyp_io_promote(p->io, &p->requests[s]);
        break;
    case SPAN_ARRIVED: hyp_span_list_arrived(p, s); break;
    case SPAN_RESIDENT: break;
    }
}

/* All first parts first, then all second ones: the first matrix is computed while the rest is read. */
static void fetch_parts(hyp_pager *p, const uint32_t *units, size_t n) {
    for (uint32_t part = 0; part < HYP_UNIT_MAX_EXTENTS; part++)
        for (size_t i = 0; i < n; i++) {
            const pager_unit *u = &p->units[units[i]];
            if (!u->always && part < u->n_extents) fetch(p, unit_span(p, u, part));
        }
}

/* Unit by unit, as they stand in the packed file. */
static void fetch_units(hyp_pager *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const pager_unit *u = &p->units[p->packed_order[i].unit];
        for (uint32_t part = 0; part < u->n_extents && !u->always; part++)
            fetch(p, unit_span(p, u, part));
    }
}

int hyp_pager_demand(hyp_pager *p, uint32_t layer, const uint32_t *units, const uint32_t *n_tokens, size_t n,
                     hyp_err *err) {
    if (layer >= p->n_layers) return hyp_err_set(err, HYP_EINVAL, "no streamed layer %u", layer);
    for (size_t i = 0; i < n; i++)
        if (units[i] >= p->n_units) return hyp_err_set(err, HYP_EINVAL, "no unit %u", units[i]);
    hyp_reads_collect(p, false);
    if (p->n_failed > 0) return report_any_failure(p, err);
    /* All are pinned and touched before any is fetched: fetching evicts, and must evict neither what this demand names
     * nor by a history that does not know of it yet. */
    p->epoch++;
    hyp_policy_enter_layer(p->policy, layer);
    for (size_t i = 0; i < n; i++) {
        pager_unit *u = &p->units[units[i]];
        if (u->epoch == p->epoch) continue; /* named twice */
        u->epoch = p->epoch;
        hyp_unit_set_pinned(p, units[i], true);
        if (!u->always) hyp_policy_touch(p->policy, units[i], n_tokens != NULL ? n_tokens[i] : 1);
        count_demand(p, u);
    }
    serve_starved(p);
    if (hyp_packed_sort(p, units, n))
        fetch_units(p, n);
    else
        fetch_parts(p, units, n);
    hyp_packed_flush(p);
    return HYP_OK;
}

/* Released since it arrived: it stays as it is, one mmap cheaper should nobody want it again. */
static void map_arrived(hyp_pager *p, bool populate) {
    while (p->n_arrived > 0) {
        uint32_t s = p->arrived[--p->n_arrived];
        p->spans[s].in_arrived = false;
        if (p->spans[s].state == SPAN_ARRIVED && p->units[p->spans[s].unit].pinned) hyp_span_map(p, s, populate);
    }
}

/* What keeps the parts of `u` in `mask` from being resident. */
typedef struct missing {
    bool reading, starved;
    uint32_t failed; /* a span, or NONE */
} missing;

static missing look(hyp_pager *p, const pager_unit *u, uint8_t mask) {
    missing m = {.failed = NONE};
    for (uint32_t part = 0; part < u->n_extents; part++) {
        if ((mask >> part & 1) == 0) continue;
        uint32_t s = unit_span(p, u, part);
        pager_span *span = &p->spans[s];
        if (span->state == SPAN_ARRIVED && span->unit != NONE) hyp_span_map(p, s, false);
        m.reading = m.reading || span->state == SPAN_READING;
        m.starved = m.starved || span->starved;
        if (span->failed) m.failed = s;
    }
    return m;
}

int hyp_pager_wait(hyp_pager *p, uint32_t index, uint8_t mask, hyp_err *err) {
    if (index >= p->n_units) return hyp_err_set(err, HYP_EINVAL, "no unit %u", index);
    const pager_unit *u = &p->units[index];
    double since = 0; /* no clock is read where nothing has to be waited for */
    int r = HYP_OK;
    for (bool any = hyp_reads_collect(p, false);;) {
        if (any || p->n_starved > 0) serve_starved(p);
        missing m = look(p, u, mask);
        if (m.failed != NONE) {
            r = report_failure(p, m.failed, err);
            break;
        }
        /* What starves can be served only by frames that prefetches hold, once these are through. */
        if (!m.reading && !(m.starved && p->n_reading_loose > 0)) break;
        if (since == 0) since = hyp_text_now_s();
        map_arrived(p, true); /* the processor has nothing better to do */
        any = hyp_reads_collect(p, true);
    }
    if (since != 0) p->stats.stall_s += hyp_text_now_s() - since;
    return r;
}

bool hyp_pager_ready(hyp_pager *p, uint32_t index, uint8_t mask) {
    if (index >= p->n_units) return false;
    hyp_reads_collect(p, false);
    serve_starved(p);
    const pager_unit *u = &p->units[index];
    look(p, u, mask);
    for (uint32_t part = 0; part < u->n_extents; part++)
        if ((mask >> part & 1) != 0 && p->spans[unit_span(p, u, part)].state != SPAN_RESIDENT) return false;
    return true;
}

void hyp_pager_poll(hyp_pager *p) {
    hyp_reads_collect(p, false);
    serve_starved(p);
    map_arrived(p, false);
}

static void release_one(hyp_pager *p, uint32_t index) {
    pager_unit *u = &p->units[index];
    if (!u->pinned) return;
    for (uint32_t part = 0; part < u->n_extents && !u->always; part++) {
        uint32_t s = unit_span(p, u, part);
        p->spans[s].starved = false;
        hyp_span_forget_failure(p, s);
    }
    hyp_unit_set_pinned(p, index, false);
    if (u->stuck) hyp_unit_set_stuck(p, index, false);
}

void hyp_pager_release(hyp_pager *p, const uint32_t *units, size_t n) {
    if (n == SIZE_MAX) {
        while (p->n_pinned > 0)
            release_one(p, p->pinned[p->n_pinned - 1]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (units[i] < p->n_units) release_one(p, units[i]);
}

/* --- giving frames back --- */

static void drop_span(hyp_pager *p, uint32_t s) {
    pager_span *span = &p->spans[s];
    span->starved = false;
    switch ((span_state)span->state) {
    case SPAN_ON_DISK: break;
    case SPAN_READING: /* the disk may be writing into the frame: it comes back when the read is reaped */
        span->doomed = true;
        hyp_io_cancel(p->io, &p->requests[s]);
        break;
    case SPAN_ARRIVED: hyp_span_set_state(p, s, SPAN_ON_DISK); break;
    case SPAN_RESIDENT: (void)hyp_span_unmap(p, s); break; /* refused: it stays, and the policy may try again */
    }
}

void hyp_pager_drop_parts(hyp_pager *p, uint32_t index, uint8_t mask) {
    if (index >= p->n_units || p->units[index].always) return;
    for (uint32_t part = 0; part < p->units[index].n_extents; part++)
        if ((mask >> part & 1) != 0) drop_span(p, unit_span(p, &p->units[index], part));
}

void hyp_pager_drop(hyp_pager *p, uint32_t index) {
    if (index < p->n_units && !p->units[index].pinned) hyp_pager_drop_parts(p, index, HYP_PART_ALL);
}

void hyp_pager_pass(hyp_pager *p, const uint32_t *units, size_t n, uint8_t mask) {
    for (size_t i = 0; i < n && p->n_starved > 0; i++) {
        if (units[i] >= p->n_units || p->units[units[i]].always) continue;
        const pager_unit *u = &p->units[units[i]];
        for (uint32_t part = 0; part < u->n_extents; part++) {
            uint32_t s = unit_span(p, u, part);
            if ((mask >> part & 1) == 0) continue;
            p->spans[s].starved = false; /* passed: it need not come any more */
            if (p->spans[s].state == SPAN_ARRIVED || p->spans[s].state == SPAN_RESIDENT) drop_span(p, s);
        }
        serve_starved(p);
    }
}

/* --- prefetch --- */

static bool prefetch_part(hyp_pager *p, uint32_t s, take_mode mode) {
    pager_span *span = &p->spans[s];
    if (span->state == SPAN_READING) span->doomed = false;
    if (span->state != SPAN_ON_DISK) return true;
    /* While a demand waits for a frame no guess gets one. */
    if (p->n_starved > 0 || !take_frame(p, s, mode)) return false;
    hyp_read_start(p, s, HYP_IO_PREFETCH);
    return true;
}

bool hyp_pager_prefetch(hyp_pager *p, uint32_t index) {
    if (index >= p->n_units) return false;
    const pager_unit *u = &p->units[index];
    bool any = u->always;
    for (uint32_t part = 0; part < u->n_extents && !u->always; part++)
        any = prefetch_part(p, unit_span(p, u, part), TAKE_WORTH) || any;
    hyp_packed_flush(p);
    return any;
}

uint8_t hyp_pager_prefetch_free(hyp_pager *p, uint32_t index, uint8_t mask) {
    if (index >= p->n_units) return 0;
    const pager_unit *u = &p->units[index];
    uint8_t held = 0;
    for (uint32_t part = 0; part < u->n_extents; part++)
        if ((mask >> part & 1) != 0 && (u->always || prefetch_part(p, unit_span(p, u, part), TAKE_FREE)))
            held |= (uint8_t)(1u << part);
    hyp_packed_flush(p);
    return held;
}

void hyp_pager_cancel_prefetches(hyp_pager *p) {
    if (p->n_reading_loose == 0) return;
    for (size_t i = 0; i < p->n_reading; i++) { /* cancelling reaps nothing, so the list holds still */
        uint32_t s = p->reading[i];
        if (!p->units[p->spans[s].unit].pinned) hyp_io_cancel(p->io, &p->requests[s]);
    }
}

void hyp_pager_prime(hyp_pager *p, uint32_t unit, float weight) {
    if (unit < p->n_units) hyp_policy_prime(p->policy, unit, weight);
}

/* --- asking --- */

double hyp_pager_stall_s(const hyp_pager *p) {
    return p->stats.stall_s;
}

size_t hyp_pager_n_reading(const hyp_pager *p) {
    return p->n_reading;
}

bool hyp_pager_layer_held(const hyp_pager *p, uint32_t layer) {
    return layer < p->n_layers && p->n_away[layer] == 0;
}

uint64_t hyp_pager_unit_bytes(const hyp_pager *p, uint32_t u) {
    if (u >= p->n_units) return 0;
    return p->units[u].frame_bytes;
}

void hyp_pager_get_stats(const hyp_pager *p, hyp_pager_stats *ret) {
    *ret = p->stats;
    ret->budget_bytes = p->budget_bytes;
    ret->cached_bytes = p->frames.taken_bytes;
    for (size_t i = 0; i < p->n_spans; i++)
        if (p->spans[i].unit == NONE && p->spans[i].state == SPAN_RESIDENT)
            ret->pinned_bytes += span_bytes(p, &p->spans[i]);
    hyp_io_get_stats(p->io, &ret->io);
}
