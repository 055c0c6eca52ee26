/* ps.c - `hypura ps` and `hypura stop`: what a running server has loaded. */
#include "base/json.h"
#include "cli/command.h"
#include "cli/endpoint.h"

#include <string.h>

static void print_model(yyjson_val *m) {
    char size[32];
    const char *expires = yyjson_get_str(yyjson_obj_get(m, "expires_at")),
               *name = yyjson_get_str(yyjson_obj_get(m, "name"));
    const char *digest = yyjson_get_str(yyjson_obj_get(m, "digest"));
    uint64_t bytes = yyjson_get_uint(yyjson_obj_get(m, "size"));
    printf("%-40s  %.12s  %8s  %7llu  %.19s\n", name != NULL ? name : "?", digest != NULL ? digest : "?",
           hyp_text_format_bytes(bytes, size, sizeof size),
           (unsigned long long)yyjson_get_uint(yyjson_obj_get(m, "context_length")), expires != NULL ? expires : "?");
}

int hyp_command_ps(const hyp_args *args, hyp_err *err) {
    hyp_endpoint endpoint;
    hyp_str body = {0};
    yyjson_doc *doc = NULL;
    if (hyp_endpoint_read(args, &endpoint, err) != HYP_OK) return HYP_EXIT_USAGE;
    int r = hyp_endpoint_call(&endpoint, "/api/ps", NULL, &body, err);
    if (r == HYP_OK && args->json)
        printf("%s\n", body.data);
    else if (r == HYP_OK && (r = hyp_json_parse(body.data, body.length, &doc, err)) == HYP_OK) {
        size_t i, n;
        yyjson_val *m;
        printf("%-40s  %-12s  %8s  %7s  %s\n", "NAME", "ID", "SIZE", "CONTEXT", "UNTIL (UTC)");
        yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "models"), i, n, m)
            print_model(m);
    }
    yyjson_doc_free(doc);
    hyp_str_free(&body);
    return r == HYP_OK ? HYP_EXIT_OK : HYP_EXIT_FAILED;
}

int hyp_command_stop(const hyp_args *args, hyp_err *err) {
    const char *model = args->model != NULL ? args->model : args->n_words > 0 ? args->words[0] : NULL;
    hyp_endpoint endpoint;
    if (model == NULL) {
        hyp_err_set(err, HYP_EINVAL, "name the model to stop");
        return HYP_EXIT_USAGE;
    }
    if (hyp_endpoint_read(args, &endpoint, err) != HYP_OK) return HYP_EXIT_USAGE;
    hyp_str body = {0}, reply = {0};
    hyp_json j = {&body, false};
    hyp_json_open(&j, '{');
    hyp_json_kv_str(&j, "model", model);
    hyp_json_kv_int(&j, "keep_alive", 0);
    hyp_json_close(&j, '}');
    int r = body.failed ? hyp_err_set(err, HYP_ENOMEM, "out of memory")
                        : hyp_endpoint_call(&endpoint, "/api/generate", body.data, &reply, err);
    hyp_str_free(&body);
    hyp_str_free(&reply);
    return r == HYP_OK ? HYP_EXIT_OK : HYP_EXIT_FAILED;
}
