/* log.c - what the log says of requests: a line for each that was answered at once or refused, debug for the one and
 * info for the other. A reply that is pulled from a source leaves none here: who made the source knows more of it.
 * Never a word of a body. */
#include "base/log.h"

#include "base/times.h"
#include "http/http_priv.h"

#include <netdb.h>
#include <netinet/in.h>

/* "127.0.0.1 port 40000", or "?". Returns `buf`. */
static const char *name_client(const hyp_request *request, char *buf, size_t size) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char host[64], port[8];
    snprintf(buf, size, "?");
    if (info == NULL || info->client_addr == NULL) return buf;
    bool v6 = info->client_addr->sa_family == AF_INET6;
    socklen_t n = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (getnameinfo(info->client_addr, n, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(buf, size, v6 ? "[%s]:%s" : "%s:%s", host, port);
    return buf;
}

/* `status` 0: there was none. */
static void write_line(const hyp_request *request, hyp_log_level level, const char *message, int status,
                       const char *why) {
    char client[80];
    hyp_log_field fields[6] = {hyp_log_text("method", request->method), hyp_log_text("route", request->path),
                               hyp_log_text("client", name_client(request, client, sizeof client)),
                               hyp_log_real("total_s", (double)(hyp_mono_ns() - request->arrived_ns) * 1e-9),
                               hyp_log_text("why", why)};
    size_t n = 5;
    if (status != 0) fields[n++] = hyp_log_int("status", status);
    hyp_log_event(HYP_LOG_HTTP, level, message, fields, n);
}

void hyp_http_log_reply(const hyp_request *request, int status) {
    if (request->ops != NULL) return;
    if (status >= 400 && HYP_LOG_ON(HTTP, INFO))
        write_line(request, HYP_LOG_INFO, "refused", status, request->why);
    else if (status < 400 && HYP_LOG_ON(HTTP, DEBUG))
        write_line(request, HYP_LOG_DEBUG, "reply", status, NULL);
}

void hyp_http_log_incomplete(const hyp_request *request) {
    if (request->ops != NULL || request->queued || !HYP_LOG_ON(HTTP, INFO)) return;
    write_line(request, HYP_LOG_INFO, "gone", 0, "the connection ended before the request was complete");
}
