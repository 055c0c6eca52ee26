/* piece.c - the life of one read: cut from the queued requests, continued while it is short, retried, completed.
 *
 *   hyp_io_take ──> read ──> hyp_io_piece_result ──> read again   short, interrupted, refused mode, next segment
 *                                               └──> complete     its requests are credited, the piece is free
 *
 * A piece is a chunk of one request, or up to HYP_IO_MAX_SEGMENTS whole small requests that are neighbours in the file
 * and in the queue. When a read of several segments fails, they are read again one at a time, so that only the one that
 * cannot be read fails. */
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "io/platform_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* --- queues and completion; all with the lock --- */

void hyp_io_queue_append(hyp_io_queue *queue, hyp_io_request *request) {
    request->io.next = NULL;
    request->io.prev = queue->tail;
    if (queue->tail != NULL)
        queue->tail->io.next = request;
    else
        queue->head = request;
    queue->tail = request;
}

void hyp_io_queue_remove(hyp_io_queue *queue, hyp_io_request *request) {
    if (request->io.prev != NULL)
        request->io.prev->io.next = request->io.next;
    else
        queue->head = request->io.next;
    if (request->io.next != NULL)
        request->io.next->io.prev = request->io.prev;
    else
        queue->tail = request->io.prev;
}

void hyp_io_push_done(hyp_io *io, hyp_io_request *request) {
    request->io.state = HYP_IO_STATE_DONE;
    request->io.next = NULL;
    if (io->done_tail != NULL)
        io->done_tail->io.next = request;
    else
        io->done_head = request;
    io->done_tail = request;
}

/* The head of the queue from which a piece may be started now, or NULL. */
static hyp_io_request *next_request(const hyp_io *io) {
    if (io->stop || io->free_pieces == NULL) return NULL;
    if (io->queues[HYP_IO_DEMAND].head != NULL) return io->queues[HYP_IO_DEMAND].head;
    if (io->prefetch_bytes_in_flight >= (uint64_t)io->prefetch_depth * io->chunk_bytes) return NULL;
    if (io->in_flight[HYP_IO_PREFETCH] >= io->prefetch_places)
        return NULL; /* small ones, few in bytes, many in number */
    return io->queues[HYP_IO_PREFETCH].head;
}

bool hyp_io_can_start(const hyp_io *io) {
    return next_request(io) != NULL;
}

/* --- cutting --- */

/* Take the next `bytes` of `request` into `piece`; a request that is started whole leaves its queue. */
static void add_segment(hyp_io *io, hyp_io_piece *piece, hyp_io_request *request, uint64_t bytes) {
    hyp_io_segment *segment = &piece->segments[piece->n_segments++];
    *segment = (hyp_io_segment){request, (char *)request->buf + request->io.started_bytes, bytes, 0};
    request->io.started_bytes += bytes;
    request->io.in_flight++;
    if (request->io.started_bytes < request->io.device_bytes) return;
    hyp_io_queue_remove(&io->queues[request->io.queue], request);
    request->io.state = HYP_IO_STATE_STARTED;
}

/* A last piece of less than a quarter chunk would cost a read of its own for little: it joins the one before. */
static uint64_t cut_bytes(const hyp_io *io, const hyp_io_request *request) {
    uint64_t left = request->io.device_bytes - request->io.started_bytes;
    return left - HYP_MIN(left, io->chunk_bytes) < io->chunk_bytes / 4 ? left : io->chunk_bytes;
}

/* Append whole requests that stand next in the queue and begin where the piece ends, up to a chunk in all, or a quarter
 * more as in cut_bytes(). */
static void add_neighbours(hyp_io *io, hyp_io_piece *piece, hyp_io_queue *queue, uint64_t bytes) {
    uint64_t most = io->chunk_bytes + io->chunk_bytes / 4;
    while (piece->n_segments < HYP_IO_MAX_SEGMENTS) {
        hyp_io_request *next = queue->head;
        if (next == NULL || next->io.started_bytes != 0 || next->file != piece->index ||
            next->offset != piece->offset + bytes || bytes + next->io.device_bytes > most)
            return;
        bytes += next->io.device_bytes;
        add_segment(io, piece, next, next->io.device_bytes);
    }
}

/* --- describing the read to make --- */

static uint64_t window_bytes(const hyp_io_piece *piece) {
    uint64_t bytes = 0;
    for (uint32_t i = piece->first; i <= piece->last; i++)
        bytes += piece->segments[i].bytes;
    return bytes;
}

/* The bytes of the window that the file has; a piece never lies wholly beyond its end. */
static uint64_t wanted_bytes(const hyp_io_piece *piece) {
    return HYP_MIN(window_bytes(piece), piece->file->bytes - piece->offset);
}

static void add_iov(hyp_io_piece *piece, char *buf, uint64_t bytes) {
    struct iovec *v = piece->read.iov;
    int n = piece->read.n_iov;
    if (n > 0 && (char *)v[n - 1].iov_base + v[n - 1].iov_len == buf) {
        v[n - 1].iov_len += bytes;
        return;
    }
    v[n] = (struct iovec){buf, bytes};
    piece->read.n_iov = n + 1;
}

/* Fill piece->read for what is left of the window. */
static void describe_read(hyp_io *io, hyp_io_piece *piece) {
    hyp_io_file *file = piece->file;
    hyp_io_mode mode = (hyp_io_mode)atomic_load(&file->mode);
    uint64_t block = mode == HYP_IO_DIRECT ? file->block : 1;
    uint64_t end = (wanted_bytes(piece) + block - 1) / block * block; /* within the window: its size is whole pages */
    piece->done_bytes = piece->done_bytes / block * block;
    piece->read.mode = mode;
    piece->read.fd = mode == HYP_IO_DIRECT ? file->direct_fd : file->fd;
    piece->read.flags = hyp_io_platform_read_flags(mode);
    piece->read.offset = piece->offset + piece->done_bytes;
    piece->read.bytes = end - piece->done_bytes;
    piece->read.n_iov = 0;
    uint64_t at = 0;
    for (uint32_t i = piece->first; i <= piece->last && at < end; i++) {
        const hyp_io_segment *segment = &piece->segments[i];
        uint64_t skip = piece->done_bytes > at ? HYP_MIN(piece->done_bytes - at, segment->bytes) : 0;
        uint64_t take = HYP_MIN(segment->bytes, end - at);
        if (take > skip) add_iov(piece, segment->buf + skip, take - skip);
        at += segment->bytes;
    }
    piece->read.fault = hyp_io_fault_next(io, piece);
}

/* --- which copy; all with the lock --- */

static uint64_t all_bytes(const hyp_io_piece *piece) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < piece->n_segments; i++)
        bytes += piece->segments[i].bytes;
    return bytes;
}

/* Read what is left of the piece, `bytes`, from one of `candidates`. */
static void enter_source(hyp_io *io, hyp_io_piece *piece, uint32_t candidates, uint64_t bytes, double now_s) {
    piece->source = hyp_balance_choose(&io->balance, candidates, bytes, now_s);
    piece->file = hyp_io_copy(io, piece->source, piece->index);
    piece->source_bytes = 0;
    piece->announced_bytes = bytes;
    hyp_balance_start(&io->balance, piece->source, bytes, now_s);
    piece->entered_s = now_s;
    piece->expected_s = HYP_LOG_ON(IO, WARN) ? hyp_balance_expected_s(&io->balance, piece->source) : 0;
}

static void leave_source(hyp_io *io, hyp_io_piece *piece, double now_s) {
    hyp_balance_end(&io->balance, piece->source, piece->announced_bytes, piece->source_bytes, now_s);
}

hyp_io_piece *hyp_io_take(hyp_io *io, bool *ret_more) {
    if (ret_more != NULL) *ret_more = false;
    pthread_mutex_lock(&io->lock);
    hyp_io_request *request = next_request(io);
    if (request == NULL) {
        pthread_mutex_unlock(&io->lock);
        return NULL;
    }
    hyp_io_piece *piece = io->free_pieces;
    io->free_pieces = piece->next;
    hyp_io_queue *queue = &io->queues[request->io.queue];
    piece->index = request->file;
    piece->cls = (hyp_io_class)request->io.queue;
    piece->offset = request->offset + request->io.started_bytes;
    piece->n_segments = piece->n_retries = piece->tried = 0;
    piece->done_bytes = piece->n_reads = piece->read_bytes = 0;
    uint64_t bytes = cut_bytes(io, request);
    add_segment(io, piece, request, bytes);
    if (request->io.state == HYP_IO_STATE_STARTED) add_neighbours(io, piece, queue, bytes);
    double now_s = hyp_text_now_s();
    enter_source(io, piece, hyp_io_holders(io, piece->index), all_bytes(piece), now_s);
    if (io->in_flight[HYP_IO_DEMAND] + io->in_flight[HYP_IO_PREFETCH] == 0) io->busy_since_s = now_s;
    io->in_flight[piece->cls]++;
    for (uint32_t i = 0; i < piece->n_segments && piece->cls == HYP_IO_PREFETCH; i++)
        io->prefetch_bytes_in_flight += piece->segments[i].bytes;
    if (ret_more != NULL && io->n_sleepers > 0 && hyp_io_can_start(io)) {
        io->n_sleepers--;
        *ret_more = true;
    }
    pthread_mutex_unlock(&io->lock); /* from here on the piece is this thread's alone */
    piece->first = 0;
    piece->last = piece->n_segments - 1;
    describe_read(io, piece);
    return piece;
}

/* --- completion --- */

/* The segments [first, last] were read: what lies beyond the end of the file is zero. */
static void zero_tail(const hyp_io_piece *piece) {
    uint64_t wanted = wanted_bytes(piece), at = 0;
    for (uint32_t i = piece->first; i <= piece->last; i++) {
        const hyp_io_segment *segment = &piece->segments[i];
        uint64_t keep = wanted > at ? HYP_MIN(wanted - at, segment->bytes) : 0;
        if (keep < segment->bytes) memset(segment->buf + keep, 0, segment->bytes - keep);
        at += segment->bytes;
    }
}

/* With the lock. */
static void credit(hyp_io *io, const hyp_io_segment *segment) {
    hyp_io_request *request = segment->request;
    request->io.in_flight--;
    if (segment->sys_errno != 0 && request->result == HYP_OK) {
        request->result = HYP_EIO;
        request->sys_errno = segment->sys_errno;
        if (request->io.state == HYP_IO_STATE_QUEUED) { /* the rest of it need not be read any more */
            hyp_io_queue_remove(&io->queues[request->io.queue], request);
            request->io.state = HYP_IO_STATE_STARTED;
        }
    }
    if (request->io.state == HYP_IO_STATE_STARTED && request->io.in_flight == 0) hyp_io_push_done(io, request);
}

static void drop_cached(const hyp_io_piece *piece) {
    if (piece->read.mode == HYP_IO_DROPPED)
        hyp_platform_drop_cached(piece->file->fd, piece->offset, window_bytes(piece));
}

static void complete(hyp_io *io, hyp_io_piece *piece) {
    drop_cached(piece); /* a system call: before the lock is taken */
    pthread_mutex_lock(&io->lock);
    double now_s = hyp_text_now_s();
    leave_source(io, piece, now_s);
    hyp_io_slow slow;
    bool report = HYP_LOG_ON(IO, WARN) && hyp_io_slow_note(io, piece, now_s, &slow);
    for (uint32_t i = 0; i < piece->n_segments; i++)
        credit(io, &piece->segments[i]);
    if (piece->cls == HYP_IO_DEMAND)
        io->stats.demand_bytes += piece->read_bytes;
    else
        io->stats.prefetch_bytes += piece->read_bytes;
    io->stats.n_reads += piece->n_reads;
    io->in_flight[piece->cls]--;
    for (uint32_t i = 0; i < piece->n_segments && piece->cls == HYP_IO_PREFETCH; i++)
        io->prefetch_bytes_in_flight -= piece->segments[i].bytes;
    if (io->in_flight[HYP_IO_DEMAND] + io->in_flight[HYP_IO_PREFETCH] == 0)
        io->stats.busy_s += now_s - io->busy_since_s;
    piece->next = io->free_pieces;
    io->free_pieces = piece;
    bool wake = io->owner_waits && io->done_head != NULL;
    if (wake) io->owner_waits = false; /* the others that finish before it runs need not signal again */
    pthread_mutex_unlock(&io->lock);
    if (wake) pthread_cond_signal(&io->done);
    if (report) hyp_io_slow_report(&slow);
}

/* Leave the window behind and enter the next one. False when there is none. */
static bool next_window(hyp_io_piece *piece) {
    if (piece->last + 1 == piece->n_segments) return false;
    piece->offset += window_bytes(piece);
    piece->first = piece->last = piece->last + 1;
    piece->done_bytes = 0;
    piece->n_retries = piece->tried = 0;
    return true;
}

/* The window cannot be read where it was tried, for `sys_errno`: begin it again on a source that was not tried. False
 * when there is none. */
static bool change_source(hyp_io *io, hyp_io_piece *piece, int sys_errno) {
    uint32_t holders = hyp_io_holders(io, piece->index);
    /* A file without copies says nothing of what else its disk holds. */
    if ((holders & (holders - 1)) == 0) return false;
    piece->tried |= 1u << piece->source;
    /* Dropped sources are among these: hyp_balance_choose() takes one when no other is left, for the block that failed
     * here may be good there. */
    uint32_t left = holders & ~piece->tried;
    pthread_mutex_lock(&io->lock);
    hyp_io_drop(io, piece->source, sys_errno);
    if (left != 0) {
        double now_s = hyp_text_now_s();
        leave_source(io, piece, now_s);
        enter_source(io, piece, left, window_bytes(piece), now_s);
    }
    pthread_mutex_unlock(&io->lock);
    piece->done_bytes = 0;
    piece->n_retries = 0;
    return left != 0;
}

/* The window cannot be read, for `sys_errno`. True: read its segments one at a time. False: its one segment has failed.
 */
static bool narrow(hyp_io_piece *piece, int sys_errno) {
    if (piece->first == piece->last) {
        piece->segments[piece->first].sys_errno = sys_errno;
        return false;
    }
    piece->last = piece->first;
    piece->done_bytes = 0;
    piece->n_retries = piece->tried = 0;
    return true;
}

typedef enum verdict { READ_AGAIN, WINDOW_READ, WINDOW_FAILED } verdict;

static verdict judge(hyp_io_piece *piece, int64_t result, int *ret_errno) {
    if (result < 0) {
        *ret_errno = (int)-result;
        /* Not counted as retries: each step down the ladder of modes happens once. */
        if (*ret_errno == EINVAL || *ret_errno == EOPNOTSUPP)
            return hyp_io_file_degrade(piece->file, piece->read.mode) ? READ_AGAIN : WINDOW_FAILED;
        bool passing = *ret_errno == EINTR || *ret_errno == EAGAIN;
        return passing && ++piece->n_retries <= HYP_IO_MAX_RETRIES ? READ_AGAIN : WINDOW_FAILED;
    }
    piece->n_reads++;
    piece->read_bytes += (uint64_t)result;
    piece->source_bytes += (uint64_t)result;
    uint64_t got = piece->done_bytes + (uint64_t)result;
    if (got >= wanted_bytes(piece)) return WINDOW_READ;
    /* Short. Direct reads go on at the block in which they stopped; one that gets no further has met the file's end. */
    uint64_t block = piece->read.mode == HYP_IO_DIRECT ? piece->file->block : 1;
    if (got / block * block > piece->done_bytes) {
        piece->done_bytes = got / block * block;
        piece->n_retries = 0;
        return READ_AGAIN;
    }
    *ret_errno = ENODATA;
    return WINDOW_FAILED;
}

bool hyp_io_piece_result(hyp_io *io, hyp_io_piece *piece, int64_t result) {
    int sys_errno = 0;
    switch (judge(piece, hyp_io_fault_apply(piece, result), &sys_errno)) {
    case READ_AGAIN: describe_read(io, piece); return true;
    case WINDOW_READ: zero_tail(piece); break;
    case WINDOW_FAILED:
        if (change_source(io, piece, sys_errno) || narrow(piece, sys_errno)) {
            describe_read(io, piece);
            return true;
        }
        break;
    }
    if (next_window(piece)) {
        describe_read(io, piece);
        return true;
    }
    complete(io, piece);
    return false;
}

int64_t hyp_io_piece_read(const hyp_io_piece *piece) {
    if (piece->read.fault.delay_us > 0) {
        struct timespec t = {piece->read.fault.delay_us / 1000000, piece->read.fault.delay_us % 1000000 * 1000L};
        while (nanosleep(&t, &t) != 0 && errno == EINTR) {
        }
    }
    ssize_t n =
        hyp_io_platform_read(piece->read.fd, piece->read.iov, piece->read.n_iov, piece->read.offset, piece->read.flags);
    return n < 0 ? -errno : n;
}
