/* mapping_linux.c - this executable's own mmap(), madvise() and posix_madvise(), which libllama and ggml call instead
 * of the C library's: an executable's symbols come first in an ELF process. Outside a load they only forward to the
 * kernel. */
#include "host/mapping_priv.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void hyp_mapping_search(void) {} /* mmap() below has noted every base */

/* The sanitizers bring functions of these names themselves. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

static int watched_file(int fd) {
    struct stat st;
    return fd >= 0 && hyp_mapping_is_watching() && fstat(fd, &st) == 0 ? hyp_mapping_watched(st.st_dev, st.st_ino) : -1;
}

/* In large-file builds the header renames mmap() to mmap64(): both names are defined, by what they are called in
 * objects. */
void *hyp_interposed_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset) __asm__("mmap");
void *hyp_interposed_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset) {
    int file = watched_file(fd);
    if (file >= 0 && hyp_mapping_is_lazy()) flags &= ~MAP_POPULATE;
    /* The system call itself: the C library's mmap() is shadowed by this one. */
    void *p = (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);
    if (file >= 0 && p != MAP_FAILED && offset == 0) hyp_mapping_found(file, p);
    return p;
}

void *hyp_interposed_mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset) __asm__("mmap64");
void *hyp_interposed_mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset) {
    return hyp_interposed_mmap(addr, length, prot, flags, fd, offset);
}

int madvise(void *addr, size_t length, int advice) {
    if (advice == MADV_WILLNEED && hyp_mapping_is_lazy_at(addr)) return 0;
    return (int)syscall(SYS_madvise, addr, length, advice);
}

/* Returns the error instead of setting errno, as POSIX has it. */
int posix_madvise(void *addr, size_t length, int advice) {
    if (advice == POSIX_MADV_DONTNEED) return 0; /* Linux's MADV_DONTNEED would drop data; glibc ignores it too */
    return madvise(addr, length, advice) == 0 ? 0 : errno;
}

#endif
