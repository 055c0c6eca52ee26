/* The pager's rules, one at a time. */
#include "fixture.h"

#include <string.h>
#include <sys/mman.h>

enum { UNITS = 6, UNIT_PAGES = 4 };

/* Six units of one extent of four whole pages each, three layers of two. */
static void make_plain(fixture *f) {
    fixture_make(f, "pager", UNITS * UNIT_PAGES * PAGE, 0, 1);
    for (uint32_t u = 0; u < UNITS; u++) {
        fixture_extent(f, 0, (uint64_t)u * UNIT_PAGES * PAGE, UNIT_PAGES * PAGE);
        fixture_unit(f, u, 1, u / 2, false);
    }
    f->config.io.backend = HYP_IO_PLAIN;
}

static void demand(fixture *f, uint32_t unit) {
    hyp_err err = HYP_ERR_NONE;
    if (hyp_pager_demand(f->pager, f->units[unit].layer, &unit, NULL, 1, &err) != HYP_OK) fail_msg("%s", err.message);
}

static void use(fixture *f, uint32_t unit) {
    hyp_err err = HYP_ERR_NONE;
    demand(f, unit);
    if (hyp_pager_wait(f->pager, unit, HYP_PART_ALL, &err) != HYP_OK) fail_msg("%s", err.message);
    fixture_check(f);
    hyp_pager_release(f->pager, &unit, 1);
}

static bool in_memory(fixture *f, uint32_t unit) {
    return hyp_pager_ready(f->pager, unit, HYP_PART_ALL);
}

static hyp_pager_stats stats_of(fixture *f) {
    hyp_pager_stats stats;
    hyp_pager_get_stats(f->pager, &stats);
    return stats;
}

static void test_counts_bytes(void **state) {
    (void)state;
    fixture f;
    make_plain(&f);
    fixture_open(&f, 2 * UNIT_PAGES * PAGE);
    use(&f, 0);
    use(&f, 0);
    use(&f, 1);
    use(&f, 2); /* evicts unit 0, the least recent */
    assert_false(in_memory(&f, 0));
    assert_true(in_memory(&f, 1));
    hyp_pager_stats s = stats_of(&f);
    assert_int_equal(s.hit_bytes, UNIT_PAGES * PAGE);
    assert_int_equal(s.miss_bytes, 3 * UNIT_PAGES * PAGE);
    assert_int_equal(s.evicted_bytes, UNIT_PAGES * PAGE);
    assert_int_equal(s.cached_bytes, 2 * UNIT_PAGES * PAGE);
    assert_int_equal(s.pinned_bytes, 0);
    assert_int_equal(s.n_demands, 4);
    assert_int_equal(s.io.demand_bytes, 3 * UNIT_PAGES * PAGE);
    fixture_done(&f);
}

static void test_pinned_units_stay(void **state) {
    (void)state;
    fixture f;
    make_plain(&f);
    fixture_open(&f, 2 * UNIT_PAGES * PAGE);
    hyp_err err = HYP_ERR_NONE;
    demand(&f, 0);
    demand(&f, 1);
    demand(&f, 2); /* finds no frame */
    assert_int_equal(hyp_pager_wait(f.pager, 2, HYP_PART_ALL, &err), HYP_OK);
    assert_false(in_memory(&f, 2));
    assert_true(in_memory(&f, 0));
    assert_true(in_memory(&f, 1));
    fixture_check(&f);
    hyp_pager_drop(f.pager, 0); /* pinned: nothing happens */
    assert_true(in_memory(&f, 0));
    hyp_pager_release(f.pager, (uint32_t[]){0}, 1);
    assert_int_equal(hyp_pager_wait(f.pager, 2, HYP_PART_ALL, &err), HYP_OK); /* now there is one */
    assert_true(in_memory(&f, 2));
    fixture_check(&f);
    hyp_pager_release(f.pager, NULL, SIZE_MAX);
    assert_int_equal(f.pager->n_pinned, 0);
    fixture_done(&f);
}

/* A layer wider than the cache: what the computation has passed makes room for what it has yet to use. */
static void test_passed_parts_make_room(void **state) {
    (void)state;
    fixture f;
    fixture_make(&f, "pager", 8 * PAGE, 0, 2);
    for (uint32_t u = 0; u < 4; u++) {
        fixture_extent(&f, 0, u * PAGE, PAGE);
        fixture_extent(&f, 0, (4 + u) * PAGE, PAGE);
        fixture_unit(&f, 2 * u, 2, 0, false);
    }
    f.config.io.backend = HYP_IO_PLAIN;
    fixture_open(&f, 4 * PAGE);
    const uint32_t units[4] = {0, 1, 2, 3};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_demand(f.pager, 0, units, NULL, 4, &err), HYP_OK);
    for (uint32_t u = 0; u < 4; u++) { /* first parts first */
        assert_int_equal(hyp_pager_wait(f.pager, u, HYP_PART_ALL, &err), HYP_OK);
        assert_true(hyp_pager_ready(f.pager, u, 1));
        assert_false(hyp_pager_ready(f.pager, u, 2));
    }
    hyp_pager_pass(f.pager, units, 4, 1);
    for (uint32_t u = 0; u < 4; u++) {
        assert_int_equal(hyp_pager_wait(f.pager, u, 2, &err), HYP_OK);
        assert_true(hyp_pager_ready(f.pager, u, 2));
        assert_false(hyp_pager_ready(f.pager, u, 1));
    }
    fixture_check(&f);
    hyp_pager_pass(f.pager, units, 4, 2); /* nobody waits for frames: they stay */
    assert_true(hyp_pager_ready(f.pager, 0, 2));
    fixture_done(&f);
}

static void test_prefetch(void **state) {
    (void)state;
    fixture f;
    make_plain(&f);
    fixture_open(&f, 2 * UNIT_PAGES * PAGE);
    assert_true(hyp_pager_prefetch(f.pager, 0));
    assert_true(hyp_pager_prefetch(f.pager, 0)); /* again: it is coming already */
    assert_true(hyp_pager_prefetch(f.pager, 1));
    assert_int_equal(hyp_pager_prefetch_free(f.pager, 2, HYP_PART_ALL), 0); /* no free frame */
    hyp_pager_poll(f.pager);
    use(&f, 0);
    hyp_pager_stats s = stats_of(&f);
    assert_int_equal(s.prefetch_issued_bytes, 2 * UNIT_PAGES * PAGE);
    assert_int_equal(s.prefetch_used_bytes, UNIT_PAGES * PAGE);
    assert_int_equal(s.n_prefetch_hits, 1);
    assert_int_equal(s.miss_bytes, 0);
    hyp_pager_drop(f.pager, 1);
    assert_int_equal(stats_of(&f).prefetch_wasted_bytes, UNIT_PAGES * PAGE);
    fixture_check(&f);
    fixture_done(&f);
}

/* Dropped or called off while the read is under way: the frame comes back when the read ends, and not before. */
static void test_drop_while_reading(void **state) {
    (void)state;
    fixture f;
    make_plain(&f);
    hyp_io_faults faults = {.delay_every = 1, .delay_us = 20000, .only_class = -1};
    f.config.io = (hyp_io_config){.backend = HYP_IO_THREADS, .faults = &faults, .depth = 2};
    fixture_open(&f, UNIT_PAGES * PAGE);
    assert_true(hyp_pager_prefetch(f.pager, 0));
    hyp_pager_drop(f.pager, 0);
    assert_int_equal(hyp_pager_prefetch_free(f.pager, 1, 1), 0); /* its frame is still being read into */
    while (f.pager->n_reading > 0)
        hyp_pager_poll(f.pager);
    assert_int_equal(f.pager->units[0].n_held, 0);
    assert_int_equal(hyp_pager_prefetch_free(f.pager, 1, 1), 1);
    hyp_pager_drop(f.pager, 1);
    use(&f, 1); /* needed after all: dropped or cancelled, it comes */
    assert_true(in_memory(&f, 1));
    hyp_pager_drop(f.pager, 1);
    assert_true(hyp_pager_prefetch(f.pager, 2));
    hyp_pager_cancel_prefetches(f.pager);
    use(&f, 3); /* the only frame is held by what was called off: waiting gets it */
    assert_true(in_memory(&f, 3));
    fixture_check(&f);
    fixture_done(&f);
}

/* Extents of 700 bytes: six or seven share each page. They come and go in every order. */
static void test_many_extents_in_a_page(void **state) {
    (void)state;
    fixture f;
    enum { N = 20 };
    fixture_make(&f, "pager", N * 700, 0, 3);
    for (uint32_t u = 0; u < N; u++) {
        fixture_extent(&f, 0, u * 700, 700);
        fixture_unit(&f, u, 1, 0, false);
    }
    f.config.io.backend = HYP_IO_PLAIN;
    fixture_open(&f, 3 * N * PAGE);
    for (int round = 0; round < 300; round++) {
        use(&f, (uint32_t)fixture_random(&f, N));
        hyp_pager_drop(f.pager, (uint32_t)fixture_random(&f, N));
        hyp_pager_drop(f.pager, (uint32_t)fixture_random(&f, N));
        fixture_check(&f);
    }
    fixture_done(&f);
}

/* The page that two extents share goes to the one that stays, whichever leaves first, and the frame of the one that
 * left can then be overwritten without harm. */
static void test_shared_edge_is_handed_over(void **state) {
    (void)state;
    for (int first = 0; first < 2; first++)
        for (int leaves = 0; leaves < 2; leaves++) {
            fixture f;
            fixture_make(&f, "pager", 4 * PAGE, 0, 4);
            fixture_extent(&f, 0, 0, PAGE + 1000);
            fixture_extent(&f, 0, PAGE + 1000, PAGE);
            fixture_unit(&f, 0, 1, 0, false);
            fixture_unit(&f, 1, 1, 0, false);
            f.config.io.backend = HYP_IO_PLAIN;
            fixture_open(&f, 8 * PAGE);
            use(&f, (uint32_t)first);
            use(&f, (uint32_t)!first);
            uint64_t frame = f.pager->spans[leaves].frame;
            hyp_pager_drop(f.pager, (uint32_t)leaves);
            memset(f.pager->arena.view + frame, 0, 2 * PAGE);
            fixture_check(&f);
            assert_true(in_memory(&f, (uint32_t)!leaves));
            fixture_done(&f);
        }
}

static bool count_progress(uint64_t done, uint64_t total, void *user) {
    uint64_t *last = user;
    assert_true(done > *last && done <= total);
    *last = done;
    return true;
}

static bool cancel(uint64_t done, uint64_t total, void *user) {
    (void)done;
    (void)total;
    (void)user;
    return false;
}

/* `always` units are read in runs across their borders, in requests of many megabytes, and stay. */
static void test_load_always(void **state) {
    (void)state;
    fixture f;
    const uint64_t big = (20 << 20) + 12345;
    fixture_make(&f, "pager", 100 + 2 * big + 3 * PAGE, 0, 5);
    fixture_extent(&f, 0, 100, big);
    fixture_extent(&f, 0, 100 + big, big);
    fixture_extent(&f, 0, 100 + 2 * big, 2 * PAGE);
    fixture_unit(&f, 0, 1, 0, true);
    fixture_unit(&f, 1, 1, 0, true);
    fixture_unit(&f, 2, 1, 0, false);
    uint64_t always = 0, largest = 0, last = 0;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_measure(&f.config, &always, &largest, &err), HYP_OK);
    assert_int_equal(always, (100 + 2 * big + PAGE - 1) / PAGE * PAGE);
    assert_int_equal(largest, 3 * PAGE);
    fixture_open(&f, always + largest);
    assert_int_equal(f.pager->n_spans, 2);
    assert_int_equal(hyp_pager_load_always(f.pager, cancel, NULL, &err), HYP_ECANCELED);
    fixture_check(&f);
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_load_always(f.pager, count_progress, &last, &err), HYP_OK);
    assert_int_equal(last, always);
    fixture_check(&f);
    assert_int_equal(stats_of(&f).pinned_bytes, always);
    use(&f, 0);
    use(&f, 2);
    hyp_pager_drop(f.pager, 0);
    assert_true(in_memory(&f, 0));
    hyp_pager_drop(f.pager, 2);
    fixture_check(&f); /* the page that unit 2 shares with the run */
    assert_int_equal(stats_of(&f).hit_bytes, big);
    fixture_done(&f);
}

static void test_load_always_fails(void **state) {
    (void)state;
    fixture f;
    fixture_make(&f, "pager", 8 << 20, 0, 6);
    fixture_extent(&f, 0, 0, 8 << 20);
    fixture_unit(&f, 0, 1, 0, true);
    hyp_io_faults faults = {.fail_every = 5, .only_class = -1};
    f.config.io.faults = &faults;
    fixture_open(&f, 8 << 20);
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_load_always(f.pager, NULL, NULL, &err), HYP_EIO);
    assert_non_null(strstr(err.message, f.paths[0]));
    assert_string_not_equal(err.hint, "");
    fixture_check(&f);
    fixture_done(&f);
}

static void test_failed_demand(void **state) {
    (void)state;
    fixture f;
    make_plain(&f);
    hyp_io_faults faults = {.fail_every = 2, .only_class = -1};
    f.config.io.faults = &faults;
    fixture_open(&f, 6 * UNIT_PAGES * PAGE);
    demand(&f, 0);
    demand(&f, 1);
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_wait(f.pager, 0, HYP_PART_ALL, &err), HYP_OK);
    assert_int_equal(hyp_pager_wait(f.pager, 1, HYP_PART_ALL, &err), HYP_EIO);
    char where[32];
    snprintf(where, sizeof where, "at %d of", UNIT_PAGES * PAGE);
    assert_non_null(strstr(err.message, where));
    assert_non_null(strstr(err.message, f.paths[0]));
    fixture_check(&f);
    demand(&f, 1); /* the third read, which works */
    assert_int_equal(hyp_pager_wait(f.pager, 1, HYP_PART_ALL, &(hyp_err){0}), HYP_OK);
    assert_true(in_memory(&f, 1));
    /* Nobody waits for the fourth: the next demand reports it. */
    demand(&f, 2);
    hyp_pager_poll(f.pager);
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_demand(f.pager, 1, (uint32_t[]){3}, NULL, 1, &err), HYP_EIO);
    assert_int_equal(f.pager->units[3].pinned, false);
    demand(&f, 3); /* and the one after that goes on */
    /* A failure that nobody waits for any more is forgotten. */
    demand(&f, 4);
    hyp_pager_poll(f.pager);
    hyp_pager_release(f.pager, NULL, SIZE_MAX);
    demand(&f, 5);
    fixture_done(&f);
}

static void test_failed_prefetch(void **state) {
    (void)state;
    fixture f;
    make_plain(&f);
    hyp_io_faults faults = {.fail_every = 1, .only_class = HYP_IO_PREFETCH};
    f.config.io.faults = &faults;
    fixture_open(&f, 6 * UNIT_PAGES * PAGE);
    assert_true(hyp_pager_prefetch(f.pager, 0));
    hyp_pager_poll(f.pager);
    assert_int_equal(f.pager->units[0].n_held, 0);
    assert_int_equal(stats_of(&f).prefetch_wasted_bytes, UNIT_PAGES * PAGE);
    assert_true(hyp_pager_prefetch(f.pager, 1)); /* fails while the unit is being demanded */
    demand(&f, 1);
    assert_int_equal(hyp_pager_wait(f.pager, 1, HYP_PART_ALL, &(hyp_err){0}), HYP_OK);
    assert_true(in_memory(&f, 1));
    fixture_check(&f);
    fixture_done(&f);
}

static int try_open(fixture *f, hyp_err *err) {
    *err = HYP_ERR_NONE;
    return hyp_pager_open(&f->config, &f->pager, err);
}

static void test_open_refuses(void **state) {
    (void)state;
    fixture f;
    hyp_err err;
    make_plain(&f);
    f.units[0].always = true;
    f.config.budget_bytes = 2 * UNIT_PAGES * PAGE - 1;
    assert_int_equal(try_open(&f, &err), HYP_ENOMEM);
    char least[32];
    snprintf(least, sizeof least, "least is %d", 2 * UNIT_PAGES * PAGE);
    assert_non_null(strstr(err.message, least));
    f.config.budget_bytes++;
    f.extents[1].offset -= 1;
    assert_int_equal(try_open(&f, &err), HYP_EINVAL); /* overlap */
    f.extents[1].offset += 1;
    f.extents[5].bytes++;
    assert_int_equal(try_open(&f, &err), HYP_EINVAL); /* beyond the end */
    f.extents[5].bytes = 0;
    assert_int_equal(try_open(&f, &err), HYP_EINVAL);
    f.extents[5].bytes = UNIT_PAGES * PAGE;
    f.extents[5].offset = UINT64_MAX - 10;
    assert_int_equal(try_open(&f, &err), HYP_EINVAL);
    f.extents[5].offset = 5 * UNIT_PAGES * PAGE;
    f.units[5].first_extent = 4;
    assert_int_equal(try_open(&f, &err), HYP_EINVAL); /* in two units */
    f.units[5].first_extent = 5;
    f.units[5].n_extents = 2;
    assert_int_equal(try_open(&f, &err), HYP_EINVAL);
    f.units[5].n_extents = 1;
    f.config.n_layers = 2;
    assert_int_equal(try_open(&f, &err), HYP_EINVAL);
    f.config.n_layers = 3;
    assert_int_equal(try_open(&f, &err), HYP_OK);
    hyp_pager_close(f.pager);
    f.pager = NULL;
    fixture_done(&f);
}

/* Another file under the path, or another size: what is mapped is not what would be read. */
static void test_open_sees_a_replaced_file(void **state) {
    (void)state;
    fixture f;
    hyp_err err;
    make_plain(&f);
    f.config.budget_bytes = 6 * UNIT_PAGES * PAGE;
    assert_int_equal(unlink(f.paths[0]), 0); /* the mapping is of the old one */
    FILE *out = fopen(f.paths[0], "wb");
    assert_non_null(out);
    for (uint64_t i = 0; i < f.bytes[0]; i++)
        putc(0, out);
    fclose(out);
    assert_int_equal(try_open(&f, &err), HYP_EIO);
    assert_non_null(strstr(err.message, "not the file that was loaded"));
    assert_int_equal(truncate(f.paths[0], PAGE), 0);
    assert_int_equal(try_open(&f, &err), HYP_EIO);
    assert_int_equal(unlink(f.paths[0]), 0);
    assert_int_equal(try_open(&f, &err), HYP_EIO);
    f.pager = NULL;
    fixture_done(&f);
}

/* libllama unmaps what it does not need: beside an extent there may be nothing, and that must stay so. */
static void test_leaves_holes_alone(void **state) {
    (void)state;
    fixture f;
    fixture_make(&f, "pager", 10 * PAGE, 0, 7);
    fixture_extent(&f, 0, 2 * PAGE + 10, 2 * PAGE);
    fixture_extent(&f, 0, 6 * PAGE, PAGE);
    fixture_unit(&f, 0, 1, 0, false);
    fixture_unit(&f, 1, 1, 0, false);
    f.config.io.backend = HYP_IO_PLAIN;
    munmap(f.base[0], 2 * PAGE);
    munmap(f.base[0] + 5 * PAGE, PAGE);
    fixture_open(&f, 10 * PAGE);
    const uint32_t units[2] = {0, 1};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_demand(f.pager, 0, units, NULL, 2, &err), HYP_OK);
    assert_int_equal(hyp_pager_wait(f.pager, 0, HYP_PART_ALL, &err), HYP_OK);
    assert_int_equal(hyp_pager_wait(f.pager, 1, HYP_PART_ALL, &err), HYP_OK);
    assert_memory_equal(f.base[0] + 2 * PAGE, f.content[0] + 2 * PAGE, 3 * PAGE);
    assert_memory_equal(f.base[0] + 6 * PAGE, f.content[0] + 6 * PAGE, 4 * PAGE);
    hyp_pager_release(f.pager, NULL, SIZE_MAX);
    hyp_pager_drop(f.pager, 0);
    hyp_pager_close(f.pager);
    f.pager = NULL;
    unsigned char in_core;
    assert_int_not_equal(mincore(f.base[0], PAGE, &in_core), 0);
    assert_int_not_equal(mincore(f.base[0] + 5 * PAGE, PAGE, &in_core), 0);
    assert_memory_equal(f.base[0] + 2 * PAGE, f.content[0] + 2 * PAGE, 3 * PAGE);
    fixture_done(&f);
}

/* Frames whose sizes differ by the page that rounding adds are of one class. */
static void test_classes(void **state) {
    (void)state;
    fixture f;
    fixture_make(&f, "pager", 200 * PAGE, 0, 8);
    fixture_extent(&f, 0, 0, 20 * PAGE);
    fixture_extent(&f, 0, 20 * PAGE + 100, 20 * PAGE); /* 21 pages */
    fixture_extent(&f, 0, 50 * PAGE, 30 * PAGE);
    fixture_extent(&f, 0, 90 * PAGE, PAGE);
    fixture_extent(&f, 0, 92 * PAGE, 2 * PAGE); /* too small to waste a page on */
    for (uint32_t u = 0; u < 5; u++)
        fixture_unit(&f, u, 1, 0, false);
    fixture_open(&f, 200 * PAGE);
    assert_int_equal(f.pager->frames.n_classes, 4);
    assert_int_equal(hyp_pager_unit_bytes(f.pager, 0), 21 * PAGE);
    assert_int_equal(hyp_pager_unit_bytes(f.pager, 3), PAGE);
    fixture_done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_bytes),
        cmocka_unit_test(test_pinned_units_stay),
        cmocka_unit_test(test_passed_parts_make_room),
        cmocka_unit_test(test_prefetch),
        cmocka_unit_test(test_drop_while_reading),
        cmocka_unit_test(test_many_extents_in_a_page),
        cmocka_unit_test(test_shared_edge_is_handed_over),
        cmocka_unit_test(test_load_always),
        cmocka_unit_test(test_load_always_fails),
        cmocka_unit_test(test_failed_demand),
        cmocka_unit_test(test_failed_prefetch),
        cmocka_unit_test(test_open_refuses),
        cmocka_unit_test(test_open_sees_a_replaced_file),
        cmocka_unit_test(test_leaves_holes_alone),
        cmocka_unit_test(test_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
