/* bench_parse.c - the report of a run, read with every field checked. */
#include "base/mem.h"
#include "bench/bench_run.h"

#include <math.h>
#include <string.h>
#include <yyjson.h>

void hyp_bench_run_free(hyp_bench_run *run) {
    if (run == NULL) return;
    free(run->text);
    run->text = NULL;
}

static const struct field {
    const char *object, *key; /* object: NULL for the root */
    double scale;             /* to the figure's unit */
} fields[HYP_BENCH_N_FIGURES] = {
    [HYP_BENCH_DECODE] = {NULL, "decode_tok_per_s", 1}, [HYP_BENCH_PREFILL] = {NULL, "prefill_tok_per_s", 1},
    [HYP_BENCH_TTFT] = {NULL, "ttft_ms", 1e-3},         [HYP_BENCH_LOAD] = {NULL, "load_ms", 1e-3},
    [HYP_BENCH_PEAK] = {"memory", "peak_rss_bytes", 1}, [HYP_BENCH_READ] = {"io", "bytes_read", 1},
    [HYP_BENCH_FAULTS] = {"io", "major_faults", 1},     [HYP_BENCH_STALL] = {"io", "stall_ms", 1e-3},
};

static int wrong(const char *key, hyp_err *err) {
    return hyp_err_set(err, HYP_EFORMAT, "the report of a run has no valid \"%s\"", key);
}

static int read_figures(yyjson_val *root, hyp_bench_run *run, hyp_err *err) {
    for (int i = 0; i < HYP_BENCH_N_FIGURES; i++) {
        yyjson_val *object = fields[i].object != NULL ? yyjson_obj_get(root, fields[i].object) : root;
        yyjson_val *value = yyjson_obj_get(object, fields[i].key);
        double number = yyjson_is_num(value) ? yyjson_get_num(value) : NAN;
        if (!isfinite(number) || number < 0) return wrong(fields[i].key, err);
        run->figures[i] = number * fields[i].scale;
    }
    return HYP_OK;
}

/* A run that reports no prediction is as valid as any other. */
static void read_prediction(yyjson_val *root, hyp_bench_run *run) {
    yyjson_val *object = yyjson_obj_get(root, "predicted");
    for (int i = 0; i < HYP_BENCH_N_FIGURES; i++) {
        yyjson_val *value = fields[i].object == NULL ? yyjson_obj_get(object, fields[i].key) : NULL;
        double number = yyjson_is_num(value) ? yyjson_get_num(value) : NAN;
        run->predicted[i] = isfinite(number) && number >= 0 ? number * fields[i].scale : NAN;
    }
    run->rates_measured = yyjson_get_bool(yyjson_obj_get(object, "rates_measured"));
}

static bool read_count(yyjson_val *root, const char *key, uint64_t *ret) {
    yyjson_val *value = yyjson_obj_get(root, key);
    if (!yyjson_is_uint(value)) return false;
    *ret = yyjson_get_uint(value);
    return true;
}

static int read_words(yyjson_val *root, hyp_bench_run *run, hyp_err *err) {
    static const char *const modes[] = {"resident", "experts", "ffn", "mmap"};
    const char *mode = yyjson_get_str(yyjson_obj_get(root, "mode"));
    for (size_t i = 0; mode != NULL && i < HYP_ARRAY_LEN(modes); i++)
        if (strcmp(mode, modes[i]) == 0) memcpy(run->mode, modes[i], strlen(modes[i]) + 1);
    if (run->mode[0] == '\0') return wrong("mode", err);
    yyjson_val *digest = yyjson_obj_get(root, "logits_digest");
    const char *hex = yyjson_get_str(digest);
    if (hex == NULL || yyjson_get_len(digest) != 16 || strspn(hex, "0123456789abcdef") != 16)
        return wrong("logits_digest", err);
    memcpy(run->digest, hex, 17);
    const char *text = yyjson_get_str(yyjson_obj_get(root, "text"));
    if (text == NULL) return wrong("text", err);
    run->text = strdup(text);
    return run->text != NULL ? HYP_OK : hyp_err_set(err, HYP_ENOMEM, "out of memory for a run's text");
}

int hyp_bench_run_parse(const char *json, size_t n, hyp_bench_run *ret, hyp_err *err) {
    /* An answer may end inside a character, which `run` passes on as it is. */
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)json, n, YYJSON_READ_ALLOW_INVALID_UNICODE, NULL, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc);
    hyp_bench_run run = {0};
    int r = HYP_OK;
    if (!yyjson_is_obj(root))
        r = hyp_err_set(err, HYP_EFORMAT, "a run did not print a JSON object");
    else if (!read_count(root, "prompt_tokens", &run.prompt_tokens))
        r = wrong("prompt_tokens", err);
    else if (!read_count(root, "output_tokens", &run.output_tokens))
        r = wrong("output_tokens", err);
    else if (!read_count(root, "batch_tokens", &run.batch_tokens))
        r = wrong("batch_tokens", err);
    if (r == HYP_OK) r = read_figures(root, &run, err);
    if (r == HYP_OK) r = read_words(root, &run, err);
    read_prediction(root, &run);
    /* Only the pager knows how long it kept the computation waiting. */
    if (strcmp(run.mode, "experts") != 0 && strcmp(run.mode, "ffn") != 0) run.figures[HYP_BENCH_STALL] = NAN;
    yyjson_doc_free(doc);
    if (r == HYP_OK)
        *ret = run;
    else
        hyp_bench_run_free(&run);
    return r;
}
