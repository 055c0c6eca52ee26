/* watch.c - the thread that looks after what libmicrohttpd leaves alone.
 *
 * A suspended connection is not polled by libmicrohttpd, so a client that hangs up while it waits for a token would go
 * unnoticed: its socket is put into a set of our own (watchset_priv.h). (As in Go's server, which Ollama runs on, a
 * client that closes its sending side counts as gone.) And libmicrohttpd's timeout restarts at every byte: a request
 * that trickles in is ended by a deadline for the whole. And it wakes those that wait for long, so that they can give
 * their clients a sign of life. */
#include "http/http_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_GONE = 32, SWEEP_MS = 500 };

connection *hyp_http_connection_open(hyp_http *http, int fd) {
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

static void leave_watchset(hyp_http *http, connection *c) {
    if (c->watched) hyp_watchset_remove(http->watched, c->fd);
    c->watched = false;
}

void hyp_http_connection_close(hyp_http *http, connection *c) {
    pthread_mutex_lock(&http->lock);
    leave_watchset(http, c);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        http->connections = c->next;
    if (c->next != NULL) c->next->prev = c->prev;
    pthread_mutex_unlock(&http->lock);
    free(c);
}

void hyp_http_connection_set_deadline(hyp_http *http, connection *c, double seconds) {
    pthread_mutex_lock(&http->lock);
    c->deadline_s = seconds > 0 ? hyp_text_now_s() + seconds : 0;
    pthread_mutex_unlock(&http->lock);
}

void hyp_http_connection_watch(hyp_http *http, connection *c, hyp_request *waiting) {
    pthread_mutex_lock(&http->lock);
    c->waiting = waiting;
    c->wake_s = hyp_text_now_s() + http->sign_of_life_s;
    if (waiting == NULL)
        leave_watchset(http, c);
    else if (!c->watched)
        c->watched = hyp_watchset_add(http->watched, c->fd, c->serial);
    pthread_mutex_unlock(&http->lock);
}

/* http->lock is held, so the request cannot be completed meanwhile. */
static void abandon(connection *c) {
    hyp_request *request = c->waiting;
    c->waiting = NULL;
    if (request != NULL) request->ops->gone(request->source);
}

void hyp_http_watch_abandon_all(hyp_http *http) {
    pthread_mutex_lock(&http->lock);
    for (connection *c = http->connections; c != NULL; c = c->next) {
        abandon(c);
        shutdown(c->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&http->lock);
}

static void sweep(hyp_http *http, const uint64_t *gone, int n) {
    double now = hyp_text_now_s();
    pthread_mutex_lock(&http->lock);
    for (connection *c = http->connections; c != NULL; c = c->next) {
        /* By number, not by pointer: what has left the set meanwhile may have been freed, and its memory and its
         * descriptor be another's. */
        for (int i = 0; i < n; i++)
            if (gone[i] == c->serial) abandon(c);
        if (c->waiting != NULL && http->sign_of_life_s > 0 && now > c->wake_s) {
            c->wake_s = now + http->sign_of_life_s;
            hyp_request_wake(c->waiting);
        }
        if (c->deadline_s > 0 && now > c->deadline_s) {
            /* Not close(): the descriptor is libmicrohttpd's, which sees the end and cleans up. */
            shutdown(c->fd, SHUT_RDWR);
            c->deadline_s = 0;
        }
    }
    pthread_mutex_unlock(&http->lock);
}

static void *watch(void *arg) {
    hyp_http *http = arg;
    double last_sweep = 0;
    while (!atomic_load(&http->stopping)) {
        uint64_t gone[MAX_GONE];
        int n = hyp_watchset_wait(http->watched, SWEEP_MS, gone, MAX_GONE);
        if (n < 0 && errno != EINTR) break;
        double now = hyp_text_now_s();
        /* An interrupted wait is no reason to look at every connection. */
        if (n <= 0 && now - last_sweep <= SWEEP_MS / 1000.0) continue;
        sweep(http, gone, n > 0 ? n : 0);
        last_sweep = now;
    }
    return NULL;
}

int hyp_http_watch_start(hyp_http *http, hyp_err *err) {
    int r = hyp_watchset_open(&http->watched);
    if (r != 0) return hyp_err_set_sys(err, HYP_EIO, r, "cannot watch connections");
    r = pthread_create(&http->watcher, NULL, watch, http);
    if (r != 0) return hyp_err_set_sys(err, HYP_EIO, r, "cannot start the thread that watches connections");
    http->watching = true;
    return HYP_OK;
}

void hyp_http_watch_stop(hyp_http *http) {
    if (http->watching) {
        hyp_watchset_wake(http->watched);
        pthread_join(http->watcher, NULL);
        http->watching = false;
    }
    hyp_watchset_close(http->watched);
    http->watched = NULL;
}
