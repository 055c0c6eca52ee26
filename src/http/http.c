/* http.c - starting and stopping, and a request's way to its handler. */
#include "http/http.h"

#include "base/mem.h"
#include "base/platform.h"
#include "base/times.h"
#include "http/access.h"
#include "http/http_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
    N_THREADS = 4,                /* handlers never block; more only helps when parsing large bodies */
    CONNECTION_MEMORY = 64 << 10, /* headers and the write buffer */
    MAX_BODY_DEFAULT = 32 << 20,
    MAX_CONNECTIONS_DEFAULT = 512,
    BODIES_IN_MEMORY = 512 << 20, /* of all requests together */
    IDLE_TIMEOUT_S = 120,         /* between two requests of a connection */
};
static const double REQUEST_TIMEOUT_DEFAULT_S = 60;

/* Does `methods`, words separated by blanks, hold `method`? */
static bool has_method(const char *methods, const char *method) {
    size_t n = strlen(method);
    for (const char *m = methods; *m != '\0';) {
        size_t len = strcspn(m, " ");
        if (len == n && memcmp(m, method, n) == 0) return true;
        m += len + (m[len] == ' ');
    }
    return false;
}

static bool path_matches(const char *pattern, const char *path) {
    size_t n = strlen(pattern);
    if (n > 0 && pattern[n - 1] == '*') return strncmp(pattern, path, n - 1) == 0 && path[n - 1] != '\0';
    return strcmp(pattern, path) == 0;
}

/* Find the request's route. Returns 200, or the status to refuse it with: 404 without a route, 405 with one that names
 * the allowed methods. */
static int find_route(hyp_request *request) {
    for (const hyp_route *const *list = request->http->config->routes; *list != NULL; list++)
        for (const hyp_route *route = *list; route->path != NULL; route++) {
            if (!path_matches(route->path, request->path)) continue;
            if (request->route == NULL) request->route = route;
            if (!has_method(route->methods, request->method)) continue;
            request->route = route;
            return 200;
        }
    return request->route == NULL ? 404 : 405;
}

static void reply_unauthorized(hyp_request *request) {
    hyp_request_set_why(request, "no valid API key");
    if (strncmp(request->path, "/v1/", 4) == 0)
        hyp_request_reply(
            request, 401, "application/json",
            "{\"error\":{\"message\":\"a valid API key is required\",\"type\":\"invalid_request_error\",\"param\":null,"
            "\"code\":\"invalid_api_key\"}}",
            SIZE_MAX);
    else
        hyp_request_reply(request, 401, "application/json; charset=utf-8", "{\"error\":\"unauthorized\"}", SIZE_MAX);
}

/* Answer 403 with no body, as Ollama does. Returns false. */
static bool refuse(hyp_request *request, const char *why) {
    atomic_fetch_add(&request->http->n_refused, 1);
    hyp_request_set_why(request, why);
    hyp_request_reply(request, 403, NULL, "", 0);
    return false;
}

/* Answer that there is no such route or method. Returns false. */
static bool refuse_route(hyp_request *request, int status) {
    const char *words = status == 404 ? "404 page not found" : "405 method not allowed";
    hyp_request_set_why(request, status == 404 ? "no such route" : "the route has other methods");
    hyp_request_reply(request, status, "text/plain", words, SIZE_MAX);
    return false;
}

/* Origin, Host, key, route, in this order: a page of a foreign origin, or one whose name was made to point here, learns
 * not even whether it had the key; a preflight carries none; and without it nobody learns which routes there are. False
 * when the request was answered. */
static bool admit(hyp_request *request) {
    const hyp_http *http = request->http;
    const char *origin = hyp_request_header(request, "Origin"), *host = hyp_request_header(request, "Host");
    if (origin != NULL && origin[0] != '\0') {
        if (!hyp_access_origin_allowed(origin, host, http->config->origins))
            return refuse(request, "the origin is not allowed");
        request->origin = origin;
    }
    if (http->on_loopback && !hyp_access_host_allowed(host))
        return refuse(request, "the Host header names another machine");
    if (request->origin != NULL && strcmp(request->method, "OPTIONS") == 0) {
        hyp_http_reply_preflight(request);
        return false;
    }
    int status = find_route(request);
    bool open = status == 200 && request->route->open;
    if (http->config->api_key != NULL && !open &&
        !hyp_access_key_matches(hyp_request_header(request, "Authorization"), http->config->api_key) &&
        !hyp_access_bare_key_matches(hyp_request_header(request, "X-Api-Key"), http->config->api_key)) {
        atomic_fetch_add(&request->http->n_refused, 1);
        reply_unauthorized(request);
        return false;
    }
    return status == 200 || refuse_route(request, status);
}

static void reply_too_large(hyp_request *request, int status) {
    hyp_request_set_why(request, status == 413 ? "the body is too large" : "out of memory for bodies");
    hyp_request_reply(request, status, "application/json", "{\"error\":\"request body too large\"}", SIZE_MAX);
}

static bool announced_too_large(hyp_request *request) {
    const char *length = hyp_request_header(request, "Content-Length");
    return length != NULL && strtoull(length, NULL, 10) > request->http->max_body_bytes;
}

/* Headers are complete. */
static hyp_request *request_open(hyp_http *http, struct MHD_Connection *mhd, const char *path, const char *method) {
    hyp_request *request = calloc(1, sizeof *request);
    if (request == NULL) return NULL;
    *request = (hyp_request){.http = http, .mhd = mhd, .path = path, .method = method, .arrived_ns = hyp_mono_ns()};
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    request->connection = info != NULL ? info->socket_context : NULL;
    pthread_mutex_init(&request->lock, NULL);
    atomic_fetch_add(&http->n_requests, 1);
    atomic_fetch_add(&http->open_requests, 1);
    return request;
}

static void add_to_body(hyp_request *request, const char *data, size_t n) {
    hyp_http *http = request->http;
    request->body_seen += n;
    /* What comes after the limit is counted and thrown away: the client reads no reply before it has sent its body. */
    if (request->too_large || request->body_seen > http->max_body_bytes) {
        request->too_large = true;
        return;
    }
    /* Charged first and looked at then, so that requests which grow at the same moment cannot both take the last of it.
     * on_completed() gives it back. */
    request->body_charged += n;
    if (atomic_fetch_add(&http->body_bytes, n) + n > (uint64_t)BODIES_IN_MEMORY)
        request->too_large = true;
    else
        hyp_str_append(&request->body, data, n);
}

static void run_handler(hyp_request *request) {
    request->handled = true;
    /* All of it is here: what takes long from now on is not the client's doing. */
    hyp_http_connection_set_deadline(request->http, request->connection, 0);
    if (request->too_large || request->body.failed) {
        reply_too_large(request, request->body_seen > request->http->max_body_bytes ? 413 : 503);
        return;
    }
    request->route->handle(request, request->http->config->context);
}

/* libmicrohttpd calls this once when the headers are complete, then for each part of the body (`*n` > 0), then with
 * `*n` == 0 when the body is; and again so whenever the connection is resumed before a reply was queued. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *path, const char *method,
                                  const char *version, const char *data, size_t *n, void **request_cls) {
    (void)version;
    hyp_http *http = cls;
    hyp_request *request = *request_cls;
    if (request == NULL) {
        *request_cls = request = request_open(http, mhd, path, method);
        if (request == NULL || request->connection == NULL) return MHD_NO;
        hyp_http_connection_set_deadline(http, request->connection, http->request_timeout_s);
        if (admit(request) && announced_too_large(request)) reply_too_large(request, 413);
        return MHD_YES;
    }
    if (*n > 0) {
        if (!request->queued) add_to_body(request, data, *n);
        *n = 0;
        /* Too large and still coming: a little is taken in so that the reply can be read, then the line is cut. */
        return request->body_seen > 2 * http->max_body_bytes ? MHD_NO : MHD_YES;
    }
    if (request->queued) return MHD_YES; /* refused before its body came */
    if (!request->handled) run_handler(request);
    if (request->ops != NULL && !request->queued) return hyp_http_advance(request);
    return request->queued ? MHD_YES : MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **request_cls,
                         enum MHD_RequestTerminationCode code) {
    (void)mhd;
    (void)code;
    hyp_http *http = cls;
    hyp_request *request = *request_cls;
    if (request == NULL) return;
    if (request->connection != NULL) {
        /* First of all: it takes http->lock, under which the watching thread calls `gone`. Afterwards nobody does, and
         * the source may be freed. */
        hyp_http_connection_watch(http, request->connection, NULL);
        hyp_http_connection_set_deadline(http, request->connection, IDLE_TIMEOUT_S);
    }
    hyp_http_log_incomplete(request);
    if (request->ops != NULL) request->ops->detach(request->source);
    atomic_fetch_sub(&http->body_bytes, request->body_charged);
    hyp_str_free(&request->body);
    hyp_str_free(&request->out);
    pthread_mutex_destroy(&request->lock);
    free(request);
    *request_cls = NULL;
    atomic_fetch_sub(&http->open_requests, 1);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code) {
    hyp_http *http = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = info != NULL ? hyp_http_connection_open(http, info->connect_fd) : NULL;
        atomic_fetch_add(&http->n_connections, 1);
        atomic_fetch_add(&http->open_connections, 1);
    } else {
        if (*context != NULL) hyp_http_connection_close(http, *context);
        *context = NULL;
        atomic_fetch_sub(&http->open_connections, 1);
    }
}

const char *hyp_request_method(const hyp_request *request) {
    return request->method;
}

const char *hyp_request_path(const hyp_request *request) {
    return request->path;
}

const char *hyp_request_body(const hyp_request *request, size_t *ret_n) {
    if (ret_n != NULL) *ret_n = request->body.length;
    return request->body.length > 0 ? request->body.data : "";
}

const char *hyp_request_header(const hyp_request *request, const char *name) {
    return MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name);
}

static int bind_failed(const char *host, int port, int sys, hyp_err *err) {
    hyp_err_set_sys(err, HYP_EIO, sys, "cannot listen on %s port %d", host, port);
    if (sys == EADDRINUSE)
        hyp_err_hint(err, "another server has this port: name another with --port");
    else if (sys == EACCES)
        hyp_err_hint(err, "ports below 1024 need privileges: name another with --port");
    return HYP_EIO;
}

int hyp_http_bind(const char *host, int number, int *ret_fd, hyp_err *err) {
    if (host == NULL || host[0] == '\0') host = "127.0.0.1";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list = NULL;
    char port[16];
    snprintf(port, sizeof port, "%d", number);
    if (strcasecmp(host, "localhost") == 0) host = "127.0.0.1"; /* whatever a resolver says: it means this machine */
    int r = getaddrinfo(host, port, &hints, &list);
    if (r != 0) return hyp_err_set(err, HYP_EINVAL, "cannot listen on \"%s\": %s", host, gai_strerror(r));
    /* SO_REUSEADDR: else a server that is started again would wait a minute for the last one's connections. */
    int on = 1, sys = 0, fd = hyp_platform_socket(list->ai_family, SOCK_STREAM, 0, true);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, 256) != 0)
        sys = errno;
    freeaddrinfo(list);
    if (sys == 0) {
        *ret_fd = fd;
        return HYP_OK;
    }
    if (fd >= 0) close(fd);
    return bind_failed(host, number, sys, err);
}

static int open_listener(hyp_http *http, int *ret_family, hyp_err *err) {
    const hyp_http_config *config = http->config;
    struct sockaddr_storage name = {0};
    socklen_t n = sizeof name;
    int r = HYP_OK;
    if (config->listen_fd > 0)
        http->listen_fd = fcntl(config->listen_fd, F_DUPFD_CLOEXEC, 0);
    else
        r = hyp_http_bind(config->host, config->port, &http->listen_fd, err);
    if (r != HYP_OK) return r;
    char number[8], address[64];
    if (http->listen_fd < 0 || getsockname(http->listen_fd, (struct sockaddr *)&name, &n) != 0 ||
        getnameinfo((struct sockaddr *)&name, n, address, sizeof address, number, sizeof number,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return hyp_err_set(err, HYP_EIO, "cannot tell the port that was bound");
    *ret_family = name.ss_family;
    http->port = (int)strtol(number, NULL, 10);
    http->on_loopback = hyp_access_is_loopback(address);
    return HYP_OK;
}

int hyp_http_start(const hyp_http_config *config, hyp_http **ret, hyp_err *err) {
    hyp_http *http = calloc(1, sizeof *http);
    if (http == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    http->config = config;
    http->listen_fd = -1;
    http->max_body_bytes = config->max_body_bytes > 0 ? config->max_body_bytes : (size_t)MAX_BODY_DEFAULT;
    http->sign_of_life_s = config->sign_of_life_s;
    http->request_timeout_s = config->request_timeout_s > 0 ? config->request_timeout_s : REQUEST_TIMEOUT_DEFAULT_S;
    pthread_mutex_init(&http->lock, NULL);
    int family = AF_INET;
    int r = open_listener(http, &family, err);
    if (r == HYP_OK) r = hyp_http_watch_start(http, err);
    if (r != HYP_OK) goto failed;
    *ret = http; /* a handler may want it before this function has returned */
    unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | (family == AF_INET6 ? MHD_USE_IPv6 : 0u);
    unsigned limit = config->max_connections > 0 ? config->max_connections : (unsigned)MAX_CONNECTIONS_DEFAULT;
    http->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET, http->listen_fd,
                                    MHD_OPTION_THREAD_POOL_SIZE, (unsigned)N_THREADS, MHD_OPTION_CONNECTION_LIMIT,
                                    limit, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                                    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)http->request_timeout_s,
                                    MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
                                    on_connection, http, MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, MHD_OPTION_END);
    if (http->daemon == NULL) {
        r = hyp_err_set_sys(err, HYP_EIO, errno, "the HTTP library refused to start");
        goto failed;
    }
    return HYP_OK;
failed:
    *ret = NULL;
    hyp_http_stop(http);
    return r;
}

int hyp_http_port(const hyp_http *http) {
    return http->port;
}

void hyp_http_drain(hyp_http *http, double seconds) {
    /* Quiescing hands the listening socket back: from here on it is ours to close. */
    if (http->listen_fd >= 0 && MHD_quiesce_daemon(http->daemon) != MHD_INVALID_SOCKET) {
        close(http->listen_fd);
        http->listen_fd = -1;
    }
    double end = hyp_text_now_s() + seconds;
    while (atomic_load(&http->open_requests) > 0 && hyp_text_now_s() < end)
        usleep(5000);
}

void hyp_http_stop(hyp_http *http) {
    if (http == NULL) return;
    /* In this order: `stopping` keeps requests from being suspended again, abandoning wakes those that are (a daemon
     * must not be stopped with a connection suspended), and the watching thread goes last, since connections that close
     * take their sockets out of its set. */
    atomic_store(&http->stopping, true);
    if (http->daemon != NULL) {
        hyp_http_watch_abandon_all(http);
        MHD_stop_daemon(http->daemon);
    }
    hyp_http_watch_stop(http);
    if (http->listen_fd >= 0 && http->daemon == NULL) close(http->listen_fd); /* a daemon has closed it itself */
    pthread_mutex_destroy(&http->lock);
    free(http);
}

void hyp_http_get_stats(hyp_http *http, hyp_http_stats *ret) {
    *ret = (hyp_http_stats){.requests = atomic_load(&http->n_requests),
                            .connections = atomic_load(&http->n_connections),
                            .refused = atomic_load(&http->n_refused),
                            .open_connections = atomic_load(&http->open_connections),
                            .open_requests = atomic_load(&http->open_requests)};
    for (size_t i = 0; i < 6; i++)
        ret->by_class[i] = atomic_load(&http->by_class[i]);
}
