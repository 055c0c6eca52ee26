/* iobench.h - the drive as the engine sees it: a full probe of one file, as a table and as a chart. */
#pragma once
#include "base/text.h"
#include "io/probe.h"

typedef struct hyp_iobench {
    const char *path; /* the caller's */
    hyp_probe_result probe;
    /* Of a GGUF file with experts, else 0: */
    uint64_t expert_part_bytes;   /* the largest slice that one expert has in one tensor (gate, up or down) */
    uint64_t token_experts_bytes; /* routed experts that one token reads, all layers */
} hyp_iobench;

/* Measure `path` (see hyp_disk_probe() for time, memory and errors). `config->expert_bytes` is taken from the file
 * where it is a GGUF model with experts. `*ret` is freed with hyp_iobench_free(); `path` must outlive it. */
HYP_NODISCARD int hyp_iobench_run(const char *path, const hyp_probe_config *config, hyp_iobench *ret, hyp_err *err);
void hyp_iobench_free(hyp_iobench *bench);

/* A series: what the points of one table and of one line of the chart have in common. */
typedef struct hyp_iobench_series {
    hyp_io_backend backend;
    hyp_probe_cache cache;
    bool random, expert;
} hyp_iobench_series;

/* The series of `point`, and what a person calls it: "io_uring, direct, scattered". Returns `buf`. */
hyp_iobench_series hyp_iobench_series_of(const hyp_probe_point *point);
bool hyp_iobench_same_series(hyp_iobench_series a, hyp_iobench_series b);
const char *hyp_iobench_series_name(hyp_iobench_series series, char *buf, size_t size);
const char *hyp_iobench_cache_name(hyp_probe_cache cache); /* "direct", "cold", "warm" */

/* "256 KiB", "1 MiB": request sizes are powers of two here. Returns `buf`. */
const char *hyp_iobench_size_name(uint64_t bytes, char *buf, size_t size);

/* Append the report for a person: a table a series and the settings recommended. Memory exhaustion sets out->failed. */
void hyp_iobench_write_text(const hyp_iobench *bench, hyp_str *out);

/* Append a self-contained SVG of two charts: scattered direct reads by size and depth, and the methods side by side. */
void hyp_iobench_write_svg(const hyp_iobench *bench, hyp_str *out);
