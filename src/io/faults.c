/* faults.c - reads that fail, stop short or are late on purpose, for tests. */
#include "base/mem.h"
#include "base/text.h"
#include "io/io_priv.h"

#include <errno.h>
#include <string.h>

/* splitmix64 (Steele, Lea, Flood 2014): a good scramble of a counter. */
static uint64_t scramble(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static bool due(uint64_t count, uint64_t every, uint64_t seed, uint64_t kind) {
    if (every == 0) return false;
    uint64_t phase = seed == 0 ? 0 : scramble(seed ^ kind) % every;
    return (count + phase) % every == 0;
}

void hyp_io_faults_set(hyp_io *io, const hyp_io_faults *faults) {
    for (; faults != NULL && io->n_rules < HYP_IO_MAX_RULES; faults = faults->next) {
        io->rules[io->n_rules].faults = *faults;
        io->rules[io->n_rules++].faults.next = NULL;
    }
}

/* A disk that serves one read after the other at its rate: how long until this one would be done? */
static uint32_t queue_us(hyp_io_fault_rule *rule, uint64_t bytes) {
    uint64_t now = (uint64_t)(hyp_text_now_s() * 1e9);
    uint64_t takes = (uint64_t)((double)bytes / (double)rule->faults.bytes_per_s * 1e9);
    uint64_t from = atomic_load(&rule->busy_until_ns), until;
    do {
        until = HYP_MAX(from, now) + takes;
    } while (!atomic_compare_exchange_weak(&rule->busy_until_ns, &from, until));
    return (uint32_t)HYP_MIN((until - now) / 1000, (uint64_t)UINT32_MAX);
}

static void apply_rule(hyp_io_fault_rule *rule, const hyp_io_piece *piece, hyp_io_fault *fault) {
    const hyp_io_faults *f = &rule->faults;
    if (f->only_class >= 0 && f->only_class != (int)piece->cls) return;
    if (f->sources != 0 && (f->sources >> piece->source & 1) == 0) return;
    uint64_t count = atomic_fetch_add(&rule->n_started, 1) + 1;
    bool dead = f->die_after > 0 && count >= f->die_after;
    fault->fail = fault->fail || dead || due(count, f->fail_every, f->seed, 1);
    fault->cut = fault->cut || due(count, f->short_every, f->seed, 2);
    fault->truncate = fault->truncate || due(count, f->truncate_every, f->seed, 3);
    if (f->bytes_per_s > 0 && !dead) fault->delay_us += queue_us(rule, piece->read.bytes);
    if (due(count, f->delay_every, f->seed, 4))
        fault->delay_us +=
            f->random_delay ? (uint32_t)(scramble(f->seed + count) % ((uint64_t)f->delay_us + 1)) : f->delay_us;
}

hyp_io_fault hyp_io_fault_next(hyp_io *io, const hyp_io_piece *piece) {
    hyp_io_fault fault = {0};
    for (uint32_t i = 0; i < io->n_rules; i++)
        apply_rule(&io->rules[i], piece, &fault);
    return fault;
}

/* A caller that uses bytes which were not read must get a wrong result, not by chance the right one. */
static void spoil(const hyp_io_piece *piece, uint64_t from) {
    for (int i = 0; i < piece->read.n_iov; i++) {
        const struct iovec *v = &piece->read.iov[i];
        uint64_t skip = HYP_MIN(from, (uint64_t)v->iov_len);
        memset((char *)v->iov_base + skip, 0xa5, v->iov_len - skip);
        from -= skip;
    }
}

int64_t hyp_io_fault_apply(hyp_io_piece *piece, int64_t result) {
    const hyp_io_fault fault = piece->read.fault;
    piece->read.fault = (hyp_io_fault){0};
    if (result < 0 || !(fault.fail || fault.cut || fault.truncate)) return result;
    int64_t half = (int64_t)(piece->read.bytes / 2);
    if (fault.fail || fault.truncate)
        result = fault.fail ? -EIO : 0;
    else if (half >= (int64_t)piece->file->block && half < result)
        result = half; /* less could not be continued */
    else
        return result;
    spoil(piece, result < 0 ? 0 : (uint64_t)result);
    return result;
}
