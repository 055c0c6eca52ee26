/* bench_run.h - one run of `hypura run --json` in a child process, and what it reported.
 *
 * The child is this program itself, so that the two sides of a comparison cannot differ in anything but their options.
 * What it prints is treated as untrusted: bounded, and every field checked. */
#pragma once
#include "base/err.h"

typedef enum hyp_bench_figure {
    HYP_BENCH_DECODE,  /* tokens/s */
    HYP_BENCH_PREFILL, /* tokens/s */
    HYP_BENCH_TTFT,    /* s from the request to the first token, the model being loaded */
    HYP_BENCH_LOAD,    /* s */
    HYP_BENCH_PEAK,    /* bytes resident at most; memory mapped twice counts twice */
    HYP_BENCH_READ,    /* bytes read from the disk, loading included */
    HYP_BENCH_FAULTS,  /* page faults that needed a read, loading included */
    HYP_BENCH_STALL,   /* s that the compute thread waited for reads of the pager; NaN where there is no pager */
    HYP_BENCH_N_FIGURES,
} hyp_bench_figure;

typedef struct hyp_bench_run {
    double figures[HYP_BENCH_N_FIGURES];
    double predicted[HYP_BENCH_N_FIGURES]; /* decode, prefill, ttft, load by the planner's cost model; NaN: unknown */
    bool rates_measured;                   /* the prediction is of measured rates, not of assumed ones */
    char mode[16];                         /* "resident", "experts", "ffn", "mmap" */
    uint64_t prompt_tokens, output_tokens, batch_tokens;
    char digest[17]; /* over every logit of every output token, hex */
    char *text;      /* the answer; owned */
} hyp_bench_run;

void hyp_bench_run_free(hyp_bench_run *run);

/* Read the object that `hypura run --json --logits-digest` prints. The caller frees `*ret`, which stays untouched on
 * failure. Pure. Errors: HYP_EFORMAT naming the field that is missing or wrong, HYP_ENOMEM. */
HYP_NODISCARD int hyp_bench_run_parse(const char *json, size_t n, hyp_bench_run *ret, hyp_err *err);

typedef struct hyp_bench_child {
    const char *program; /* to execute, with `argv` (NULL at its end) */
    char **argv;
    int group_fd;             /* of a control group's cgroup.procs, which the child joins first; -1: none */
    bool (*stop)(void *user); /* asked ten times a second; true ends the child. May be NULL */
    void *user;
    const char *name; /* for messages: "run 2 of mmap" */
} hyp_bench_child;

/* Run a child to its end and read its report. It dies with this process. Blocks; not for programs with several threads
 * at work (it forks). The caller frees `*ret`. Errors: HYP_ECANCELED (stop), HYP_EENGINE (the child failed: with the
 * first line it wrote to standard error), HYP_EIO, HYP_ELIMIT (it printed more than 16 MiB), and those of
 * hyp_bench_run_parse(). */
HYP_NODISCARD int hyp_bench_child_run(const hyp_bench_child *child, hyp_bench_run *ret, hyp_err *err);
