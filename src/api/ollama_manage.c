/* ollama_manage.c - pull, copy, delete, create, push and blobs, as far as a server of local files has them: names can
 * be added and removed, files are never written, fetched or deleted. */
#include "api/api_priv.h"
#include "base/mem.h"

#include <string.h>

/* {"status":...} lines, or with "stream":false only the last. False: it was an error. */
static bool reply_statuses(api *a, const char *const *statuses, size_t n) {
    bool stream = hyp_field_bool(&a->f, "stream", true);
    if (a->err.code != 0) return hyp_api_fail(a);
    hyp_str out = {0};
    for (size_t i = stream ? 0 : n - 1; i < n; i++) {
        hyp_json j = {&out, false};
        hyp_json_open(&j, '{');
        hyp_json_kv_str(&j, "status", statuses[i]);
        hyp_json_close(&j, '}');
        if (stream) hyp_str_puts(&out, "\n");
    }
    hyp_request_reply_str(a->request, 200, stream ? NDJSON : API_JSON, &out);
    return true;
}

static bool reply_success(api *a) {
    static const char *const success[] = {"success"};
    return reply_statuses(a, success, 1);
}

/* The model's name, in `model` or `name`. False: answered. */
static bool read_name(api *a) {
    const char *model = hyp_field_str(&a->f, "model", ""), *name = hyp_field_str(&a->f, "name", "");
    if (a->err.code != 0) return hyp_api_fail(a);
    a->model = model[0] != '\0' ? model : name;
    hyp_name parsed;
    if (a->model[0] == '\0') return hyp_api_error(a, 400, "model is required");
    if (hyp_name_parse(a->model, &parsed, &a->err) != HYP_OK) return hyp_api_error(a, 400, "invalid model name");
    return true;
}

static bool pull(api *a) {
    static const char *const statuses[] = {"pulling manifest", "success"};
    hyp_err why = HYP_ERR_NONE;
    if (!read_name(a)) return false;
    if (hyp_registry_find(a->server->registry, a->model, &a->entry, &why) != HYP_OK)
        return hyp_api_error(a, 500, "pull model manifest: file does not exist");
    return reply_statuses(a, statuses, HYP_ARRAY_LEN(statuses));
}

static void ollama_pull(hyp_request *r, void *server) {
    hyp_api_handle(r, server, "PullRequest", pull);
}

static void ollama_push(hyp_request *r, void *server) {
    api a = {.server = server, .request = r};
    hyp_api_error(&a, 501, "this server serves local files and pushes none");
}

static void ollama_blobs(hyp_request *r, void *server) {
    api a = {.server = server, .request = r};
    if (strcmp(hyp_request_method(r), "HEAD") == 0)
        hyp_request_reply(r, 404, NULL, "", 0);
    else
        hyp_api_error(&a, 501, "this server serves local files and takes no blobs");
}

static bool fail_registry(api *a) {
    switch (a->err.code) {
    case HYP_ENOTFOUND: return hyp_api_error(a, 404, "%s", a->err.message);
    case HYP_EUNSUPPORTED: return hyp_api_error(a, 403, "%s", a->err.message);
    case HYP_ENOMEM: return hyp_api_error(a, 500, "%s", a->err.message);
    default: return hyp_api_error(a, 400, "%s", a->err.message);
    }
}

static bool copy(api *a) {
    const char *source = hyp_field_str(&a->f, "source", ""), *target = hyp_field_str(&a->f, "destination", "");
    hyp_alias alias = {.name = target, .from = source};
    hyp_name parsed;
    if (a->err.code != 0) return hyp_api_fail(a);
    if (hyp_name_parse(source, &parsed, &a->err) != HYP_OK)
        return hyp_api_error(a, 400, "source \"%.200s\" is invalid", source);
    if (hyp_name_parse(target, &parsed, &a->err) != HYP_OK)
        return hyp_api_error(a, 400, "destination \"%.200s\" is invalid", target);
    if (hyp_registry_add_alias(a->server->registry, &alias, &a->err) != HYP_OK) return fail_registry(a);
    return reply_success(a);
}

static void ollama_copy(hyp_request *r, void *server) {
    hyp_api_handle(r, server, "CopyRequest", copy);
}

static bool remove_alias(api *a) {
    if (!read_name(a)) return false;
    if (hyp_registry_remove_alias(a->server->registry, a->model, &a->err) != HYP_OK) return fail_registry(a);
    return reply_success(a);
}

static void ollama_delete(hyp_request *r, void *server) {
    hyp_api_handle(r, server, "DeleteRequest", remove_alias);
}

/* `license`, `quantize`, `files`, `adapters` would change weights or write files. */
static bool creatable(api *a) {
    static const char *const never[] = {"quantize", "quantization", "files", "adapters", "modelfile", "path"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(never); i++) {
        yyjson_val *value = hyp_field(&a->f, never[i]);
        if (value == NULL || (yyjson_is_str(value) && yyjson_get_len(value) == 0) ||
            (yyjson_is_ctn(value) && unsafe_yyjson_get_len(value) == 0))
            continue;
        return hyp_api_error(a, 501, "this server serves local files: \"%s\" is not supported", never[i]);
    }
    return true;
}

static bool create(api *a) {
    static const char *const statuses[] = {"using existing layer", "writing manifest", "success"};
    if (!read_name(a)) return false;
    hyp_fields *f = &a->f;
    const char *from = hyp_field_str(f, "from", ""), *system = hyp_field_str(f, "system", ""),
               *template = hyp_field_str(f, "template", "");
    yyjson_val *parameters = hyp_field_object(f, "parameters"), *messages = hyp_field_array(f, "messages");
    if (a->err.code != 0) return hyp_api_fail(a);
    if (!creatable(a)) return false;
    if (from[0] == '\0')
        return hyp_api_error(a, 501, "this server serves local files: \"from\" must name a known model");
    hyp_params params;
    if (hyp_registry_find(a->server->registry, from, &a->entry, &a->err) != HYP_OK)
        return hyp_api_error(a, 404, "model '%s' not found", from);
    if (hyp_params_copy(&params, &a->entry->params, &a->err) != HYP_OK) return hyp_api_fail(a);
    HYP_AUTOFREE char *messages_text = messages != NULL ? yyjson_val_write(messages, YYJSON_WRITE_NOFLAG, NULL) : NULL;
    hyp_alias alias = {.name = a->model,
                       .from = from,
                       .system = system[0] != '\0' ? system : NULL,
                       .template_text = template[0] != '\0' ? template : NULL,
                       .messages = messages_text,
                       .params = &params};
    bool good;
    if (hyp_params_apply(&params, parameters, &a->err) != HYP_OK)
        good = hyp_api_fail(a);
    else if (hyp_registry_add_alias(a->server->registry, &alias, &a->err) != HYP_OK)
        good = fail_registry(a);
    else
        good = reply_statuses(a, statuses, HYP_ARRAY_LEN(statuses));
    hyp_params_free(&params);
    return good;
}

static void ollama_create(hyp_request *r, void *server) {
    hyp_api_handle(r, server, "CreateRequest", create);
}

const hyp_route hyp_ollama_manage_routes[] = {
    {"POST", "/api/pull", ollama_pull, false},
    {"POST", "/api/push", ollama_push, false},
    {"POST", "/api/copy", ollama_copy, false},
    {"DELETE", "/api/delete", ollama_delete, false},
    {"POST", "/api/create", ollama_create, false},
    {"HEAD POST", "/api/blobs/*", ollama_blobs, false},
    {0},
};
