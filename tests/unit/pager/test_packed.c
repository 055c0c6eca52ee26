/* Reading out of a packed file: fewer reads, the same bytes, and the model's own file when the copy is not what it was.
 */
#include "packed_file.h"

#include <string.h>
#include <time.h>

enum { EXPERTS = 8, PARTS = 3, PART_BYTES = 3 * PAGE + 100 };

/* Eight experts of three parts that stand apart in the file; neighbours share pages. */
static void make(fixture *f, hyp_io_backend backend) {
    fixture_make(f, "packed", EXPERTS * PARTS * PART_BYTES + 5000, 0, 1);
    for (uint32_t e = 0; e < EXPERTS; e++) {
        for (uint32_t p = 0; p < PARTS; p++)
            fixture_extent(f, 0, 300 + ((uint64_t)p * EXPERTS + e) * PART_BYTES, PART_BYTES);
        fixture_unit(f, e * PARTS, PARTS, 0, false);
    }
    f->config.io.backend = backend;
}

static void use(fixture *f, const uint32_t *units, size_t n) {
    hyp_err err = HYP_ERR_NONE;
    hyp_pager_read_whole(f->pager, true);
    assert_int_equal(hyp_pager_demand(f->pager, 0, units, NULL, n, &err), HYP_OK);
    for (size_t i = 0; i < n; i++)
        if (hyp_pager_wait(f->pager, units[i], HYP_PART_ALL, &err) != HYP_OK) fail_msg("%s", err.message);
    for (size_t i = 0; i < n; i++)
        assert_true(hyp_pager_ready(f->pager, units[i], HYP_PART_ALL));
    fixture_check(f);
    hyp_pager_release(f->pager, units, n);
}

static hyp_pager_stats stats_of(const fixture *f) {
    hyp_pager_stats stats;
    hyp_pager_get_stats(f->pager, &stats);
    return stats;
}

enum { ROOM = EXPERTS * PARTS * 5 * PAGE };

static void one_read_a_unit(void **state) {
    static const hyp_io_backend backends[] = {HYP_IO_PLAIN, HYP_IO_THREADS, HYP_IO_AUTO};
    (void)state;
    for (size_t i = 0; i < HYP_ARRAY_LEN(backends); i++) {
        fixture f;
        packed_file pf;
        make(&f, backends[i]);
        packed_file_make(&pf, &f, "one", true, 0);
        fixture_open(&f, ROOM);
        const uint32_t first = 3, all[] = {0, 1, 2, 3, 4, 5, 6, 7};
        use(&f, &first, 1);
        assert_int_equal(stats_of(&f).io.n_reads, 1);
        hyp_pager_prefetch(f.pager, 5);
        assert_true(hyp_pager_prefetch(f.pager, 5));
        /* A demand would move the parts to another queue one by one, and reads could start in between. */
        for (int ms = 0; ms < 60000 && stats_of(&f).io.n_reads < 2; ms++)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        use(&f, &(uint32_t){5}, 1);
        assert_int_equal(stats_of(&f).io.n_reads, 2);
        use(&f, all, EXPERTS); /* in the order of the file: neighbours are read together, however they are named */
        hyp_pager_stats s = stats_of(&f);
        assert_true(s.io.n_reads <= 2 + EXPERTS - 2);
        assert_int_equal(s.packed_bytes, pf.bytes);
        assert_true(hyp_pager_packed_in_use(f.pager, NULL));
        fixture_done(&f);
        packed_file_done(&pf);
    }
}

static void what_is_not_packed_comes_from_the_file(void **state) {
    (void)state;
    fixture f;
    packed_file pf;
    make(&f, HYP_IO_THREADS);
    packed_file_make(&pf, &f, "some", true, 3);
    assert_true(pf.packed.n_runs > 0 && pf.packed.n_runs < EXPERTS * PARTS);
    fixture_open(&f, ROOM);
    use(&f, (uint32_t[]){7, 1, 4, 0, 2, 3, 6, 5}, EXPERTS);
    assert_int_equal(stats_of(&f).packed_bytes, pf.bytes);
    fixture_done(&f);
    packed_file_done(&pf);
}

/* One changed byte anywhere: noticed, and the right one read. */
static void a_wrong_byte_is_not_shown(void **state) {
    (void)state;
    for (uint64_t at = 17; at < (uint64_t)EXPERTS * PARTS * 4 * PAGE; at += 29 * 1001) {
        fixture f;
        packed_file pf;
        make(&f, HYP_IO_AUTO);
        packed_file_make(&pf, &f, "wrong", false, 0);
        packed_file_spoil(&pf, at);
        fixture_open(&f, ROOM);
        use(&f, (uint32_t[]){0, 1, 2, 3, 4, 5, 6, 7}, EXPERTS);
        const hyp_err *why = NULL;
        assert_false(hyp_pager_packed_in_use(f.pager, &why));
        assert_non_null(strstr(why->message, "not the model's"));
        fixture_done(&f);
        packed_file_done(&pf);
    }
}

static void a_short_or_failing_copy_is_left(void **state) {
    (void)state;
    for (int how = 0; how < 3; how++) {
        fixture f;
        packed_file pf;
        make(&f, how == 2 ? HYP_IO_PLAIN : HYP_IO_AUTO);
        packed_file_make(&pf, &f, "short", false, 0);
        const hyp_io_faults faults = {.fail_every = 4, .only_class = -1}; /* the fourth read: one unit's, then others */
        if (how == 0) assert_int_equal(truncate(pf.path, (off_t)pf.bytes / 2), 0);
        if (how == 1) unlink(pf.path);
        if (how == 2) f.config.io.faults = &faults;
        fixture_open(&f, ROOM);
        use(&f, (uint32_t[]){0}, 1);
        use(&f, (uint32_t[]){2}, 1);
        use(&f, (uint32_t[]){4}, 1);
        use(&f, (uint32_t[]){how == 2 ? 0 : 7}, 1);
        if (how == 2) { /* the merged read fails, its parts are read alone and do not: the copy is still good */
            use(&f, (uint32_t[]){6}, 1);
            assert_true(hyp_pager_packed_in_use(f.pager, NULL));
        } else {
            const hyp_err *why = NULL;
            assert_false(hyp_pager_packed_in_use(f.pager, &why));
            assert_true(why != NULL && why->message[0] != '\0');
        }
        fixture_done(&f);
        packed_file_done(&pf);
    }
}

static void a_read_that_fails_for_good_is_made_again(void **state) {
    (void)state;
    fixture f;
    packed_file pf;
    make(&f, HYP_IO_PLAIN);
    packed_file_make(&pf, &f, "eio", false, 0);
    const hyp_io_faults faults = {.fail_every = 2, .only_class = -1};
    f.config.io.faults = &faults;
    f.config.io.chunk_bytes = PAGE; /* nothing is merged: the second read, a part's first chunks, fails for good */
    fixture_open(&f, ROOM);
    uint32_t unit = 1;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_demand(f.pager, 0, &unit, NULL, 1, &err), HYP_OK);
    (void)!hyp_pager_wait(f.pager, unit, HYP_PART_ALL, &err); /* the model's own file fails too */
    assert_false(hyp_pager_packed_in_use(f.pager, NULL));
    fixture_check(&f);
    fixture_done(&f);
    packed_file_done(&pf);
}

/* Unless it is asked for, parts come one after the other, as without the copy. */
static void parts_come_in_order(void **state) {
    (void)state;
    fixture f;
    packed_file pf;
    make(&f, HYP_IO_PLAIN);
    packed_file_make(&pf, &f, "parts", true, 0);
    fixture_open(&f, ROOM);
    const uint32_t units[] = {6, 2, 5};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_demand(f.pager, 0, units, NULL, 3, &err), HYP_OK);
    assert_int_equal(stats_of(&f).io.n_reads, 9);
    hyp_pager_release(f.pager, NULL, SIZE_MAX);
    hyp_pager_read_whole(f.pager, true);
    assert_int_equal(hyp_pager_demand(f.pager, 0, (uint32_t[]){1}, NULL, 1, &err), HYP_OK);
    assert_int_equal(stats_of(&f).io.n_reads, 10);
    assert_int_equal(hyp_pager_wait(f.pager, 1, HYP_PART_ALL, &err), HYP_OK);
    fixture_check(&f);
    fixture_done(&f);
    packed_file_done(&pf);
}

/* A layer wider than the cache: first parts first, as without the copy. */
static void a_wide_layer(void **state) {
    (void)state;
    fixture f;
    packed_file pf;
    make(&f, HYP_IO_THREADS);
    packed_file_make(&pf, &f, "wide", true, 0);
    fixture_open(&f, ROOM / 2);
    hyp_pager_read_whole(f.pager, true);
    const uint32_t all[] = {0, 1, 2, 3, 4, 5, 6, 7};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_demand(f.pager, 0, all, NULL, EXPERTS, &err), HYP_OK);
    for (uint32_t i = 0; i < EXPERTS; i++) {
        assert_int_equal(hyp_pager_wait(f.pager, i, 1, &err), HYP_OK);
        assert_true(hyp_pager_ready(f.pager, i, 1));
    }
    for (uint8_t mask = 1; mask <= 4; mask = (uint8_t)(mask << 1)) {
        for (uint32_t i = 0; i < EXPERTS; i++)
            assert_int_equal(hyp_pager_wait(f.pager, i, mask, &err), HYP_OK);
        fixture_check(&f);
        hyp_pager_pass(f.pager, all, EXPERTS, mask);
    }
    fixture_done(&f);
    packed_file_done(&pf);
}

/* With a mirror of the model the packed file is still read, from the one disk that has it; a bad block in it takes no
 * disk out of use. */
static void a_mirror_has_no_copy_of_it(void **state) {
    (void)state;
    for (int how = 0; how < 2; how++) {
        fixture f;
        packed_file pf;
        make(&f, HYP_IO_THREADS);
        packed_file_make(&pf, &f, "mirrored", true, 3);
        char copy[300];
        snprintf(copy, sizeof copy, "%s-copy", f.paths[0]);
        FILE *out = fopen(copy, "wb");
        assert_int_equal(fwrite(f.content[0], 1, f.bytes[0], out), f.bytes[0]);
        fclose(out);
        const char *paths[] = {copy};
        const hyp_io_mirror mirror = {paths};
        f.config.io.mirrors = &mirror;
        f.config.io.n_mirrors = 1;
        if (how == 1) assert_int_equal(truncate(pf.path, 0), 0);
        fixture_open(&f, ROOM);
        use(&f, (uint32_t[]){7, 1, 4, 0, 2, 3, 6, 5}, EXPERTS);
        hyp_pager_stats s = stats_of(&f);
        assert_int_equal(s.io.n_sources, 2);
        assert_int_equal(s.io.sources[0].dropped_errno, 0);
        assert_int_equal(hyp_pager_packed_in_use(f.pager, NULL), how == 0);
        assert_int_equal(s.packed_bytes, how == 0 ? pf.bytes : 0);
        fixture_done(&f);
        packed_file_done(&pf);
        unlink(copy);
    }
}

static void runs_out_of_order_are_refused(void **state) {
    (void)state;
    fixture f;
    packed_file pf;
    make(&f, HYP_IO_PLAIN);
    packed_file_make(&pf, &f, "order", false, 0);
    hyp_packed_run first = pf.runs[0];
    pf.runs[0] = pf.runs[1];
    pf.runs[1] = first;
    fixture_open(&f, ROOM);
    const hyp_err *why = NULL;
    assert_false(hyp_pager_packed_in_use(f.pager, &why));
    assert_non_null(why);
    use(&f, (uint32_t[]){0, 1, 2}, 3);
    assert_int_equal(stats_of(&f).packed_bytes, 0);
    fixture_done(&f);
    packed_file_done(&pf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_read_a_unit),
        cmocka_unit_test(what_is_not_packed_comes_from_the_file),
        cmocka_unit_test(a_wrong_byte_is_not_shown),
        cmocka_unit_test(a_short_or_failing_copy_is_left),
        cmocka_unit_test(a_read_that_fails_for_good_is_made_again),
        cmocka_unit_test(parts_come_in_order),
        cmocka_unit_test(a_wide_layer),
        cmocka_unit_test(a_mirror_has_no_copy_of_it),
        cmocka_unit_test(runs_out_of_order_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
