/* io.c - the requests: submitted, queued by class, promoted, cancelled, reaped. The reads themselves: piece.c,
 * method_*.c. */
#include "base/mem.h"
#include "base/text.h"
#include "io/io_priv.h"

#include <errno.h>
#include <string.h>

/* Measured in README.md: 1 MiB reads cost half the processor time of 256 KiB ones; two of them in flight reach the full
 * rate of a drive of up to about 7 GB/s, and every further prefetch in flight delays the next demand. */
enum { DEFAULT_DEPTH = 16, DEFAULT_CHUNK = 1 << 20, MAX_CHUNK = 256 << 20, PREFETCH_BYTES_IN_FLIGHT = 2 << 20 };

/* --- open and close --- */

static const hyp_io_method *method_of(hyp_io_backend backend) {
    switch (backend) {
    case HYP_IO_PLAIN: return &hyp_io_method_plain;
    case HYP_IO_THREADS: return &hyp_io_method_threads;
    case HYP_IO_AUTO:
    case HYP_IO_URING: break;
    }
#ifdef HYP_HAVE_URING
    return &hyp_io_method_uring;
#else
    return NULL;
#endif
}

const char *hyp_io_backend_name(hyp_io_backend backend) {
    static const char *const names[] = {"auto", "io_uring", "threads", "plain"};
    return (size_t)backend < HYP_ARRAY_LEN(names) ? names[backend] : "unknown";
}

static int start_method(hyp_io *io, hyp_io_backend backend, hyp_err *err) {
    io->method = method_of(backend);
    io->backend = backend;
    if (io->method != NULL) return io->method->open(io, err);
    hyp_err_set(err, HYP_EUNSUPPORTED, "this build has no io_uring");
    hyp_err_hint(err, "choose the backend \"threads\", or none");
    return HYP_EUNSUPPORTED;
}

/* AUTO: threads, measured faster in whole runs than one thread that submits for all (README.md), and refused nowhere.
 */
static int start(hyp_io *io, hyp_io_backend wanted, hyp_err *err) {
    return start_method(io, wanted == HYP_IO_AUTO ? HYP_IO_THREADS : wanted, err);
}

/* Each source can be kept busy by so much. */
static uint32_t default_prefetch_depth(const hyp_io *io) {
    uint32_t n = io->n_sources * HYP_MAX(PREFETCH_BYTES_IN_FLIGHT / io->chunk_bytes, 2u);
    return HYP_MIN(n, HYP_MAX(io->depth / 2, 1u));
}

static int configure(hyp_io *io, const hyp_io_config *config, hyp_err *err) {
    io->depth = config->depth != 0 ? config->depth : DEFAULT_DEPTH;
    io->chunk_bytes = config->chunk_bytes != 0 ? config->chunk_bytes : DEFAULT_CHUNK;
    if (config->n_mirrors >= HYP_IO_MAX_SOURCES) {
        hyp_err_set(err, HYP_EINVAL, "%u mirrors are too many", config->n_mirrors);
        hyp_err_hint(err, "at most %d can be used", HYP_IO_MAX_SOURCES - 1);
        return HYP_EINVAL;
    }
    io->n_sources = config->n_mirrors + 1;
    if (io->depth > HYP_IO_MAX_DEPTH || io->chunk_bytes % HYP_IO_PAGE != 0 || io->chunk_bytes > MAX_CHUNK)
        return hyp_err_set(err, HYP_EINVAL, "reads of %u bytes, %u at a time, are not possible", io->chunk_bytes,
                           io->depth);
    io->prefetch_depth = config->prefetch_depth != 0 ? config->prefetch_depth : default_prefetch_depth(io);
    io->prefetch_places = HYP_MAX(io->prefetch_depth, io->depth - HYP_MAX(io->depth / 4, 1u));
    hyp_io_faults_set(io, config->faults);
    return HYP_OK;
}

static int open_file(hyp_io_file *file, const char *path, bool buffered, hyp_err *err) {
    int r = hyp_io_file_open(file, path, buffered, err);
    if (r == HYP_OK) return r;
    hyp_io_file_close(file);
    *file = (hyp_io_file){.fd = -1, .direct_fd = -1};
    return r;
}

/* A copy must be as long as its original, and another file. */
static int check_copy(const hyp_io_file *copy, const hyp_io_file *original, hyp_err *err) {
    bool same = copy->dev == original->dev && copy->ino == original->ino;
    if (copy->bytes == original->bytes && !same) return HYP_OK;
    if (same)
        hyp_err_set(err, HYP_EINVAL, "%s is the model's own file, not a copy of it", copy->path);
    else
        hyp_err_set(err, HYP_EINVAL, "%s is not a copy of %s: it has %llu bytes instead of %llu", copy->path,
                    original->path, (unsigned long long)copy->bytes, (unsigned long long)original->bytes);
    hyp_err_hint(err, "a mirror is a second copy of the model on another disk");
    return HYP_EINVAL;
}

static int open_files(hyp_io *io, const char *const *paths, size_t n, const hyp_io_config *config, hyp_err *err) {
    int r = HYP_OK;
    for (size_t i = 0; i < n && r == HYP_OK; i++)
        r = open_file(&io->files[i], paths[i], config->buffered, err);
    for (uint32_t source = 1; source < io->n_sources; source++)
        for (size_t i = 0; i < n && r == HYP_OK; i++) {
            const char *path = config->mirrors[source - 1].paths[i];
            hyp_io_file *copy = hyp_io_copy(io, source, (uint32_t)i);
            if (path == NULL) continue;
            r = open_file(copy, path, config->buffered, err);
            if (r == HYP_OK) r = check_copy(copy, &io->files[i], err);
        }
    return r;
}

static int prepare(hyp_io *io, const char *const *paths, size_t n, const hyp_io_config *config, hyp_err *err) {
    io->files = calloc(n * io->n_sources, sizeof *io->files);
    io->pieces = calloc(io->depth, sizeof *io->pieces);
    if (io->files == NULL || io->pieces == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for reading files");
    for (uint32_t i = 0; i < io->depth; i++) {
        io->pieces[i].next = io->free_pieces;
        io->free_pieces = &io->pieces[i];
    }
    io->n_files = n;
    for (size_t i = 0; i < n * io->n_sources; i++)
        io->files[i] = (hyp_io_file){.fd = -1, .direct_fd = -1};
    return open_files(io, paths, n, config, err);
}

static void destroy(hyp_io *io) {
    for (size_t i = 0; i < io->n_files * io->n_sources; i++)
        hyp_io_file_close(&io->files[i]);
    free(io->files);
    free(io->pieces);
    pthread_cond_destroy(&io->done);
    pthread_mutex_destroy(&io->lock);
    free(io);
}

int hyp_io_open(const char *const *paths, size_t n, const hyp_io_config *config, hyp_io **ret, hyp_err *err) {
    if (n == 0) return hyp_err_set(err, HYP_EINVAL, "no file to read was named");
    hyp_io *io = calloc(1, sizeof *io);
    if (io == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for reading files");
    pthread_mutex_init(&io->lock, NULL);
    pthread_cond_init(&io->done, NULL);
    int r = configure(io, config, err);
    if (r == HYP_OK) r = prepare(io, paths, n, config, err);
    if (r == HYP_OK) r = start(io, config->backend, err);
    if (r != HYP_OK) {
        destroy(io);
        return r;
    }
    *ret = io;
    return HYP_OK;
}

void hyp_io_close(hyp_io *io) {
    if (io == NULL) return;
    pthread_mutex_lock(&io->lock); /* a thread looks at `stop` and goes to sleep under the lock: it cannot miss this */
    io->stop = true;
    pthread_mutex_unlock(&io->lock);
    io->method->close(io);
    destroy(io);
}

/* --- requests --- */

/* Fill in what is the io layer's in a request, without the lock. */
static void prepare_request(const hyp_io *io, hyp_io_request *request) {
    uint64_t size = io->files[request->file].bytes;
    uint64_t left = request->offset < size ? size - request->offset : 0;
    uint64_t device = HYP_MIN(request->bytes, (left + HYP_IO_PAGE - 1) / HYP_IO_PAGE * HYP_IO_PAGE);
    request->result = HYP_OK;
    request->sys_errno = 0;
    request->io.device_bytes = device;
    request->io.started_bytes = 0;
    request->io.in_flight = 0;
    request->io.queue = (uint8_t)request->cls;
    /* Pages wholly beyond the end of the file never reach the device; the rest of its last page is zeroed after the
     * read. */
    if (device < request->bytes) memset((char *)request->buf + device, 0, request->bytes - device);
}

void hyp_io_submit_many(hyp_io *io, hyp_io_request *const *requests, size_t n) {
    for (size_t i = 0; i < n; i++)
        prepare_request(io, requests[i]);
    io->n_outstanding += n; /* the owner's own count: no lock */
    bool wake = false;
    pthread_mutex_lock(&io->lock);
    for (size_t i = 0; i < n; i++) {
        if (requests[i]->io.device_bytes == 0) {
            hyp_io_push_done(io, requests[i]);
            continue;
        }
        requests[i]->io.state = HYP_IO_STATE_QUEUED;
        hyp_io_queue_append(&io->queues[requests[i]->cls], requests[i]);
        wake = true;
    }
    /* One thread is woken however many requests there are; each that takes a piece wakes the next (hyp_io_take()). A
     * sleeper is counted off by whoever wakes it, under the lock, so that two cannot wake the same one. */
    wake = wake && io->n_sleepers > 0 && hyp_io_can_start(io);
    if (wake) io->n_sleepers--;
    pthread_mutex_unlock(&io->lock);
    if (wake) io->method->wake(io);
}

void hyp_io_submit(hyp_io *io, hyp_io_request *request) {
    hyp_io_submit_many(io, &request, 1);
}

hyp_io_request *hyp_io_reap(hyp_io *io, bool wait) {
    if (io->n_outstanding == 0) return NULL;
    pthread_mutex_lock(&io->lock);
    while (wait && io->done_head == NULL) {
        io->owner_waits = true; /* only then does a finished read cost a signal */
        pthread_cond_wait(&io->done, &io->lock);
    }
    io->owner_waits = false;
    hyp_io_request *request = io->done_head;
    if (request != NULL) {
        io->done_head = request->io.next;
        if (io->done_head == NULL) io->done_tail = NULL;
        request->io.state = 0;
    }
    pthread_mutex_unlock(&io->lock);
    if (request != NULL) io->n_outstanding--;
    return request;
}

void hyp_io_promote(hyp_io *io, hyp_io_request *request) {
    bool wake = false;
    pthread_mutex_lock(&io->lock);
    if (request->io.state == HYP_IO_STATE_QUEUED && request->io.queue == HYP_IO_PREFETCH) {
        hyp_io_queue_remove(&io->queues[HYP_IO_PREFETCH], request);
        request->io.queue = HYP_IO_DEMAND;
        hyp_io_queue_append(&io->queues[HYP_IO_DEMAND], request);
        wake = io->n_sleepers > 0 && hyp_io_can_start(io); /* it is no longer held back by prefetch_depth */
        if (wake) io->n_sleepers--;
    }
    pthread_mutex_unlock(&io->lock);
    if (wake) io->method->wake(io);
}

void hyp_io_cancel(hyp_io *io, hyp_io_request *request) {
    pthread_mutex_lock(&io->lock);
    /* Once a chunk was started the device writes into the buffer: it can only be waited for. */
    if (request->io.state == HYP_IO_STATE_QUEUED && request->io.started_bytes == 0) {
        hyp_io_queue_remove(&io->queues[request->io.queue], request);
        request->result = HYP_ECANCELED;
        io->stats.n_cancelled++;
        hyp_io_push_done(io, request);
    }
    pthread_mutex_unlock(&io->lock);
}

/* --- sources --- */

uint32_t hyp_io_holders(const hyp_io *io, uint32_t index) {
    uint32_t mask = 0;
    for (uint32_t i = 0; i < io->n_sources; i++)
        if (hyp_io_copy(io, i, index)->path != NULL) mask |= 1u << i;
    return mask;
}

void hyp_io_drop(hyp_io *io, uint32_t source, int sys_errno) {
    bool others = false;
    for (uint32_t i = 0; i < io->n_sources; i++)
        others = others || (i != source && !io->balance.sources[i].dropped);
    if (!others || io->balance.sources[source].dropped) return;
    io->balance.sources[source].dropped = true;
    io->stats.sources[source].dropped_errno = sys_errno;
}

void hyp_io_drop_source(hyp_io *io, uint32_t source, int sys_errno) {
    pthread_mutex_lock(&io->lock);
    if (source < io->n_sources) hyp_io_drop(io, source, sys_errno);
    pthread_mutex_unlock(&io->lock);
}

int hyp_io_living_fd(const hyp_io *io, uint32_t file) {
    pthread_mutex_t *lock = &((hyp_io *)io)->lock; /* asking changes nothing that the caller sees */
    int fd = -1;
    pthread_mutex_lock(lock);
    for (uint32_t i = 0; i < io->n_sources && fd < 0; i++)
        if (!io->balance.sources[i].dropped) fd = hyp_io_copy(io, i, file)->fd;
    pthread_mutex_unlock(lock);
    return fd;
}

/* --- asking --- */

size_t hyp_io_outstanding(const hyp_io *io) {
    return io->n_outstanding;
}

void hyp_io_get_stats(const hyp_io *io, hyp_io_stats *ret) {
    pthread_mutex_t *lock = &((hyp_io *)io)->lock; /* asking changes nothing that the caller sees */
    pthread_mutex_lock(lock);
    *ret = io->stats;
    if (io->in_flight[HYP_IO_DEMAND] + io->in_flight[HYP_IO_PREFETCH] > 0)
        ret->busy_s += hyp_text_now_s() - io->busy_since_s;
    ret->n_sources = io->n_sources;
    for (uint32_t i = 0; i < io->n_sources; i++) {
        ret->sources[i].bytes = io->balance.sources[i].total_bytes;
        ret->sources[i].bytes_per_s = hyp_balance_rate(&io->balance, i);
    }
    pthread_mutex_unlock(lock);
}

hyp_io_backend hyp_io_backend_in_use(const hyp_io *io) {
    return io->backend;
}

bool hyp_io_is_direct(const hyp_io *io, uint32_t file) {
    return atomic_load(&io->files[file].mode) == HYP_IO_DIRECT;
}

void hyp_io_get_file(const hyp_io *io, uint32_t file, hyp_io_file_info *ret) {
    const hyp_io_file *f = &io->files[file];
    *ret = (hyp_io_file_info){f->bytes, f->dev, f->ino, f->block};
}

int hyp_io_describe(const hyp_io *io, const hyp_io_request *request, hyp_err *err) {
    const char *path = io->files[request->file].path;
    if (request->result == HYP_OK) return HYP_OK;
    if (request->result == HYP_ECANCELED) return hyp_err_set(err, HYP_ECANCELED, "a read of %s was cancelled", path);
    if (request->sys_errno == ENODATA) {
        hyp_err_set(err, HYP_EIO, "%s became shorter while it was in use", path);
        hyp_err_hint(err, "do not change a model's file while it runs; start again");
        return HYP_EIO;
    }
    hyp_err_set_sys(err, HYP_EIO, request->sys_errno, "cannot read %llu bytes at %llu of %s",
                    (unsigned long long)request->bytes, (unsigned long long)request->offset, path);
    hyp_err_hint(err, "the drive or its connection may be failing: see the system's log, and keep a copy of the file");
    return HYP_EIO;
}
