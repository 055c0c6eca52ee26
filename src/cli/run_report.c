#include "cli/run_report.h"

#include "engine/process.h"

#include <stdlib.h>
#include <yyjson.h>

typedef yyjson_mut_doc doc;
typedef yyjson_mut_val val;

static const char *stop_name(hyp_stop_reason reason) {
    return reason == HYP_STOP_EOG ? "stop" : reason == HYP_STOP_LENGTH ? "length" : "interrupted";
}

/* A rate with two decimals, 0 when nothing was measured. */
static double rate(double count, double seconds) {
    return seconds > 0 ? (double)(int64_t)(count / seconds * 100 + 0.5) / 100 : 0;
}
static double ms(double seconds) {
    return (double)(int64_t)(seconds * 1e4 + 0.5) / 10;
}

static void add_model(doc *d, val *root, const hyp_model *m) {
    val *o = yyjson_mut_obj_add_obj(d, root, "model");
    yyjson_mut_obj_add_str(d, o, "path", m->path);
    yyjson_mut_obj_add_str(d, o, "name", m->name);
    yyjson_mut_obj_add_str(d, o, "arch", m->arch);
    yyjson_mut_obj_add_str(d, o, "quant", m->quant);
    yyjson_mut_obj_add_uint(d, o, "bytes", m->bytes);
    yyjson_mut_obj_add_uint(d, o, "n_layers", m->n_layers);
    yyjson_mut_obj_add_uint(d, o, "n_experts", m->n_experts);
    yyjson_mut_obj_add_uint(d, o, "n_experts_used", m->n_experts_used);
}

static void add_costs(doc *d, val *root, hyp_engine *engine) {
    hyp_engine_stats stats;
    hyp_engine_get_stats(engine, &stats);
    val *memory = yyjson_mut_obj_add_obj(d, root, "memory");
    yyjson_mut_obj_add_uint(d, memory, "budget_bytes", hyp_engine_get_info(engine)->budget_bytes);
    yyjson_mut_obj_add_uint(d, memory, "peak_rss_bytes", hyp_process_peak_rss());
    val *io = yyjson_mut_obj_add_obj(d, root, "io");
    yyjson_mut_obj_add_uint(d, io, "bytes_read", stats.bytes_read);
    yyjson_mut_obj_add_uint(d, io, "demand_bytes", stats.demand_bytes);
    yyjson_mut_obj_add_uint(d, io, "prefetch_bytes", stats.prefetch_bytes);
    yyjson_mut_obj_add_real(d, io, "stall_ms", ms(stats.stall_s));
    yyjson_mut_obj_add_uint(d, io, "major_faults", stats.major_faults);
}

int hyp_run_report_json(hyp_engine *engine, size_t n_prompt, const hyp_generate_result *result, const hyp_str *text,
                        bool with_digest, FILE *out, hyp_err *err) {
    const hyp_engine_info *info = hyp_engine_get_info(engine);
    char digest[17];
    doc *d = yyjson_mut_doc_new(NULL);
    val *root = d != NULL ? yyjson_mut_obj(d) : NULL;
    if (root == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for the report");
    yyjson_mut_doc_set_root(d, root);
    add_model(d, root, hyp_engine_model(engine));
    yyjson_mut_obj_add_str(d, root, "mode", hyp_mode_name(info->mode));
    yyjson_mut_obj_add_uint(d, root, "prompt_tokens", n_prompt);
    yyjson_mut_obj_add_uint(d, root, "output_tokens", result->n_output);
    yyjson_mut_obj_add_strn(d, root, "text", text->data != NULL ? text->data : "", text->length);
    yyjson_mut_obj_add_str(d, root, "stop_reason", stop_name(result->stop));
    yyjson_mut_obj_add_real(d, root, "load_ms", ms(info->load_s));
    yyjson_mut_obj_add_real(d, root, "ttft_ms", ms(result->ttft_s));
    yyjson_mut_obj_add_real(d, root, "prefill_tok_per_s", rate((double)n_prompt, result->prefill_s));
    yyjson_mut_obj_add_real(d, root, "decode_tok_per_s", rate((double)result->n_decoded, result->decode_s));
    add_costs(d, root, engine);
    if (with_digest) {
        snprintf(digest, sizeof digest, "%016llx", (unsigned long long)result->logits_digest);
        yyjson_mut_obj_add_str(d, root, "logits_digest", digest);
    }
    char *json = yyjson_mut_write(d, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
    yyjson_mut_doc_free(d);
    if (json == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for the report");
    fprintf(out, "%s\n", json);
    free(json);
    return HYP_OK;
}
