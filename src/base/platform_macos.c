#include "base/platform.h"

#include "base/mem.h"
#include "base/text.h"

#include <dispatch/dispatch.h>
#include <errno.h>
#include <fcntl.h>
#include <mach-o/dyld.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

const char *hyp_platform_error_text(int sys, char *buf, size_t size) {
    if (strerror_r(sys, buf, size) != 0) snprintf(buf, size, "error %d", sys);
    return buf;
}

int hyp_platform_socket(int family, int type, int protocol, bool nonblocking) {
    int fd = socket(family, type, protocol);
    if (fd < 0) return -1;
    /* A child forked by another thread between these calls inherits the socket: the system has no way around it. */
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (nonblocking) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    /* What MSG_NOSIGNAL says of one call, for systems that do not know that flag yet. */
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
    return fd;
}

struct timespec hyp_platform_mtime(const struct stat *st) {
    return st->st_mtimespec;
}

/* The cache of a file is dropped through a mapping of it: MS_INVALIDATE. */
int hyp_platform_drop_cached(int fd, uint64_t offset, uint64_t bytes) {
    struct stat st;
    if (fstat(fd, &st) != 0) return errno;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), size = (uint64_t)st.st_size;
    uint64_t first = offset / page * page, end = bytes == 0 ? size : HYP_MIN(offset + bytes, size);
    if (first >= end) return 0;
    void *map = mmap(NULL, end - first, PROT_READ, MAP_SHARED, fd, (off_t)first);
    if (map == MAP_FAILED) return errno;
    int r = msync(map, end - first, MS_INVALIDATE) == 0 ? 0 : errno;
    munmap(map, end - first);
    return r;
}

void hyp_platform_cond_init(pthread_cond_t *cond) {
    pthread_cond_init(cond, NULL);
}

/* Conditions know no other clock than the calendar's here, but a wait of a given length. */
int hyp_platform_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, double deadline_s) {
    double left_s = HYP_MAX(deadline_s - hyp_text_now_s(), 0.0);
    struct timespec left = {.tv_sec = (time_t)left_s};
    left.tv_nsec = (long)((left_s - (double)left.tv_sec) * 1e9);
    return pthread_cond_timedwait_relative_np(cond, lock, &left);
}

/* sem_init() exists but always fails. */
struct hyp_semaphore {
    dispatch_semaphore_t value;
};

hyp_semaphore *hyp_semaphore_new(void) {
    hyp_semaphore *s = malloc(sizeof *s);
    if (s == NULL) return NULL;
    s->value = dispatch_semaphore_create(0);
    if (s->value != NULL) return s;
    free(s);
    return NULL;
}

void hyp_semaphore_free(hyp_semaphore *s) {
    if (s != NULL) dispatch_release(s->value);
    free(s);
}

void hyp_semaphore_post(hyp_semaphore *s) {
    dispatch_semaphore_signal(s->value);
}

void hyp_semaphore_wait(hyp_semaphore *s) {
    dispatch_semaphore_wait(s->value, DISPATCH_TIME_FOREVER);
}

const char *hyp_platform_own_program(char *buf, size_t size) {
    uint32_t n = (uint32_t)HYP_MIN(size, (size_t)UINT32_MAX);
    return _NSGetExecutablePath(buf, &n) == 0 ? buf : "hypura";
}

/* Nothing here reports a parent's end to its child: one that was orphaned runs until its work is done. */
void hyp_platform_end_with_parent(int signal) {
    (void)signal;
}

/* The sender is not known: an interrupt is taken for the terminal's, which the whole group gets, all else for sent. */
int hyp_platform_wait_signal(const sigset_t *signals, bool *ret_sent) {
    int signal = -1;
    if (sigwait(signals, &signal) != 0) return -1;
    *ret_sent = signal != SIGINT;
    return signal;
}

int hyp_platform_sync_data(int fd) {
    return fsync(fd);
}

int hyp_platform_reserve(int fd, uint64_t bytes) {
    (void)fd;
    (void)bytes;
    return 0;
}

const bool hyp_platform_counts_blocks = false;
