/* slow.c - reads that took far longer than their drive explains, for the log. */
#include "base/log.h"
#include "base/mem.h"
#include "io/io_priv.h"

#include <math.h>

/* A busy drive makes a read wait for those before it, which its rate explains, and its 95th percentile is twice the
 * median (README.md, "Measured"). Eight times is something else: a sector that is read again and again, a drive that
 * tidies up, a host that throttles. Below a tenth of a second nobody notices. A whole second is reported whatever the
 * rate: it needs a drive below 16 MB/s to be explained by the 16 MiB that are in flight at most, and a dying drive's
 * rate explains anything. */
static const double NOTICED_S = 0.1, ALWAYS_S = 1, TIMES_EXPECTED = 8;

bool hyp_io_is_slow(double took_s, double expected_s) {
    if (took_s >= ALWAYS_S) return true;
    return expected_s > 0 && took_s >= NOTICED_S && took_s > TIMES_EXPECTED * expected_s;
}

/* The 1st, 2nd, 4th, 8th ...: a dying drive makes a few dozen lines, not a million. */
static bool is_reported(uint64_t count) {
    return (count & (count - 1)) == 0;
}

bool hyp_io_slow_note(hyp_io *io, const hyp_io_piece *piece, double now_s, hyp_io_slow *ret) {
    double took_s = now_s - piece->entered_s;
    if (!hyp_io_is_slow(took_s, piece->expected_s) || !is_reported(++io->n_slow)) return false;
    *ret = (hyp_io_slow){.path = piece->file->path,
                         .offset = piece->offset,
                         .took_s = took_s,
                         .expected_s = piece->expected_s,
                         .count = io->n_slow};
    for (uint32_t i = 0; i < piece->n_segments; i++) {
        ret->bytes += piece->segments[i].bytes;
        if (i < piece->first) ret->offset -= piece->segments[i].bytes; /* `offset` is that of the window read last */
    }
    return true;
}

void hyp_io_slow_report(const hyp_io_slow *slow) {
    const hyp_log_field fields[] = {
        hyp_log_text("file", slow->path),
        hyp_log_int("offset", (int64_t)slow->offset),
        hyp_log_int("bytes", (int64_t)slow->bytes),
        hyp_log_real("ms", slow->took_s * 1e3),
        hyp_log_real("expected_ms", slow->expected_s > 0 ? slow->expected_s * 1e3 : NAN),
        hyp_log_int("count", (int64_t)slow->count),
    };
    hyp_log_event(HYP_LOG_IO, HYP_LOG_WARN, "slow read", fields, HYP_ARRAY_LEN(fields));
}
