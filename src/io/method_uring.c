/* method_uring.c - one thread owns an io_uring: it takes pieces until `depth` are in flight, submits them with one
 * system call that also waits, and handles every completion that is there when it returns.
 *
 * The thread sleeps in that call and nowhere else. Besides reads the ring holds one read of an eventfd, which submit()
 * writes when a piece can be started and the thread sleeps; while the ring is full a completion comes anyway, and no
 * wake-up is sent. The caller may compute for half a second between two calls: the disk never waits for it. */
#include "base/mem.h"
#include "base/thread.h"
#include "io/io_priv.h"

#include <errno.h>
#include <liburing.h>
#include <semaphore.h>
#include <sys/eventfd.h>

typedef struct delay {
    struct __kernel_timespec time;
    bool running; /* the piece's entry in the ring is this delay, not its read */
} delay;

typedef struct loop {
    pthread_t thread;
    int wake_fd;
    sem_t opened;
    int open_result; /* 0 or a negative errno; written before `opened` is posted */
    /* The thread's own: */
    struct io_uring ring;
    uint64_t wake_count;
    uint32_t n_pieces; /* in the ring */
    delay delays[];    /* one a piece */
} loop;

static void uring_wake(hyp_io *io) {
    const loop *l = io->method_data;
    static const uint64_t one = 1;
    /* Fails only when 2^64-2 wake-ups are pending. */
    while (write(l->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

/* Never NULL: the ring has an entry for every piece and for the wake-up, and each uses one at a time. */
static struct io_uring_sqe *entry(loop *l, void *data) {
    struct io_uring_sqe *sqe = io_uring_get_sqe(&l->ring);
    io_uring_sqe_set_data(sqe, data);
    return sqe;
}

static void listen_for_wake(loop *l) {
    struct io_uring_sqe *sqe = entry(l, NULL);
    io_uring_prep_read(sqe, l->wake_fd, &l->wake_count, sizeof l->wake_count, 0);
}

static void put_read(loop *l, hyp_io_piece *piece) {
    struct io_uring_sqe *sqe = entry(l, piece);
    if (piece->read.n_iov == 1)
        io_uring_prep_read(sqe, piece->read.fd, piece->read.iov[0].iov_base, (unsigned)piece->read.iov[0].iov_len,
                           piece->read.offset);
    else
        io_uring_prep_readv(sqe, piece->read.fd, piece->read.iov, (unsigned)piece->read.n_iov, piece->read.offset);
    sqe->rw_flags = piece->read.flags;
}

/* Put the read of `piece`, or the injected delay before it, into the ring. */
static void put_piece(hyp_io *io, loop *l, hyp_io_piece *piece) {
    uint32_t us = piece->read.fault.delay_us;
    if (us == 0) {
        put_read(l, piece);
        return;
    }
    delay *d = &l->delays[piece - io->pieces];
    d->running = true;
    d->time = (struct __kernel_timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000LL};
    struct io_uring_sqe *sqe = entry(l, piece);
    io_uring_prep_timeout(sqe, &d->time, 0, 0);
}

static void start_pieces(hyp_io *io, loop *l) {
    hyp_io_piece *piece;
    while ((piece = hyp_io_take(io, NULL)) != NULL) {
        l->n_pieces++;
        put_piece(io, l, piece);
    }
}

static void finish(hyp_io *io, loop *l, const struct io_uring_cqe *cqe) {
    hyp_io_piece *piece = io_uring_cqe_get_data(cqe);
    if (piece == NULL) {
        listen_for_wake(l);
        return;
    }
    delay *d = &l->delays[piece - io->pieces];
    if (d->running) {
        d->running = false;
        put_read(l, piece);
    } else if (hyp_io_piece_result(io, piece, cqe->res)) {
        put_piece(io, l, piece);
    } else {
        l->n_pieces--;
    }
}

/* Submit what was put, sleep until something completes, handle all that did. */
static void turn(hyp_io *io, loop *l) {
    int r = io_uring_submit_and_wait(&l->ring, 1);
    /* Out of memory for the moment: without a pause this would spin. */
    if (r < 0 && r != -EINTR) nanosleep(&(struct timespec){0, 1000000}, NULL);
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;
    io_uring_for_each_cqe(&l->ring, head, cqe) {
        finish(io, l, cqe);
        n++;
    }
    io_uring_cq_advance(&l->ring, n);
}

/* Take note of whether the next turn sleeps. False when it need not: work came since start_pieces() looked. */
static bool fall_asleep(hyp_io *io, bool *ret_stop) {
    pthread_mutex_lock(&io->lock);
    *ret_stop = io->stop;
    bool ready = hyp_io_can_start(io);
    if (!ready) io->n_sleepers = 1;
    pthread_mutex_unlock(&io->lock);
    return !ready;
}

static void wake_up(hyp_io *io) {
    pthread_mutex_lock(&io->lock);
    io->n_sleepers = 0; /* if a wake-up was sent meanwhile, its completion makes one turn for nothing */
    pthread_mutex_unlock(&io->lock);
}

/* SINGLE_ISSUER and DEFER_TASKRUN (Linux 6.1): completions are worked off when this thread asks, not by interrupting
 * it. */
static int open_ring(loop *l, unsigned entries) {
    int r = -EINVAL;
#if defined(IORING_SETUP_SINGLE_ISSUER) && defined(IORING_SETUP_DEFER_TASKRUN)
    r = io_uring_queue_init(entries, &l->ring, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
#endif
    return r == -EINVAL ? io_uring_queue_init(entries, &l->ring, 0) : r;
}

static void *loop_main(void *arg) {
    hyp_io *io = arg;
    loop *l = io->method_data;
    l->open_result = open_ring(l, io->depth + 1);
    bool opened = l->open_result == 0;
    sem_post(&l->opened);
    if (!opened) return NULL;
    listen_for_wake(l);
    for (bool stop = false;;) {
        start_pieces(io, l);
        if (!fall_asleep(io, &stop)) continue;
        if (stop && l->n_pieces == 0) break;
        turn(io, l);
        wake_up(io);
    }
    io_uring_queue_exit(&l->ring);
    return NULL;
}

static void free_loop(loop *l) {
    if (l->wake_fd >= 0) close(l->wake_fd);
    sem_destroy(&l->opened);
    free(l);
}

static void uring_close(hyp_io *io) {
    loop *l = io->method_data;
    uring_wake(io);
    pthread_join(l->thread, NULL);
    free_loop(l);
}

static int refuse(hyp_err *err, int sys) {
    hyp_err_set_sys(err, HYP_EUNSUPPORTED, sys, "io_uring does not work here");
    if (sys == EPERM || sys == EACCES)
        hyp_err_hint(err,
                     "a container's seccomp profile or kernel.io_uring_disabled forbids it: allow it, or choose the "
                     "backend \"threads\"");
    else
        hyp_err_hint(err, "it needs Linux 5.6 or later; choose the backend \"threads\"");
    return HYP_EUNSUPPORTED;
}

static int uring_open(hyp_io *io, hyp_err *err) {
    loop *l = calloc(1, sizeof *l + io->depth * sizeof *l->delays);
    if (l == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for io_uring");
    sem_init(&l->opened, 0, 0);
    io->method_data = l;
    l->wake_fd = eventfd(0, EFD_CLOEXEC);
    int sys = l->wake_fd < 0 ? errno : hyp_thread_start(&l->thread, loop_main, io);
    if (sys == 0) {
        while (sem_wait(&l->opened) != 0 && errno == EINTR) {
        }
        sys = -l->open_result;
        if (sys == 0) return HYP_OK;
        pthread_join(l->thread, NULL);
    }
    free_loop(l);
    return refuse(err, sys);
}

const hyp_io_method hyp_io_method_uring = {"io_uring", uring_open, uring_wake, uring_close};
