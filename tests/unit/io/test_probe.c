/* test_probe.c - what is measured and what is chosen from it; how fast is not tested. */
#include "base/mem.h"
#include "fixture.h"
#include "io/probe.h"

#include <string.h>

static const way any_way = {HYP_IO_AUTO, false};

/* A point of 1 MB/s units at `kib` KiB and `depth`. */
#define POINT(kib, d, rate)                                                                                            \
    {                                                                                                                  \
        .backend = HYP_IO_URING, .size_bytes = (kib) << 10, .chunk_bytes = (kib) << 10, .depth = (d), .random = true,  \
        .bytes_per_s = (rate)                                                                                          \
    }

static void large_reads_with_little_in_flight(void **state) {
    (void)state;
    static hyp_probe_point points[] = {
        POINT(256, 4, 700),
        POINT(256, 8, 990),
        POINT(1024, 2, 800),
        POINT(1024, 4, 1000),
        POINT(1024, 32, 1010),
        POINT(2048, 16, 1000),
        POINT(4096, 2, 1005),
        /* none of these is an engine's scattered direct read: */
        {.backend = HYP_IO_URING,
         .cache = HYP_PROBE_WARM,
         .size_bytes = 2 << 20,
         .depth = 1,
         .random = true,
         .bytes_per_s = 9000},
        {.backend = HYP_IO_THREADS, .size_bytes = 2 << 20, .depth = 1, .random = true, .bytes_per_s = 2000},
        {.backend = HYP_IO_URING, .size_bytes = 1 << 20, .depth = 4, .random = false, .bytes_per_s = 1234},
    };
    hyp_probe_result r = {.points = points, .n_points = HYP_ARRAY_LEN(points)};
    hyp_probe_recommend(&r);
    assert_int_equal(r.backend, HYP_IO_URING);
    assert_int_equal(r.chunk_bytes, 1 << 20);
    assert_int_equal(r.prefetch_depth, 4);
    assert_int_equal(r.depth, 8);
    assert_true(r.bytes_per_s == 1000 && r.sequential_bytes_per_s == 1234 && r.best_bytes_per_s == 1000);
}

/* One measurement that was lucky does not set the mark that the others must reach. */
static void one_outlier_does_not_count(void **state) {
    (void)state;
    static hyp_probe_point points[] = {POINT(1024, 1, 500),  POINT(1024, 2, 980),   POINT(1024, 4, 1000),
                                       POINT(1024, 8, 1000), POINT(1024, 16, 1000), POINT(1024, 32, 1600)};
    hyp_probe_result r = {.points = points, .n_points = HYP_ARRAY_LEN(points)};
    hyp_probe_recommend(&r);
    assert_int_equal(r.prefetch_depth, 2);
    assert_true(r.best_bytes_per_s == 1000);
}

static void one_huge_read_is_split(void **state) {
    (void)state;
    static hyp_probe_point points[] = {POINT(4096, 1, 1000), POINT(2048, 2, 990), POINT(1024, 2, 400)};
    hyp_probe_result r = {.points = points, .n_points = HYP_ARRAY_LEN(points)};
    hyp_probe_recommend(&r);
    assert_int_equal(r.chunk_bytes, 2 << 20);
    assert_int_equal(r.prefetch_depth, 2);
    assert_int_equal(r.depth, 8);
}

typedef struct calls {
    size_t n, n_ended, cancel_at;
} calls;

static bool count(size_t done, size_t total, const hyp_probe_point *point, void *user) {
    calls *c = user;
    assert_true(done <= total);
    assert_true((point == NULL) == (done == total));
    c->n++;
    c->n_ended += point == NULL;
    return c->n != c->cancel_at;
}

static void a_file_is_measured(void **state) {
    (void)state;
    fixture f;
    fixture_make(&f, &any_way);
    for (int quick = 0; quick < 2; quick++) {
        calls c = {0};
        const hyp_probe_config config = {.quick = quick,
                                         .seconds_per_point = 1e-4,
                                         .bytes_per_point = 1 << 20,
                                         .expert_bytes = 300001,
                                         .progress = count,
                                         .user = &c};
        hyp_probe_result r;
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(hyp_disk_probe(f.path, &config, &r, &err), HYP_OK);
        assert_true(r.file_bytes == FILE_BYTES && r.n_points > 12 && r.bytes_read >= r.n_points * (64 << 10));
        assert_true(c.n == 2 * r.n_points + 1 && c.n_ended == 1);
        size_t n_expert = 0;
        for (size_t i = 0; i < r.n_points; i++) {
            const hyp_probe_point *p = &r.points[i];
            assert_true(p->bytes_per_s > 0 && p->cpu_s_per_gb >= 0 && p->depth >= 1 && p->backend != HYP_IO_AUTO);
            assert_true(p->size_bytes == (p->expert ? 300u << 10 : p->chunk_bytes)); /* 300001 bytes: 74 pages, or 75 */
            n_expert += p->expert;
        }
        assert_int_equal(n_expert, 6);
        assert_true(r.chunk_bytes >= 64 << 10 && r.chunk_bytes <= 4 << 20 && r.prefetch_depth >= 2);
        assert_true(r.depth >= r.prefetch_depth && r.depth <= 64 && r.bytes_per_s > 0);
        hyp_probe_free(&r);
        assert_null(r.points);
    }
    unlink(f.path);
}

static void it_can_be_cancelled(void **state) {
    (void)state;
    fixture f;
    fixture_make(&f, &any_way);
    calls c = {.cancel_at = 3};
    const hyp_probe_config config = {.quick = true, .seconds_per_point = 1e-4, .progress = count, .user = &c};
    hyp_probe_result r = {.n_points = 77};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_disk_probe(f.path, &config, &r, &err), HYP_ECANCELED);
    assert_true(r.n_points == 77 && c.n == 3);
    unlink(f.path);
}

static void holes_are_noticed(void **state) {
    (void)state;
    fixture f;
    fixture_make(&f, &any_way);
    assert_int_equal(truncate(f.path, 0), 0);
    assert_int_equal(truncate(f.path, 8 << 20), 0);
    const hyp_probe_config config = {.quick = true, .seconds_per_point = 1e-4, .bytes_per_point = 1 << 20};
    hyp_probe_result r;
    assert_int_equal(hyp_disk_probe(f.path, &config, &r, NULL), HYP_OK);
    assert_true(r.hole_bytes == 8 << 20);
    hyp_probe_free(&r);
    unlink(f.path);
}

static void what_cannot_be_measured(void **state) {
    (void)state;
    fixture f;
    fixture_make(&f, &any_way);
    assert_int_equal(truncate(f.path, 4096), 0);
    const struct {
        const char *path;
        int code;
    } cases[] = {{"/nonexistent/x", HYP_EIO}, {"/", HYP_EINVAL}, {f.path, HYP_EINVAL}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(cases); i++) {
        hyp_probe_result r;
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(hyp_disk_probe(cases[i].path, &(hyp_probe_config){0}, &r, &err), cases[i].code);
        assert_non_null(strstr(err.message, cases[i].path));
        assert_true(err.hint[0] != '\0');
    }
    unlink(f.path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(large_reads_with_little_in_flight),
                                       cmocka_unit_test(one_outlier_does_not_count),
                                       cmocka_unit_test(one_huge_read_is_split),
                                       cmocka_unit_test(a_file_is_measured),
                                       cmocka_unit_test(it_can_be_cancelled),
                                       cmocka_unit_test(holes_are_noticed),
                                       cmocka_unit_test(what_cannot_be_measured)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
