/* platform_macos.c - the arena is an unlinked POSIX shared memory object; macOS has neither memfd nor hole punching in
 * it.
 *
 * Pages are replaced by mmap(MAP_FIXED), which the kernel does under the lock of the address space. Memory of punched
 * pages is handed back by advising the kernel that their content is of no use (MADV_FREE_REUSABLE on the view). */
#include "pager/platform_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

size_t hyp_platform_page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

uint32_t hyp_platform_mappings_left(void) {
    return UINT32_MAX;
}

size_t hyp_platform_find_stretches(const uint8_t *base, uint64_t bytes, const uint8_t *known, hyp_stretch *ret,
                                   size_t max) {
    (void)base, (void)bytes, (void)known, (void)ret, (void)max;
    return 0; /* mappings are not scarce here: nothing is gained by joining them */
}

int hyp_platform_map_file(int fd, uint64_t offset, uint64_t bytes, void *at) {
    void *p = mmap(at, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);
    return p != MAP_FAILED ? 0 : errno;
}

int hyp_arena_open(uint64_t bytes, hyp_arena *ret, hyp_err *err) {
    char name[31]; /* the longest name the system takes */
    hyp_arena arena = {.fd = -1, .bytes = bytes};
    for (unsigned i = 0; arena.fd < 0 && i < 16; i++) {
        snprintf(name, sizeof name, "/hypura-%ld-%u", (long)getpid(), i);
        arena.fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (arena.fd < 0 && errno != EEXIST) break;
    }
    if (arena.fd < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot create the memory object of the cache");
    shm_unlink(name);
    fcntl(arena.fd, F_SETFD, FD_CLOEXEC);
    if (ftruncate(arena.fd, (off_t)bytes) != 0) {
        hyp_err_set_sys(err, HYP_ENOMEM, errno, "cannot size the memory object of the cache");
        close(arena.fd);
        return HYP_ENOMEM;
    }
    arena.view = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, arena.fd, 0);
    if (arena.view == MAP_FAILED) {
        hyp_err_set_sys(err, HYP_ENOMEM, errno, "cannot map %llu bytes of address space for the cache",
                        (unsigned long long)bytes);
        close(arena.fd);
        return HYP_ENOMEM;
    }
    *ret = arena;
    return HYP_OK;
}

void hyp_arena_close(hyp_arena *arena) {
    if (arena->view == NULL) return;
    munmap(arena->view, arena->bytes);
    close(arena->fd);
    arena->view = NULL;
}

int hyp_arena_map(const hyp_arena *arena, uint64_t offset, uint64_t bytes, void *at, bool populate) {
    if (mmap(at, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, arena->fd, (off_t)offset) == MAP_FAILED) return errno;
    if (populate) madvise(at, bytes, MADV_WILLNEED);
    return 0;
}

void hyp_arena_prepare(hyp_arena *arena, uint64_t offset, uint64_t bytes) {
    /* A reusable page must be declared reused before it is counted again; harmless for one that is fresh. */
    madvise(arena->view + offset, bytes, MADV_FREE_REUSE);
}

bool hyp_arena_punch(const hyp_arena *arena, uint64_t offset, uint64_t bytes) {
    return madvise(arena->view + offset, bytes, MADV_FREE_REUSABLE) == 0;
}

uint64_t hyp_arena_allocated_bytes(const hyp_arena *arena) {
    (void)arena; /* not reported for a shared memory object */
    return 0;
}
