/* http.h - the HTTP side: connections, requests, replies. Knows routes and bytes, nothing of models.
 *
 * libmicrohttpd runs a small pool of epoll threads. A handler never blocks: it answers at once, or hands over a
 * *source* from which the reply is pulled piece by piece, the connection being suspended whenever the source has
 * nothing yet. A further thread watches what libmicrohttpd does not: clients that leave while they wait, requests that
 * trickle in.
 *
 * Threads: a hyp_request belongs to the HTTP thread that runs its handler; only hyp_request_wake() may be called from
 * elsewhere, and only until the source's `detach` returned. Locks are taken in the order README.md gives. */
#pragma once
#include "base/text.h"

typedef struct hyp_http hyp_http;
typedef struct hyp_request hyp_request;

typedef void (*hyp_route_fn)(hyp_request *request, void *context);

typedef struct hyp_route {
    const char *methods; /* separated by blanks: "GET HEAD" */
    const char *path;    /* exact, or a prefix when it ends in an asterisk */
    hyp_route_fn handle; /* called once the whole body is there */
    bool open;           /* answered without the API key too */
} hyp_route;

typedef struct hyp_http_config {
    const char *host;    /* address or name to bind to; NULL: 127.0.0.1 */
    int port;            /* 0: any free one */
    const char *api_key; /* NULL: none needed */
    const char *origins; /* further allowed origins, separated by commas, as OLLAMA_ORIGINS has them; or NULL */
    /* Lists of routes: each ends with a row without a path, the list of lists with NULL. A request goes to the first
     * row that has its path and method. */
    const hyp_route *const *routes;
    void *context;            /* handed to every handler */
    size_t max_body_bytes;    /* 0: 32 MiB */
    double request_timeout_s; /* for the whole of a request to arrive, and for a client that takes no data; 0: 60 */
    double sign_of_life_s;    /* how often a source that has nothing is asked all the same; 0: never */
    unsigned max_connections; /* 0: 512 */
    int listen_fd;            /* of hyp_http_bind(), which stays the caller's; 0: bind to host and port */
} hyp_http_config;

/* A listening socket: connections queue there until a server accepts them, and stay when one server gives way to the
 * next. The caller closes `*ret_fd`. `host` NULL: 127.0.0.1; `port` 0: any free one. Errors: HYP_EINVAL (host),
 * HYP_EIO. */
HYP_NODISCARD int hyp_http_bind(const char *host, int port, int *ret_fd, hyp_err *err);

/* Bind and start serving. `config` and what it points to must outlive the server. Errors: HYP_EINVAL (host), HYP_EIO
 * (the address is taken, ...), HYP_ENOMEM. */
HYP_NODISCARD int hyp_http_start(const hyp_http_config *config, hyp_http **ret, hyp_err *err);

/* The port in use. */
int hyp_http_port(const hyp_http *http);

/* Accept nothing new; requests under way go on. Then wait at most `seconds` for them. */
void hyp_http_drain(hyp_http *http, double seconds);

/* Close every connection, join every thread, free. Accepts NULL. */
void hyp_http_stop(hyp_http *http);

/* Counters since the start. Any thread. */
typedef struct hyp_http_stats {
    uint64_t requests, connections, refused; /* refused: by the Host, Origin or key check */
    uint64_t by_class[6];                    /* [2] counts 2xx, ... */
    unsigned open_connections, open_requests;
} hyp_http_stats;
void hyp_http_get_stats(hyp_http *http, hyp_http_stats *ret);

/* --- inside a handler --- */
const char *hyp_request_method(const hyp_request *request);
const char *hyp_request_path(const hyp_request *request);
/* The body, terminated. Owned by the request. */
const char *hyp_request_body(const hyp_request *request, size_t *ret_n);
const char *hyp_request_header(const hyp_request *request, const char *name);

/* Why the reply to come refuses the request, for the log (category http): borrowed until that reply. Nothing of what a
 * prompt says. */
void hyp_request_set_why(hyp_request *request, const char *why);

/* Answer at once. `body` is copied; n = SIZE_MAX means strlen. */
void hyp_request_reply(hyp_request *request, int status, const char *content_type, const char *body, size_t n);
/* The same with the content taken out of `body`, which is left empty; a string that failed to grow answers 500. */
void hyp_request_reply_str(hyp_request *request, int status, const char *content_type, hyp_str *body);

typedef enum hyp_pull {
    HYP_PULL_WAIT, /* nothing yet: hyp_request_wake() will be called, if only for a sign of life */
    HYP_PULL_MORE, /* appended something to send at once; the reply is streamed */
    HYP_PULL_END,  /* appended the rest, perhaps nothing; the reply ends well */
} hyp_pull;

typedef struct hyp_reply_head {
    int status;
    const char *content_type;
} hyp_reply_head;

/* Where a deferred reply comes from. All but `gone` run in the HTTP thread. */
typedef struct hyp_source_ops {
    /* Append the next piece to `out`. `head` may be set until the first answer that is not WAIT; when that is END, the
     * reply is a plain one with Content-Length. */
    hyp_pull (*pull)(void *source, hyp_reply_head *head, hyp_str *out);
    /* The client has left: stop working for it. From the watching thread, with the lock of the connections held, which
     * keeps the request alive meanwhile: it may take the source's own lock and no other. Must wake the request. */
    void (*gone)(void *source);
    /* The reply is over (or the connection broke): wake no more, free. */
    void (*detach)(void *source);
} hyp_source_ops;

/* Answer later from `source`, which the request owns from here on. */
void hyp_request_defer(hyp_request *request, const hyp_source_ops *ops, void *source);

/* There is something to pull. Any thread; cheap; never blocks on the network. */
void hyp_request_wake(hyp_request *request);
