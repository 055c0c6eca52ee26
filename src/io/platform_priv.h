/* platform_priv.h - what reading files asks of the operating system. Private to src/io; one file a system. Thread-safe.
 */
#pragma once
#include "io/io_priv.h"

/* Open for reads that leave the page cache alone, or -1 with errno. */
int hyp_io_platform_open_direct(const char *path);

/* The alignment of offset, size and buffer for such reads of the file open at `fd`; 0 where its file system has none.
 */
uint32_t hyp_io_platform_direct_alignment(int fd);

/* Tell that nothing beyond what is asked for will be wanted. Advice. */
void hyp_io_platform_no_read_ahead(int fd);

/* Flags for hyp_io_platform_read() in this mode. */
int hyp_io_platform_read_flags(hyp_io_mode mode);

/* preadv2(2). */
ssize_t hyp_io_platform_read(int fd, const struct iovec *iov, int n, uint64_t offset, int flags);
