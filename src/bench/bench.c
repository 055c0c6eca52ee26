/* bench.c - which runs there are, where, and in what order. */
#include "bench/bench.h"

#include "base/mem.h"
#include "bench/bench_cache_priv.h"
#include "bench/bench_group_priv.h"

#include <string.h>

enum { MAX_WORDS = 160, STILL_CACHED_PERCENT = 2 };

typedef struct measurement {
    const hyp_bench_config *config;
    hyp_bench *bench;
    hyp_bench_group group;
    bool baseline;   /* whether that side is run */
    size_t n_warned; /* of the warnings, those told */
} measurement;

/* --- a child's command line --- */

typedef struct command_line {
    char numbers[12][24];
    size_t n_numbers, n;
    char *words[MAX_WORDS];
} command_line;

/* execv() takes its words as if it wrote to them; it does not. */
static void add(command_line *line, const char *word) {
    if (line->n + 1 < MAX_WORDS) line->words[line->n++] = (char *)(uintptr_t)word;
}

static void add_number(command_line *line, const char *option, uint64_t number) {
    if (line->n_numbers == HYP_ARRAY_LEN(line->numbers)) return;
    char *text = line->numbers[line->n_numbers++];
    snprintf(text, sizeof line->numbers[0], "%llu", (unsigned long long)number);
    add(line, option);
    add(line, text);
}

/* One way to run the model. */
typedef struct run_way {
    hyp_bench_side side;
    const char *mode;
    uint64_t batch_tokens;
    bool alike; /* for the comparison of outputs: without repacking and devices, which round differently */
} run_way;

/* What is learnt about a model's routing is neither used nor kept: a later run would know the very text it is measured
 * on. */
static void make_line(const hyp_bench_config *c, const run_way *way, command_line *line) {
    *line = (command_line){0};
    static const char *const fixed[] = {"hypura", "run",          "--json",          "--quiet",    "--temp",
                                        "0",      "--ignore-eos", "--logits-digest", "--no-memory"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(fixed); i++)
        add(line, fixed[i]);
    add(line, "--model");
    add(line, c->model->path);
    add_number(line, "--prompt-tokens", (uint64_t)c->prompt_tokens);
    add_number(line, "--max-tokens", (uint64_t)c->max_tokens);
    add_number(line, "--context", (uint64_t)c->context_tokens);
    add_number(line, "--batch", way->batch_tokens);
    add_number(line, "--threads", (uint64_t)c->threads);
    add(line, "--mode");
    add(line, way->mode);
    for (size_t i = 0; i < c->n_devices && !way->alike; i++) {
        add(line, "--device");
        add(line, c->devices[i]);
    }
    if (way->alike) {
        add(line, "--device");
        add(line, "none");
    }
    if (c->vram_bytes > 0) add_number(line, "--vram", c->vram_bytes);
    if (way->side == HYP_BENCH_BASELINE) return;
    if (c->ram_bytes > 0) add_number(line, "--ram", c->ram_bytes);
    for (size_t i = 0; i < c->n_servers && !way->alike; i++) {
        add(line, "--rpc");
        add(line, c->servers[i]);
    }
    for (size_t i = 0; i < c->tuning_bytes; i += strlen(c->tuning + i) + 1)
        add(line, c->tuning + i);
    if (c->no_repack || way->alike) add(line, "--no-repack");
}

/* --- runs --- */

static void tell_warnings(measurement *m) {
    const hyp_bench_warnings *w = &m->bench->warnings;
    for (; m->n_warned < w->n; m->n_warned++)
        if (m->config->warned != NULL) m->config->warned(w->items[m->n_warned], m->config->user);
}

static int run_child(const measurement *m, const run_way *way, const char *name, hyp_bench_run *ret, hyp_err *err) {
    const hyp_bench_config *c = m->config;
    command_line line;
    make_line(c, way, &line);
    hyp_bench_child child = {.program = c->program,
                             .argv = line.words,
                             .group_fd = m->group.path[0] != '\0' ? m->group.procs_fd : -1,
                             .stop = c->stop,
                             .user = c->user,
                             .name = name};
    if (c->progress != NULL) c->progress(name, NULL, c->user);
    int r = hyp_bench_child_run(&child, ret, err);
    if (r == HYP_OK && c->progress != NULL) c->progress(name, ret, c->user);
    return r;
}

static run_way as_asked(const hyp_bench_config *c, hyp_bench_side side) {
    return (run_way){side, side == HYP_BENCH_BASELINE ? "mmap" : c->mode, (uint64_t)c->batch_tokens, false};
}

/* Empty the model's part of the page cache, and say so where it did not get empty. */
static int drop_cache(measurement *m, hyp_err *err) {
    int r = hyp_bench_cache_drop(m->config->model, err);
    if (r != HYP_OK) return r;
    double percent = 100 * hyp_bench_cache_share(m->config->model);
    for (size_t i = 0; i < m->bench->warnings.n; i++)
        if (strstr(m->bench->warnings.items[i], "page cache") != NULL) return HYP_OK;
    if (percent > STILL_CACHED_PERCENT)
        hyp_bench_warn(&m->bench->warnings,
                       "%.0f %% of the model stayed in the page cache: another program maps it, runs are not cold",
                       percent);
    tell_warnings(m);
    return HYP_OK;
}

static const char *side_word(hyp_bench_side side) {
    return side == HYP_BENCH_BASELINE ? "llama.cpp mmap" : "hypura";
}

static bool is_run(const measurement *m, hyp_bench_side side) {
    return side == HYP_BENCH_BASELINE ? m->baseline : !m->config->baseline_only;
}

/* Fill the page cache as each side leaves it. */
static int warm_up(const measurement *m, hyp_err *err) {
    for (int s = 0; s < HYP_BENCH_N_SIDES; s++) {
        if (!is_run(m, s)) continue;
        char name[64];
        snprintf(name, sizeof name, "warm-up, %s", side_word(s));
        hyp_bench_run run;
        run_way way = as_asked(m->config, s);
        int r = run_child(m, &way, name, &run, err);
        if (r != HYP_OK) return r;
        hyp_bench_run_free(&run);
    }
    return HYP_OK;
}

static int measure_rounds(measurement *m, hyp_err *err) {
    for (int i = 0; i < m->config->runs; i++)
        for (int s = 0; s < HYP_BENCH_N_SIDES; s++) {
            if (!is_run(m, s)) continue;
            char name[64];
            snprintf(name, sizeof name, "run %d of %d, %s", i + 1, m->config->runs, side_word(s));
            hyp_bench_side_result *side = &m->bench->sides[s];
            int r = m->config->warm ? HYP_OK : drop_cache(m, err);
            run_way way = as_asked(m->config, s);
            if (r == HYP_OK) r = run_child(m, &way, name, &side->runs[side->n], err);
            if (r != HYP_OK) return r;
            side->n++;
        }
    return HYP_OK;
}

/* Repacked weights, devices and batches of another size sum the same numbers in another order. That nothing else
 * differs is shown by one more run of each side without them. */
static int compare_alike(measurement *m, hyp_err *err) {
    hyp_bench *b = m->bench;
    if (b->same_logits != HYP_BENCH_NO) return HYP_OK;
    const hyp_bench_run *timed = &b->sides[HYP_BENCH_HYPURA].runs[0];
    hyp_bench_run runs[HYP_BENCH_N_SIDES] = {0};
    hyp_err why = HYP_ERR_NONE;
    run_way ours = {HYP_BENCH_HYPURA, timed->mode, timed->batch_tokens, true};
    int r = run_child(m, &ours, "check, hypura", &runs[0], &why);
    run_way theirs = {HYP_BENCH_BASELINE, "mmap", runs[0].batch_tokens, true};
    if (r == HYP_OK) r = run_child(m, &theirs, "check, llama.cpp mmap", &runs[1], &why);
    if (r == HYP_OK) b->same_alike = strcmp(runs[0].digest, runs[1].digest) == 0 ? HYP_BENCH_YES : HYP_BENCH_NO;
    hyp_bench_run_free(&runs[0]);
    hyp_bench_run_free(&runs[1]);
    if (r == HYP_ECANCELED) return hyp_err_set(err, r, "%s", why.message);
    if (r != HYP_OK) hyp_bench_warn(&b->warnings, "the outputs could not be checked: %.150s", why.message);
    tell_warnings(m);
    return HYP_OK;
}

/* --- before and after --- */

static int check_config(const hyp_bench_config *c, hyp_err *err) {
    if (c->prompt_tokens + c->max_tokens > c->context_tokens) {
        hyp_err_set(err, HYP_EINVAL, "a context of %d tokens does not hold a prompt of %d and an answer of %d",
                    c->context_tokens, c->prompt_tokens, c->max_tokens);
        hyp_err_hint(err, "give a larger --context, or fewer --prompt-tokens or --max-tokens");
        return HYP_EINVAL;
    }
    uint64_t safe = hyp_bench_safe_bytes(c->machine_bytes);
    if (!c->baseline_only || c->force || c->model->bytes <= safe) return HYP_OK;
    char size[24], room[24];
    hyp_err_set(err, HYP_ENOMEM, "plain mmap of this model (%s) would make the machine unusable: beyond %s it thrashes",
                hyp_text_format_bytes(c->model->bytes, size, sizeof size),
                hyp_text_format_bytes(safe, room, sizeof room));
    hyp_err_hint(err, "--force runs it all the same, in a memory control group where one can be made");
    return HYP_ENOMEM;
}

/* Make the small machine that all runs share, if they need one, and decide whether the baseline may run. */
static void limit_memory(measurement *m) {
    const hyp_bench_config *c = m->config;
    uint64_t safe = hyp_bench_safe_bytes(c->machine_bytes);
    bool is_safe = c->model->bytes <= safe;
    uint64_t limit = c->ram_bytes > 0 ? hyp_bench_limit_of(c->ram_bytes) : is_safe ? 0 : safe;
    hyp_err why = HYP_ERR_NONE;
    m->baseline = true;
    if (limit == 0) return;
    if (!is_safe) limit = HYP_MIN(limit, safe);
    if (hyp_bench_group_make(limit, &m->group, &why) == HYP_OK) {
        m->bench->limit_bytes = limit;
        return;
    }
    m->baseline = is_safe || c->force;
    hyp_bench_warn(&m->bench->warnings, "%s%s", why.message,
                   !m->baseline ? ": plain mmap is not run, for it would make the machine unusable (--force runs it)"
                                : ": plain mmap runs with all of the machine's memory");
}

static int measure(measurement *m, hyp_err *err) {
    hyp_bench_guard_check("", m->config->cores, &m->bench->warnings);
    hyp_bench_guard_watch_disk(m->config->model->files[0].path, &m->bench->warnings);
    hyp_bench_guard_read_ahead("", m->config->model->files[0].path, &m->bench->warnings);
    tell_warnings(m);
    uint64_t throttled = hyp_bench_guard_throttled("");
    /* Page cache belongs to the group that read it first: what is there already would be outside the limit. */
    int r = m->config->warm && m->bench->limit_bytes > 0 ? drop_cache(m, err) : HYP_OK;
    if (r == HYP_OK && m->config->warm) r = warm_up(m, err);
    if (r == HYP_OK) r = measure_rounds(m, err);
    if (r == HYP_OK) r = hyp_bench_evaluate(m->bench, err);
    if (r == HYP_OK) r = compare_alike(m, err);
    uint64_t times = hyp_bench_guard_throttled("") - throttled;
    if (times > 0)
        hyp_bench_warn(&m->bench->warnings, "the processor was throttled %llu times for its temperature meanwhile",
                       (unsigned long long)times);
    tell_warnings(m);
    return r;
}

int hyp_bench_measure(const hyp_bench_config *config, hyp_bench *ret, hyp_err *err) {
    hyp_bench bench = {0};
    measurement m = {.config = config, .bench = &bench};
    int r = check_config(config, err);
    if (r != HYP_OK) return r;
    for (int s = 0; s < HYP_BENCH_N_SIDES; s++)
        bench.sides[s].runs = calloc((size_t)config->runs, sizeof *bench.sides[s].runs);
    if (bench.sides[0].runs == NULL || bench.sides[1].runs == NULL) {
        hyp_bench_free(&bench);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for %d runs", config->runs);
    }
    limit_memory(&m);
    r = measure(&m, err);
    hyp_bench_group_remove(&m.group);
    if (r == HYP_OK)
        *ret = bench;
    else
        hyp_bench_free(&bench);
    return r;
}
