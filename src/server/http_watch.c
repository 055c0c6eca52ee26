/* http_watch.c - the thread that looks after what libmicrohttpd leaves alone.
 *
 * A suspended connection is not polled by libmicrohttpd, so a client that hangs up while it waits for a token would go
 * unnoticed: its socket is put into an epoll set of our own for EPOLLRDHUP. (As in Go's server, which Ollama runs on, a
 * client that closes its sending side counts as gone.) And libmicrohttpd's timeout restarts at every byte: a request that
 * trickles in is ended by a deadline for the whole. And it wakes those that wait for long, so that they can give their
 * clients a sign of life. */
#include "server/http_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_EVENTS = 32, SWEEP_MS = 500 };

connection *http_connection_open(hyp_http *http, int fd) {
    connection *c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    c->fd = fd;
    c->deadline_s = hyp_text_now_s() + http->request_timeout_s;
    pthread_mutex_lock(&http->lock);
    c->serial = ++http->next_serial;
    c->next = http->connections;
    if (c->next != NULL) c->next->prev = c;
    http->connections = c;
    pthread_mutex_unlock(&http->lock);
    return c;
}

static void leave_epoll(hyp_http *http, connection *c) {
    if (c->in_epoll) epoll_ctl(http->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
    c->in_epoll = false;
}

void http_connection_close(hyp_http *http, connection *c) {
    pthread_mutex_lock(&http->lock);
    leave_epoll(http, c);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        http->connections = c->next;
    if (c->next != NULL) c->next->prev = c->prev;
    pthread_mutex_unlock(&http->lock);
    free(c);
}

void http_connection_set_deadline(hyp_http *http, connection *c, double seconds) {
    pthread_mutex_lock(&http->lock);
    c->deadline_s = seconds > 0 ? hyp_text_now_s() + seconds : 0;
    pthread_mutex_unlock(&http->lock);
}

void http_connection_watch(hyp_http *http, connection *c, hyp_request *waiting) {
    pthread_mutex_lock(&http->lock);
    c->waiting = waiting;
    c->wake_s = hyp_text_now_s() + http->sign_of_life_s;
    if (waiting == NULL)
        leave_epoll(http, c);
    else if (!c->in_epoll) {
        struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = c->serial};
        c->in_epoll = epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, c->fd, &event) == 0;
    }
    pthread_mutex_unlock(&http->lock);
}

/* http->lock is held, so the request cannot be completed meanwhile. */
static void abandon(connection *c) {
    hyp_request *request = c->waiting;
    c->waiting = NULL;
    if (request != NULL) request->ops->gone(request->source);
}

void http_watch_abandon_all(hyp_http *http) {
    pthread_mutex_lock(&http->lock);
    for (connection *c = http->connections; c != NULL; c = c->next) {
        abandon(c);
        shutdown(c->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&http->lock);
}

static void sweep(hyp_http *http, const struct epoll_event *events, int n) {
    double now = hyp_text_now_s();
    pthread_mutex_lock(&http->lock);
    for (connection *c = http->connections; c != NULL; c = c->next) {
        for (int i = 0; i < n; i++)
            if (events[i].data.u64 == c->serial) abandon(c);
        if (c->waiting != NULL && http->sign_of_life_s > 0 && now > c->wake_s) {
            c->wake_s = now + http->sign_of_life_s;
            hyp_request_wake(c->waiting);
        }
        if (c->deadline_s > 0 && now > c->deadline_s) {
            shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd then sees the end and cleans up */
            c->deadline_s = 0;
        }
    }
    pthread_mutex_unlock(&http->lock);
}

static void *watch(void *arg) {
    hyp_http *http = arg;
    double last_sweep = 0;
    while (!atomic_load(&http->stopping)) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(http->epoll_fd, events, MAX_EVENTS, SWEEP_MS);
        if (n < 0 && errno != EINTR) break;
        double now = hyp_text_now_s();
        if (n > 0 || now - last_sweep > SWEEP_MS / 1000.0) sweep(http, events, n > 0 ? n : 0), last_sweep = now;
    }
    return NULL;
}

int http_watch_start(hyp_http *http, hyp_err *err) {
    http->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    http->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (http->epoll_fd < 0 || http->stop_fd < 0)
        return hyp_err_set_sys(err, HYP_EIO, errno, "cannot watch connections");
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0}; /* serials begin at 1 */
    if (epoll_ctl(http->epoll_fd, EPOLL_CTL_ADD, http->stop_fd, &event) != 0)
        return hyp_err_set_sys(err, HYP_EIO, errno, "cannot watch connections");
    int r = pthread_create(&http->watcher, NULL, watch, http);
    if (r != 0) return hyp_err_set_sys(err, HYP_EIO, r, "cannot start the thread that watches connections");
    http->watching = true;
    return HYP_OK;
}

void http_watch_stop(hyp_http *http) {
    if (http->watching) {
        uint64_t one = 1;
        ssize_t n = write(http->stop_fd, &one, sizeof one);
        (void)n; /* the thread also looks at `stopping` twice a second */
        pthread_join(http->watcher, NULL);
        http->watching = false;
    }
    if (http->epoll_fd >= 0) close(http->epoll_fd);
    if (http->stop_fd >= 0) close(http->stop_fd);
    http->epoll_fd = http->stop_fd = -1;
}
