/* fixture.h - mapped files of known content, cut into extents and units, and a pager over them. */
#pragma once
#include "../test.h"
#include "pager/pager_priv.h"

/* What the pager takes for the system's page in this test: the system's own, or a multiple of it, as on machines with
 * larger ones. A test that is built for another than 4 KiB is linked with --wrap=hyp_platform_page_bytes. */
#ifndef FIXTURE_PAGE
#define FIXTURE_PAGE 4096
#endif

enum { PAGE = FIXTURE_PAGE, FIXTURE_FILES = 2, FIXTURE_MAX_EXTENTS = 256, FIXTURE_MAX_UNITS = 128 };

typedef struct fixture {
    char paths[FIXTURE_FILES][256];
    uint8_t *content[FIXTURE_FILES]; /* what the files hold */
    uint8_t *base[FIXTURE_FILES];    /* where they are mapped */
    uint64_t bytes[FIXTURE_FILES];
    hyp_pager_file files[FIXTURE_FILES];
    hyp_extent extents[FIXTURE_MAX_EXTENTS];
    hyp_unit units[FIXTURE_MAX_UNITS];
    uint32_t n_layers;
    hyp_pager_config config;
    hyp_pager *pager;
    size_t n_mappings; /* of the files, just after the pager was opened */
    uint64_t random;
} fixture;

/* Make and map the files, of `bytes` each (0: that file is left out; the first must be there). */
void fixture_make(fixture *f, const char *name, uint64_t bytes0, uint64_t bytes1, uint64_t seed);

/* Add an extent, or a unit over the extents [first, first + n). */
void fixture_extent(fixture *f, uint32_t file, uint64_t offset, uint64_t bytes);
void fixture_unit(fixture *f, uint32_t first, uint32_t n, uint32_t layer, bool always);

/* Open the pager with this budget; everything else is in f->config. Asserts success. */
void fixture_open(fixture *f, uint64_t budget_bytes);

/* The strongest promise: every byte of every mapping is the file's. Also the pager's own counts, and its memory. */
void fixture_check(fixture *f);

/* Close the pager, and see that no mapping is left over and the files are still shown. */
void fixture_shut(fixture *f);
/* fixture_shut() if open, then remove the files. */
void fixture_done(fixture *f);

/* Uniform in [0, n). */
uint64_t fixture_random(fixture *f, uint64_t n);
size_t fixture_count_mappings(void);
