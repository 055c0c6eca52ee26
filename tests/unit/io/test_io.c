/* test_io.c - the contract of io.h, over every backend, direct and buffered. */
#include "base/mem.h"
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

/* --- what is read --- */

static void pages_are_read(void **state) {
    fixture f;
    fixture_make(&f, *state);
    fixture_open(&f, (hyp_io_config){0});
    hyp_io_request r[3] = {fixture_request(0, 1), fixture_request(7, 20), fixture_request(1000, 300)};
    for (size_t i = 0; i < 3; i++)
        hyp_io_submit(f.io, &r[i]);
    fixture_reap_all(&f, 3, NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(r[i].result, HYP_OK);
        assert_true(fixture_matches(r[i].buf, r[i].offset, r[i].bytes));
        free(r[i].buf);
    }
    hyp_io_stats stats;
    hyp_io_get_stats(f.io, &stats);
    assert_true(stats.demand_bytes == 321 * PAGE && stats.prefetch_bytes == 0);
    assert_true(stats.n_reads >= 3 && stats.busy_s > 0 && stats.n_cancelled == 0);
    fixture_close(&f);
}

static void beyond_the_end_is_zero(void **state) {
    fixture f;
    fixture_make(&f, *state);
    fixture_open(&f, (hyp_io_config){0});
    hyp_io_request r[4] = {fixture_request(FILE_PAGES - 1, 1), fixture_request(FILE_PAGES - 3, 9),
                           fixture_request(FILE_PAGES, 2), fixture_request(FILE_PAGES + 20, 3)};
    for (size_t i = 0; i < 4; i++)
        hyp_io_submit(f.io, &r[i]);
    fixture_reap_all(&f, 4, NULL);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(r[i].result, HYP_OK);
        assert_true(fixture_matches(r[i].buf, r[i].offset, r[i].bytes));
        free(r[i].buf);
    }
    fixture_close(&f);
}

static void large_requests_are_split(void **state) {
    fixture f;
    fixture_make(&f, *state);
    fixture_open(&f, (hyp_io_config){.chunk_bytes = 64 << 10, .depth = 4});
    hyp_io_request r = fixture_request(0, FILE_PAGES);
    hyp_io_submit(f.io, &r);
    fixture_reap_all(&f, 1, NULL);
    assert_int_equal(r.result, HYP_OK);
    assert_true(fixture_matches(r.buf, 0, r.bytes));
    hyp_io_stats stats;
    hyp_io_get_stats(f.io, &stats);
    assert_true(stats.n_reads >= FILE_BYTES / (80 << 10));
    free(r.buf);
    fixture_close(&f);
}

static void many_small_ones(void **state) {
    enum { N = 1500 };
    fixture f;
    fixture_make(&f, *state);
    fixture_open(&f, (hyp_io_config){0});
    hyp_io_request *r = calloc(N, sizeof *r);
    char *memory = fixture_buffer((uint64_t)N * PAGE);
    assert_non_null(r);
    for (size_t i = 0; i < N; i++) {
        r[i] = (hyp_io_request){.offset = i * 7 % FILE_PAGES * PAGE,
                                .bytes = PAGE,
                                .buf = memory + i * PAGE,
                                .cls = i % 3 == 0 ? HYP_IO_DEMAND : HYP_IO_PREFETCH};
        hyp_io_submit(f.io, &r[i]);
    }
    fixture_reap_all(&f, N, NULL);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(r[i].result, HYP_OK);
        assert_true(fixture_matches(r[i].buf, r[i].offset, PAGE));
    }
    free(memory);
    free(r);
    fixture_close(&f);
}

static void several_files(void **state) {
    fixture a, b;
    fixture_make(&a, *state);
    fixture_make(&b, *state);
    const char *paths[] = {a.path, b.path};
    assert_int_equal(truncate(b.path, 5 * PAGE + 1), 0);
    hyp_err err = HYP_ERR_NONE;
    const hyp_io_config config = {.backend = a.w.backend, .buffered = a.w.buffered};
    int opened = hyp_io_open(paths, 2, &config, &a.io, &err);
    if (opened == HYP_EUNSUPPORTED) {
        unlink(a.path), unlink(b.path);
        skip();
    }
    assert_int_equal(opened, HYP_OK);
    hyp_io_request r[2] = {fixture_request(9, 9), fixture_request(3, 9)};
    r[1].file = 1;
    for (size_t i = 0; i < 2; i++)
        hyp_io_submit(a.io, &r[i]);
    fixture_reap_all(&a, 2, NULL);
    assert_true(fixture_matches(r[0].buf, r[0].offset, r[0].bytes));
    assert_true(fixture_matches(r[1].buf, r[1].offset, 2 * PAGE + 1));
    for (uint64_t i = 2 * PAGE + 1; i < r[1].bytes; i++)
        assert_int_equal(((char *)r[1].buf)[i], 0);
    hyp_io_file_info info[2];
    for (uint32_t i = 0; i < 2; i++)
        hyp_io_get_file(a.io, i, &info[i]);
    assert_true(info[0].bytes == FILE_BYTES && info[1].bytes == 5 * PAGE + 1);
    assert_true(info[0].dev == info[1].dev && info[0].ino != info[1].ino);
    for (size_t i = 0; i < 2; i++)
        free(r[i].buf);
    unlink(b.path);
    fixture_close(&a);
}

/* A direct read that the file system refuses (here: into memory that is not aligned) is made through the page cache. */
static void refused_direct_reads_are_buffered(void **state) {
    fixture f;
    fixture_make(&f, *state);
    fixture_open(&f, (hyp_io_config){0});
    bool direct = hyp_io_is_direct(f.io, 0);
    char *memory = fixture_buffer(41 * PAGE);
    hyp_io_request r = {.offset = 11 * PAGE, .bytes = 40 * PAGE, .buf = memory + 1};
    for (int i = 0; i < 2; i++) {
        memset(memory, 0x5b, 41 * PAGE);
        hyp_io_submit(f.io, &r);
        fixture_reap_all(&f, 1, NULL);
        assert_int_equal(r.result, HYP_OK);
        assert_true(fixture_matches(memory + 1, r.offset, r.bytes));
        assert_true(memory[0] == 0x5b && memory[40 * PAGE + 1] == 0x5b);
    }
    if (direct) assert_false(hyp_io_is_direct(f.io, 0));
    free(memory);
    fixture_close(&f);
}

/* --- order --- */

/* With one read at a time and every read slow, what is submitted after the first queues up. `plain` never queues. */
static const hyp_io_faults slow = {.delay_every = 1, .delay_us = 60000, .only_class = -1};
enum { QUEUED = 6 };

typedef struct line_up {
    hyp_io_request r[QUEUED];
    intptr_t order[QUEUED];
} line_up;

/* Submit a blocking prefetch and then the others, far from each other so that none is merged. */
static void line_up_start(fixture *f, line_up *l, int first_demand) {
    fixture_open(f, (hyp_io_config){.depth = 1, .faults = &slow});
    for (int i = 0; i < QUEUED; i++) {
        l->r[i] = fixture_request((uint64_t)i * 50, 3);
        l->r[i].cls = i >= first_demand ? HYP_IO_DEMAND : HYP_IO_PREFETCH;
        l->r[i].user = (void *)(intptr_t)i;
        hyp_io_submit(f->io, &l->r[i]);
        if (i > 0 || f->w.backend == HYP_IO_PLAIN) continue;
        struct timespec t = {0, 20000000}; /* until it has started */
        nanosleep(&t, NULL);
    }
}

static void line_up_finish(fixture *f, line_up *l) {
    for (int i = 0; i < QUEUED; i++) {
        if (l->r[i].result == HYP_OK) assert_true(fixture_matches(l->r[i].buf, l->r[i].offset, l->r[i].bytes));
        free(l->r[i].buf);
    }
    fixture_close(f);
}

static void demand_overtakes_prefetch(void **state) {
    fixture f;
    line_up l;
    fixture_make(&f, *state);
    line_up_start(&f, &l, 4);
    fixture_reap_all(&f, QUEUED, l.order);
    static const intptr_t queued[] = {0, 4, 5, 1, 2, 3}, plain[] = {0, 1, 2, 3, 4, 5};
    assert_memory_equal(l.order, f.w.backend == HYP_IO_PLAIN ? plain : queued, sizeof queued);
    line_up_finish(&f, &l);
}

static void promoted_is_next(void **state) {
    fixture f;
    line_up l;
    fixture_make(&f, *state);
    line_up_start(&f, &l, 5);
    hyp_io_promote(f.io, &l.r[3]);
    hyp_io_promote(f.io, &l.r[3]); /* again: no effect */
    hyp_io_promote(f.io, &l.r[5]); /* a demand: no effect */
    hyp_io_promote(f.io, &l.r[0]); /* started: no effect */
    fixture_reap_all(&f, QUEUED, l.order);
    static const intptr_t queued[] = {0, 5, 3, 1, 2, 4}, plain[] = {0, 1, 2, 3, 4, 5};
    assert_memory_equal(l.order, f.w.backend == HYP_IO_PLAIN ? plain : queued, sizeof queued);
    line_up_finish(&f, &l);
}

static void cancelled_before_it_starts(void **state) {
    fixture f;
    line_up l;
    fixture_make(&f, *state);
    line_up_start(&f, &l, QUEUED);
    hyp_io_cancel(f.io, &l.r[0]); /* started: as usual */
    hyp_io_cancel(f.io, &l.r[2]);
    hyp_io_cancel(f.io, &l.r[2]);
    hyp_io_cancel(f.io, &l.r[5]);
    fixture_reap_all(&f, QUEUED, l.order);
    bool plain = f.w.backend == HYP_IO_PLAIN;
    for (int i = 0; i < QUEUED; i++)
        assert_int_equal(l.r[i].result, !plain && (i == 2 || i == 5) ? HYP_ECANCELED : HYP_OK);
    hyp_io_stats stats;
    hyp_io_get_stats(f.io, &stats);
    assert_int_equal(stats.n_cancelled, plain ? 0 : 2);
    assert_true(stats.prefetch_bytes == (plain ? 6u : 4u) * 3 * PAGE);
    line_up_finish(&f, &l);
}

/* Prefetches never take all places: a demand starts beside them at once. */
static void prefetches_leave_room(void **state) {
    fixture f;
    fixture_make(&f, *state);
    const hyp_io_faults faults = {.delay_every = 1, .delay_us = 500000, .only_class = HYP_IO_PREFETCH};
    fixture_open(&f, (hyp_io_config){.depth = 4, .prefetch_depth = 2, .faults = &faults});
    hyp_io_request r[5];
    intptr_t order[5];
    for (int i = 0; i < 5; i++) {
        r[i] = fixture_request((uint64_t)i * 50, 3);
        r[i].cls = i < 4 ? HYP_IO_PREFETCH : HYP_IO_DEMAND;
        r[i].user = (void *)(intptr_t)i;
        hyp_io_submit(f.io, &r[i]);
    }
    fixture_reap_all(&f, 5, order);
    assert_int_equal(order[0], f.w.backend == HYP_IO_PLAIN ? 0 : 4);
    for (int i = 0; i < 5; i++) {
        assert_true(fixture_matches(r[i].buf, r[i].offset, r[i].bytes));
        free(r[i].buf);
    }
    fixture_close(&f);
}

/* How many of 8 prefetches of `pages` start at once, 2 chunks of 4 pages being allowed and 8 places there? */
static size_t prefetches_started(const way *w, uint64_t pages) {
    fixture f;
    fixture_make(&f, w);
    const hyp_io_faults faults = {.delay_every = 1, .delay_us = 500000, .only_class = HYP_IO_PREFETCH};
    fixture_open(&f, (hyp_io_config){.depth = 8, .prefetch_depth = 2, .chunk_bytes = 4 * PAGE, .faults = &faults});
    hyp_io_request r[8];
    for (int i = 0; i < 8; i++) {
        r[i] = fixture_request((uint64_t)i * 50, pages);
        r[i].cls = HYP_IO_PREFETCH;
        hyp_io_submit(f.io, &r[i]);
    }
    struct timespec t = {0, 150000000}; /* until what can start has started, and nothing has finished */
    nanosleep(&t, NULL);
    for (int i = 0; i < 8; i++)
        hyp_io_cancel(f.io, &r[i]);
    fixture_reap_all(&f, 8, NULL);
    hyp_io_stats stats;
    hyp_io_get_stats(f.io, &stats);
    for (int i = 0; i < 8; i++)
        free(r[i].buf);
    fixture_close(&f);
    return 8 - stats.n_cancelled;
}

static void prefetches_are_bounded_by_bytes(void **state) {
    const way *w = *state;
    if (w->backend == HYP_IO_PLAIN) return; /* never has a queue */
    assert_int_equal(prefetches_started(w, 4), 2);
    assert_int_equal(prefetches_started(w, 2), 4);
    assert_int_equal(prefetches_started(w, 1), 6); /* a quarter of the places is left to demands */
}

/* Neighbours in file and queue become one read; when that fails, each is read alone and only the bad one fails. */
static void neighbours_are_merged(void **state) {
    fixture f;
    fixture_make(&f, *state);
    if (f.w.backend == HYP_IO_PLAIN) { /* never has a queue */
        unlink(f.path);
        return;
    }
    /* Reads in order: 1 the blocker, 2 all seven neighbours together (fails), 3.. one by one, of which 4 fails. */
    const hyp_io_faults faults = {.delay_every = 1, .delay_us = 50000, .fail_every = 2, .only_class = -1};
    fixture_open(&f, (hyp_io_config){.depth = 1, .faults = &faults});
    hyp_io_request r[8];
    for (int i = 0; i < 8; i++) {
        r[i] = fixture_request(i == 0 ? 900 : (uint64_t)(i * i), (uint64_t)(2 * i + 1)); /* i*i .. (i+1)*(i+1) */
        hyp_io_submit(f.io, &r[i]);
        struct timespec t = {0, 20000000};
        if (i == 0) nanosleep(&t, NULL);
    }
    fixture_reap_all(&f, 8, NULL);
    for (int i = 0; i < 8; i++) {
        bool bad = i == 2 || i == 4 || i == 6; /* reads 4, 6, 8 */
        assert_int_equal(r[i].result, bad ? HYP_EIO : HYP_OK);
        if (!bad) assert_true(fixture_matches(r[i].buf, r[i].offset, r[i].bytes));
        free(r[i].buf);
    }
    hyp_io_stats stats;
    hyp_io_get_stats(f.io, &stats);
    assert_int_equal(stats.n_reads, 5);
    fixture_close(&f);
}

/* Submitted as one, neighbours are one read from the start, into buffers that are not neighbours. */
static void many_at_once_are_one_read(void **state) {
    fixture f;
    fixture_make(&f, *state);
    const hyp_io_faults faults = {.fail_every = 2, .only_class = -1};
    fixture_open(&f, (hyp_io_config){.depth = 4, .faults = &faults});
    hyp_io_request r[14], *list[14];
    for (int i = 0; i < 14; i++) {
        r[i] = fixture_request((uint64_t)(10 + 3 * i + (i >= 7 ? 100 : 0)), 3); /* two runs of seven */
        list[i] = &r[i];
    }
    hyp_io_submit_many(f.io, list, 7); /* read 1 */
    assert_int_equal(hyp_io_outstanding(f.io), 7);
    fixture_reap_all(&f, 7, NULL);
    hyp_io_stats stats;
    hyp_io_get_stats(f.io, &stats);
    assert_int_equal(stats.n_reads, 1);
    hyp_io_submit_many(f.io, list + 7, 7); /* read 2 fails; of 3 to 9, one by one, the even ones */
    fixture_reap_all(&f, 7, NULL);
    for (int i = 0; i < 14; i++) {
        bool bad = i == 8 || i == 10 || i == 12;
        assert_int_equal(r[i].result, bad ? HYP_EIO : HYP_OK);
        if (!bad) assert_true(fixture_matches(r[i].buf, r[i].offset, r[i].bytes));
    }
    hyp_io_submit_many(f.io, list, 0);
    assert_int_equal(hyp_io_outstanding(f.io), 0);
    for (int i = 0; i < 14; i++)
        free(r[i].buf);
    fixture_close(&f);
}

/* What stands together may be larger than a chunk by a quarter, as what is cut may. */
static void a_group_is_about_a_chunk(void **state) {
    fixture f;
    fixture_make(&f, *state);
    fixture_open(&f, (hyp_io_config){.chunk_bytes = 16 * PAGE});
    hyp_io_request r[6], *list[6];
    for (int i = 0; i < 6; i++) {
        r[i] = fixture_request((uint64_t)(20 * i), i % 3 == 0 ? 4 : 8); /* 4, 8, 8 pages; not neighbours: 6 reads */
        list[i] = &r[i];
    }
    r[1].offset = r[0].offset + r[0].bytes, r[2].offset = r[1].offset + r[1].bytes; /* 20 pages: one read */
    r[5].offset = r[4].offset + r[4].bytes;                                         /* 16 pages: one read */
    hyp_io_submit_many(f.io, list, 6);
    fixture_reap_all(&f, 6, NULL);
    hyp_io_stats stats;
    hyp_io_get_stats(f.io, &stats);
    assert_int_equal(stats.n_reads, 3);
    for (int i = 0; i < 6; i++) {
        assert_true(r[i].result == HYP_OK && fixture_matches(r[i].buf, r[i].offset, r[i].bytes));
        free(r[i].buf);
    }
    fixture_close(&f);
}

/* --- failures --- */

static void failed_reads_are_told(void **state) {
    fixture f;
    fixture_make(&f, *state);
    const hyp_io_faults faults = {.fail_every = 3, .only_class = -1};
    fixture_open(&f, (hyp_io_config){.depth = 1, .faults = &faults});
    hyp_io_request r[9];
    int n_failed = 0;
    for (int i = 0; i < 9; i++) {
        r[i] = fixture_request((uint64_t)i * 40, 5);
        hyp_io_submit(f.io, &r[i]);
    }
    fixture_reap_all(&f, 9, NULL);
    for (int i = 0; i < 9; i++) {
        hyp_err err = HYP_ERR_NONE;
        if (r[i].result == HYP_OK) {
            assert_int_equal(hyp_io_describe(f.io, &r[i], &err), HYP_OK);
            assert_true(fixture_matches(r[i].buf, r[i].offset, r[i].bytes));
        } else {
            n_failed++;
            assert_int_equal(r[i].sys_errno, EIO);
            assert_int_equal(hyp_io_describe(f.io, &r[i], &err), HYP_EIO);
            assert_non_null(strstr(err.message, f.path));
            assert_true(err.hint[0] != '\0');
        }
        free(r[i].buf);
    }
    assert_int_equal(n_failed, 3);
    fixture_close(&f);
}

/* One chunk of many fails: the request fails once, the others are not disturbed. */
static void a_failed_chunk_fails_its_request(void **state) {
    fixture f;
    fixture_make(&f, *state);
    const hyp_io_faults faults = {.fail_every = 10, .only_class = HYP_IO_DEMAND};
    fixture_open(&f, (hyp_io_config){.depth = 4, .chunk_bytes = 16 << 10, .faults = &faults});
    hyp_io_request bad = fixture_request(0, 1000), good = fixture_request(100, 200);
    good.cls = HYP_IO_PREFETCH;
    hyp_io_submit(f.io, &bad);
    hyp_io_submit(f.io, &good);
    fixture_reap_all(&f, 2, NULL);
    assert_int_equal(bad.result, HYP_EIO);
    assert_int_equal(good.result, HYP_OK);
    assert_true(fixture_matches(good.buf, good.offset, good.bytes));
    hyp_io_stats stats;
    hyp_io_get_stats(f.io, &stats);
    assert_true(stats.demand_bytes < 1000 * PAGE / 4); /* the rest of the bad one was not read for nothing */
    free(bad.buf);
    free(good.buf);
    fixture_close(&f);
}

static void short_reads_are_continued(void **state) {
    for (uint64_t every = 1; every <= 3; every++) {
        fixture f;
        fixture_make(&f, *state);
        const hyp_io_faults faults = {.short_every = every, .only_class = -1};
        fixture_open(&f, (hyp_io_config){.depth = 3, .chunk_bytes = 64 << 10, .faults = &faults});
        hyp_io_request r[2] = {fixture_request(0, FILE_PAGES), fixture_request(FILE_PAGES - 1, 1)};
        for (int i = 0; i < 2; i++)
            hyp_io_submit(f.io, &r[i]);
        fixture_reap_all(&f, 2, NULL);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(r[i].result, HYP_OK);
            assert_true(fixture_matches(r[i].buf, r[i].offset, r[i].bytes));
            free(r[i].buf);
        }
        fixture_close(&f);
    }
}

static void an_early_end_is_an_error(void **state) {
    fixture f;
    fixture_make(&f, *state);
    const hyp_io_faults faults = {.truncate_every = 2, .only_class = -1};
    fixture_open(&f, (hyp_io_config){.depth = 1, .faults = &faults});
    hyp_io_request r[2] = {fixture_request(0, 5), fixture_request(40, 5)};
    for (int i = 0; i < 2; i++)
        hyp_io_submit(f.io, &r[i]);
    fixture_reap_all(&f, 2, NULL);
    assert_int_equal(r[0].result, HYP_OK);
    assert_int_equal(r[1].result, HYP_EIO);
    assert_int_equal(r[1].sys_errno, ENODATA);
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_io_describe(f.io, &r[1], &err), HYP_EIO);
    assert_non_null(strstr(err.message, "shorter"));
    for (int i = 0; i < 2; i++)
        free(r[i].buf);
    fixture_close(&f);
}

static void a_truncated_file_is_an_error(void **state) {
    static const uint64_t new_bytes[] = {2 << 20, (2 << 20) + 512, (2 << 20) + 777, 0};
    for (size_t i = 0; i < HYP_ARRAY_LEN(new_bytes); i++) {
        fixture f;
        fixture_make(&f, *state);
        fixture_open(&f, (hyp_io_config){.chunk_bytes = 128 << 10});
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(hyp_io_verify(f.io, &err), HYP_OK);
        assert_int_equal(truncate(f.path, (off_t)new_bytes[i]), 0);
        hyp_io_request r[4] = {fixture_request(0, 512), fixture_request(512, 1), fixture_request(500, 100),
                               fixture_request(FILE_PAGES - 1, 1)};
        for (int j = 0; j < 4; j++)
            hyp_io_submit(f.io, &r[j]);
        fixture_reap_all(&f, 4, NULL);
        for (int j = 0; j < 4; j++) {
            bool there = j == 0 && new_bytes[i] > 0;
            assert_int_equal(r[j].result, there ? HYP_OK : HYP_EIO);
            if (there)
                assert_true(fixture_matches(r[j].buf, r[j].offset, r[j].bytes));
            else
                assert_int_equal(r[j].sys_errno, ENODATA);
            free(r[j].buf);
        }
        assert_int_equal(hyp_io_verify(f.io, &err), HYP_EIO);
        assert_non_null(strstr(err.message, "shrank"));
        fixture_close(&f);
    }
}

static void a_file_written_to_is_noticed(void **state) {
    fixture f;
    fixture_make(&f, *state);
    fixture_open(&f, (hyp_io_config){0});
    struct timespec t = {0, 20000000}; /* more than a tick of the file system's clock */
    nanosleep(&t, NULL);
    int fd = open(f.path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 5000), 1);
    assert_int_equal(close(fd), 0);
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_io_verify(f.io, &err), HYP_EIO);
    assert_non_null(strstr(err.message, "written to"));
    fixture_close(&f);
}

static void a_removed_file_is_read_on(void **state) {
    fixture f;
    fixture_make(&f, *state);
    fixture_open(&f, (hyp_io_config){0});
    assert_int_equal(unlink(f.path), 0);
    hyp_io_request r = fixture_request(17, 400);
    hyp_io_submit(f.io, &r);
    fixture_reap_all(&f, 1, NULL);
    assert_int_equal(r.result, HYP_OK);
    assert_true(fixture_matches(r.buf, r.offset, r.bytes));
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_io_verify(f.io, &err), HYP_OK);
    free(r.buf);
    fixture_close(&f);
}

static void what_cannot_be_opened(void **state) {
    const way *w = *state;
    static const char *const paths[] = {"/nonexistent/model.gguf", "/"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(paths); i++) {
        hyp_io *io = NULL;
        hyp_err err = HYP_ERR_NONE;
        const hyp_io_config config = {.backend = w->backend, .buffered = w->buffered};
        assert_int_equal(hyp_io_open(&paths[i], 1, &config, &io, &err), HYP_EIO);
        assert_null(io);
        assert_non_null(strstr(err.message, paths[i]));
        assert_true(err.hint[0] != '\0');
    }
    const hyp_io_config config = {.backend = w->backend, .depth = 100000};
    hyp_io *io = NULL;
    assert_int_equal(hyp_io_open(paths, 1, &config, &io, NULL), HYP_EINVAL);
    assert_int_equal(hyp_io_open(paths, 0, &config, &io, NULL), HYP_EINVAL);
    assert_null(io);
}

static void closed_with_requests_outstanding(void **state) {
    enum { N = 40 };
    fixture f;
    fixture_make(&f, *state);
    const hyp_io_faults faults = {.delay_every = 2, .delay_us = 2000, .random_delay = true, .only_class = -1};
    fixture_open(&f, (hyp_io_config){.depth = 4, .chunk_bytes = 16 << 10, .faults = &faults});
    hyp_io_request r[N];
    for (int i = 0; i < N; i++) {
        r[i] = fixture_request((uint64_t)i * 20, 15);
        r[i].cls = i % 2 == 0 ? HYP_IO_DEMAND : HYP_IO_PREFETCH;
        hyp_io_submit(f.io, &r[i]);
    }
    hyp_io_request *one = hyp_io_reap(f.io, true);
    assert_true(one >= r && one < r + N);
    assert_true(fixture_matches(one->buf, one->offset, one->bytes));
    fixture_close(&f);
    for (int i = 0; i < N; i++)
        free(r[i].buf); /* nobody writes into them any more: the sanitizers watch */
    hyp_io_close(NULL);
}

/* --- the table: every test over every way --- */

#define ROW(f)                                                                                                         \
    { #f, f }
static const struct {
    const char *name;
    CMUnitTestFunction function;
} rows[] = {
    ROW(pages_are_read),
    ROW(beyond_the_end_is_zero),
    ROW(large_requests_are_split),
    ROW(many_small_ones),
    ROW(several_files),
    ROW(refused_direct_reads_are_buffered),
    ROW(demand_overtakes_prefetch),
    ROW(promoted_is_next),
    ROW(cancelled_before_it_starts),
    ROW(prefetches_leave_room),
    ROW(prefetches_are_bounded_by_bytes),
    ROW(neighbours_are_merged),
    ROW(many_at_once_are_one_read),
    ROW(a_group_is_about_a_chunk),
    ROW(failed_reads_are_told),
    ROW(a_failed_chunk_fails_its_request),
    ROW(short_reads_are_continued),
    ROW(an_early_end_is_an_error),
    ROW(a_truncated_file_is_an_error),
    ROW(a_file_written_to_is_noticed),
    ROW(a_removed_file_is_read_on),
    ROW(what_cannot_be_opened),
    ROW(closed_with_requests_outstanding),
};

static way ways[] = {{HYP_IO_PLAIN, false},  {HYP_IO_PLAIN, true},  {HYP_IO_THREADS, false},
                     {HYP_IO_THREADS, true}, {HYP_IO_URING, false}, {HYP_IO_URING, true}};

int main(void) {
    static struct CMUnitTest tests[HYP_ARRAY_LEN(rows) * HYP_ARRAY_LEN(ways)];
    static char names[HYP_ARRAY_LEN(tests)][96];
    size_t n = 0;
    for (size_t i = 0; i < HYP_ARRAY_LEN(ways); i++)
        for (size_t j = 0; j < HYP_ARRAY_LEN(rows); j++, n++) {
            snprintf(names[n], sizeof names[n], "%s, %s, %s", rows[j].name, hyp_io_backend_name(ways[i].backend),
                     ways[i].buffered ? "buffered" : "direct");
            tests[n] = (struct CMUnitTest){.name = names[n], .test_func = rows[j].function, .initial_state = &ways[i]};
        }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
