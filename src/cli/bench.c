/* bench.c - `hypura bench`: this program against plain llama.cpp, in turns. */
#include "bench/bench.h"

#include "base/mem.h"
#include "base/platform.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/save.h"
#include "hw/cpu.h"
#include "hw/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static bool on_stop(void *user) {
    (void)user;
    return hyp_interrupt_seen();
}

/* `user` is a bool: a line has been begun and not ended. */
static void on_progress(const char *name, const hyp_bench_run *run, void *user) {
    *(bool *)user = run == NULL;
    if (run == NULL)
        fprintf(stderr, "%s: ", name);
    else
        fprintf(stderr, "%s, decode %.2f tokens/s, prefill %.1f, first token after %.2f s\n", run->mode,
                run->figures[HYP_BENCH_DECODE], run->figures[HYP_BENCH_PREFILL], run->figures[HYP_BENCH_TTFT]);
    fflush(stderr);
}

static void on_warning(const char *warning, void *user) {
    bool *line_open = user;
    fprintf(stderr, "%swarning: %s\n", *line_open ? "\n" : "", warning);
    *line_open = false;
}

/* What this process could have if nothing else ran: the machine's RAM, or a control group's limit. */
static uint64_t machine_bytes(const hyp_memory *memory) {
    uint64_t bytes = memory->total_bytes;
    for (size_t i = 0; i < memory->n_groups; i++)
        bytes = HYP_MIN(bytes, memory->groups[i].limit_bytes);
    return bytes;
}

/* `tuning` is filled, and referred to by `*ret`. */
static int make_config(const hyp_args *args, const hyp_model *model, const char *program, hyp_str *tuning,
                       hyp_bench_config *ret, hyp_err *err) {
    hyp_memory memory;
    hyp_cpu cpu;
    int r = hyp_memory_probe(&memory, err);
    if (r != HYP_OK) return r;
    hyp_cpu_probe(&cpu);
    hyp_options_write(&hyp_args_table, HYP_HANDED_ON, args, tuning);
    if (tuning->failed) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    *ret = (hyp_bench_config){.model = model,
                              .program = program,
                              .machine_bytes = machine_bytes(&memory),
                              .cores = cpu.cores,
                              .runs = args->runs,
                              .prompt_tokens = args->prompt_tokens,
                              .max_tokens = args->max_tokens,
                              .context_tokens = args->wishes.context_tokens,
                              .batch_tokens = args->wishes.batch_tokens,
                              .threads = args->engine.threads,
                              .ram_bytes = args->wishes.ram_bytes,
                              .vram_bytes = args->wishes.vram_bytes,
                              .devices = args->device.items,
                              .n_devices = args->device.n,
                              .servers = args->rpc.items,
                              .n_servers = args->rpc.n,
                              .tuning = tuning->data,
                              .tuning_bytes = tuning->length,
                              .mode = hyp_mode_name(args->wishes.mode),
                              .warm = strcmp(args->cache, "warm") == 0,
                              .baseline_only = args->baseline,
                              .force = args->force,
                              .no_repack = args->wishes.no_repack,
                              .progress = args->quiet ? NULL : on_progress,
                              .warned = on_warning,
                              .stop = on_stop};
    return HYP_OK;
}

/* --- results --- */

/* DIR/MODEL-DATE-TIME.json, so that results add up beside each other. */
static int save_json(const char *dir, const hyp_model *model, const hyp_str *json, bool quiet, hyp_err *err) {
    const char *slash = strrchr(model->path, '/'), *name = slash != NULL ? slash + 1 : model->path;
    const char *dot = strrchr(name, '.');
    size_t n = dot != NULL && dot > name ? (size_t)(dot - name) : strlen(name);
    char path[4096], date[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(date, sizeof date, "%Y%m%d-%H%M%S", gmtime_r(&now, &utc));
    if (snprintf(path, sizeof path, "%s/%.*s-%s.json", dir, (int)n, name, date) >= (int)sizeof path)
        return hyp_err_set(err, HYP_EINVAL, "the path of --out is too long");
    int r = hyp_save_text(path, json, err);
    if (r == HYP_OK && !quiet) fprintf(stderr, "saved %s\n", path);
    return r;
}

static int report(const hyp_args *args, const hyp_bench_config *config, const hyp_bench *bench, hyp_err *err) {
    HYP_CLEANUP(hyp_str_free) hyp_str json = {0};
    HYP_CLEANUP(hyp_str_free) hyp_str markdown = {0};
    HYP_CLEANUP(hyp_str_free) hyp_str svg = {0};
    int r = hyp_bench_write_json(config, bench, &json, err);
    if (r != HYP_OK) return r;
    hyp_bench_write_markdown(config, bench, &markdown);
    const hyp_str *shown = args->json ? &json : &markdown;
    if (shown->failed) return hyp_err_set(err, HYP_ENOMEM, "out of memory printing the result");
    if (fwrite(shown->data, 1, shown->length, stdout) != shown->length || fflush(stdout) != 0)
        return hyp_err_set_sys(err, HYP_EIO, errno, "cannot write to standard output");
    if (args->out != NULL) r = save_json(args->out, config->model, &json, args->quiet, err);
    if (r != HYP_OK || args->svg == NULL) return r;
    hyp_bench_write_svg(config, bench, &svg);
    return hyp_save_text(args->svg, &svg, err);
}

/* Hours of measuring must not end at a folder that cannot be written. */
static int make_folder(const char *dir, hyp_err *err) {
    if (dir == NULL) return HYP_OK;
    if (mkdir(dir, 0777) != 0 && errno != EEXIST) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot make %s", dir);
    if (access(dir, W_OK | X_OK) != 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot write into %s", dir);
    return HYP_OK;
}

int hyp_command_bench(const hyp_args *args, hyp_err *err) {
    const char *path;
    if (hyp_command_model_path(args, &path, err) != HYP_OK) return HYP_EXIT_USAGE;
    HYP_CLEANUP(hyp_model_freep) hyp_model *model = NULL;
    if (hyp_model_open(path, &model, err) != HYP_OK) return HYP_EXIT_FAILED;
    char program[4096];
    hyp_str tuning HYP_CLEANUP(hyp_str_free) = {0};
    hyp_bench_config config;
    const char *own = hyp_platform_own_program(program, sizeof program);
    if (make_config(args, model, own, &tuning, &config, err) != HYP_OK || make_folder(args->out, err) != HYP_OK)
        return HYP_EXIT_FAILED;
    hyp_interrupt_watch(NULL);
    hyp_bench bench;
    bool line_open = false;
    config.user = &line_open;
    int r = hyp_bench_measure(&config, &bench, err);
    if (line_open) fputc('\n', stderr);
    if (r == HYP_ECANCELED) return HYP_EXIT_INTERRUPTED;
    if (r == HYP_EINVAL) return HYP_EXIT_USAGE;
    if (r != HYP_OK) return HYP_EXIT_FAILED;
    r = report(args, &config, &bench, err);
    if (r == HYP_OK && hyp_bench_output_wrong(&bench))
        hyp_err_set(err, HYP_EENGINE, "the outputs differ where they must not: see the line \"identical output\"");
    hyp_bench_free(&bench);
    return err->code == HYP_OK ? HYP_EXIT_OK : HYP_EXIT_FAILED;
}
