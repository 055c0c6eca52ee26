#include "fixture.h"

#include "base/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

unsigned char fixture_byte(uint64_t offset) {
    if (offset >= FILE_BYTES) return 0;
    uint64_t x = (offset / 8 + 1) * 0x9e3779b97f4a7c15u;
    return (unsigned char)((x ^ (x >> 29)) >> (offset % 8 * 8));
}

/* The whole file with zeros up to the next pages, computed once. */
static const unsigned char *content(void) {
    static unsigned char *bytes;
    if (bytes != NULL) return bytes;
    bytes = calloc(1, (FILE_PAGES + 64) * (size_t)PAGE);
    assert_non_null(bytes);
    for (uint64_t i = 0; i < FILE_BYTES; i++)
        bytes[i] = fixture_byte(i);
    return bytes;
}

bool fixture_matches(const void *buf, uint64_t offset, uint64_t bytes) {
    assert_true(offset + bytes <= (FILE_PAGES + 64) * (uint64_t)PAGE);
    return memcmp(buf, content() + offset, bytes) == 0;
}

void fixture_make(fixture *f, const way *w) {
    static int count;
    const char *folder = getenv("HYPURA_BUILD");
    *f = (fixture){.w = *w};
    snprintf(f->path, sizeof f->path, "%s/io-test-%d-%d.bin", folder != NULL ? folder : ".", (int)getpid(), count++);
    int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content(), FILE_BYTES), FILE_BYTES);
    assert_int_equal(close(fd), 0);
}

void fixture_open(fixture *f, hyp_io_config config) {
    config.backend = f->w.backend;
    config.buffered = f->w.buffered;
    hyp_err err = HYP_ERR_NONE;
    const char *path = f->path;
    if (hyp_io_open(&path, 1, &config, &f->io, &err) == HYP_EUNSUPPORTED) {
        unlink(f->path);
        skip(); /* io_uring is refused here */
    }
    assert_int_equal(err.code, HYP_OK);
    assert_int_equal(hyp_io_backend_in_use(f->io), f->w.backend);
}

void fixture_close(fixture *f) {
    hyp_io_close(f->io);
    f->io = NULL;
    unlink(f->path);
}

void *fixture_buffer(uint64_t bytes) {
    void *p = NULL;
    assert_int_equal(posix_memalign(&p, PAGE, bytes), 0);
    memset(p, 0x5b, bytes);
    return p;
}

hyp_io_request fixture_request(uint64_t first, uint64_t pages) {
    return (hyp_io_request){
        .offset = first * PAGE, .bytes = pages * PAGE, .buf = fixture_buffer(pages * PAGE), .cls = HYP_IO_DEMAND};
}

void fixture_reap_all(fixture *f, size_t n, intptr_t *order) {
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(hyp_io_outstanding(f->io), n - i);
        hyp_io_request *r = hyp_io_reap(f->io, true);
        assert_non_null(r);
        if (order != NULL) order[i] = (intptr_t)r->user;
    }
    assert_null(hyp_io_reap(f->io, true));
    assert_int_equal(hyp_io_outstanding(f->io), 0);
}
