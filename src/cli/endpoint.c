#include "cli/endpoint.h"

#include "base/address.h"
#include "base/json.h"
#include "cli/client.h"

#include <string.h>

enum { DEFAULT_PORT = 8080, OLLAMA_PORT = 11434 };

static int parse_port(const char *text, int *ret, hyp_err *err) {
    char *end;
    long port = strtol(text, &end, 10);
    if (end == text || *end != '\0' || port < 0 || port > 65535)
        return hyp_err_set(err, HYP_EINVAL, "--port must be between 0 and 65535, not \"%s\"", text);
    *ret = (int)port;
    return HYP_OK;
}

int hyp_endpoint_read(const hyp_args *args, hyp_endpoint *ret, hyp_err *err) {
    const char *environment = getenv("OLLAMA_HOST"), *key = getenv("HYPURA_API_KEY");
    *ret = (hyp_endpoint){.host = "127.0.0.1", .port = DEFAULT_PORT, .api_key = args->api_key};
    if (ret->api_key == NULL && key != NULL && key[0] != '\0') ret->api_key = key;
    if (environment != NULL && environment[0] != '\0') {
        char host[sizeof ret->host];
        int r = hyp_address_split(environment, host, sizeof host, &ret->port, err);
        if (r != HYP_OK) {
            hyp_err_hint(err, "the environment variable OLLAMA_HOST holds this");
            return r;
        }
        if (host[0] != '\0') memcpy(ret->host, host, sizeof host);
        if (ret->port == 0) ret->port = OLLAMA_PORT;
    }
    if (args->host != NULL && snprintf(ret->host, sizeof ret->host, "%s", args->host) >= (int)sizeof ret->host)
        return hyp_err_set(err, HYP_EINVAL, "--host is too long");
    return args->port != NULL ? parse_port(args->port, &ret->port, err) : HYP_OK;
}

/* {"error":"words"} */
static void take_error(int status, const hyp_str *body, hyp_err *err) {
    yyjson_doc *doc = NULL;
    hyp_err ignored = HYP_ERR_NONE;
    const char *words = NULL;
    if (body->length > 0 && hyp_json_parse(body->data, body->length, &doc, &ignored) == HYP_OK)
        words = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "error"));
    if (words != NULL)
        hyp_err_set(err, HYP_EIO, "the server answered: %s", words);
    else
        hyp_err_set(err, HYP_EIO, "the server answered with status %d", status);
    if (status == 401) hyp_err_hint(err, "give its key with --api-key or HYPURA_API_KEY");
    yyjson_doc_free(doc);
}

int hyp_endpoint_call(const hyp_endpoint *endpoint, const char *path, const char *body, hyp_str *ret_body,
                      hyp_err *err) {
    bool any =
        strcmp(endpoint->host, "0.0.0.0") == 0 || strcmp(endpoint->host, "::") == 0; /* good for listening only */
    hyp_client client = {
        .host = any ? "127.0.0.1" : endpoint->host, .port = endpoint->port, .api_key = endpoint->api_key};
    int status = 0;
    int r = hyp_client_call(&client, path, body, &status, ret_body, err);
    if (r != HYP_OK || status == 200) return r;
    take_error(status, ret_body, err);
    hyp_str_free(ret_body);
    return HYP_EIO;
}
