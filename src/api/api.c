/* api.c - the table of routes; reading requests and answering errors, for every codec. */
#include "api/api_priv.h"

#include "base/mem.h"

#include <string.h>
#include <sys/random.h>

#define API_ROUTES_OF(file) hyp_##file##_routes,
const hyp_route *const hyp_api_routes[] = {API_ROUTE_FILES(API_ROUTES_OF) NULL};

static const char *error_type(api_style style, int status) {
    if (status == 503 && style == STYLE_ANTHROPIC) return "overloaded_error";
    return status == 404 ? "not_found_error" : status < 500 ? "invalid_request_error" : "api_error";
}

void hyp_api_put_error(api_style style, int status, const char *message, hyp_str *out) {
    hyp_json j = {out, false};
    hyp_json_open(&j, '{');
    if (style == STYLE_ANTHROPIC) hyp_json_kv_str(&j, "type", "error");
    hyp_json_key(&j, "error");
    if (style == STYLE_OLLAMA)
        hyp_json_str(&j, message);
    else {
        hyp_json_open(&j, '{');
        if (style == STYLE_ANTHROPIC) hyp_json_kv_str(&j, "type", error_type(style, status));
        hyp_json_kv_str(&j, "message", message);
        if (style == STYLE_OPENAI) {
            hyp_json_kv_str(&j, "type", error_type(style, status));
            hyp_json_kv_null(&j, "param");
            hyp_json_kv_null(&j, "code");
        }
        hyp_json_close(&j, '}');
    }
    hyp_json_close(&j, '}');
}

static api_style style_of(const char *path) {
    static const char anthropic[] = "/v1/messages"; /* and what is below it */
    if (strncmp(path, anthropic, strlen(anthropic)) == 0) return STYLE_ANTHROPIC;
    return strncmp(path, "/v1/", 4) == 0 ? STYLE_OPENAI : STYLE_OLLAMA;
}

bool hyp_api_error(api *a, int status, const char *format, ...) {
    char message[1024];
    hyp_str body = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    hyp_api_put_error(a->style, status, message, &body);
    hyp_request_set_why(a->request, message);
    hyp_request_reply_str(a->request, status, a->style != STYLE_OLLAMA ? V1_JSON : API_JSON, &body);
    return false;
}

bool hyp_api_fail(api *a) {
    return hyp_api_error(a, a->err.code == HYP_ENOMEM ? 500 : 400, "%s", a->err.message);
}

bool hyp_api_open(api *a, hyp_server *server, hyp_request *request, const char *name) {
    *a = (api){.server = server, .request = request, .style = style_of(hyp_request_path(request))};
    size_t n = 0;
    const char *body = hyp_request_body(request, &n);
    if (hyp_json_parse(body, n, &a->doc, &a->err) != HYP_OK) return hyp_api_fail(a);
    yyjson_val *root = yyjson_doc_get_root(a->doc);
    if (!yyjson_is_obj(root))
        return hyp_api_error(a, 400, "json: cannot unmarshal %s into Go value of type api.%s", hyp_json_kind(root),
                             name);
    a->f = (hyp_fields){root, name, &a->err};
    return true;
}

bool hyp_api_find_model(api *a) {
    const char *model = hyp_field_str(&a->f, "model", ""), *name = hyp_field_str(&a->f, "name", "");
    if (a->err.code != 0) return hyp_api_fail(a);
    a->model = model[0] != '\0' ? model : name;
    if (a->model[0] == '\0') return hyp_api_error(a, 400, "model is required");
    hyp_err why = HYP_ERR_NONE;
    if (hyp_registry_find(a->server->registry, a->model, &a->entry, &why) == HYP_OK) return true;
    return hyp_api_error(a, 404, "model '%s' not found", a->model);
}

void hyp_api_close(api *a) {
    yyjson_doc_free(a->doc);
    hyp_entry_unref(a->entry);
}

void hyp_api_handle(hyp_request *request, hyp_server *server, const char *name, bool (*handle)(api *a)) {
    api a;
    if (hyp_api_open(&a, server, request, name)) handle(&a);
    hyp_api_close(&a);
}

void hyp_api_reply(api *a, hyp_str *body) {
    hyp_request_reply_str(a->request, 200, a->style != STYLE_OLLAMA ? V1_JSON : API_JSON, body);
}

hyp_job *hyp_api_new_job(api *a, hyp_job_kind kind) {
    hyp_job *job = hyp_job_new(kind, a->entry, a->model);
    if (job == NULL || hyp_params_copy(&job->params, &a->entry->params, &a->err) != HYP_OK) {
        hyp_job_unref(job);
        hyp_api_error(a, 500, "out of memory");
        return NULL;
    }
    yyjson_val *options = hyp_field_object(&a->f, "options");
    int status = 400;
    if (a->err.code == 0 && hyp_params_apply(&job->params, options, &a->err) != HYP_OK)
        status = 500; /* as Ollama has it */
    if (a->err.code == 0) {
        int r = hyp_keep_alive_parse(hyp_field(&a->f, "keep_alive"), a->server->config.keep_alive_ns,
                                     &job->keep_alive_ns, &a->err);
        (void)r; /* a->err has it */
    }
    if (a->err.code == 0) return job;
    hyp_api_error(a, status, "%s", a->err.message);
    hyp_job_unref(job);
    return NULL;
}

hyp_conversation *hyp_api_new_conversation(api *a, hyp_job *job) {
    if ((a->entry->summary.capabilities & HYP_CAN_COMPLETE) == 0) {
        hyp_api_error(a, 400, "\"%s\" does not support chat", a->model);
        return NULL;
    }
    job->conversation = hyp_conversation_new();
    if (job->conversation == NULL) hyp_api_error(a, 500, "out of memory");
    return job->conversation;
}

bool hyp_api_finish_messages(api *a, hyp_conversation *c) {
    const hyp_entry *entry = a->entry;
    bool own_system = c->n > 0 && strcmp(c->messages[0].role, "system") == 0;
    if (hyp_conversation_has_images(c)) return hyp_api_error(a, 400, "\"%s\" does not support images", a->model);
    if (entry->system != NULL && !own_system &&
        hyp_conversation_add_first(c, "system", entry->system, &a->err) != HYP_OK)
        return hyp_api_fail(a);
    return hyp_conversation_set_template(c, hyp_entry_chat_template(entry), &a->err) == HYP_OK || hyp_api_fail(a);
}

static bool has_tool(yyjson_val *tools, const char *name) {
    yyjson_val *tool;
    size_t i, n;
    yyjson_arr_foreach(tools, i, n, tool) {
        yyjson_val *function = yyjson_obj_get(tool, "function");
        if (yyjson_equals_str(yyjson_obj_get(function, "name"), name)) return true;
    }
    return false;
}

bool hyp_api_take_tools(api *a, hyp_conversation *c, yyjson_val *tools, const char *choice, bool named) {
    static const char *const words[] = {"auto", "none", "required"};
    if (yyjson_arr_size(tools) > 0 && (a->entry->summary.capabilities & HYP_CAN_TOOLS) == 0)
        return hyp_api_error(a, 400, "%s does not support tools", a->entry->display);
    if (hyp_conversation_set_tools(c, tools, &a->err) != HYP_OK) return hyp_api_fail(a);
    if (choice == NULL) return true;
    bool known = named && has_tool(tools, choice);
    if (named && !known)
        return hyp_api_error(a, 400, "tool_choice names \"%.100s\", which is not among the tools", choice);
    for (size_t i = 0; i < HYP_ARRAY_LEN(words); i++)
        known |= strcmp(choice, words[i]) == 0;
    if (!known) return hyp_api_error(a, 400, "tool_choice \"%.100s\" is not known", choice);
    c->tool_choice = strdup(choice);
    return c->tool_choice != NULL || hyp_api_error(a, 500, "out of memory");
}

bool hyp_api_read_logprobs(api *a, hyp_job *job) {
    job->logprobs = hyp_field_bool(&a->f, "logprobs", false);
    int64_t top = hyp_field_int(&a->f, "top_logprobs", 0);
    if (a->err.code != 0) return hyp_api_fail(a);
    if (top < 0 || top > 20) return hyp_api_error(a, 400, "top_logprobs must be between 0 and 20");
    job->top_logprobs = (int)top;
    return true;
}

bool hyp_api_read_limits(api *a, hyp_job *job) {
    job->truncate = hyp_field_bool(&a->f, "truncate", true);
    job->shift = hyp_field_bool(&a->f, "shift", true);
    return hyp_api_read_logprobs(a, job);
}

bool hyp_api_read_think(api *a, hyp_conversation *c) {
    bool can = (a->entry->summary.capabilities & HYP_CAN_THINK) != 0;
    if (hyp_conversation_set_think(c, hyp_field(&a->f, "think"), &a->err) != HYP_OK) return hyp_api_fail(a);
    if (c->think == HYP_THINK_ON && !can) return hyp_api_error(a, 400, "\"%s\" does not support thinking", a->model);
    if (c->think == HYP_THINK_UNSET && can) c->think = HYP_THINK_ON;
    return true;
}

void hyp_gen_new_id(const char *prefix, char *ret, size_t size) {
    unsigned char random[12];
    char hex[sizeof random * 2 + 1];
    /* An id is no secret: without entropy it is a bad one, and the request goes on. */
    if (getentropy(random, sizeof random) != 0) memset(random, 0, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(hex + 2 * i, 3, "%02x", random[i]);
    snprintf(ret, size, "%s%s", prefix, hex);
}
