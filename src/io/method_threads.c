/* method_threads.c - as many threads as reads may be in flight, each making one blocking read at a time.
 *
 * A thread without work adds itself to n_sleepers and waits on a semaphore; the one that finds work for it (submit, or
 * a thread that took a piece and sees another) takes it off again and posts. So a post always meets a sleeper, and no
 * thread is woken for nothing. */
#include "base/mem.h"
#include "base/platform.h"
#include "base/thread.h"
#include "io/io_priv.h"

typedef struct pool {
    hyp_semaphore *work;
    uint32_t n_threads;
    pthread_t threads[];
} pool;

static void threads_wake(hyp_io *io) {
    pool *p = io->method_data;
    hyp_semaphore_post(p->work);
}

/* False when the io is being closed. */
static bool sleep_until_woken(hyp_io *io) {
    pool *p = io->method_data;
    pthread_mutex_lock(&io->lock);
    /* Looked at again, under the lock in which it is counted as asleep: what was queued since the last look sent no
     * wake-up, because nobody slept. */
    bool stop = io->stop, ready = hyp_io_can_start(io);
    if (!stop && !ready) io->n_sleepers++;
    pthread_mutex_unlock(&io->lock);
    if (stop || ready) return !stop;
    hyp_semaphore_wait(p->work);
    return true;
}

static void *worker(void *arg) {
    hyp_io *io = arg;
    do {
        hyp_io_piece *piece;
        bool more;
        while ((piece = hyp_io_take(io, &more)) != NULL) {
            if (more) threads_wake(io);
            while (hyp_io_piece_result(io, piece, hyp_io_piece_read(piece))) {
            }
        }
    } while (sleep_until_woken(io));
    return NULL;
}

static void threads_close(hyp_io *io) {
    pool *p = io->method_data;
    for (uint32_t i = 0; i < p->n_threads; i++)
        hyp_semaphore_post(p->work); /* io->stop is set: nobody goes to sleep any more */
    for (uint32_t i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    hyp_semaphore_free(p->work);
    free(p);
}

static int threads_open(hyp_io *io, hyp_err *err) {
    pool *p = calloc(1, sizeof *p + io->depth * sizeof *p->threads);
    if (p == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for reading threads");
    p->work = hyp_semaphore_new();
    if (p->work == NULL) {
        free(p);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for reading threads");
    }
    io->method_data = p;
    int sys = 0;
    while (p->n_threads < io->depth && (sys = hyp_thread_start(&p->threads[p->n_threads], worker, io)) == 0)
        p->n_threads++;
    if (p->n_threads > 0) return HYP_OK; /* fewer than asked for read more slowly, that is all */
    threads_close(io);
    hyp_err_set_sys(err, HYP_ENOMEM, sys, "cannot start a thread for reading");
    hyp_err_hint(err, "raise the limit on threads (ulimit -u), or choose the backend \"plain\"");
    return HYP_ENOMEM;
}

const hyp_io_method hyp_io_method_threads = {"threads", threads_open, threads_wake, threads_close};
