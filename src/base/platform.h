/* platform.h - what several folders need of the operating system and each system does in a way of its own.
 *
 * One file a system (platform_linux.c, platform_macos.c), chosen by meson; what only one folder needs stands in that
 * folder's own *_linux.c and *_macos.c. Thread-safe unless said otherwise. */
#pragma once
#include "base/err.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

/* What errno `sys` means: strerror_r(3). May or may not be written into `buf`; never NULL. */
const char *hyp_platform_error_text(int sys, char *buf, size_t size);

/* socket(2), not inherited by programs that are started; `nonblocking`: not waiting either. Returns -1 with errno. */
int hyp_platform_socket(int family, int type, int protocol, bool nonblocking);

/* When the content of the file was last changed. */
struct timespec hyp_platform_mtime(const struct stat *st);

/* Drop what the system's cache holds of these bytes of a file; `bytes` 0: to its end. Returns 0 or an errno. */
int hyp_platform_drop_cached(int fd, uint64_t offset, uint64_t bytes);

/* Have the data of `fd` on its disk, and of its metadata what reading it back needs. Returns 0, or -1 with errno. */
int hyp_platform_sync_data(int fd);

/* Reserve room on the disk for the first `bytes` of `fd`, whose size stays what it is, where the system and the file
 * system can. Returns 0 (also where they cannot) or ENOSPC. */
int hyp_platform_reserve(int fd, uint64_t bytes);

/* Whether getrusage(2) counts the blocks a process read and its page faults as Linux does. */
extern const bool hyp_platform_counts_blocks;

/* A condition for hyp_platform_cond_wait_until(); destroyed by pthread_cond_destroy(). */
void hyp_platform_cond_init(pthread_cond_t *cond);

/* pthread_cond_timedwait() with a deadline on the clock of hyp_text_now_s(): setting the calendar neither shortens nor
 * prolongs the wait. Returns 0 (perhaps for no reason) or ETIMEDOUT. */
int hyp_platform_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, double deadline_s);

/* A counting semaphore, of value 0 at first. NULL without memory; freeing accepts NULL. */
typedef struct hyp_semaphore hyp_semaphore;
hyp_semaphore *hyp_semaphore_new(void);
void hyp_semaphore_free(hyp_semaphore *s);
void hyp_semaphore_post(hyp_semaphore *s);
void hyp_semaphore_wait(hyp_semaphore *s);

/* The file of this very program, by a name for exec: the one it was called by may stand for another file meanwhile.
 * Returns `buf`, or "hypura" where the system does not report it. */
const char *hyp_platform_own_program(char *buf, size_t size);

/* Have this process sent `signal` when its parent ends, where the system knows how. Safe between fork and exec. The
 * parent may have ended just before: compare getppid() afterwards. */
void hyp_platform_end_with_parent(int signal);

/* Wait for one of `signals`, which are blocked, and return it, or -1. `*ret_sent`: somebody sent it to this process,
 * rather than a terminal to its whole group. */
int hyp_platform_wait_signal(const sigset_t *signals, bool *ret_sent);
