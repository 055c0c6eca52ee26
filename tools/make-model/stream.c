#include "stream.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int hyp_make_stream_open(hyp_make_stream *s, const char *path, hyp_err *err) {
    *s = (hyp_make_stream){.fd = -1, .path = path, .direct = true};
    s->buffer = aligned_alloc(HYP_MAKE_STREAM_PAGE, HYP_MAKE_STREAM_BYTES);
    if (s->buffer == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory writing %s", path);
    s->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (s->fd < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot create %s", path);
#ifdef O_DIRECT
    /* Some file systems (tmpfs before Linux 6.6) have none. */
    if (fcntl(s->fd, F_SETFL, O_DIRECT) != 0) s->direct = false;
#else
    s->direct = false;
#endif
    return HYP_OK;
}

void hyp_make_stream_close(hyp_make_stream *s) {
    if (s->fd >= 0) close(s->fd);
    free(s->buffer);
    *s = (hyp_make_stream){.fd = -1};
}

/* Write the first `n` bytes of the buffer, whole pages while the file is direct. */
static int write_out(hyp_make_stream *s, uint64_t n, hyp_err *err) {
    for (uint64_t done = 0; done < n;) {
        ssize_t r = pwrite(s->fd, s->buffer + done, n - done, (off_t)(s->base + done));
        if (r < 0 && errno == EINTR) continue;
#ifdef O_DIRECT
        if (s->direct && ((r < 0 && errno == EINVAL) || (r > 0 && r % HYP_MAKE_STREAM_PAGE != 0))) {
            /* The file system took the flag and refuses the write, or cut it inside a page: go on without. */
            s->direct = false;
            fcntl(s->fd, F_SETFL, 0);
            if (r > 0) done += (uint64_t)r;
            continue;
        }
#endif
        if (r <= 0) {
            int code = hyp_err_set_sys(err, HYP_EIO, r < 0 ? errno : EIO, "cannot write %s", s->path);
            hyp_err_hint(err, "is the disk full?");
            return code;
        }
        done += (uint64_t)r;
    }
    return HYP_OK;
}

/* Write everything, the last page filled up with zeros. */
static int flush(hyp_make_stream *s, hyp_err *err) {
    const uint64_t page = HYP_MAKE_STREAM_PAGE, whole = (s->used + page - 1) / page * page;
    memset(s->buffer + s->used, 0, whole - s->used);
    return whole > 0 ? write_out(s, whole, err) : HYP_OK;
}

int hyp_make_stream_seek(hyp_make_stream *s, uint64_t offset, hyp_err *err) {
    const uint64_t page = HYP_MAKE_STREAM_PAGE, at = s->base + s->used;
    if (offset < at) return hyp_err_set(err, HYP_EINVAL, "%s is written front to back", s->path);
    uint64_t end = s->base + (s->used + page - 1) / page * page;
    if (offset >= end) {
        /* Beyond the last page touched: leave a hole, start on the page of `offset`. */
        int r = flush(s, err);
        if (r != HYP_OK) return r;
        s->base = offset / page * page;
        s->used = 0;
    }
    const uint64_t filled = offset - s->base;
    memset(s->buffer + s->used, 0, filled - s->used);
    s->used = filled;
    return HYP_OK;
}

int hyp_make_stream_append(hyp_make_stream *s, const void *bytes, size_t n, hyp_err *err) {
    const uint8_t *from = bytes;
    while (n > 0) {
        if (s->used == HYP_MAKE_STREAM_BYTES) {
            int r = write_out(s, s->used, err);
            if (r != HYP_OK) return r;
            s->base += s->used;
            s->used = 0;
        }
        const size_t now = HYP_MIN(n, (size_t)(HYP_MAKE_STREAM_BYTES - s->used));
        memcpy(s->buffer + s->used, from, now);
        s->used += now;
        from += now;
        n -= now;
    }
    return HYP_OK;
}

int hyp_make_stream_finish(hyp_make_stream *s, uint64_t size, hyp_err *err) {
    int r = flush(s, err);
    if (r == HYP_OK && ftruncate(s->fd, (off_t)size) != 0)
        r = hyp_err_set_sys(err, HYP_EIO, errno, "cannot set the size of %s", s->path);
    return r;
}
