/* metrics.c - GET /metrics (Prometheus' text format) and the state that the web page draws. */
#include "api/api_priv.h"
#include "base/mem.h"

typedef struct metric {
    const char *name, *type, *help;
    double value;
} metric;

static void put(hyp_str *out, const metric *m, size_t n) {
    for (size_t i = 0; i < n; i++)
        hyp_str_printf(out, "# HELP hypura_%s %s\n# TYPE hypura_%s %s\nhypura_%s %.17g\n", m[i].name, m[i].help,
                       m[i].name, m[i].type, m[i].name, m[i].value);
}

static void put_server(hyp_server *server, const hyp_scheduler_stats *s, hyp_str *out) {
    hyp_http_stats h;
    hyp_http_get_stats(server->http, &h);
    const metric rows[] = {
        {"uptime_seconds", "gauge", "Time since the server started.",
         (double)(hyp_mono_ns() - server->started_ns) * 1e-9},
        {"http_requests_total", "counter", "Requests received.", (double)h.requests},
        {"http_refused_total", "counter", "Requests refused by the Host, Origin or key check.", (double)h.refused},
        {"http_responses_2xx_total", "counter", "Replies with a status from 200 on.", (double)h.by_class[2]},
        {"http_responses_4xx_total", "counter", "Replies with a status from 400 on.", (double)h.by_class[4]},
        {"http_responses_5xx_total", "counter", "Replies with a status from 500 on.", (double)h.by_class[5]},
        {"http_connections", "gauge", "Open connections.", (double)h.open_connections},
        {"jobs_total", "counter", "Requests that reached the queue.", (double)s->jobs},
        {"jobs_failed_total", "counter", "Jobs that ended with an error.", (double)s->failed},
        {"jobs_cancelled_total", "counter", "Jobs whose client went away.", (double)s->cancelled},
        {"jobs_refused_total", "counter", "Jobs refused because the queue was full.", (double)s->refused},
        {"jobs_waiting", "gauge", "Jobs waiting for a slot.", (double)s->waiting},
        {"jobs_active", "gauge", "Jobs in slots.", (double)s->active},
        {"slots", "gauge", "Sequences that decode together.", (double)s->n_parallel},
        {"prompt_tokens_total", "counter", "Prompt tokens evaluated.", (double)s->prompt_tokens},
        {"cached_tokens_total", "counter", "Prompt tokens found in a slot and not evaluated again.",
         (double)s->cached_tokens},
        {"output_tokens_total", "counter", "Tokens generated.", (double)s->output_tokens},
        {"decodes_total", "counter", "Batches decoded.", (double)s->decodes},
        {"prompt_seconds_total", "counter", "Time in batches that held prompts.", s->prompt_s},
        {"decode_seconds_total", "counter", "Time in batches of single tokens.", s->decode_s},
        {"decoded_tokens_total", "counter", "Tokens of those batches.", (double)s->decoded_tokens},
        {"model_loads_total", "counter", "Models loaded.", (double)s->loads},
    };
    put(out, rows, HYP_ARRAY_LEN(rows));
}

static void put_engine(const hyp_scheduler_stats *s, hyp_str *out) {
    const hyp_engine_stats *e = &s->engine;
    const hyp_backend_placement *p = &s->placement;
    const metric rows[] = {
        {"weights_gpu_bytes", "gauge", "Weights in GPU memory.", (double)p->gpu_bytes},
        {"weights_remote_bytes", "gauge", "Weights in other machines' memory.", (double)p->remote_bytes},
        {"weights_pinned_bytes", "gauge", "Weights pinned in RAM.", (double)p->pinned_bytes},
        {"weights_cached_bytes", "gauge", "Weights in the cache over the disk.", (double)p->cached_bytes},
        {"weights_disk_bytes", "gauge", "Weights that are only on disk.", (double)p->disk_bytes},
        {"read_bytes_total", "counter", "Bytes read from the device.", (double)e->bytes_read},
        {"demand_bytes_total", "counter", "Bytes read because a token waited for them.", (double)e->demand_bytes},
        {"prefetch_bytes_total", "counter", "Bytes read ahead.", (double)e->prefetch_bytes},
        {"cache_hit_bytes_total", "counter", "Bytes of streamed weights found in RAM.", (double)e->hit_bytes},
        {"cache_miss_bytes_total", "counter", "Bytes of streamed weights that had to be read.", (double)e->miss_bytes},
        {"stall_seconds_total", "counter", "Time that the computation waited for reads.", e->stall_s},
        {"disk_bytes_per_second", "gauge", "Read rate while reading.", e->disk_bytes_per_s},
    };
    put(out, rows, HYP_ARRAY_LEN(rows));
}

static void metrics_get(hyp_request *r, void *context) {
    hyp_server *server = context;
    hyp_scheduler_stats s;
    hyp_str out = {0};
    hyp_scheduler_get_stats(server->scheduler, &s);
    put_server(server, &s, &out);
    if (s.loaded) put_engine(&s, &out);
    hyp_request_reply_str(r, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
}

/* What the page polls: counters to take differences of, and where the weights are. */
static void ui_state(hyp_request *r, void *context) {
    hyp_server *server = context;
    hyp_scheduler_stats s;
    hyp_scheduler_get_stats(server->scheduler, &s);
    hyp_str out = {0};
    hyp_json j = {&out, false};
    hyp_json_open(&j, '{');
    hyp_json_key(&j, "time_s");
    hyp_json_raw(&j, "", 0);
    hyp_str_printf(&out, "%.6f", (double)(hyp_mono_ns() - server->started_ns) * 1e-9);
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {{"output_tokens", s.output_tokens},
                {"prompt_tokens", s.prompt_tokens},
                {"cached_tokens", s.cached_tokens},
                {"waiting", s.waiting},
                {"active", s.active},
                {"slots", s.n_parallel},
                {"gpu_bytes", s.placement.gpu_bytes},
                {"remote_bytes", s.placement.remote_bytes},
                {"pinned_bytes", s.placement.pinned_bytes},
                {"cached_bytes", s.placement.cached_bytes},
                {"disk_bytes", s.placement.disk_bytes},
                {"hit_bytes", s.engine.hit_bytes},
                {"miss_bytes", s.engine.miss_bytes},
                {"read_bytes", s.engine.bytes_read}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(rows); i++)
        hyp_json_kv_int(&j, rows[i].key, (int64_t)rows[i].value);
    hyp_json_kv_bool(&j, "loaded", s.loaded);
    hyp_loaded loaded[HYP_LOADED_MAX];
    size_t n = hyp_scheduler_loaded(server->scheduler, loaded);
    const char *mode = NULL, *model = NULL;
    for (size_t i = 0; i < n; i++)
        if (!loaded[i].embeddings) {
            mode = hyp_mode_name(loaded[i].mode);
            model = loaded[i].entry->display;
        }
    hyp_json_kv_str(&j, "mode", mode);
    hyp_json_kv_str(&j, "model", model);
    for (size_t i = 0; i < n; i++)
        hyp_entry_unref(loaded[i].entry);
    hyp_json_close(&j, '}');
    hyp_request_reply_str(r, 200, API_JSON, &out);
}

const hyp_route hyp_metrics_routes[] = {
    {"GET HEAD", "/metrics", metrics_get, false},
    {"GET HEAD", "/ui/state", ui_state, false},
    {0},
};
