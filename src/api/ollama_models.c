/* ollama_models.c - what is there and what is loaded: /, version, tags, ps, show, status, me. */
#include "api/api_priv.h"
#include "base/mem.h"

#include <string.h>

static void ollama_root(hyp_request *r, void *server) {
    (void)server;
    hyp_request_reply(r, 200, "text/plain; charset=utf-8", "Ollama is running", SIZE_MAX);
}

static void ollama_version(hyp_request *r, void *server) {
    (void)server;
    hyp_request_reply(r, 200, API_JSON, "{\"version\":\"" OLLAMA_VERSION "\"}", SIZE_MAX);
}

static void ollama_status(hyp_request *r, void *server) {
    (void)server;
    hyp_request_reply(r, 200, API_JSON, "{\"cloud\":{\"disabled\":true,\"source\":\"env\"}}", SIZE_MAX);
}

static void ollama_me(hyp_request *r, void *server) {
    (void)server;
    hyp_request_reply(r, 401, API_JSON, "{\"error\":\"unauthorized\"}", SIZE_MAX);
}

static void put_model(hyp_json *j, const hyp_entry *entry, const hyp_server *server) {
    char date[HYP_TIMESTAMP_SIZE];
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "name", entry->display);
    hyp_json_kv_str(j, "model", entry->display);
    hyp_json_kv_str(j, "modified_at", hyp_timestamp(entry->modified_ns, date));
    hyp_json_kv_int(j, "size", (int64_t)entry->summary.bytes);
    hyp_json_kv_str(j, "digest", entry->summary.digest);
    hyp_modelinfo_put_details(j, entry, server);
    hyp_modelinfo_put_capabilities(j, entry->summary.capabilities);
    hyp_json_close(j, '}');
}

static void ollama_tags(hyp_request *r, void *server) {
    api a = {.server = server, .request = r, .style = STYLE_OLLAMA};
    hyp_modelinfo_list(&a, put_model);
}

/* A model that never expires is reported as one that does in a hundred years: clients show "Forever" from twenty on. */
static int64_t expiry(int64_t expires_ns) {
    static const int64_t century_ns = (int64_t)100 * 365 * 86400 * 1000000000;
    return expires_ns == HYP_FOREVER ? hyp_wall_ns() + century_ns : expires_ns;
}

static void ollama_ps(hyp_request *r, void *context) {
    hyp_server *server = context;
    api a = {.server = server, .request = r};
    hyp_loaded loaded[HYP_LOADED_MAX];
    size_t n = hyp_scheduler_loaded(server->scheduler, loaded);
    hyp_str out = {0};
    hyp_json j = {&out, false};
    hyp_json_open(&j, '{');
    hyp_json_key(&j, "models");
    hyp_json_open(&j, '[');
    for (size_t i = 0; i < n; i++) {
        char date[HYP_TIMESTAMP_SIZE];
        const hyp_entry *entry = loaded[i].entry;
        hyp_json_open(&j, '{');
        hyp_json_kv_str(&j, "name", entry->display);
        hyp_json_kv_str(&j, "model", entry->display);
        hyp_json_kv_int(&j, "size", (int64_t)loaded[i].size_bytes);
        hyp_json_kv_str(&j, "digest", entry->summary.digest);
        hyp_modelinfo_put_details(&j, entry, server);
        hyp_json_kv_str(&j, "expires_at", hyp_timestamp(expiry(loaded[i].expires_ns), date));
        hyp_json_kv_int(&j, "size_vram", (int64_t)loaded[i].vram_bytes);
        hyp_json_kv_int(&j, "context_length", loaded[i].context_tokens);
        hyp_json_close(&j, '}');
        hyp_entry_unref(loaded[i].entry);
    }
    hyp_json_close(&j, ']');
    hyp_json_close(&j, '}');
    hyp_api_reply(&a, &out);
}

static bool show(api *a) {
    hyp_str out = {0};
    if (!hyp_api_find_model(a)) return false;
    bool verbose = hyp_field_bool(&a->f, "verbose", false);
    if (a->err.code != 0) return hyp_api_fail(a);
    if (hyp_modelinfo_show(a->server, a->entry, verbose, &out, &a->err) != HYP_OK) {
        hyp_str_free(&out);
        return hyp_api_error(a, 500, "%s", a->err.message);
    }
    hyp_api_reply(a, &out);
    return true;
}

static void ollama_show(hyp_request *r, void *server) {
    hyp_api_handle(r, server, "ShowRequest", show);
}

const hyp_route hyp_ollama_models_routes[] = {
    {"GET HEAD", "/", ollama_root, true}, /* clients look here whether there is a server, without a key */
    {"GET HEAD", "/api/version", ollama_version, false},
    {"GET HEAD", "/api/tags", ollama_tags, false},
    {"GET HEAD", "/api/ps", ollama_ps, false},
    {"POST", "/api/show", ollama_show, false},
    {"GET HEAD", "/api/status", ollama_status, false},
    {"POST", "/api/me", ollama_me, false},
    {0},
};
