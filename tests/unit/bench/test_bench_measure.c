/* test_bench_measure.c - which runs are made, in what order and with what options: the program is a script that keeps a
 * log. */
#include "../test.h"
#include "base/mem.h"
#include "base/paths.h"
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char folder[] = "/tmp/hypura-bench-XXXXXX";
static char program[64], logged[64], file[64];

/* Mode ffn differs from mode mmap on the device "gpu"; with --vram wherever it runs. */
static const char script[] =
    "#!/bin/sh\n"
    "echo \"$*\" >> \"${0%/*}/log\"\n"
    "case \" $* \" in *' --mode mmap '*) mode=mmap digest=1 ;; *) mode=ffn digest=1 ;; esac\n"
    "case \" $* \" in *' --mode ffn '*'--device gpu '*) digest=2 ;; esac\n"
    "case \" $* \" in *' --mode ffn '*'--vram '*) digest=3 ;; esac\n"
    "printf '{\"mode\":\"%s\",\"batch_tokens\":32,\"prompt_tokens\":5,\"output_tokens\":7,\"text\":\"hello\",' $mode\n"
    "printf "
    "'\"load_ms\":1,\"ttft_ms\":2,\"prefill_tok_per_s\":3,\"decode_tok_per_s\":4,\"memory\":{\"peak_rss_bytes\":5},'\n"
    "printf '\"io\":{\"bytes_read\":6,\"stall_ms\":7,\"major_faults\":8},\"logits_digest\":\"000000000000000%s\"}' "
    "$digest\n";

static int set_up(void **state) {
    (void)state;
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(program, sizeof program, "%s/program", folder);
    snprintf(logged, sizeof logged, "%s/log", folder);
    snprintf(file, sizeof file, "%s/model", folder);
    hyp_err err = HYP_ERR_NONE;
    if (hyp_paths_write_atomic(program, script, strlen(script), &err) != HYP_OK ||
        hyp_paths_write_atomic(file, "GGUF", 4, &err) != HYP_OK)
        return -1;
    return chmod(program, 0700);
}

static int tear_down(void **state) {
    (void)state;
    remove(program), remove(logged), remove(file);
    return remove(folder);
}

static hyp_model_file model_file = {.path = file, .bytes = 4};
static hyp_model model = {.path = file, .name = "model", .bytes = 4, .files = &model_file, .n_files = 1};

static const char tuning[] = "--policy\0lru\0--no-prefetch"; /* two options, three words */

static size_t count(const char *text, const char *what) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

static hyp_bench_config basic(void) {
    return (hyp_bench_config){.model = &model,
                              .program = program,
                              .machine_bytes = (uint64_t)24 << 30,
                              .runs = 2,
                              .prompt_tokens = 5,
                              .max_tokens = 7,
                              .context_tokens = 64,
                              .batch_tokens = 512,
                              .mode = "ffn",
                              .tuning = tuning,
                              .tuning_bytes = sizeof tuning};
}

/* Measure and return the log; the caller frees it. */
static char *measured(const hyp_bench_config *config, hyp_bench *bench) {
    hyp_err err = HYP_ERR_NONE;
    remove(logged);
    if (hyp_bench_measure(config, bench, &err) != HYP_OK) fail_msg("%s", err.message);
    char *log = NULL;
    assert_int_equal(hyp_paths_read(logged, 1 << 16, &log, NULL, &err), HYP_OK);
    return log;
}

/* The modes of the log's lines, "fm" for ffn and then mmap. */
static const char *order_of(char *log, char *ret) {
    size_t n = 0;
    char *rest = NULL;
    for (char *line = strtok_r(log, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        ret[n++] = strstr(line, "--mode mmap") != NULL ? 'm' : 'f';
    ret[n] = '\0';
    return ret;
}

static void sides_take_turns(void **state) {
    (void)state;
    hyp_bench_config config = basic();
    hyp_bench bench;
    char order[32];
    HYP_AUTOFREE char *log = measured(&config, &bench);
    assert_non_null(strstr(log, "--prompt-tokens 5 --max-tokens 7 --context 64 --batch 512"));
    assert_non_null(strstr(log, "--no-memory"));
    /* The baseline is llama.cpp as it is. */
    assert_int_equal(count(log, "--mode ffn --policy lru --no-prefetch\n"), 2);
    assert_int_equal(count(log, "--policy"), 2);
    assert_string_equal(order_of(log, order), "fmfm");
    assert_int_equal(bench.same_logits, HYP_BENCH_YES);
    assert_int_equal(bench.sides[0].n, 2);
    assert_int_equal(bench.sides[1].n, 2);
    assert_int_equal(bench.limit_bytes, 0);
    hyp_bench_free(&bench);
    config.warm = true;
    HYP_AUTOFREE char *warm = measured(&config, &bench);
    assert_string_equal(order_of(warm, order), "fmfmfm");
    hyp_bench_free(&bench);
}

static void different_logits_are_compared_alike(void **state) {
    (void)state;
    static const char *const gpu[] = {"gpu"};
    hyp_bench_config config = basic();
    hyp_bench bench;
    char order[32];
    config.devices = gpu, config.n_devices = 1;
    HYP_AUTOFREE char *log = measured(&config, &bench);
    /* The batch of the check is what hypura chose. */
    assert_non_null(strstr(log, "--batch 32 --threads 0 --mode mmap --device none\n"));
    assert_string_equal(order_of(log, order), "fmfmfm");
    assert_int_equal(bench.same_logits, HYP_BENCH_NO);
    assert_int_equal(bench.same_alike, HYP_BENCH_YES);
    assert_false(hyp_bench_output_wrong(&bench));
    hyp_bench_free(&bench);
    config.vram_bytes = 1;
    HYP_AUTOFREE char *other = measured(&config, &bench);
    assert_non_null(other);
    assert_int_equal(bench.same_alike, HYP_BENCH_NO);
    assert_true(hyp_bench_output_wrong(&bench));
    hyp_bench_free(&bench);
}

static void a_dangerous_baseline_needs_force(void **state) {
    (void)state;
    hyp_bench_config config = basic();
    hyp_bench bench;
    hyp_err err = HYP_ERR_NONE;
    char order[32];
    model.bytes = (uint64_t)21 << 30;
    config.baseline_only = true;
    remove(logged);
    assert_int_equal(hyp_bench_measure(&config, &bench, &err), HYP_ENOMEM);
    assert_non_null(strstr(err.hint, "--force"));
    assert_int_not_equal(access(logged, F_OK), 0); /* nothing ran */
    config.force = true;
    HYP_AUTOFREE char *log = measured(&config, &bench);
    assert_string_equal(order_of(log, order), "mm");
    /* In a control group, or with a warning that there is none. */
    bool told = false;
    for (size_t i = 0; i < bench.warnings.n; i++)
        told = told || strstr(bench.warnings.items[i], "no memory control group") != NULL;
    assert_true(told ? bench.limit_bytes == 0 : bench.limit_bytes == (uint64_t)20 << 30);
    hyp_bench_free(&bench);
    /* Both sides without force: plain mmap only where a group keeps it in bounds. */
    config.force = config.baseline_only = false;
    HYP_AUTOFREE char *both = measured(&config, &bench);
    assert_string_equal(order_of(both, order), bench.limit_bytes > 0 ? "fmfm" : "ff");
    hyp_bench_free(&bench);
    model.bytes = 4;
}

static bool at_once(void *user) {
    (void)user;
    return true;
}

static void it_can_be_stopped(void **state) {
    (void)state;
    hyp_bench_config config = basic();
    hyp_bench bench;
    hyp_err err = HYP_ERR_NONE;
    config.stop = at_once;
    int r = hyp_bench_measure(&config, &bench, &err);
    assert_int_equal(r, HYP_ECANCELED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sides_take_turns), cmocka_unit_test(different_logits_are_compared_alike),
        cmocka_unit_test(a_dangerous_baseline_needs_force), cmocka_unit_test(it_can_be_stopped)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
