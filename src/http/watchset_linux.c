#include "http/watchset_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MAX_EVENTS = 32 };

struct watchset {
    int epoll_fd, wake_fd;
};

int hyp_watchset_open(watchset **ret) {
    watchset *w = malloc(sizeof *w);
    if (w == NULL) return ENOMEM;
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0};
    if (w->epoll_fd < 0 || w->wake_fd < 0 || epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &event) != 0) {
        int sys = errno;
        hyp_watchset_close(w);
        return sys;
    }
    *ret = w;
    return 0;
}

void hyp_watchset_close(watchset *w) {
    if (w == NULL) return;
    if (w->epoll_fd >= 0) close(w->epoll_fd);
    if (w->wake_fd >= 0) close(w->wake_fd);
    free(w);
}

bool hyp_watchset_add(watchset *w, int fd, uint64_t serial) {
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = serial};
    return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

void hyp_watchset_remove(watchset *w, int fd) {
    epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

int hyp_watchset_wait(watchset *w, int timeout_ms, uint64_t *ret_serials, int max) {
    struct epoll_event events[MAX_EVENTS];
    int n = epoll_wait(w->epoll_fd, events, max < MAX_EVENTS ? max : MAX_EVENTS, timeout_ms), found = 0;
    for (int i = 0; i < n; i++) {
        uint64_t count;
        if (events[i].data.u64 != 0)
            ret_serials[found++] = events[i].data.u64;
        else if (read(w->wake_fd, &count, sizeof count) < 0)
            break; /* does not happen: it is readable */
    }
    return n < 0 ? -1 : found;
}

void hyp_watchset_wake(watchset *w) {
    uint64_t one = 1;
    ssize_t n = write(w->wake_fd, &one, sizeof one);
    (void)n; /* it can only fail when the count is at its highest, and then the wait ends too */
}
