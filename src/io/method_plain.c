/* method_plain.c - every read is made inside submit, by the caller's thread: the reference that the others must match.
 */
#include "io/io_priv.h"

/* The "sleeper" is the caller itself, always there. */
static int plain_open(hyp_io *io, hyp_err *err) {
    (void)err;
    io->n_sleepers = 1;
    return HYP_OK;
}

/* Everything is read before submit returns, so that the queue is empty again and no piece of another thread exists. */
static void plain_wake(hyp_io *io) {
    hyp_io_piece *piece;
    while ((piece = hyp_io_take(io, NULL)) != NULL)
        while (hyp_io_piece_result(io, piece, hyp_io_piece_read(piece))) {
        }
    pthread_mutex_lock(&io->lock);
    io->n_sleepers = 1;
    pthread_mutex_unlock(&io->lock);
}

static void plain_close(hyp_io *io) {
    (void)io;
}

const hyp_io_method hyp_io_method_plain = {"plain", plain_open, plain_wake, plain_close};
