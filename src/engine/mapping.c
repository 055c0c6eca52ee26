#include "engine/mapping.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_FILES = 1024 };

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;

/* Written before `watching` is set and read after it is cleared; the entries themselves by whichever thread of libllama
 * maps the file. */
static atomic_bool watching, stripping;
static size_t n_files;
static struct {
    dev_t device;
    ino_t inode;
    uint64_t bytes;
    _Atomic(void *) base;
} files[MAX_FILES];

int hyp_mapping_begin(const hyp_model *model, bool lazy, hyp_err *err) {
    if (model->n_files > MAX_FILES)
        return hyp_err_set(err, HYP_ELIMIT, "a model of more than %d files cannot be loaded", MAX_FILES);
    pthread_mutex_lock(&load_lock);
    for (size_t i = 0; i < model->n_files; i++) {
        struct stat st;
        if (stat(model->files[i].path, &st) != 0) {
            pthread_mutex_unlock(&load_lock);
            return hyp_err_set(err, HYP_EIO, "cannot examine %s", model->files[i].path);
        }
        files[i].device = st.st_dev;
        files[i].inode = st.st_ino;
        files[i].bytes = (uint64_t)st.st_size;
        atomic_store(&files[i].base, NULL);
    }
    n_files = model->n_files;
    atomic_store(&stripping, lazy);
    atomic_store(&watching, true);
    return HYP_OK;
}

void hyp_mapping_end(void **ret_bases) {
    atomic_store(&watching, false);
    for (size_t i = 0; i < n_files; i++)
        ret_bases[i] = atomic_load(&files[i].base);
    pthread_mutex_unlock(&load_lock);
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

/* The index of the watched file behind `fd`, or -1. */
static int watched_file(int fd) {
    struct stat st;
    if (fd < 0 || !atomic_load(&watching) || fstat(fd, &st) != 0) return -1;
    for (size_t i = 0; i < n_files; i++)
        if (files[i].device == st.st_dev && files[i].inode == st.st_ino) return (int)i;
    return -1;
}

static bool inside_watched(const void *addr) {
    if (!atomic_load(&watching) || !atomic_load(&stripping)) return false;
    for (size_t i = 0; i < n_files; i++) {
        const char *base = atomic_load(&files[i].base);
        if (base != NULL && (const char *)addr >= base && (const char *)addr < base + files[i].bytes) return true;
    }
    return false;
}

/* In large-file builds the header renames mmap() to mmap64(): both names are defined, by what they are called in objects. */
void *hyp_interposed_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset) __asm__("mmap");
void *hyp_interposed_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset) {
    int file = watched_file(fd);
    if (file >= 0 && atomic_load(&stripping)) flags &= ~MAP_POPULATE;
    void *p = (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);
    if (file >= 0 && p != MAP_FAILED && offset == 0) atomic_store(&files[file].base, p);
    return p;
}

void *hyp_interposed_mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset) __asm__("mmap64");
void *hyp_interposed_mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset) {
    return hyp_interposed_mmap(addr, length, prot, flags, fd, offset);
}

int madvise(void *addr, size_t length, int advice) {
    if (advice == MADV_WILLNEED && inside_watched(addr)) return 0;
    return (int)syscall(SYS_madvise, addr, length, advice);
}

/* Returns the error instead of setting errno, as POSIX has it. */
int posix_madvise(void *addr, size_t length, int advice) {
    if (advice == POSIX_MADV_DONTNEED) return 0; /* Linux's MADV_DONTNEED would drop data; glibc ignores it too */
    return madvise(addr, length, advice) == 0 ? 0 : errno;
}

#endif
