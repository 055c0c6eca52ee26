/* thread.h - threads that belong to a library: small, and deaf to the program's signals. */
#pragma once
#include <pthread.h>

/* Start `run(arg)` in a thread with every signal blocked, for signals are the program's. Returns 0 or an errno.
 * Thread-safe. */
int hyp_thread_start(pthread_t *ret, void *(*run)(void *arg), void *arg);
