/* bench_guard.h - what else is going on that would spoil a measurement. It warns; it never forbids. */
#pragma once
#include "base/err.h"

enum { HYP_BENCH_MAX_WARNINGS = 8 };

typedef struct hyp_bench_warnings {
    char items[HYP_BENCH_MAX_WARNINGS][200]; /* sentences without full stop */
    size_t n;
} hyp_bench_warnings;

/* Add a warning; beyond the last place it is dropped. */
void hyp_bench_warn(hyp_bench_warnings *w, const char *format, ...) HYP_PRINTF(2, 3);

/* Look at the machine before the first run: running on battery, a processor throttled or limited in its frequency, a
 * load average above half of `cores`. `root` stands before /proc and /sys ("" is the system). What the system does not
 * tell is left out. */
void hyp_bench_guard_check(const char *root, uint32_t cores, hyp_bench_warnings *w);

/* How often the processor has been throttled for its temperature, all packages; 0 where the system does not report it.
 * The difference over a measurement says whether it was. */
uint64_t hyp_bench_guard_throttled(const char *root);

/* Milliseconds that the drive of `path` has been busy since the start of the machine, from `root`/proc/diskstats; of
 * the busiest drive where the file system does not name its own. Errors: HYP_EUNSUPPORTED. */
HYP_NODISCARD int hyp_bench_guard_disk_busy_ms(const char *root, const char *path, uint64_t *ret_ms, hyp_err *err);

/* The same of the device `major`:`minor` in the text of diskstats; false when it is not there. Major 0: of the busiest
 * drive, those in memory left out. Pure. */
bool hyp_bench_guard_disk_of(const char *diskstats, unsigned major, unsigned minor, uint64_t *ret_ms);

/* Watch the drive of `path` for a third of a second, and warn if it is busy for more than a fifth of it. */
void hyp_bench_guard_watch_disk(const char *path, hyp_bench_warnings *w);

/* Warn if the drive of `path` reads far more ahead at a page fault than Linux does by itself, which is what plain
 * mmap's speed depends on. `root` stands before /sys. Where the file system does not name its drive there is no
 * warning. */
void hyp_bench_guard_read_ahead(const char *root, const char *path, hyp_bench_warnings *w);

/* Read `root``path` into `buf` as text, at most `size` - 1 bytes; false, and an empty text, when it cannot be read. For
 * the small files of /proc and /sys, which report no size. */
bool hyp_bench_read_text(const char *root, const char *path, char *buf, size_t size);
