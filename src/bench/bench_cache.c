#include "bench/bench_cache_priv.h"

#include "base/mem.h"
#include "base/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WINDOW_BYTES = 256 << 20 };

int hyp_bench_cache_drop(const hyp_model *model, hyp_err *err) {
    for (size_t i = 0; i < model->n_files; i++) {
        const char *path = model->files[i].path;
        HYP_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot open %s", path);
        /* Pages not yet written would stay: a model made a moment ago. Where syncing is refused, they are clean. */
        fsync(fd);
        int e = hyp_platform_drop_cached(fd, 0, 0);
        if (e != 0) return hyp_err_set_sys(err, HYP_EIO, e, "cannot drop the page cache of %s", path);
    }
    return HYP_OK;
}

/* Pages of `fd` in the page cache, between two offsets; -1 when unknown. */
static int64_t pages_in_cache(int fd, uint64_t offset, size_t bytes, unsigned char *flags) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = (bytes + page - 1) / page;
    void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, (off_t)offset);
    if (map == MAP_FAILED) return -1;
    int64_t count = -1;
    if (mincore(map, bytes, (void *)flags) == 0) {
        count = 0;
        for (size_t i = 0; i < n; i++)
            count += flags[i] & 1;
    }
    munmap(map, bytes);
    return count;
}

double hyp_bench_cache_share(const hyp_model *model) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    HYP_AUTOFREE unsigned char *flags = malloc(WINDOW_BYTES / page);
    uint64_t in_cache = 0, all = 0;
    for (size_t i = 0; i < model->n_files && flags != NULL; i++) {
        const hyp_model_file *file = &model->files[i];
        HYP_AUTOCLOSE int fd = open(file->path, O_RDONLY | O_CLOEXEC);
        /* To others Linux pretends that every page is there. */
        if (fd < 0 || access(file->path, W_OK) != 0) return -1;
        for (uint64_t at = 0; at < file->bytes; at += WINDOW_BYTES) {
            int64_t n = pages_in_cache(fd, at, (size_t)HYP_MIN(file->bytes - at, (uint64_t)WINDOW_BYTES), flags);
            if (n < 0) return -1;
            in_cache += (uint64_t)n;
        }
        all += (file->bytes + page - 1) / page;
    }
    return flags != NULL && all > 0 ? (double)in_cache / (double)all : -1;
}
