/* server.c - the order in which the parts start and end. */
#include "api/server.h"

#include "api/api_priv.h"
#include "base/mem.h"
#include "base/platform.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static const double DRAIN_S = 3;

/* Well below the minute that many proxies wait, and rare enough to cost nothing. */
static const double SIGN_OF_LIFE_S = 20;

int hyp_server_bind(const char *host, int port, int *ret_fd, hyp_err *err) {
    return hyp_http_bind(host, port, ret_fd, err);
}

int hyp_server_start(const hyp_server_config *config, hyp_server **ret, hyp_err *err) {
    hyp_server *server = calloc(1, sizeof *server);
    if (server == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    server->config = *config;
    if (config->sign_of_life_s <= 0) server->config.sign_of_life_s = SIGN_OF_LIFE_S;
    server->started_ns = hyp_mono_ns();
    server->http_config = (hyp_http_config){.host = config->host,
                                            .port = config->port,
                                            .listen_fd = config->listen_fd,
                                            .api_key = config->api_key,
                                            .origins = config->origins,
                                            .routes = hyp_api_routes,
                                            .context = server,
                                            .max_body_bytes = config->max_body_bytes,
                                            .request_timeout_s = config->request_timeout_s,
                                            .sign_of_life_s = server->config.sign_of_life_s};
    hyp_scheduler_config scheduling = {.backend = config->backend,
                                       .context_tokens = config->context_tokens,
                                       .n_parallel = config->n_parallel > 0 ? config->n_parallel : 1,
                                       .max_queue = config->max_queue};
    int r = hyp_registry_open(config->model, &server->registry, err);
    if (r == HYP_OK) r = hyp_scheduler_start(&scheduling, &server->scheduler, err);
    if (r == HYP_OK) r = hyp_http_start(&server->http_config, &server->http, err);
    if (r != HYP_OK) {
        hyp_server_stop(server);
        return r;
    }
    *ret = server;
    return HYP_OK;
}

int hyp_server_port(const hyp_server *server) {
    return hyp_http_port(server->http);
}

size_t hyp_server_models(hyp_server *server, char *ret_first, size_t size) {
    hyp_entry **list = NULL;
    size_t n = 0;
    hyp_err ignored = HYP_ERR_NONE;
    ret_first[0] = '\0';
    if (hyp_registry_list(server->registry, &list, &n, &ignored) != HYP_OK) return 0;
    if (n > 0) snprintf(ret_first, size, "%s", list[0]->display);
    hyp_registry_free_list(list, n);
    return n;
}

/* Jobs hold a way back to the scheduler and requests hold jobs: so streams are ended first, then HTTP, then computing.
 */
void hyp_server_stop(hyp_server *server) {
    if (server == NULL) return;
    if (server->scheduler != NULL) hyp_scheduler_close(server->scheduler);
    if (server->http != NULL) hyp_http_drain(server->http, DRAIN_S);
    hyp_http_stop(server->http);
    hyp_scheduler_stop(server->scheduler);
    hyp_registry_close(server->registry);
    free(server);
}

void hyp_server_last_words(hyp_server *server, const char *message) {
    if (server == NULL || server->http == NULL) return;
    /* Nothing is stopped or freed: the compute thread is inside the backend and never comes back. */
    hyp_scheduler_fail_all(server->scheduler, 500, message);
    hyp_http_drain(server->http, DRAIN_S);
}

bool hyp_server_notify(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = path != NULL ? strlen(path) : 0;
    if (n < 2 || n >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@')) return false;
    memcpy(address.sun_path, path, n);
    if (path[0] == '@') address.sun_path[0] = '\0'; /* Linux' abstract names */
    HYP_AUTOCLOSE int fd = hyp_platform_socket(AF_UNIX, SOCK_DGRAM, 0, false);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return fd >= 0 &&
           sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, size) == (ssize_t)strlen(state);
}
