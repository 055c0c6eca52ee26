/* http_priv.h - what http.c, reply.c, watch.c and log.c share. Private to them.
 *
 * Locks: http->lock guards the list of connections and every field of struct connection; request->lock guards the
 * handshake between suspending and waking. Order: http->lock, the source's own, request->lock, libmicrohttpd's. */
#pragma once
#include "http/http.h"
#include "http/watchset_priv.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

typedef struct connection {
    int fd;
    uint64_t serial;      /* what the watchset reports: a closed connection's pointer could be another's by then */
    double deadline_s;    /* monotonic; the client is cut off then. 0: none */
    hyp_request *waiting; /* whose `gone` to call when the client leaves, or NULL */
    double wake_s;        /* monotonic; when `waiting` is woken although nobody did */
    bool watched;
    struct connection *prev, *next;
} connection;

struct hyp_request {
    hyp_http *http;
    struct MHD_Connection *mhd;
    connection *connection;
    const hyp_route *route;
    const char *method, *path; /* libmicrohttpd's, as long as the request lives */
    const char *origin;        /* allowed Origin to be echoed, or NULL */
    hyp_str body;
    size_t body_seen;    /* bytes received, kept or not */
    size_t body_charged; /* of them, counted in http->body_bytes */
    bool too_large, handled, queued;
    const char *why;    /* what the log says of the next reply if it refuses, or NULL; see hyp_request_set_why() */
    int64_t arrived_ns; /* monotonic; its headers were complete */

    const hyp_source_ops *ops; /* deferred: where the reply comes from */
    void *source;
    hyp_reply_head head;
    hyp_str out; /* pulled, not yet sent from out_at on */
    size_t out_at;
    bool ended;

    pthread_mutex_t lock;
    bool woken, suspended; /* guarded by lock */
};

struct hyp_http {
    const hyp_http_config *config;
    struct MHD_Daemon *daemon;
    int listen_fd, port;
    bool on_loopback;
    size_t max_body_bytes;
    double request_timeout_s, sign_of_life_s;

    pthread_mutex_t lock;
    connection *connections; /* guarded by lock */
    uint64_t next_serial;    /* guarded by lock */
    watchset *watched;
    pthread_t watcher;
    bool watching;
    atomic_bool stopping;

    atomic_uint_fast64_t n_requests, n_connections, n_refused, by_class[6], body_bytes;
    atomic_uint open_connections, open_requests;
};

/* watch.c */
HYP_NODISCARD int hyp_http_watch_start(hyp_http *http, hyp_err *err);
void hyp_http_watch_stop(hyp_http *http);
connection *hyp_http_connection_open(hyp_http *http, int fd); /* NULL without memory */
void hyp_http_connection_close(hyp_http *http, connection *c);
void hyp_http_connection_set_deadline(hyp_http *http, connection *c, double seconds); /* 0: none */
void hyp_http_connection_watch(hyp_http *http, connection *c, hyp_request *waiting);  /* NULL: stop watching */
void hyp_http_watch_abandon_all(hyp_http *http);                                      /* as if every client had left */

/* reply.c */
enum MHD_Result hyp_http_advance(hyp_request *request);
void hyp_http_reply_preflight(hyp_request *request);

/* log.c. Off, both cost a load and a branch. */

/* A reply of `status` was queued. Not with http->lock: a line is a write. */
void hyp_http_log_reply(const hyp_request *request, int status);
/* The request is over; says so if it never got as far as a reply. */
void hyp_http_log_incomplete(const hyp_request *request);
