/* platform_macos.c - F_NOCACHE instead of O_DIRECT: a property of the open file that has no rules of alignment and
 * falls back to the cache where it must. What an aligned read of it brings goes straight into the buffer. */
#include "io/platform_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int hyp_io_platform_open_direct(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    if (fcntl(fd, F_NOCACHE, 1) == 0) {
        fcntl(fd, F_RDAHEAD, 0);
        return fd;
    }
    int sys = errno;
    close(fd);
    errno = sys;
    return -1;
}

uint32_t hyp_io_platform_direct_alignment(int fd) {
    (void)fd;
    return HYP_IO_PAGE;
}

void hyp_io_platform_no_read_ahead(int fd) {
    fcntl(fd, F_RDAHEAD, 0);
}

int hyp_io_platform_read_flags(hyp_io_mode mode) {
    (void)mode;
    return 0;
}

ssize_t hyp_io_platform_read(int fd, const struct iovec *iov, int n, uint64_t offset, int flags) {
    (void)flags;
    return preadv(fd, iov, n, (off_t)offset);
}
