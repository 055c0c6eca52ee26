/* client.h - the least of an HTTP client: what `hypura ps` and `hypura stop` ask a running server. */
#pragma once
#include "base/text.h"

typedef struct hyp_client {
    const char *host; /* address or name */
    int port;
    const char *api_key; /* or NULL */
    double timeout_s;    /* 0: 30 */
} hyp_client;

/* Send one request and read the whole reply (at most 16 MiB) into `*ret_body`, which the caller frees with
 * hyp_str_free(). `body` NULL: a GET, else a POST of JSON. Errors: HYP_EIO (no server there, the line broke; the hint
 * says how to start one), HYP_EFORMAT (not HTTP). */
HYP_NODISCARD int hyp_client_call(const hyp_client *client, const char *path, const char *body, int *ret_status,
                                  hyp_str *ret_body, hyp_err *err);
