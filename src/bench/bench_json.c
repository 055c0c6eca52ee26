/* bench_json.c - a comparison as JSON; docs/json.md describes it. */
#include "base/mem.h"
#include "bench/bench.h"
#include "gguf/model_json.h"

#include <math.h>
#include <yyjson.h>

typedef yyjson_mut_doc doc;
typedef yyjson_mut_val val;

/* JSON has no NaN: what is not known is null. */
static bool add_real(doc *d, val *object, const char *key, double value) {
    return isnan(value) ? yyjson_mut_obj_add_null(d, object, key) : yyjson_mut_obj_add_real(d, object, key, value);
}

static bool add_answer(doc *d, val *object, const char *key, hyp_bench_answer answer) {
    return answer == HYP_BENCH_UNKNOWN ? yyjson_mut_obj_add_null(d, object, key)
                                       : yyjson_mut_obj_add_bool(d, object, key, answer == HYP_BENCH_YES);
}

static bool add_run(doc *d, val *runs, const hyp_bench_run *run) {
    val *o = yyjson_mut_arr_add_obj(d, runs);
    bool good = o != NULL;
    for (int f = 0; f < HYP_BENCH_N_FIGURES; f++)
        good = good && add_real(d, o, hyp_bench_figures[f].key, run->figures[f]);
    return good && yyjson_mut_obj_add_str(d, o, "logits_digest", run->digest);
}

static bool add_side(doc *d, val *sides, const hyp_bench_side_result *side, const char *name) {
    if (side->n == 0) return true;
    val *o = yyjson_mut_arr_add_obj(d, sides);
    bool good = o != NULL && yyjson_mut_obj_add_str(d, o, "name", name) &&
                yyjson_mut_obj_add_str(d, o, "mode", side->runs[0].mode) &&
                yyjson_mut_obj_add_uint(d, o, "prompt_tokens", side->runs[0].prompt_tokens) &&
                yyjson_mut_obj_add_uint(d, o, "batch_tokens", side->runs[0].batch_tokens) &&
                yyjson_mut_obj_add_uint(d, o, "output_tokens", side->runs[0].output_tokens) &&
                yyjson_mut_obj_add_str(d, o, "text", side->runs[0].text) &&
                yyjson_mut_obj_add_bool(d, o, "repeatable", side->repeatable);
    val *figures = good ? yyjson_mut_obj_add_obj(d, o, "figures") : NULL;
    for (int f = 0; good && f < HYP_BENCH_N_FIGURES; f++) {
        val *spread = yyjson_mut_obj_add_obj(d, figures, hyp_bench_figures[f].key);
        good = spread != NULL && add_real(d, spread, "median", side->figures[f].median) &&
               add_real(d, spread, "min", side->figures[f].min) && add_real(d, spread, "max", side->figures[f].max);
    }
    val *predicted = good ? yyjson_mut_obj_add_obj(d, o, "predicted") : NULL;
    for (int f = 0; good && f <= HYP_BENCH_LOAD; f++)
        good = add_real(d, predicted, hyp_bench_figures[f].key, side->predicted[f]);
    good = good && yyjson_mut_obj_add_bool(d, predicted, "rates_measured", side->rates_measured);
    val *runs = good ? yyjson_mut_obj_add_arr(d, o, "runs") : NULL;
    for (size_t i = 0; good && i < side->n; i++)
        good = add_run(d, runs, &side->runs[i]);
    return good;
}

static bool add_settings(doc *d, val *root, const hyp_bench_config *c, const hyp_bench *bench) {
    val *o = yyjson_mut_obj_add_obj(d, root, "settings");
    return o != NULL && yyjson_mut_obj_add_str(d, o, "cache", c->warm ? "warm" : "cold") &&
           yyjson_mut_obj_add_sint(d, o, "runs", c->runs) &&
           yyjson_mut_obj_add_sint(d, o, "prompt_tokens", c->prompt_tokens) &&
           yyjson_mut_obj_add_sint(d, o, "max_tokens", c->max_tokens) &&
           yyjson_mut_obj_add_sint(d, o, "context_tokens", c->context_tokens) &&
           yyjson_mut_obj_add_sint(d, o, "batch_tokens", c->batch_tokens) &&
           yyjson_mut_obj_add_sint(d, o, "threads", c->threads) && yyjson_mut_obj_add_str(d, o, "mode", c->mode) &&
           yyjson_mut_obj_add_bool(d, o, "no_repack", c->no_repack) &&
           yyjson_mut_obj_add_uint(d, o, "ram_bytes", c->ram_bytes) &&
           yyjson_mut_obj_add_uint(d, o, "limit_bytes", bench->limit_bytes) &&
           yyjson_mut_obj_add_uint(d, o, "machine_bytes", c->machine_bytes) &&
           yyjson_mut_obj_add_uint(d, o, "cores", c->cores);
}

static bool add_output(doc *d, val *root, const hyp_bench *bench) {
    val *o = yyjson_mut_obj_add_obj(d, root, "output");
    return o != NULL && add_answer(d, o, "same_logits", bench->same_logits) &&
           add_answer(d, o, "same_text", bench->same_text) &&
           add_answer(d, o, "same_logits_computed_alike", bench->same_alike);
}

static bool fill(doc *d, const hyp_bench_config *c, const hyp_bench *bench) {
    val *root = yyjson_mut_obj(d);
    if (root == NULL) return false;
    yyjson_mut_doc_set_root(d, root);
    bool good = hyp_model_add_json(d, root, c->model) != NULL &&
                yyjson_mut_obj_add_str(d, root, "version", HYP_VERSION) && add_settings(d, root, c, bench);
    val *sides = good ? yyjson_mut_obj_add_arr(d, root, "sides") : NULL;
    good = good && add_side(d, sides, &bench->sides[HYP_BENCH_HYPURA], "hypura") &&
           add_side(d, sides, &bench->sides[HYP_BENCH_BASELINE], "llama.cpp mmap");
    val *ratios = good ? yyjson_mut_obj_add_obj(d, root, "ratios") : NULL;
    for (int f = 0; good && f < HYP_BENCH_N_FIGURES; f++)
        good = !hyp_bench_figures[f].has_ratio || add_real(d, ratios, hyp_bench_figures[f].key, bench->ratios[f]);
    val *warnings = good && add_output(d, root, bench) ? yyjson_mut_obj_add_arr(d, root, "warnings") : NULL;
    good = warnings != NULL;
    for (size_t i = 0; good && i < bench->warnings.n; i++)
        good = yyjson_mut_arr_add_str(d, warnings, bench->warnings.items[i]);
    return good;
}

int hyp_bench_write_json(const hyp_bench_config *config, const hyp_bench *bench, hyp_str *out, hyp_err *err) {
    doc *d = yyjson_mut_doc_new(NULL);
    size_t n = 0;
    bool good = d != NULL && fill(d, config, bench);
    yyjson_write_flag flags = YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_ALLOW_INVALID_UNICODE;
    HYP_AUTOFREE char *text = good ? yyjson_mut_write_opts(d, flags, NULL, &n, NULL) : NULL;
    yyjson_mut_doc_free(d);
    if (text != NULL) hyp_str_append(out, text, n);
    hyp_str_puts(out, "\n");
    return text != NULL && !out->failed ? HYP_OK : hyp_err_set(err, HYP_ENOMEM, "out of memory writing JSON");
}
