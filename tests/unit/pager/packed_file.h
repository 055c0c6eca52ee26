/* packed_file.h - a packed file for a fixture's extents, as the pager takes it. */
#pragma once
#include "fixture.h"

typedef struct packed_file {
    char path[256];
    hyp_packed_run runs[FIXTURE_MAX_EXTENTS];
    hyp_pager_packed packed;
    uint64_t bytes;
} packed_file;

/* Copy the pages of every streamed unit's extents into a file, unit after unit in a random order when `shuffle`; leave
 * a share of 1 / `skip_every` out (0: none). Sets f->config.packed. */
void packed_file_make(packed_file *pf, fixture *f, const char *name, bool shuffle, uint32_t skip_every);

/* Spoil the byte at `at` of the file. */
void packed_file_spoil(const packed_file *pf, uint64_t at);
void packed_file_done(packed_file *pf);
