/* fixture.h - a file of known content and the way of reading it that a test runs under. */
#pragma once
#include "../test.h"
#include "io/io.h"

enum { PAGE = 4096, FILE_BYTES = (6 << 20) + 1234, FILE_PAGES = FILE_BYTES / PAGE + 1 };

/* How a test reads: cmocka's initial state. */
typedef struct way {
    hyp_io_backend backend;
    bool buffered;
} way;

typedef struct fixture {
    way w;
    char path[256];
    hyp_io *io;
} fixture;

/* Make the file (once a call, under a name of its own) in the build folder. */
void fixture_make(fixture *f, const way *w);
void fixture_open(fixture *f, hyp_io_config config); /* backend and buffered are the way's */
void fixture_close(fixture *f);                      /* and remove the file */

/* The byte that the file has at `offset`; 0 beyond its end. */
unsigned char fixture_byte(uint64_t offset);

/* Do the `bytes` at `offset` of the file stand in `buf`? */
bool fixture_matches(const void *buf, uint64_t offset, uint64_t bytes);

/* Page-aligned memory full of a byte that is not the file's. */
void *fixture_buffer(uint64_t bytes);

/* A demand for `pages` pages from page `first` on, with a buffer of its own that free(request.buf) frees. */
hyp_io_request fixture_request(uint64_t first, uint64_t pages);

/* Reap `n` requests, all of which must come; the order of their `user` numbers goes to `order` (may be NULL). */
void fixture_reap_all(fixture *f, size_t n, intptr_t *order);
