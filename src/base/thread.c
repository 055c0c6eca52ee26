/* thread.c - see thread.h. */
#include "base/thread.h"

#include <signal.h>

enum { STACK_BYTES = 256 << 10 };

int hyp_thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg) {
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int sys = pthread_create(ret, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return sys;
}
