/* state.c - the state of spans, the pins of units, what is reported to the policy of both, and finished reads. */
#include "pager/pager_priv.h"

#include "base/log.h"
#include "io/io.h"
#include "pager/policy.h"

#include <assert.h>

/* The policy sees a unit as resident while any part of it holds a frame, and may name it as a victim once no read into
 * its frames is under way: the io layer writes there until the read is reaped. */
static void update_policy(hyp_pager *p, uint32_t u) {
    const pager_unit *unit = &p->units[u];
    hyp_policy_set_pinned(p->policy, u, unit->pinned || unit->n_reading > 0 || unit->stuck);
    hyp_policy_set_resident(p->policy, u, unit->n_held > 0);
}

static void enter_reading(hyp_pager *p, uint32_t s) {
    pager_unit *u = &p->units[p->spans[s].unit];
    p->spans[s].reading_at = (uint32_t)p->n_reading;
    p->reading[p->n_reading++] = s;
    u->n_reading++;
    u->n_held++;
    p->n_away[u->layer]--;
    p->n_held++;
    if (!u->pinned) p->n_reading_loose++;
}

static void leave_reading(hyp_pager *p, uint32_t s) {
    pager_unit *u = &p->units[p->spans[s].unit];
    /* The list has no order: the last one moves into the gap, so that leaving costs the same however many are read. */
    uint32_t at = p->spans[s].reading_at, moved = p->reading[--p->n_reading];
    p->reading[at] = moved;
    p->spans[moved].reading_at = at;
    u->n_reading--;
    if (!u->pinned) p->n_reading_loose--;
}

static void leave_frame(hyp_pager *p, uint32_t s) {
    pager_span *span = &p->spans[s];
    hyp_frames_give(&p->frames, span->cls, span->frame);
    p->units[span->unit].n_held--;
    p->n_away[p->units[span->unit].layer]++;
    p->n_held--;
    /* Still a guess: it leaves without ever having been demanded. */
    if (span->guessed) p->stats.prefetch_wasted_bytes += span->file_bytes;
    span->guessed = span->doomed = false;
}

void hyp_span_list_arrived(hyp_pager *p, uint32_t s) {
    if (p->spans[s].in_arrived) return;
    p->spans[s].in_arrived = true;
    p->arrived[p->n_arrived++] = s;
}

const char *hyp_span_state_name(span_state state) {
    static const char *const names[] = {"on disk", "reading", "arrived", "resident"};
    return names[state];
}

void hyp_span_set_state(hyp_pager *p, uint32_t s, span_state state) {
    pager_span *span = &p->spans[s];
    span_state old = span->state;
    /* One step forward, or back to disk from any state: nothing is shown that was not read, nothing read without a
     * frame. */
    assert(state == SPAN_ON_DISK ? old != SPAN_ON_DISK : state == (unsigned)old + 1);
    span->state = (uint8_t)state;
    HYP_LOG(PAGER, TRACE, "span %u of unit %d: %s -> %s", s, span->unit == NONE ? -1 : (int)span->unit,
            hyp_span_state_name(old), hyp_span_state_name(state));
    if (span->unit == NONE) return; /* an `always` run keeps its frame */
    if (state == SPAN_ON_DISK && old != SPAN_READING) p->stats.evicted_bytes += span->file_bytes;
    if (old == SPAN_READING) leave_reading(p, s);
    if (state == SPAN_READING) enter_reading(p, s);
    if (state == SPAN_ON_DISK) leave_frame(p, s);
    if (state == SPAN_ARRIVED && p->units[span->unit].pinned) hyp_span_list_arrived(p, s);
    /* Last, for the policy may be asked for a victim next: it must know the counts as they are after the change. */
    update_policy(p, span->unit);
}

void hyp_unit_set_pinned(hyp_pager *p, uint32_t index, bool pinned) {
    pager_unit *u = &p->units[index];
    if (u->pinned == pinned) return;
    u->pinned = pinned;
    if (pinned) {
        u->pinned_at = (uint32_t)p->n_pinned;
        p->pinned[p->n_pinned++] = index;
        p->n_reading_loose -= u->n_reading;
    } else {
        uint32_t moved = p->pinned[--p->n_pinned];
        p->pinned[u->pinned_at] = moved;
        p->units[moved].pinned_at = u->pinned_at;
        p->n_reading_loose += u->n_reading;
    }
    if (!u->always) update_policy(p, index);
}

void hyp_unit_set_stuck(hyp_pager *p, uint32_t u, bool stuck) {
    p->units[u].stuck = stuck;
    update_policy(p, u);
}

void hyp_span_forget_failure(hyp_pager *p, uint32_t s) {
    if (!p->spans[s].failed) return;
    p->spans[s].failed = false;
    p->n_failed--;
}

void hyp_read_start(hyp_pager *p, uint32_t s, hyp_io_class cls) {
    pager_span *span = &p->spans[s];
    hyp_io_request *request = &p->requests[s];
    /* The span is on disk, so no read of it is under way, and its request is free to be filled anew. */
    *request = (hyp_io_request){.file = span->file,
                                .offset = span->first * p->page,
                                .bytes = span_bytes(p, span),
                                .buf = p->arena.view + span->frame,
                                .cls = cls};
    hyp_packed_aim(p, s, request);
    span->guessed = cls == HYP_IO_PREFETCH;
    span->doomed = false;
    hyp_span_forget_failure(p, s);
    if (span->guessed) p->stats.prefetch_issued_bytes += span->file_bytes;
    hyp_span_set_state(p, s, SPAN_READING);
    hyp_packed_submit(p, s);
}

/* The packed file failed: the same pages out of the model's own. */
static void read_original(hyp_pager *p, uint32_t s, hyp_io_request *request) {
    pager_span *span = &p->spans[s];
    span->from_packed = false;
    request->file = span->file;
    request->offset = span->first * p->page;
    hyp_io_submit(p->io, request);
}

static void read_failed(hyp_pager *p, uint32_t s, hyp_io_request *request) {
    pager_span *span = &p->spans[s];
    bool wanted = p->units[span->unit].pinned && !span->doomed;
    if (wanted && (request->cls == HYP_IO_PREFETCH || request->result == HYP_ECANCELED)) {
        /* It was only advice when it was sent or called off; since then it was demanded, and a token waits for it. A
         * demand's read fails for good only when a demand's read failed. */
        request->cls = HYP_IO_DEMAND;
        hyp_io_submit(p->io, request);
        return;
    }
    if (request->result == HYP_ECANCELED && span->guessed) { /* never read: as if it had not been issued */
        span->guessed = false;
        p->stats.prefetch_issued_bytes -= span->file_bytes;
    }
    hyp_span_set_state(p, s, SPAN_ON_DISK);
    if (!wanted) return;
    span->failed = true;
    p->n_failed++;
}

static void read_done(hyp_pager *p, hyp_io_request *request) {
    uint32_t s = (uint32_t)(request - p->requests);
    pager_span *span = &p->spans[s];
    assert(span->state == SPAN_READING);
    /* A cancelled read says nothing about the copy. What is doomed is not read again: nobody wants the bytes. */
    if (span->from_packed && request->result != HYP_ECANCELED && !hyp_packed_check(p, s, request) && !span->doomed)
        read_original(p, s, request);
    else if (request->result != HYP_OK)
        read_failed(p, s, request);
    else
        hyp_span_set_state(p, s, span->doomed ? SPAN_ON_DISK : SPAN_ARRIVED);
}

bool hyp_reads_collect(hyp_pager *p, bool wait) {
    bool any = false;
    hyp_packed_flush(p); /* or the wait below might be for a request that was never submitted */
    for (;;) {
        hyp_io_request *request = hyp_io_reap(p->io, wait && !any);
        if (request == NULL) return any;
        any = true;
        read_done(p, request);
    }
}
