/* io.h - reading parts of files into memory, many at a time, demand before prefetch.
 *
 * One hyp_io serves one set of files. Requests are owned by the caller from submit until reaped; the io layer splits
 * large ones, merges neighbours, keeps a bounded number in flight and reports each request once. Reads bypass the page
 * cache where the file system allows it (O_DIRECT with the alignment that statx reports), else they are buffered. The
 * files are only ever read.
 *
 * A file may have copies on other disks (mirrors). Each piece of a request is then read from the copy that should have
 * it first (balance_priv.h). A source (a disk: the primary is 0, the mirrors follow) whose read fails is dropped, and
 * the read is made from another: a request fails only when no copy can be read.
 *
 * Backends: io_uring (a single thread submits and reaps with few system calls), a pool of threads doing pread, and
 * plain (pread inside submit, for tests and as the reference). All pass the same tests.
 *
 * Threads: one thread owns a hyp_io and calls every function. Buffers may be any page-aligned memory. */
#pragma once
#include "base/err.h"
#include "io/types.h"

typedef struct hyp_io hyp_io;

typedef struct hyp_io_request {
    uint32_t file;   /* index into the paths given at open */
    uint64_t offset; /* page-aligned */
    uint64_t bytes;  /* page-aligned; the part beyond the end of the file is filled with zeros */
    void *buf;       /* page-aligned, `bytes` long */
    hyp_io_class cls;
    void *user;    /* the caller's */
    int result;    /* after reaping: 0, HYP_EIO, HYP_ECANCELED; unless it is 0, the content of `buf` is undefined */
    int sys_errno; /* with HYP_EIO: the system's reason; ENODATA: the file is shorter than it was at open */
    struct {
        struct hyp_io_request *next, *prev;
        uint64_t device_bytes, started_bytes;
        uint32_t in_flight;
        uint8_t state, queue;
    } io; /* private to io/; need not be initialised */
} hyp_io_request;

/* Open `paths[0..n)` for reading. `*ret` is freed with hyp_io_close(), which waits for what is in flight.
 * Errors: HYP_EIO (a file cannot be opened), HYP_EUNSUPPORTED (the named backend cannot work here), HYP_ENOMEM,
 * HYP_EINVAL (sizes that are not possible, a mirror that is no copy). */
HYP_NODISCARD int hyp_io_open(const char *const *paths, size_t n, const hyp_io_config *config, hyp_io **ret,
                              hyp_err *err);
void hyp_io_close(hyp_io *io);

/* Queue a request; never blocks (plain: reads at once). The request and its buffer belong to the io layer until reaped.
 */
void hyp_io_submit(hyp_io *io, hyp_io_request *request);

/* Queue `requests[0..n)` as one: nothing starts before all are queued, so that those which stand next to each other in
 * a file are read together, scattered into their buffers (a vectored read serves up to 8 of them, and about a chunk).
 * Each is reaped, promoted and cancelled by itself. They are of one class. */
void hyp_io_submit_many(hyp_io *io, hyp_io_request *const *requests, size_t n);

/* The next finished request in order of completion, or NULL: with `wait`, only when none is outstanding. */
HYP_NODISCARD hyp_io_request *hyp_io_reap(hyp_io *io, bool wait);

/* A token now waits for this prefetch: move it before every other prefetch. No effect on a demand or a finished
 * request. */
void hyp_io_promote(hyp_io *io, hyp_io_request *request);

/* Nobody needs this request any more: if it has not started it is reaped with HYP_ECANCELED, else as usual. */
void hyp_io_cancel(hyp_io *io, hyp_io_request *request);

/* Requests submitted and not reaped yet; for tests. */
size_t hyp_io_outstanding(const hyp_io *io);

void hyp_io_get_stats(const hyp_io *io, hyp_io_stats *ret);
hyp_io_backend hyp_io_backend_in_use(const hyp_io *io);

/* Whether reads of `file` bypass the page cache. May turn false later, when the file system refuses a direct read. */
bool hyp_io_is_direct(const hyp_io *io, uint32_t file);

typedef struct hyp_io_file_info {
    uint64_t bytes, dev, ino; /* at open */
    uint32_t block_bytes;     /* alignment that a direct read needs */
} hyp_io_file_info;

/* Which file was opened: for comparing with the one that is mapped. */
void hyp_io_get_file(const hyp_io *io, uint32_t file, hyp_io_file_info *ret);

/* Do not read from `source` any more: something else has found, for `sys_errno`, that it fails. No effect on the last
 * one. */
void hyp_io_drop_source(hyp_io *io, uint32_t source, int sys_errno);

/* A descriptor of `file` on a source that still works, for mapping it; -1 when there is no copy but one that was
 * dropped. It belongs to the io and is not positioned. */
int hyp_io_living_fd(const hyp_io *io, uint32_t file);

/* Report in `err` why a reaped request failed: file, offset, reason and hint. Returns request->result. */
int hyp_io_describe(const hyp_io *io, const hyp_io_request *request, hyp_err *err);

/* Check that no file was written to, shortened or extended since it was opened. A file replaced under its path (another
 * one renamed over it) is read on as the old one and is no error; one overwritten in place is, and only this tells.
 * Errors: HYP_EIO with the file's name. */
HYP_NODISCARD int hyp_io_verify(const hyp_io *io, hyp_err *err);
