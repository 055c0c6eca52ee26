#include "io/platform_priv.h"

#include "base/mem.h"

#include <fcntl.h>
#include <sys/stat.h>

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80 /* Linux 6.14; older headers do not name it, older kernels answer EOPNOTSUPP */
#endif

int hyp_io_platform_open_direct(const char *path) {
    return open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
}

/* A kernel before 6.1 does not report it: then a page of 4 KiB, which every common file system and drive accepts. */
uint32_t hyp_io_platform_direct_alignment(int fd) {
#if defined(HYP_HAVE_DIOALIGN)
    struct statx stx;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 && (stx.stx_mask & STATX_DIOALIGN) != 0)
        return stx.stx_dio_offset_align == 0 ? 0 : HYP_MAX(stx.stx_dio_offset_align, stx.stx_dio_mem_align);
#else
    (void)fd;
#endif
    return HYP_IO_PAGE;
}

void hyp_io_platform_no_read_ahead(int fd) {
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}

int hyp_io_platform_read_flags(hyp_io_mode mode) {
    return mode == HYP_IO_UNCACHED ? RWF_DONTCACHE : 0;
}

ssize_t hyp_io_platform_read(int fd, const struct iovec *iov, int n, uint64_t offset, int flags) {
    return flags != 0 ? preadv2(fd, iov, n, (off_t)offset, flags) : preadv(fd, iov, n, (off_t)offset);
}
