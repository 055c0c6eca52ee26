/* server.h - the whole server: models, scheduler and routes put together. */
#pragma once
#include "session/backend.h"

typedef struct hyp_server hyp_server;

typedef struct hyp_server_config {
    const char *model; /* a file, a folder, a name, or NULL: see hyp_registry_open() */
    const char *host;  /* NULL: 127.0.0.1 */
    int port;          /* 0: any free one */
    int listen_fd;     /* of hyp_server_bind(), which stays the caller's: used instead of host and port; 0: none */
    const char *api_key, *origins; /* or NULL */
    uint32_t context_tokens, n_parallel;
    unsigned max_queue;
    int64_t keep_alive_ns;    /* of requests that do not say; HYP_FOREVER: for ever */
    size_t max_body_bytes;    /* 0: 32 MiB */
    double request_timeout_s; /* 0: 60 */
    double sign_of_life_s;    /* a silent stream says something about this often; 0: 20 */
    hyp_backend backend;
} hyp_server_config;

/* A listening socket for servers to come: connections queue there until one accepts them, and stay when one server
 * gives way to the next. The caller closes `*ret_fd`. `host` NULL: 127.0.0.1; `port` 0: any free one. Errors:
 * HYP_EINVAL (host), HYP_EIO. */
HYP_NODISCARD int hyp_server_bind(const char *host, int port, int *ret_fd, hyp_err *err);

/* Start serving. `config`'s strings must outlive the server. Errors: of the registry, the scheduler and the listener.
 */
HYP_NODISCARD int hyp_server_start(const hyp_server_config *config, hyp_server **ret, hyp_err *err);

int hyp_server_port(const hyp_server *server);
/* How many models are known, and the first one's name (valid until stop; NULL when there is none). */
size_t hyp_server_models(hyp_server *server, char *ret_first, size_t size);

/* End: accept nothing new, end every stream with an error line, wait a little for clients to read it, free. */
void hyp_server_stop(hyp_server *server);

/* This process is about to die: end every request with status 500 and `message`, and wait a little for clients to read
 * it. Only from the thread that dies within a backend's function: the compute thread, or one that it waits for. */
void hyp_server_last_words(hyp_server *server, const char *message);

/* Tell the service manager that started us, if there is one, by the protocol of sd_notify(3). `state`: "READY=1".
 * Returns whether somebody was told. */
bool hyp_server_notify(const char *state);
