/* bench.h - this program in its chosen mode against plain llama.cpp, honestly.
 *
 * Both sides are this program in child processes of the same binary and libraries: "hypura" in the mode asked for,
 * "llama.cpp mmap" in mode mmap, which is what llama.cpp does by itself with weights in the file's layout. They take
 * turns (A B A B), so that a drift of the machine hits both, start from a stated state of the page cache, and share one
 * memory limit where there is one. Greedy sampling, the same prompt, end tokens ignored: both compute the same number
 * of tokens. */
#pragma once
#include "base/text.h"
#include "bench/bench_guard.h"
#include "bench/bench_run.h"
#include "gguf/model.h"

typedef enum hyp_bench_side { HYP_BENCH_HYPURA, HYP_BENCH_BASELINE, HYP_BENCH_N_SIDES } hyp_bench_side;

typedef struct hyp_bench_config {
    const hyp_model *model;
    const char *program;    /* this program's file */
    uint64_t machine_bytes; /* RAM that this process could have if nothing else ran */
    uint32_t cores;
    int runs, prompt_tokens, max_tokens, context_tokens, batch_tokens, threads;
    uint64_t ram_bytes, vram_bytes; /* 0: not given */
    const char *const *devices;     /* --device, both sides */
    size_t n_devices;
    const char *const *servers; /* --rpc, hypura's side */
    size_t n_servers;
    const char *tuning; /* more of hypura's side: words of a command line, each with its zero byte */
    size_t tuning_bytes;
    const char *mode; /* as `hypura run` takes it */
    bool warm, baseline_only, force, no_repack;
    /* Called before each run (`run` NULL) and after it; may be NULL. `name` is "run 2 of 3, hypura". */
    void (*progress)(const char *name, const hyp_bench_run *run, void *user);
    void (*warned)(const char *warning, void *user); /* as soon as there is one; may be NULL */
    bool (*stop)(void *user);                        /* asked ten times a second; true ends everything. May be NULL */
    void *user;
} hyp_bench_config;

typedef struct hyp_bench_spread {
    double median, min, max; /* NaN when a run does not have the figure */
} hyp_bench_spread;

typedef struct hyp_bench_side_result {
    hyp_bench_run *runs; /* owned */
    size_t n;            /* 0: this side was not run */
    hyp_bench_spread figures[HYP_BENCH_N_FIGURES];
    double predicted[HYP_BENCH_N_FIGURES]; /* medians of what the runs were predicted to be; NaN: unknown */
    bool rates_measured;                   /* of machine and disk, by all the predictions */
    bool repeatable;                       /* every run gave the same logits */
} hyp_bench_side_result;

typedef enum hyp_bench_answer { HYP_BENCH_UNKNOWN, HYP_BENCH_NO, HYP_BENCH_YES } hyp_bench_answer;

typedef struct hyp_bench {
    hyp_bench_side_result sides[HYP_BENCH_N_SIDES];
    double ratios[HYP_BENCH_N_FIGURES];      /* median over the rounds of hypura / baseline; NaN when there is none */
    uint64_t limit_bytes;                    /* of the memory control group that all runs shared; 0: none */
    hyp_bench_answer same_logits, same_text; /* of both sides; unknown when only one ran */
    hyp_bench_answer
        same_alike; /* where the logits differ: those of one more run of each, without what rounds differently */
    hyp_bench_warnings warnings;
} hyp_bench;

/* Measure. Takes as long as the runs do. `*ret` is freed with hyp_bench_free().
 * Errors: HYP_EINVAL (the context does not hold prompt and answer), HYP_ENOMEM (baseline_only with a model for which
 * hyp_bench_is_safe() is false, without force), HYP_ECANCELED, and those of hyp_bench_child_run(). */
HYP_NODISCARD int hyp_bench_measure(const hyp_bench_config *config, hyp_bench *ret, hyp_err *err);
void hyp_bench_free(hyp_bench *bench);

/* Whether something is wrong with the output: one side does not repeat itself, or the sides differ even when they
 * compute alike: without repacked weights, without devices, in batches of the same size. */
bool hyp_bench_output_wrong(const hyp_bench *bench);

/* Memory that plain mmap may use: `machine_bytes` less 4 GiB, at least half. Pure. */
uint64_t hyp_bench_safe_bytes(uint64_t machine_bytes);

/* The limit of a control group in which a process with the budget `ram_bytes` runs: 5 % or 64 MiB more, whichever is
 * more, for page tables and what the kernel charges besides. Pure. */
uint64_t hyp_bench_limit_of(uint64_t ram_bytes);

/* Median (of an even number the mean of the middle two), least and largest of `values[0..n)`, which is sorted. NaN when
 * n is 0 or a value is NaN. Pure. */
hyp_bench_spread hyp_bench_spread_of(double *values, size_t n);

/* Fill the spreads, the ratios and the comparisons from the runs; same_alike is left alone. Pure. */
int hyp_bench_evaluate(hyp_bench *bench, hyp_err *err);

/* What a figure is called in JSON ("decode_tok_per_s") and for people ("decode, tokens/s"), and one of these in the
 * other. */
typedef struct hyp_bench_figure_info {
    const char *key, *label;
    double scale;     /* a value times this is what the label says */
    int digits;       /* after the point, of small values */
    bool more_better; /* else less is */
    bool has_ratio;
} hyp_bench_figure_info;
extern const hyp_bench_figure_info hyp_bench_figures[HYP_BENCH_N_FIGURES];

/* "hypura (experts)", "llama.cpp mmap". Returns `buf`. */
const char *hyp_bench_side_name(const hyp_bench *bench, hyp_bench_side side, char *buf, size_t size);

/* One sentence on whether the outputs agree, and what was compared. */
void hyp_bench_write_verdict(const hyp_bench *bench, hyp_str *out);

/* Append the report: what was measured, a Markdown table, the verdict. Memory exhaustion sets out->failed. */
void hyp_bench_write_markdown(const hyp_bench_config *config, const hyp_bench *bench, hyp_str *out);

/* Append one JSON object (docs/json.md). Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_bench_write_json(const hyp_bench_config *config, const hyp_bench *bench, hyp_str *out,
                                       hyp_err *err);

/* Append a self-contained SVG: a bar for each side's median and a whisker from least to most, a panel for each figure.
 */
void hyp_bench_write_svg(const hyp_bench_config *config, const hyp_bench *bench, hyp_str *out);
