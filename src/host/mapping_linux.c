/* mapping_linux.c - this executable's own mmap(), madvise() and posix_madvise(), which libllama and ggml call instead
 * of the C library's: an executable's symbols come first in an ELF process. Outside a load they only forward to the
 * kernel. */
#include "host/mapping_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The sanitizers bring functions of these names themselves: then nothing is interposed, pages that libllama asks for
 * are read during the load, and what is mapped is looked up at its end. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

void hyp_mapping_search(void) {
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) return;
    char line[PATH_MAX + 128];
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long long at, offset;
        struct stat st;
        char *path = strchr(line, '/');
        if (path == NULL || sscanf(line, "%llx-%*s %*s %llx", &at, &offset) != 2) continue;
        path[strcspn(path, "\n")] = '\0';
        /* The path's device and not the line's: on overlays and Btrfs these two are not the same. */
        int file = stat(path, &st) == 0 ? hyp_mapping_watched(st.st_dev, st.st_ino) : -1;
        /* Any part will do: libllama has unmapped the first pages, where no weights are. */
        if (file >= 0) hyp_mapping_found(file, (void *)(uintptr_t)(at - offset));
    }
    fclose(maps);
}

#else

void hyp_mapping_search(void) {} /* mmap() below has told */

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
