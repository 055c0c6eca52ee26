#include "http/watchset_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/event.h>
#include <unistd.h>

enum { MAX_EVENTS = 32 };

struct watchset {
    int queue;
};

int hyp_watchset_open(watchset **ret) {
    watchset *w = malloc(sizeof *w);
    if (w == NULL) return ENOMEM;
    w->queue = kqueue(); /* never inherited by a child */
    struct kevent wake;
    EV_SET(&wake, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL);
    if (w->queue < 0 || kevent(w->queue, &wake, 1, NULL, 0, NULL) != 0) {
        int sys = errno;
        hyp_watchset_close(w);
        return sys;
    }
    *ret = w;
    return 0;
}

void hyp_watchset_close(watchset *w) {
    if (w == NULL) return;
    if (w->queue >= 0) close(w->queue);
    free(w);
}

bool hyp_watchset_add(watchset *w, int fd, uint64_t serial) {
    /* There is no filter for the end alone. EV_CLEAR: data that nobody reads meanwhile is reported once and passed
     * over. */
    struct kevent change;
    EV_SET(&change, fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, (void *)(uintptr_t)serial);
    return kevent(w->queue, &change, 1, NULL, 0, NULL) == 0;
}

void hyp_watchset_remove(watchset *w, int fd) {
    struct kevent change;
    EV_SET(&change, fd, EVFILT_READ, EV_DELETE, 0, 0, NULL);
    kevent(w->queue, &change, 1, NULL, 0, NULL);
}

int hyp_watchset_wait(watchset *w, int timeout_ms, uint64_t *ret_serials, int max) {
    struct kevent events[MAX_EVENTS];
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    int n = kevent(w->queue, NULL, 0, events, max < MAX_EVENTS ? max : MAX_EVENTS, &timeout), found = 0;
    for (int i = 0; i < n; i++) {
        if (events[i].filter != EVFILT_READ || (events[i].flags & EV_EOF) == 0) continue;
        ret_serials[found++] = (uint64_t)(uintptr_t)events[i].udata;
    }
    return n < 0 ? -1 : found;
}

void hyp_watchset_wake(watchset *w) {
    struct kevent wake;
    EV_SET(&wake, 0, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
    kevent(w->queue, &wake, 1, NULL, 0, NULL);
}
