/* platform_linux.c - the arena is a memfd; pages are replaced by mmap(MAP_FIXED), which the kernel does under its own
 * lock. */
#include "pager/platform_priv.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

enum { HUGE_GIVE_UP = 8 };

size_t hyp_platform_page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static uint64_t count_mappings(void) {
    FILE *f = fopen("/proc/self/maps", "re");
    if (f == NULL) return 0;
    uint64_t n = 0;
    for (int c = getc(f); c != EOF; c = getc(f))
        n += c == '\n';
    fclose(f);
    return n;
}

uint32_t hyp_platform_mappings_left(void) {
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    unsigned long long max = 65530; /* the kernel's default */
    if (f != NULL) {
        if (fscanf(f, "%llu", &max) != 1) max = 65530;
        fclose(f);
    }
    uint64_t used = count_mappings();
    uint64_t left = max > used ? max - used : 0;
    return left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
}

typedef struct mapping {
    uint64_t start, end, offset;
    unsigned long long inode;
    char device[16];
} mapping;

static bool next_mapping(FILE *f, char **line, size_t *size, mapping *ret) {
    unsigned long long start, end, offset;
    if (getline(line, size, f) < 0) return false;
    if (sscanf(*line, "%llx-%llx %*s %llx %15s %llu", &start, &end, &offset, ret->device, &ret->inode) != 5)
        return false;
    ret->start = start;
    ret->end = end;
    ret->offset = offset;
    return true;
}

size_t hyp_platform_find_stretches(const uint8_t *base, uint64_t bytes, const uint8_t *known, hyp_stretch *ret,
                                   size_t max) {
    FILE *f = fopen("/proc/self/maps", "re");
    if (f == NULL) return 0;
    const uint64_t from = (uintptr_t)base, to = from + bytes, at = (uintptr_t)known;
    char *line = NULL;
    size_t size = 0, n = 0;
    mapping m, file = {0};
    while (file.end == 0 && next_mapping(f, &line, &size, &m))
        if (m.start <= at && at < m.end) file = m;
    rewind(f);
    while (file.end != 0 && next_mapping(f, &line, &size, &m)) {
        /* In the range of the file's mapping, at its own place in it, and of the same file: anything else was mapped
         * there after libllama had unmapped a piece. */
        if (m.start < from || m.start >= to || m.start - from != m.offset) continue;
        if (m.inode == 0 || m.inode != file.inode || strcmp(m.device, file.device) != 0) continue;
        uint64_t first = m.start - from, end = HYP_MIN(m.end, to) - from;
        if (n > 0 && ret[n - 1].end == first)
            ret[n - 1].end = end;
        else if (n < max)
            ret[n++] = (hyp_stretch){first, end};
        else
            break;
    }
    free(line);
    fclose(f);
    return n;
}

int hyp_platform_map_file(int fd, uint64_t offset, uint64_t bytes, void *at) {
    void *p = mmap(at, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);
    return p != MAP_FAILED ? 0 : errno;
}

static void *map_view(int fd, uint64_t bytes) {
    /* Reserve more than needed, then place the view at an aligned address inside and return the rest. */
    size_t span = bytes + HYP_ARENA_ALIGN;
    uint8_t *area = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) return MAP_FAILED;
    size_t lead = (HYP_ARENA_ALIGN - (uintptr_t)area % HYP_ARENA_ALIGN) % HYP_ARENA_ALIGN;
    void *view = mmap(area + lead, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0);
    if (view == MAP_FAILED) {
        int sys = errno;
        munmap(area, span);
        errno = sys;
        return MAP_FAILED;
    }
    if (lead > 0) munmap(area, lead);
    if (span > lead + bytes) munmap(area + lead + bytes, span - lead - bytes);
    return view;
}

/* Where the system gives shared memory large pages on its own, one touch would take 2 MiB that no budget knows of. */
static void forbid_unasked_huge_pages(hyp_arena *arena) {
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "re");
    if (f == NULL) return;
    char line[128] = "";
    bool unasked =
        fgets(line, sizeof line, f) != NULL &&
        (strstr(line, "[always]") != NULL || strstr(line, "[within_size]") != NULL || strstr(line, "[force]") != NULL);
    fclose(f);
    if (!unasked) return;
    madvise(arena->view, arena->bytes, MADV_NOHUGEPAGE);
    atomic_store(&arena->huge_failures, HUGE_GIVE_UP); /* which also rules out asking for them */
}

int hyp_arena_open(uint64_t bytes, hyp_arena *ret, hyp_err *err) {
    hyp_arena arena = {.fd = memfd_create("hypura-frames", MFD_CLOEXEC), .bytes = bytes};
    if (arena.fd < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot create the memory object of the cache");
    if (ftruncate(arena.fd, (off_t)bytes) != 0) {
        hyp_err_set_sys(err, HYP_ENOMEM, errno, "cannot size the memory object of the cache");
        close(arena.fd);
        return HYP_ENOMEM;
    }
    arena.view = map_view(arena.fd, bytes);
    if (arena.view == MAP_FAILED) {
        hyp_err_set_sys(err, HYP_ENOMEM, errno, "cannot map %llu bytes of address space for the cache",
                        (unsigned long long)bytes);
        hyp_err_hint(err, "raise the limit on address space (ulimit -v)");
        close(arena.fd);
        return HYP_ENOMEM;
    }
    madvise(arena.view, bytes, MADV_DONTDUMP); /* gigabytes of weights, which the model's file holds, in no core dump */
    forbid_unasked_huge_pages(&arena);
    mlock2(arena.view, bytes, MLOCK_ONFAULT); /* refused beyond RLIMIT_MEMLOCK: then swapping is the system's choice */
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
    int flags = MAP_SHARED | MAP_FIXED | (populate ? MAP_POPULATE : 0);
    return mmap(at, bytes, PROT_READ, flags, arena->fd, (off_t)offset) != MAP_FAILED ? 0 : errno;
}

void hyp_arena_prepare(hyp_arena *arena, uint64_t offset, uint64_t bytes) {
    uint64_t a = (offset + HYP_ARENA_ALIGN - 1) / HYP_ARENA_ALIGN * HYP_ARENA_ALIGN;
    uint64_t b = (offset + bytes) / HYP_ARENA_ALIGN * HYP_ARENA_ALIGN;
    if (a >= b || atomic_load(&arena->huge_failures) >= HUGE_GIVE_UP) return;
    /* The kernel collapses only what holds a page already; one page a piece is enough, the rest is zeroed as it is
     * allocated. */
    for (uint64_t at = a; at < b; at += HYP_ARENA_ALIGN)
        (void)madvise(arena->view + at, hyp_platform_page_bytes(), MADV_POPULATE_READ);
    /* EINVAL: this kernel has no such advice, or its large pages have another size; that will not change. Any other
     * failure is memory too fragmented for the moment: after HUGE_GIVE_UP in a row nothing is tried any more. */
    if (madvise(arena->view + a, b - a, MADV_COLLAPSE) == 0)
        atomic_store(&arena->huge_failures, 0);
    else
        atomic_store(&arena->huge_failures, errno == EINVAL ? HUGE_GIVE_UP : atomic_load(&arena->huge_failures) + 1);
}

bool hyp_arena_punch(const hyp_arena *arena, uint64_t offset, uint64_t bytes) {
    return fallocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes) == 0;
}

uint64_t hyp_arena_allocated_bytes(const hyp_arena *arena) {
    struct stat st;
    return fstat(arena->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}
