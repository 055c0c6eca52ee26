#include "io/balance_priv.h"

#include "base/mem.h"

#include <math.h>

/* History halves over so many seconds of reading (two reads of a disk of 10 MB/s), and of standing idle. By time and
 * not by bytes, so that what arrives together is weighed together. */
static const double half_life_busy_s = 0.2, half_life_idle_s = 5;

/* Before its rate is known, a source gets no more than this at once: it may be a hundred times slower than the other.
 */
enum { UNKNOWN_OUTSTANDING = 2 };

/* A source that is never chosen is tried again when it has been idle for so many times what a read would take. */
enum { PROBE_SHARE = 64 };

static const double curiosity = 1.1;

/* No source is known yet: any rate, so long as it is the same for all. */
static const double guess_bytes_per_s = 1e9;

double hyp_balance_rate(const hyp_balance *b, uint32_t source) {
    const hyp_balance_source *s = &b->sources[source];
    return s->seconds > 0 ? s->bytes / s->seconds : 0;
}

double hyp_balance_expected_s(const hyp_balance *b, uint32_t source) {
    double rate = hyp_balance_rate(b, source);
    return rate > 0 ? (double)b->sources[source].outstanding_bytes / rate : 0;
}

/* An unknown source is taken to be a little faster than the best that is known, so that it is tried. */
static double expected_rate(const hyp_balance *b, uint32_t source) {
    double rate = hyp_balance_rate(b, source), best = 0;
    if (rate > 0) return rate;
    for (uint32_t i = 0; i < HYP_IO_MAX_SOURCES; i++)
        best = HYP_MAX(best, hyp_balance_rate(b, i));
    return best > 0 ? curiosity * best : guess_bytes_per_s;
}

static double finish_s(const hyp_balance *b, uint32_t source, uint64_t bytes) {
    return (double)(b->sources[source].outstanding_bytes + bytes) / expected_rate(b, source);
}

static bool is_held_back(const hyp_balance *b, uint32_t source) {
    return hyp_balance_rate(b, source) <= 0 && b->sources[source].n_outstanding >= UNKNOWN_OUTSTANDING;
}

static bool wants_probe(const hyp_balance *b, uint32_t source, uint64_t bytes, double now_s) {
    const hyp_balance_source *s = &b->sources[source];
    return s->n_outstanding == 0 && hyp_balance_rate(b, source) > 0 &&
           now_s - s->last_s > PROBE_SHARE * finish_s(b, source, bytes);
}

/* Those of `candidates` for which `fails` does not hold, or all of them when that leaves none. */
static uint32_t without(const hyp_balance *b, uint32_t candidates, bool (*fails)(const hyp_balance *, uint32_t)) {
    uint32_t left = 0;
    for (uint32_t i = 0; i < HYP_IO_MAX_SOURCES; i++)
        if ((candidates >> i & 1) != 0 && !fails(b, i)) left |= 1u << i;
    return left != 0 ? left : candidates;
}

static bool is_dropped(const hyp_balance *b, uint32_t source) {
    return b->sources[source].dropped;
}

uint32_t hyp_balance_choose(const hyp_balance *b, uint32_t candidates, uint64_t bytes, double now_s) {
    candidates = without(b, candidates, is_dropped);
    if ((candidates & (candidates - 1)) != 0) candidates = without(b, candidates, is_held_back);
    uint32_t best = HYP_IO_MAX_SOURCES;
    for (uint32_t i = 0; i < HYP_IO_MAX_SOURCES; i++) {
        if ((candidates >> i & 1) == 0) continue;
        if (best == HYP_IO_MAX_SOURCES || finish_s(b, i, bytes) < finish_s(b, best, bytes)) best = i;
    }
    for (uint32_t i = 0; i < HYP_IO_MAX_SOURCES; i++)
        if ((candidates >> i & 1) != 0 && i != best && wants_probe(b, i, bytes, now_s)) return i;
    return best;
}

void hyp_balance_start(hyp_balance *b, uint32_t source, uint64_t bytes, double now_s) {
    hyp_balance_source *s = &b->sources[source];
    if (s->n_outstanding++ == 0) s->busy_from_s = now_s;
    s->outstanding_bytes += bytes;
}

void hyp_balance_end(hyp_balance *b, uint32_t source, uint64_t bytes, uint64_t read_bytes, double now_s) {
    hyp_balance_source *s = &b->sources[source];
    s->n_outstanding--;
    s->outstanding_bytes -= bytes;
    if (read_bytes > 0) {
        double busy_s = HYP_MAX(now_s - s->busy_from_s, 0.0), idle_s = HYP_MAX(s->busy_from_s - s->last_s, 0.0);
        double keep = exp2(-busy_s / half_life_busy_s - idle_s / half_life_idle_s);
        s->bytes = s->bytes * keep + (double)read_bytes;
        s->seconds = s->seconds * keep + busy_s;
        s->total_bytes += read_bytes;
        s->last_s = now_s;
    }
    s->busy_from_s = now_s; /* with reads still outstanding the disk is busy without a gap: the next span begins here */
}
