/* reply.c - how an answer leaves: at once, or pulled from a source with the connection suspended in between. */
#include "http/http_priv.h"

#include <string.h>

enum { BLOCK_BYTES = 16 << 10 };

/* What Ollama allows in a preflight; the x-stainless ones are sent by OpenAI's own clients. */
static const char allowed_headers[] =
    "Authorization,X-Api-Key,Anthropic-Version,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,"
    "X-Stainless-Arch,X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,"
    "X-Stainless-Os,X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout";

/* Hand `response` (taken; NULL without memory) to libmicrohttpd. Unless request->queued is set then, the caller lets
 * the connection be closed. */
static void queue(hyp_request *request, int status, const char *content_type, struct MHD_Response *response) {
    if (response == NULL) return;
    if (content_type != NULL) MHD_add_response_header(response, "Content-Type", content_type);
    if (request->origin != NULL) {
        MHD_add_response_header(response, "Access-Control-Allow-Origin", request->origin);
        MHD_add_response_header(response, "Vary", "Origin");
    }
    if (status == 405) MHD_add_response_header(response, "Allow", request->route->methods);
    if (status == 401) MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    if (MHD_queue_response(request->mhd, (unsigned)status, response) == MHD_YES) {
        request->queued = true;
        atomic_fetch_add(&request->http->by_class[status / 100 % 6], 1);
        hyp_http_log_reply(request, status);
    }
    request->why = NULL;
    MHD_destroy_response(response); /* our reference: libmicrohttpd has its own */
}

void hyp_request_set_why(hyp_request *request, const char *why) {
    request->why = why;
}

void hyp_request_reply(hyp_request *request, int status, const char *content_type, const char *body, size_t n) {
    if (n == SIZE_MAX) n = strlen(body);
    queue(request, status, content_type, MHD_create_response_from_buffer_copy(n, body));
}

void hyp_request_reply_str(hyp_request *request, int status, const char *content_type, hyp_str *body) {
    if (body->failed) {
        hyp_str_free(body);
        hyp_request_reply(request, 500, "application/json", "{\"error\":\"out of memory\"}", SIZE_MAX);
        return;
    }
    hyp_request_reply(request, status, content_type, body->length > 0 ? body->data : "", body->length);
    hyp_str_free(body);
}

void hyp_http_reply_preflight(hyp_request *request) {
    struct MHD_Response *response = MHD_create_response_empty(MHD_RF_NONE);
    if (response == NULL) return;
    MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS");
    MHD_add_response_header(response, "Access-Control-Allow-Headers", allowed_headers);
    MHD_add_response_header(response, "Access-Control-Max-Age", "43200");
    queue(request, 204, NULL, response);
}

void hyp_request_wake(hyp_request *request) {
    pthread_mutex_lock(&request->lock);
    request->woken = true;
    if (request->suspended) {
        request->suspended = false;
        MHD_resume_connection(request->mhd);
    }
    pthread_mutex_unlock(&request->lock);
}

/* Suspend unless something came since the last pull: it may have come after the source said that it had nothing, and a
 * wake-up that finds the connection not suspended yet is remembered by `woken` alone. Nothing can come in between,
 * since hyp_request_wake() takes the same lock. */
static bool suspend_unless_woken(hyp_request *request) {
    pthread_mutex_lock(&request->lock);
    bool suspend = !request->woken && !atomic_load(&request->http->stopping);
    if (suspend) {
        request->suspended = true;
        MHD_suspend_connection(request->mhd);
    }
    pthread_mutex_unlock(&request->lock);
    return suspend;
}

static hyp_pull pull(hyp_request *request) {
    /* Before the source is asked, not after: what it gets meanwhile it may not have handed out. And not under the lock,
     * which comes after the source's own. */
    pthread_mutex_lock(&request->lock);
    request->woken = false;
    pthread_mutex_unlock(&request->lock);
    return request->ops->pull(request->source, &request->head, &request->out);
}

/* libmicrohttpd asks for more to send. */
static ssize_t read_source(void *cls, uint64_t position, char *buf, size_t max) {
    (void)position;
    hyp_request *request = cls;
    for (;;) {
        size_t left = request->out.length - request->out_at;
        if (left > 0) {
            size_t n = left < max ? left : max;
            memcpy(buf, request->out.data + request->out_at, n);
            request->out_at += n;
            return (ssize_t)n;
        }
        /* The status is sent: a broken chunk is all that can tell the client. */
        if (request->out.failed) return MHD_CONTENT_READER_END_WITH_ERROR;
        if (request->ended) return MHD_CONTENT_READER_END_OF_STREAM;
        request->out.length = request->out_at = 0;
        hyp_pull p = pull(request);
        if (p == HYP_PULL_END) request->ended = true;
        if (p != HYP_PULL_WAIT) continue;
        if (suspend_unless_woken(request)) return 0; /* asked again when it is resumed */
        if (atomic_load(&request->http->stopping)) return MHD_CONTENT_READER_END_WITH_ERROR;
    }
}

/* The reply is deferred and its status not sent yet: look whether it can be now. */
enum MHD_Result hyp_http_advance(hyp_request *request) {
    for (;;) {
        hyp_pull p = pull(request);
        if (p == HYP_PULL_WAIT) {
            if (suspend_unless_woken(request)) return MHD_YES;
            if (atomic_load(&request->http->stopping)) return MHD_NO;
            continue;
        }
        int status = request->head.status;
        if (p == HYP_PULL_END) {
            request->ended = true;
            hyp_str body = request->out;
            request->out = (hyp_str){0};
            hyp_request_reply_str(request, status, request->head.content_type, &body);
        } else {
            queue(request, status, request->head.content_type,
                  MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_source, request, NULL));
        }
        return request->queued ? MHD_YES : MHD_NO;
    }
}

void hyp_request_defer(hyp_request *request, const hyp_source_ops *ops, void *source) {
    request->ops = ops;
    request->source = source;
    request->head = (hyp_reply_head){200, "application/json"};
    hyp_http_connection_watch(request->http, request->connection, request);
}
