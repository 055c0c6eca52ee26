#include "cli/client.h"

#include "base/mem.h"
#include "base/platform.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { MAX_REPLY = 16 << 20 };

static int dial(const hyp_client *client, int *ret_fd, hyp_err *err) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
    char port[16];
    snprintf(port, sizeof port, "%d", client->port);
    int r = getaddrinfo(client->host, port, &hints, &list);
    if (r != 0) return hyp_err_set(err, HYP_EIO, "cannot find the host %s: %s", client->host, gai_strerror(r));
    int fd = -1, sys = 0;
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        fd = hyp_platform_socket(a->ai_family, SOCK_STREAM, 0, false);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            sys = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    if (fd < 0) {
        hyp_err_set_sys(err, HYP_EIO, sys, "no server answers at %s port %d", client->host, client->port);
        hyp_err_hint(err, "start one with \"hypura serve MODEL\", or name its address with --host and --port");
        return HYP_EIO;
    }
    double seconds = client->timeout_s > 0 ? client->timeout_s : 30;
    struct timeval limit = {.tv_sec = (time_t)seconds,
                            .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    *ret_fd = fd;
    return HYP_OK;
}

static int exchange(int fd, const hyp_str *request, hyp_str *reply, hyp_err *err) {
    for (size_t sent = 0; sent < request->length;) {
        ssize_t n = send(fd, request->data + sent, request->length - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return hyp_err_set_sys(err, HYP_EIO, errno, "the server closed the line");
        sent += (size_t)n;
    }
    for (;;) {
        char buf[16384];
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "the server does not answer");
        if (n == 0) return HYP_OK;
        hyp_str_append(reply, buf, (size_t)n);
        if (reply->length > MAX_REPLY || reply->failed)
            return hyp_err_set(err, HYP_ELIMIT, "the server's reply is too long");
    }
}

int hyp_client_call(const hyp_client *client, const char *path, const char *body, int *ret_status, hyp_str *ret_body,
                    hyp_err *err) {
    HYP_AUTOCLOSE int fd = -1;
    hyp_str request = {0}, reply = {0};
    int r = dial(client, &fd, err);
    if (r != HYP_OK) return r;
    bool v6 = strchr(client->host, ':') != NULL;
    /* HTTP/1.0: the body ends where the line does, no chunks. */
    hyp_str_printf(&request, "%s %s HTTP/1.0\r\nHost: %s%s%s:%d\r\n", body != NULL ? "POST" : "GET", path,
                   v6 ? "[" : "", client->host, v6 ? "]" : "", client->port);
    if (client->api_key != NULL) hyp_str_printf(&request, "Authorization: Bearer %s\r\n", client->api_key);
    if (body != NULL)
        hyp_str_printf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    hyp_str_printf(&request, "\r\n%s", body != NULL ? body : "");
    r = request.failed ? hyp_err_set(err, HYP_ENOMEM, "out of memory") : exchange(fd, &request, &reply, err);
    hyp_str_free(&request);
    const char *end = reply.length > 0 ? strstr(reply.data, "\r\n\r\n") : NULL;
    if (r == HYP_OK && (end == NULL || sscanf(reply.data, "HTTP/1.%*d %d", ret_status) != 1))
        r = hyp_err_set(err, HYP_EFORMAT, "what answers at %s port %d is no HTTP server", client->host, client->port);
    if (r == HYP_OK) hyp_str_append(ret_body, end + 4, reply.length - (size_t)(end + 4 - reply.data));
    hyp_str_free(&reply);
    return r;
}
