/* io_priv.h - private to src/io: what the core (io.c, piece.c) and the methods (method_*.c) share.
 *
 * The core knows requests, queues and what a read's result means; a method only knows how to make a read happen. A
 * method takes a piece with hyp_io_take(), makes the read that it describes, and hands the result to
 * hyp_io_piece_result(), which either describes another read of the same piece or takes the piece back.
 *
 * One mutex, `lock`, guards the queues, the counts and the list of finished requests. It is held for a few dozen
 * instructions at a time and never across a read, a wait for the device or a wake-up. */
#pragma once
#include "io/balance_priv.h"
#include "io/io.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <time.h>

enum {
    HYP_IO_PAGE = 4096,      /* offsets, sizes and buffers are multiples of this */
    HYP_IO_MAX_SEGMENTS = 8, /* neighbouring requests that one read may serve */
    HYP_IO_MAX_DEPTH = 256,
    HYP_IO_MAX_RETRIES = 64, /* reads in a row that bring nothing, before it is an error */
    HYP_IO_MAX_RULES = 4,
};

/* How a file is read; on EINVAL or EOPNOTSUPP the next one is tried, for good. */
typedef enum hyp_io_mode {
    HYP_IO_DIRECT,   /* O_DIRECT */
    HYP_IO_UNCACHED, /* buffered, RWF_DONTCACHE: pages that this read brought in are dropped after it */
    HYP_IO_DROPPED,  /* buffered, POSIX_FADV_DONTNEED after each piece */
    HYP_IO_BUFFERED, /* buffered because the caller asked for it: the page cache keeps what was read */
} hyp_io_mode;

typedef struct hyp_io_file {
    char *path;
    int fd, direct_fd; /* direct_fd: -1 without O_DIRECT */
    uint64_t bytes;    /* these: at open */
    uint64_t dev, ino;
    struct timespec mtime;
    uint32_t block;   /* alignment of offset, size and buffer in mode HYP_IO_DIRECT; divides HYP_IO_PAGE */
    _Atomic int mode; /* hyp_io_mode */
} hyp_io_file;

/* The part of one request that a piece reads. */
typedef struct hyp_io_segment {
    hyp_io_request *request;
    char *buf;
    uint64_t bytes;
    int sys_errno; /* 0, or why it failed */
} hyp_io_segment;

typedef struct hyp_io_fault_rule {
    hyp_io_faults faults;
    _Atomic uint64_t n_started;     /* reads that the rule counts */
    _Atomic uint64_t busy_until_ns; /* of the disk that bytes_per_s imagines */
} hyp_io_fault_rule;

typedef struct hyp_io_fault {
    bool fail, cut, truncate;
    uint32_t delay_us;
} hyp_io_fault;

/* One read on its way: a chunk of a request, or several small neighbouring requests. Owned by the method from
 * hyp_io_take() until hyp_io_piece_result() returns false. */
typedef struct hyp_io_piece {
    struct hyp_io_piece *next; /* free list; guarded by lock */
    hyp_io_file *file;         /* the copy that is being read */
    uint32_t index;            /* of the file, whichever the copy */
    uint32_t source;
    uint32_t tried;   /* sources that failed to read the window: bit i = source i */
    hyp_io_class cls; /* the queue it came from */
    hyp_io_segment segments[HYP_IO_MAX_SEGMENTS];
    uint32_t n_segments;
    uint32_t first, last; /* the segments being read together: all, or after an error one at a time */
    uint64_t offset;      /* in the file, of segments[first] */
    uint64_t done_bytes;  /* read so far of [first, last]; a multiple of the block in direct mode */
    uint32_t n_retries;
    uint64_t n_reads, read_bytes; /* for the statistics */
    uint64_t source_bytes;        /* read_bytes of this source; what the balance was told of it in the beginning: */
    uint64_t announced_bytes;
    double entered_s;  /* monotonic; when it was given to this source */
    double expected_s; /* what the source's rate then said, with the reads before it; 0: unknown, or nobody asks */

    /* The read to make now. */
    struct {
        int fd, flags; /* RWF_... */
        hyp_io_mode mode;
        uint64_t offset, bytes;
        struct iovec iov[HYP_IO_MAX_SEGMENTS];
        int n_iov;
        hyp_io_fault fault; /* wait fault.delay_us before the read; the rest is applied to its result */
    } read;
} hyp_io_piece;

typedef struct hyp_io_method {
    const char *name;
    /* Start threads, get resources into io->method_data. Errors: HYP_EUNSUPPORTED, HYP_ENOMEM. */
    int (*open)(hyp_io *io, hyp_err *err);
    /* A piece can be taken and one of io->n_sleepers has been taken off for it: see to it. Called without the lock. */
    void (*wake)(hyp_io *io);
    /* Called after io->stop was set: wait for the reads in flight, end the threads, free io->method_data. */
    void (*close)(hyp_io *io);
} hyp_io_method;

extern const hyp_io_method hyp_io_method_plain, hyp_io_method_threads, hyp_io_method_uring;

typedef struct hyp_io_queue {
    hyp_io_request *head, *tail;
} hyp_io_queue;

struct hyp_io {
    /* Set at open, constant afterwards. */
    const hyp_io_method *method;
    hyp_io_backend backend;
    hyp_io_file
        *files; /* n_sources times n_files: the primary's, then each mirror's; path NULL where there is no copy */
    size_t n_files;
    uint32_t n_sources;
    uint32_t depth, prefetch_depth, chunk_bytes;
    uint32_t
        prefetch_places; /* pieces that prefetches smaller than a chunk may take: demands keep a quarter of depth */
    hyp_io_piece *pieces;
    hyp_io_fault_rule rules[HYP_IO_MAX_RULES]; /* injected faults */
    uint32_t n_rules;
    void *method_data;
    size_t n_outstanding; /* the owner's */

    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t done;  /* a request was finished while owner_waits */
    bool stop, owner_waits;
    hyp_io_queue queues[HYP_IO_N_CLASSES]; /* requests with a part that was not started; FIFO */
    hyp_io_request *done_head, *done_tail; /* finished, not reaped */
    hyp_io_piece *free_pieces;
    uint32_t in_flight[HYP_IO_N_CLASSES]; /* pieces */
    uint64_t prefetch_bytes_in_flight;
    uint32_t n_sleepers; /* threads of the method that wait for wake() */
    double busy_since_s;
    uint64_t n_slow;     /* reads that slow.c found so, while the log asked */
    hyp_balance balance; /* kept for one source too: its rate */
    hyp_io_stats stats;  /* the sources' are filled in when asked, but for dropped_errno */
};

/* --- file.c --- */

/* Open and measure one file. `file` is zeroed by the caller and closed by it with hyp_io_file_close(), also on failure.
 */
HYP_NODISCARD int hyp_io_file_open(hyp_io_file *file, const char *path, bool buffered, hyp_err *err);
void hyp_io_file_close(hyp_io_file *file);

/* The mode `refused` did not work: change to the next one. False when there is none. Thread-safe. */
bool hyp_io_file_degrade(hyp_io_file *file, hyp_io_mode refused);

/* --- io.c --- */

/* The copy of file `index` on `source`. */
static inline hyp_io_file *hyp_io_copy(const hyp_io *io, uint32_t source, uint32_t index) {
    return &io->files[source * io->n_files + index];
}

/* The sources that hold a copy of file `index`: bit i = source i. */
uint32_t hyp_io_holders(const hyp_io *io, uint32_t index);

/* `source` fails: no new read is to start there, unless it is the last. With the lock. */
void hyp_io_drop(hyp_io *io, uint32_t source, int sys_errno);

/* --- piece.c --- */

/* The next read to start, demand first, or NULL when nothing may start now. `*ret_more` (may be NULL): a sleeper has
 * been taken off n_sleepers because yet another piece can start: the caller calls wake(). */
hyp_io_piece *hyp_io_take(hyp_io *io, bool *ret_more);

/* The read of `piece` ended with `result`: bytes, or a negative errno. True: `piece->read` describes another read to
 * make. False: the piece is finished and no longer the caller's. */
bool hyp_io_piece_result(hyp_io *io, hyp_io_piece *piece, int64_t result);

/* Make the read of `piece` in this thread, its injected delay included, and return its result as above. */
int64_t hyp_io_piece_read(const hyp_io_piece *piece);

/* Can a piece be started now? With the lock. */
bool hyp_io_can_start(const hyp_io *io);

/* Finished: append to the list that the owner reaps. With the lock. */
void hyp_io_push_done(hyp_io *io, hyp_io_request *request);

void hyp_io_queue_append(hyp_io_queue *queue, hyp_io_request *request);
void hyp_io_queue_remove(hyp_io_queue *queue, hyp_io_request *request);

enum { HYP_IO_STATE_QUEUED = 1, HYP_IO_STATE_STARTED, HYP_IO_STATE_DONE }; /* started: every part of it */

/* --- slow.c --- */

/* Is a read slow that took `took_s`, where the drive's rate explains `expected_s` (0: the rate is not known)? */
bool hyp_io_is_slow(double took_s, double expected_s);

typedef struct hyp_io_slow {
    const char *path; /* the io's */
    uint64_t offset, bytes;
    double took_s, expected_s;
    uint64_t count; /* slow reads so far */
} hyp_io_slow;

/* The read of `piece` has ended: was it slow, and is it one to report? With the lock. */
bool hyp_io_slow_note(hyp_io *io, const hyp_io_piece *piece, double now_s, hyp_io_slow *ret);
/* Write its line (category io, level warn). Without the lock. */
void hyp_io_slow_report(const hyp_io_slow *slow);

/* --- faults.c --- */

void hyp_io_faults_set(hyp_io *io, const hyp_io_faults *faults);

/* What happens to the read that `piece` describes. Thread-safe. */
hyp_io_fault hyp_io_fault_next(hyp_io *io, const hyp_io_piece *piece);

/* The result that the read of `piece` has under its fault. Spoils the bytes that were not "read". */
int64_t hyp_io_fault_apply(hyp_io_piece *piece, int64_t result);
