/* openai_models.c - GET /v1/models and /v1/models/ID. */
#include "api/api_priv.h"

#include "base/mem.h"

#include <string.h>

static void put_model(hyp_json *j, const hyp_entry *entry, const char *id) {
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "id", id);
    hyp_json_kv_str(j, "object", "model");
    hyp_json_kv_int(j, "created", entry->modified_ns / 1000000000);
    hyp_json_kv_str(j, "owned_by", entry->name.space[0] != '\0' ? entry->name.space : "library");
    hyp_json_close(j, '}');
}

static void put_listed(hyp_json *j, const hyp_entry *entry, const hyp_server *server) {
    (void)server;
    put_model(j, entry, entry->display);
}

static void openai_models(hyp_request *r, void *server) {
    api a = {.server = server, .request = r, .style = STYLE_OPENAI};
    hyp_modelinfo_list(&a, put_listed);
}

static void openai_model(hyp_request *r, void *context) {
    hyp_server *server = context;
    api a = {.server = server, .request = r, .style = STYLE_OPENAI};
    const char *id = hyp_request_path(r) + strlen("/v1/models/");
    hyp_str out = {0};
    hyp_json j = {&out, false};
    if (hyp_registry_find(server->registry, id, &a.entry, &a.err) != HYP_OK) {
        hyp_api_error(&a, 404, "model '%s' not found", id);
        return;
    }
    put_model(&j, a.entry, id);
    hyp_entry_unref(a.entry);
    hyp_api_reply(&a, &out);
}

const hyp_route hyp_openai_models_routes[] = {
    {"GET HEAD", "/v1/models", openai_models, false},
    {"GET HEAD", "/v1/models/*", openai_model, false},
    {0},
};
