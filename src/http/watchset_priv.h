/* watchset_priv.h - sockets whose other end may hang up; private to watch.c and http_priv.h. epoll on Linux, kqueue on
 * macOS.
 *
 * Threads: one waits, any may add, remove and wake. A socket is removed before it is closed. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct watchset watchset;

/* 0 or an errno. */
int hyp_watchset_open(watchset **ret);
void hyp_watchset_close(watchset *w); /* accepts NULL; nobody waits any more */

/* Tell once, by `serial` (not 0), when the other end of `fd` has closed or shut down its sending side. */
bool hyp_watchset_add(watchset *w, int fd, uint64_t serial);
void hyp_watchset_remove(watchset *w, int fd);

/* Wait at most `timeout_ms` and write the serials of those that hung up, at most `max`. Returns their number, perhaps
 * 0, or -1 with errno. */
int hyp_watchset_wait(watchset *w, int timeout_ms, uint64_t *ret_serials, int max);

/* End the present or the next wait. */
void hyp_watchset_wake(watchset *w);
