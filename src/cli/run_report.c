#include "cli/run_report.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "cli/plan_view.h"
#include "host/process.h"

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

/* The physical limit of the decoding just done, and what sets it: 1 / max(compute time, bytes read / disk rate) a
 * token, where compute time is what was not spent waiting for reads. `disk_bytes_per_s`: the disk's rate at the request
 * size and depth in use; 0 takes the rate seen while reading. */
typedef struct bound {
    double tok_per_s; /* 0 when nothing was decoded */
    bool by_disk;
} bound;

static bound bound_of(const hyp_local_result *res, double disk_bytes_per_s) {
    const hyp_engine_stats *a = &res->before_decode, *b = &res->after_decode;
    if (res->n_decoded == 0 || res->decode_s <= 0) return (bound){0};
    double tokens = (double)res->n_decoded;
    double compute_s = HYP_MAX(res->decode_s - (b->stall_s - a->stall_s), 1e-9) / tokens;
    double bytes = (double)(b->demand_bytes + b->prefetch_bytes - a->demand_bytes - a->prefetch_bytes) / tokens;
    double rate = disk_bytes_per_s > 0 ? disk_bytes_per_s : b->disk_bytes_per_s;
    if (b->n_sources > 1) { /* several disks: what they have shown together */
        rate = 0;
        for (uint32_t i = 0; i < b->n_sources; i++)
            if (b->sources[i].dropped_errno == 0) rate += b->sources[i].bytes_per_s;
    }
    double read_s = rate > 0 ? bytes / rate : 0;
    return (bound){1 / HYP_MAX(compute_s, read_s), read_s > compute_s};
}

/* "decode 2.91 tok/s (predicted 3.04)". */
static void print_beside(FILE *out, const char *what, double measured, double predicted, const char *unit) {
    fprintf(out, "%s %.*f%s (predicted %.*f)", what,
            measured >= 100  ? 0
            : measured >= 10 ? 1
                             : 2,
            measured, unit,
            predicted >= 100  ? 0
            : predicted >= 10 ? 1
                              : 2,
            predicted);
}

static int predict(const hyp_engine *engine, const hyp_local_result *r, hyp_prediction *ret) {
    return hyp_engine_predict(engine, (uint32_t)r->n_evaluated, (uint32_t)HYP_MAX(r->n_decoded, (size_t)1), ret, NULL);
}

void hyp_run_report_closing(hyp_engine *engine, const hyp_local_result *r, FILE *out) {
    hyp_prediction p;
    if (r->n_decoded == 0 || predict(engine, r, &p) != HYP_OK) return;
    print_beside(out, "decode", rate((double)r->n_decoded, r->decode_s), p.decode_tok_per_s, " tok/s");
    print_beside(out, ", prefill", rate((double)r->n_evaluated, r->prefill_s), p.prefill_tok_per_s, " tok/s");
    print_beside(out, ", first token", r->ttft_s, p.first_token_s, " s");
    fputs(hyp_engine_get_info(engine)->rates_measured ? "\n"
                                                      : "; rates assumed, \"hypura profile MODEL\" measures them\n",
          out);
}

/* The most memory that was resident. Frames are mapped twice, and the kernel counts each mapping. */
static uint64_t peak_bytes(const hyp_engine_stats *stats) {
    uint64_t peak = hyp_process_peak_rss();
    return peak > stats->frame_bytes ? peak - stats->frame_bytes : peak;
}

/* Which disk was read how much, since the model was opened; nothing when there is but one. */
static void print_sources(const hyp_engine *engine, const hyp_engine_stats *stats, FILE *out) {
    char x[24], y[24];
    for (uint32_t i = 0; i < stats->n_sources && stats->n_sources > 1; i++)
        fprintf(out, "  %s: %s at %s/s%s\n", hyp_engine_source_path(engine, i),
                hyp_text_format_bytes(stats->sources[i].bytes, x, sizeof x),
                hyp_text_format_bytes((uint64_t)stats->sources[i].bytes_per_s, y, sizeof y),
                stats->sources[i].dropped_errno != 0 ? ", then it failed" : "");
}

void hyp_run_report_text(hyp_engine *engine, const hyp_local_result *r, FILE *out) {
    const hyp_engine_info *info = hyp_engine_get_info(engine);
    const hyp_engine_stats *a = &r->before_decode, *b = &r->after_decode;
    char x[24], y[24], z[24];
    fprintf(out, "load %.1f s, first token %.2f s, prefill %.1f tok/s (%zu tokens), decode %.2f tok/s (%zu tokens)\n",
            info->load_s, r->ttft_s, rate((double)r->n_evaluated, r->prefill_s), r->n_evaluated,
            rate((double)r->n_decoded, r->decode_s), r->n_output);
    fprintf(out, "memory: %s at most, budget %s\n", hyp_text_format_bytes(peak_bytes(b), x, sizeof x),
            hyp_text_format_bytes(info->budget_bytes, y, sizeof y));
    hyp_run_report_closing(engine, r, out);
    bound limit = bound_of(r, info->disk_bytes_per_s);
    fprintf(out, "bound: %.2f tok/s, limited by %s\n", limit.tok_per_s, limit.by_disk ? "disk" : "compute");
    if (!hyp_mode_streams(info->mode)) return;
    double hit = (double)(b->hit_bytes - a->hit_bytes), miss = (double)(b->miss_bytes - a->miss_bytes);
    double tokens = r->n_decoded > 0 ? (double)r->n_decoded : 1;
    fprintf(out, "cache: %s beside %s pinned, hit rate %.1f %%\n",
            hyp_text_format_bytes(b->cache_capacity_bytes, x, sizeof x),
            hyp_text_format_bytes(b->pinned_bytes, y, sizeof y), hit + miss > 0 ? 100 * hit / (hit + miss) : 0);
    fprintf(
        out, "disk: %s read a token, %s/s while reading, waited %.0f ms a token\n",
        hyp_text_format_bytes(
            (uint64_t)((double)(b->demand_bytes + b->prefetch_bytes - a->demand_bytes - a->prefetch_bytes) / tokens), x,
            sizeof x),
        hyp_text_format_bytes((uint64_t)b->disk_bytes_per_s, y, sizeof y), 1e3 * (b->stall_s - a->stall_s) / tokens);
    print_sources(engine, b, out);
    const char *sidecar;
    if (hyp_engine_uses_sidecar(engine, &sidecar, NULL))
        fprintf(out, "packed copy: %s of it read, experts %s, %s\n",
                hyp_text_format_bytes(b->sidecar_bytes, x, sizeof x), b->whole_experts ? "whole" : "part by part",
                sidecar);
    if (!hyp_mode_routes(info->mode)) return;
    fprintf(out, "prefetch: %s, %s read ahead, %s of it used; %.0f %% of the experts predicted\n",
            b->prefetch_on ? "on" : "off",
            hyp_text_format_bytes(b->prefetch_issued_bytes - a->prefetch_issued_bytes, x, sizeof x),
            hyp_text_format_bytes(b->prefetch_used_bytes - a->prefetch_used_bytes, z, sizeof z),
            100 * b->prefetch_recall);
}

static void add_sources(doc *d, val *io, const hyp_engine *engine, const hyp_engine_stats *stats) {
    val *list = yyjson_mut_obj_add_arr(d, io, "sources");
    for (uint32_t i = 0; i < stats->n_sources; i++) {
        const hyp_io_source_stats *s = &stats->sources[i];
        val *o = yyjson_mut_arr_add_obj(d, list);
        yyjson_mut_obj_add_strcpy(d, o, "path", hyp_engine_source_path(engine, i));
        yyjson_mut_obj_add_uint(d, o, "bytes", s->bytes);
        yyjson_mut_obj_add_uint(d, o, "bytes_per_s", (uint64_t)s->bytes_per_s);
        yyjson_mut_obj_add_bool(d, o, "dropped", s->dropped_errno != 0);
    }
}

static void add_costs(doc *d, val *root, hyp_engine *engine) {
    hyp_engine_stats stats;
    hyp_engine_get_stats(engine, &stats);
    val *memory = yyjson_mut_obj_add_obj(d, root, "memory");
    yyjson_mut_obj_add_uint(d, memory, "budget_bytes", hyp_engine_get_info(engine)->budget_bytes);
    yyjson_mut_obj_add_uint(d, memory, "peak_rss_bytes", peak_bytes(&stats));
    val *io = yyjson_mut_obj_add_obj(d, root, "io");
    yyjson_mut_obj_add_uint(d, io, "bytes_read", stats.bytes_read);
    yyjson_mut_obj_add_uint(d, io, "demand_bytes", stats.demand_bytes);
    yyjson_mut_obj_add_uint(d, io, "prefetch_bytes", stats.prefetch_bytes);
    yyjson_mut_obj_add_real(d, io, "stall_ms", ms(stats.stall_s));
    yyjson_mut_obj_add_uint(d, io, "reads", stats.n_reads);
    yyjson_mut_obj_add_uint(d, io, "major_faults", stats.major_faults);
    if (stats.n_sources > 0) add_sources(d, io, engine, &stats);
}

/* The packed copy of the streamed weights: used or not, and why not. */
static void add_sidecar(doc *d, val *root, hyp_engine *engine) {
    const char *path;
    const hyp_err *why;
    hyp_engine_stats stats;
    hyp_engine_get_stats(engine, &stats);
    bool used = hyp_engine_uses_sidecar(engine, &path, &why);
    val *o = yyjson_mut_obj_add_obj(d, root, "sidecar");
    yyjson_mut_obj_add_bool(d, o, "used", used);
    yyjson_mut_obj_add_uint(d, o, "bytes_read", stats.sidecar_bytes);
    yyjson_mut_obj_add_bool(d, o, "whole_experts", stats.whole_experts);
    if (path != NULL) yyjson_mut_obj_add_str(d, o, "path", path);
    if (why != NULL) yyjson_mut_obj_add_str(d, o, "why", why->message);
}

/* How the streamed weights were found, decoding only. */
static void add_streaming(doc *d, val *root, const hyp_local_result *r) {
    const hyp_engine_stats *a = &r->before_decode, *b = &r->after_decode;
    val *cache = yyjson_mut_obj_add_obj(d, root, "cache");
    yyjson_mut_obj_add_uint(d, cache, "capacity_bytes", b->cache_capacity_bytes);
    yyjson_mut_obj_add_uint(d, cache, "pinned_bytes", b->pinned_bytes);
    yyjson_mut_obj_add_uint(d, cache, "hit_bytes", b->hit_bytes - a->hit_bytes);
    yyjson_mut_obj_add_uint(d, cache, "miss_bytes", b->miss_bytes - a->miss_bytes);
    yyjson_mut_obj_add_uint(d, cache, "evicted_bytes", b->evicted_bytes - a->evicted_bytes);
    val *prefetch = yyjson_mut_obj_add_obj(d, root, "prefetch");
    yyjson_mut_obj_add_uint(d, prefetch, "issued_bytes", b->prefetch_issued_bytes - a->prefetch_issued_bytes);
    yyjson_mut_obj_add_uint(d, prefetch, "used_bytes", b->prefetch_used_bytes - a->prefetch_used_bytes);
    yyjson_mut_obj_add_uint(d, prefetch, "wasted_bytes", b->prefetch_wasted_bytes - a->prefetch_wasted_bytes);
    yyjson_mut_obj_add_real(d, prefetch, "recall", rate(b->prefetch_recall, 1));
    yyjson_mut_obj_add_real(d, prefetch, "precision", rate(b->prefetch_precision, 1));
    yyjson_mut_obj_add_bool(d, prefetch, "on", b->prefetch_on);
}

static void add_bound(doc *d, val *root, const hyp_local_result *r, double disk_bytes_per_s) {
    bound limit = bound_of(r, disk_bytes_per_s);
    val *o = yyjson_mut_obj_add_obj(d, root, "bound");
    yyjson_mut_obj_add_real(d, o, "tok_per_s", rate(limit.tok_per_s, 1));
    yyjson_mut_obj_add_str(d, o, "limited_by", limit.by_disk ? "disk" : "compute");
}

/* The cost model's word on this run, under the names of what was measured. */
static void add_prediction(doc *d, val *root, const hyp_engine *engine, const hyp_local_result *r) {
    hyp_prediction p;
    if (predict(engine, r, &p) != HYP_OK) return;
    val *o = yyjson_mut_obj_add_obj(d, root, "predicted");
    yyjson_mut_obj_add_real(d, o, "load_ms", ms(p.load_s));
    yyjson_mut_obj_add_real(d, o, "ttft_ms", ms(p.first_token_s));
    yyjson_mut_obj_add_real(d, o, "prefill_tok_per_s", rate(p.prefill_tok_per_s, 1));
    yyjson_mut_obj_add_real(d, o, "decode_tok_per_s", rate(p.decode_tok_per_s, 1));
    yyjson_mut_obj_add_real(d, o, "compute_ms", ms(p.compute_s));
    yyjson_mut_obj_add_real(d, o, "read_ms", ms(p.read_s));
    yyjson_mut_obj_add_uint(d, o, "read_bytes", (uint64_t)p.read_bytes);
    yyjson_mut_obj_add_real(d, o, "hit_rate", (double)(int64_t)(p.hit_rate * 1e4 + 0.5) / 1e4);
    yyjson_mut_obj_add_real(d, o, "bound_tok_per_s", rate(p.bound_tok_per_s, 1));
    yyjson_mut_obj_add_str(d, o, "limited_by", hyp_limit_name(p.limit));
    yyjson_mut_obj_add_bool(d, o, "rates_measured", hyp_engine_get_info(engine)->rates_measured);
}

/* The plan that the context has outgrown, where it has: `placement` is that of the second one. */
static void add_first_plan(doc *d, val *root, const hyp_engine *engine) {
    const hyp_plan *first = hyp_engine_first_plan(engine), *executed = hyp_engine_plan(engine);
    if (first == executed) return;
    val *o = yyjson_mut_obj_add_obj(d, root, "first_plan");
    yyjson_mut_obj_add_uint(d, o, "compute_bytes", first->compute_bytes);
    yyjson_mut_obj_add_real(d, o, "compute_scale", rate(executed->request.compute_scale, 1));
    (void)hyp_plan_view_placement_json(d, o, hyp_engine_model(engine), first);
}

int hyp_run_report_json(hyp_engine *engine, const hyp_local_result *result, const hyp_str *text, bool with_digest,
                        FILE *out, hyp_err *err) {
    const hyp_engine_info *info = hyp_engine_get_info(engine);
    char digest[17];
    hyp_str valid = {0};
    hyp_utf8_repair(&valid, text->data, text->length);
    doc *d = yyjson_mut_doc_new(NULL);
    val *root = d != NULL ? yyjson_mut_obj(d) : NULL;
    if (root == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the report");
    yyjson_mut_doc_set_root(d, root);
    add_model(d, root, hyp_engine_model(engine));
    yyjson_mut_obj_add_str(d, root, "mode", hyp_mode_name(info->mode));
    yyjson_mut_obj_add_uint(d, root, "batch_tokens", info->batch_tokens);
    yyjson_mut_obj_add_uint(d, root, "prompt_tokens", result->n_prompt);
    if (result->n_dropped > 0) yyjson_mut_obj_add_uint(d, root, "dropped_messages", result->n_dropped);
    yyjson_mut_obj_add_uint(d, root, "output_tokens", result->n_output);
    yyjson_mut_obj_add_strn(d, root, "text", valid.data != NULL ? valid.data : "", valid.length);
    yyjson_mut_obj_add_str(d, root, "stop_reason", stop_name(result->stop));
    yyjson_mut_obj_add_real(d, root, "load_ms", ms(info->load_s));
    yyjson_mut_obj_add_real(d, root, "ttft_ms", ms(result->ttft_s));
    yyjson_mut_obj_add_real(d, root, "prefill_tok_per_s", rate((double)result->n_evaluated, result->prefill_s));
    yyjson_mut_obj_add_real(d, root, "decode_tok_per_s", rate((double)result->n_decoded, result->decode_s));
    add_costs(d, root, engine);
    if (hyp_mode_streams(info->mode)) {
        add_streaming(d, root, result);
        add_sidecar(d, root, engine);
    }
    add_bound(d, root, result, info->disk_bytes_per_s);
    (void)hyp_plan_view_placement_json(d, root, hyp_engine_model(engine), hyp_engine_plan(engine));
    add_first_plan(d, root, engine);
    add_prediction(d, root, engine, result);
    if (with_digest) {
        snprintf(digest, sizeof digest, "%016llx", (unsigned long long)result->digest);
        yyjson_mut_obj_add_str(d, root, "logits_digest", digest);
    }
    char *json = yyjson_mut_write(d, 0, NULL);
    yyjson_mut_doc_free(d);
    hyp_str_free(&valid);
    if (json == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the report");
    fprintf(out, "%s\n", json);
    free(json);
    return HYP_OK;
}
