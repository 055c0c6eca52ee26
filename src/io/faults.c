/* faults.c - reads that fail, stop short or dawdle on purpose, for tests. */
#include "base/mem.h"
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

hyp_io_fault hyp_io_fault_next(hyp_io *io, hyp_io_class cls) {
    const hyp_io_faults *f = &io->faults;
    hyp_io_fault fault = {0};
    if ((f->fail_every | f->short_every | f->truncate_every | f->delay_every) == 0) return fault;
    if (f->only_class >= 0 && f->only_class != (int)cls) return fault;
    uint64_t count = atomic_fetch_add(&io->n_started, 1) + 1;
    fault.fail = due(count, f->fail_every, f->seed, 1);
    fault.cut = due(count, f->short_every, f->seed, 2);
    fault.truncate = due(count, f->truncate_every, f->seed, 3);
    if (due(count, f->delay_every, f->seed, 4))
        fault.delay_us =
            f->random_delay ? (uint32_t)(scramble(f->seed + count) % ((uint64_t)f->delay_us + 1)) : f->delay_us;
    return fault;
}

/* A caller that takes for read what was not must see it. */
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
