#include "base/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

const char *hyp_platform_error_text(int sys, char *buf, size_t size) {
    return strerror_r(sys, buf, size);
}

int hyp_platform_socket(int family, int type, int protocol, bool nonblocking) {
    return socket(family, type | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), protocol);
}

struct timespec hyp_platform_mtime(const struct stat *st) {
    return st->st_mtim;
}

int hyp_platform_drop_cached(int fd, uint64_t offset, uint64_t bytes) {
    return posix_fadvise(fd, (off_t)offset, (off_t)bytes, POSIX_FADV_DONTNEED);
}

void hyp_platform_cond_init(pthread_cond_t *cond) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int hyp_platform_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, double deadline_s) {
    struct timespec until = {.tv_sec = (time_t)deadline_s};
    until.tv_nsec = (long)((deadline_s - (double)until.tv_sec) * 1e9);
    return pthread_cond_timedwait(cond, lock, &until);
}

struct hyp_semaphore {
    sem_t value;
};

hyp_semaphore *hyp_semaphore_new(void) {
    hyp_semaphore *s = malloc(sizeof *s);
    if (s != NULL) sem_init(&s->value, 0, 0);
    return s;
}

void hyp_semaphore_free(hyp_semaphore *s) {
    if (s != NULL) sem_destroy(&s->value);
    free(s);
}

void hyp_semaphore_post(hyp_semaphore *s) {
    sem_post(&s->value);
}

void hyp_semaphore_wait(hyp_semaphore *s) {
    while (sem_wait(&s->value) != 0 && errno == EINTR) {
    }
}

const char *hyp_platform_own_program(char *buf, size_t size) {
    snprintf(buf, size, "/proc/self/exe");
    return buf;
}

void hyp_platform_end_with_parent(int signal) {
    prctl(PR_SET_PDEATHSIG, signal);
}

int hyp_platform_wait_signal(const sigset_t *signals, bool *ret_sent) {
    siginfo_t info;
    int signal = sigwaitinfo(signals, &info);
    *ret_sent = signal > 0 && info.si_code == SI_USER;
    return signal;
}

int hyp_platform_sync_data(int fd) {
    return fdatasync(fd);
}

int hyp_platform_reserve(int fd, uint64_t bytes) {
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) != 0 && errno == ENOSPC ? ENOSPC : 0;
}

const bool hyp_platform_counts_blocks = true;
