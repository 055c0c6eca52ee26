/* disorder_io.c - an io layer for tests: requests finish in any order and at any time, and until then their buffers
 * hold whatever a device half-way through might have left. Under it, a frame that is shown too early, or given to
 * somebody else while a read into it is under way, shows as a foreign byte. Controlled by the `seed` and `fail_every`
 * of the faults. */
#include "base/mem.h"
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_OUTSTANDING = 4096, MAX_FILES = 4 };

struct hyp_io {
    int fds[MAX_FILES];
    size_t n_files;
    hyp_io_faults faults;
    uint64_t random, n_reads;
    hyp_io_request *outstanding[MAX_OUTSTANDING];
    size_t n;
    hyp_io_stats stats;
};

static uint64_t draw(hyp_io *io, uint64_t n) {
    io->random = io->random * 6364136223846793005u + 1442695040888963407u;
    return (io->random >> 33) % n;
}

int hyp_io_open(const char *const *paths, size_t n, const hyp_io_config *config, hyp_io **ret, hyp_err *err) {
    hyp_io *io = calloc(1, sizeof *io);
    if (io == NULL || n > MAX_FILES) return hyp_err_set(err, HYP_ENOMEM, "too much");
    for (; io->n_files < n; io->n_files++) {
        io->fds[io->n_files] = open(paths[io->n_files], O_RDONLY | O_CLOEXEC);
        if (io->fds[io->n_files] >= 0) continue;
        hyp_err_set_sys(err, HYP_EIO, errno, "cannot open %s", paths[io->n_files]);
        hyp_io_close(io);
        return HYP_EIO;
    }
    if (config->faults != NULL) io->faults = *config->faults;
    io->random = io->faults.seed;
    *ret = io;
    return HYP_OK;
}

void hyp_io_close(hyp_io *io) {
    if (io == NULL) return;
    for (size_t i = 0; i < io->n_files; i++)
        close(io->fds[i]);
    free(io);
}

/* What a device may do to a buffer at any time before it is done. */
static void scribble(hyp_io *io, hyp_io_request *r) {
    memset((uint8_t *)r->buf + draw(io, r->bytes / 4096) * 4096, 0, 4096);
}

void hyp_io_submit(hyp_io *io, hyp_io_request *r) {
    r->result = HYP_OK;
    r->sys_errno = 0;
    r->io.state = 0;
    memset(r->buf, 0, r->bytes);
    io->outstanding[io->n++] = r;
}

void hyp_io_submit_many(hyp_io *io, hyp_io_request *const *requests, size_t n) {
    for (size_t i = 0; i < n; i++)
        hyp_io_submit(io, requests[i]);
}

static void finish(hyp_io *io, hyp_io_request *r) {
    if (r->result != HYP_OK) return; /* cancelled */
    io->stats.n_reads++;
    if (io->faults.fail_every > 0 && (io->faults.only_class < 0 || io->faults.only_class == (int)r->cls) &&
        draw(io, io->faults.fail_every) == 0) {
        r->result = HYP_EIO;
        r->sys_errno = EIO;
        return;
    }
    for (uint64_t done = 0; done < r->bytes;) {
        ssize_t n = pread(io->fds[r->file], (char *)r->buf + done, r->bytes - done, (off_t)(r->offset + done));
        if (n <= 0) break;
        done += (uint64_t)n;
    }
    *(r->cls == HYP_IO_DEMAND ? &io->stats.demand_bytes : &io->stats.prefetch_bytes) += r->bytes;
}

hyp_io_request *hyp_io_reap(hyp_io *io, bool wait) {
    if (io->n == 0) return NULL;
    for (size_t i = 0; i < io->n; i++)
        if (io->outstanding[i]->result == HYP_OK) scribble(io, io->outstanding[i]);
    if (!wait && draw(io, 3) != 0) return NULL;
    size_t i = (size_t)draw(io, io->n);
    hyp_io_request *r = io->outstanding[i];
    io->outstanding[i] = io->outstanding[--io->n];
    finish(io, r);
    return r;
}

void hyp_io_promote(hyp_io *io, hyp_io_request *r) {
    (void)io;
    (void)r;
}

void hyp_io_cancel(hyp_io *io, hyp_io_request *r) {
    if (r->io.state == 0 && draw(io, 2) == 0) {
        r->result = HYP_ECANCELED;
        io->stats.n_cancelled++;
    }
    r->io.state = 1; /* whether it is too late is settled once */
}

size_t hyp_io_outstanding(const hyp_io *io) {
    return io->n;
}

void hyp_io_get_stats(const hyp_io *io, hyp_io_stats *ret) {
    *ret = io->stats;
}

void hyp_io_get_file(const hyp_io *io, uint32_t file, hyp_io_file_info *ret) {
    struct stat st = {0};
    fstat(io->fds[file], &st);
    *ret = (hyp_io_file_info){(uint64_t)st.st_size, (uint64_t)st.st_dev, (uint64_t)st.st_ino, 4096};
}

int hyp_io_describe(const hyp_io *io, const hyp_io_request *r, hyp_err *err) {
    (void)io;
    if (r->result == HYP_OK) return HYP_OK;
    return hyp_err_set_sys(err, r->result, r->sys_errno, "cannot read %llu bytes at %llu of test_pager_",
                           (unsigned long long)r->bytes, (unsigned long long)r->offset);
}

/* There are no mirrors here. */
void hyp_io_drop_source(hyp_io *io, uint32_t source, int sys_errno) {
    (void)io, (void)source, (void)sys_errno;
}

int hyp_io_living_fd(const hyp_io *io, uint32_t file) {
    return io->fds[file];
}
