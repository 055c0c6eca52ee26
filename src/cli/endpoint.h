/* endpoint.h - where a server listens or is found: --host and --port, else OLLAMA_HOST, else 127.0.0.1:8080. */
#pragma once
#include "base/text.h"
#include "cli/args.h"

typedef struct hyp_endpoint {
    char host[256];
    int port;
    const char *api_key; /* --api-key, else HYPURA_API_KEY, else NULL */
} hyp_endpoint;

/* Errors: HYP_EINVAL (not a host, not a port). */
HYP_NODISCARD int hyp_endpoint_read(const hyp_args *args, hyp_endpoint *ret, hyp_err *err);

/* Ask the running server; a reply that is not 200 becomes an error with the server's own words. `ret_body` as
 * hyp_client_call(). */
HYP_NODISCARD int hyp_endpoint_call(const hyp_endpoint *endpoint, const char *path, const char *body, hyp_str *ret_body,
                                    hyp_err *err);
