/* test_mirror.c - reading from copies of a file, over every backend, direct and buffered. */
#include "base/mem.h"
#include "base/text.h"
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* The file and a copy of it under another path. */
typedef struct pair {
    fixture f, copy;
    const char *path;
    hyp_io_mirror mirror;
} pair;

static void pair_make(pair *p, void **state) {
    fixture_make(&p->f, *state);
    fixture_make(&p->copy, *state);
    p->path = p->copy.path;
    p->mirror.paths = &p->path;
}

static void pair_open(pair *p, hyp_io_config config) {
    config.mirrors = &p->mirror;
    config.n_mirrors = 1;
    if (config.chunk_bytes == 0) config.chunk_bytes = 64 << 10;
    if (p->f.w.backend == HYP_IO_URING) { /* where it is refused the test is skipped, and two files must go */
        hyp_err err = HYP_ERR_NONE;
        hyp_io *io = NULL;
        const char *path = p->f.path;
        if (hyp_io_open(&path, 1, &(hyp_io_config){.backend = HYP_IO_URING}, &io, &err) == HYP_EUNSUPPORTED) {
            unlink(path);
            unlink(p->copy.path);
            skip();
        }
        hyp_io_close(io);
    }
    fixture_open(&p->f, config);
}

static void pair_close(pair *p) {
    fixture_close(&p->f);
    unlink(p->copy.path);
}

/* Read the whole file in requests of 40 pages, all at once, `times` over: every byte must be there. */
static void read_all(pair *p, int times) {
    enum { PAGES = 40, N = FILE_PAGES / PAGES + 1 };
    hyp_io_request r[N];
    for (size_t i = 0; i < N; i++)
        r[i] = fixture_request(i * PAGES, PAGES);
    while (times-- > 0) {
        for (size_t i = 0; i < N; i++) {
            memset(r[i].buf, 0x5b, r[i].bytes);
            r[i].cls = i % 3 == 0 ? HYP_IO_PREFETCH : HYP_IO_DEMAND;
            hyp_io_submit(p->f.io, &r[i]);
        }
        fixture_reap_all(&p->f, N, NULL);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(r[i].result, HYP_OK);
            assert_true(fixture_matches(r[i].buf, r[i].offset, r[i].bytes));
        }
    }
    for (size_t i = 0; i < N; i++)
        free(r[i].buf);
}

static hyp_io_stats stats_of(const pair *p) {
    hyp_io_stats stats;
    hyp_io_get_stats(p->f.io, &stats);
    assert_int_equal(stats.n_sources, 2);
    assert_true(stats.sources[0].bytes + stats.sources[1].bytes == stats.demand_bytes + stats.prefetch_bytes);
    return stats;
}

/* How soon a source is asked again depends on the rates of the moment: after one read of 100 ms, which a disk that
 * others use may take, it is left alone for 6 s. */
static void read_until_dropped(pair *p, uint32_t source) {
    enum { PATIENCE_S = 90 };
    double start_s = hyp_text_now_s();
    while (stats_of(p).sources[source].dropped_errno == 0 && hyp_text_now_s() - start_s < PATIENCE_S)
        read_all(p, 1);
}

static void both_are_read(void **state) {
    pair p;
    pair_make(&p, state);
    pair_open(&p, (hyp_io_config){0});
    read_all(&p, 2);
    hyp_io_stats stats = stats_of(&p);
    for (int i = 0; i < 2; i++) {
        assert_true(stats.sources[i].bytes > 0 && stats.sources[i].bytes_per_s > 0);
        assert_int_equal(stats.sources[i].dropped_errno, 0);
    }
    pair_close(&p);
}

/* Source `dead` dies after a few reads: the other one goes on, and nobody notices but the statistics. */
static void one_dies(void **state, uint32_t dead, hyp_io_faults faults, int sys_errno) {
    pair p;
    pair_make(&p, state);
    faults.sources = 1u << dead;
    faults.only_class = -1;
    pair_open(&p, (hyp_io_config){.faults = &faults});
    read_until_dropped(&p, dead);
    hyp_io_stats stats = stats_of(&p);
    assert_int_equal(stats.sources[dead].dropped_errno, sys_errno);
    assert_int_equal(stats.sources[1 - dead].dropped_errno, 0);
    struct stat now, want;
    assert_int_equal(fstat(hyp_io_living_fd(p.f.io, 0), &now), 0);
    assert_int_equal(stat(dead == 0 ? p.copy.path : p.f.path, &want), 0);
    assert_true(now.st_ino == want.st_ino);
    uint64_t before = stats.sources[dead].bytes;
    read_all(&p, 1);
    assert_true(stats_of(&p).sources[dead].bytes == before); /* it is left alone */
    pair_close(&p);
}

static void a_dying_mirror_is_dropped(void **state) {
    one_dies(state, 1, (hyp_io_faults){.die_after = 1}, EIO);
    one_dies(state, 1, (hyp_io_faults){.die_after = 9}, EIO);
    one_dies(state, 1, (hyp_io_faults){.truncate_every = 1}, ENODATA);
}

static void a_dying_primary_is_dropped(void **state) {
    one_dies(state, 0, (hyp_io_faults){.die_after = 1}, EIO);
    one_dies(state, 0, (hyp_io_faults){.die_after = 9}, EIO);
    one_dies(state, 0, (hyp_io_faults){.truncate_every = 1, .short_every = 3}, ENODATA);
}

static void a_copy_cut_short_is_dropped(void **state) {
    for (uint32_t dead = 0; dead < 2; dead++) {
        pair p;
        pair_make(&p, state);
        pair_open(&p, (hyp_io_config){0});
        read_all(&p, 1);
        assert_int_equal(truncate(dead == 0 ? p.f.path : p.copy.path, 3 * PAGE + 7), 0);
        read_until_dropped(&p, dead);
        assert_int_equal(stats_of(&p).sources[dead].dropped_errno, ENODATA);
        pair_close(&p);
    }
}

static void merged_reads_move_together(void **state) {
    pair p;
    pair_make(&p, state);
    hyp_io_faults faults = {.die_after = 2, .sources = 2, .only_class = -1};
    pair_open(&p, (hyp_io_config){.faults = &faults, .depth = 2});
    enum { N = 64 };
    hyp_io_request r[N];
    for (size_t i = 0; i < N; i++) {
        r[i] = fixture_request(i, 1);
        hyp_io_submit(p.f.io, &r[i]);
    }
    fixture_reap_all(&p.f, N, NULL);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(r[i].result, HYP_OK);
        assert_true(fixture_matches(r[i].buf, r[i].offset, PAGE));
        free(r[i].buf);
    }
    pair_close(&p);
}

/* What was dropped is better than nothing: a bad block on each disk does not lose what the other one has. */
static void the_dropped_are_the_last_resort(void **state) {
    pair p;
    pair_make(&p, state);
    pair_open(&p, (hyp_io_config){0});
    hyp_io_drop_source(p.f.io, 1, EIO);
    assert_int_equal(truncate(p.f.path, PAGE), 0);
    read_all(&p, 2);
    hyp_io_stats stats = stats_of(&p);
    assert_int_equal(stats.sources[1].dropped_errno, EIO);
    assert_int_equal(stats.sources[0].dropped_errno, 0); /* the last one is never dropped */
    hyp_io_drop_source(p.f.io, 0, EIO);
    assert_int_equal(stats_of(&p).sources[0].dropped_errno, 0);
    assert_true(hyp_io_living_fd(p.f.io, 0) >= 0);
    pair_close(&p);
}

static void without_any_copy_it_fails(void **state) {
    pair p;
    pair_make(&p, state);
    hyp_io_faults faults = {.die_after = 5, .only_class = -1};
    pair_open(&p, (hyp_io_config){.faults = &faults});
    hyp_io_request r = fixture_request(0, 600);
    hyp_io_submit(p.f.io, &r);
    fixture_reap_all(&p.f, 1, NULL);
    assert_int_equal(r.result, HYP_EIO);
    assert_int_equal(r.sys_errno, EIO);
    free(r.buf);
    pair_close(&p);
}

static void a_slow_one_delays_no_result(void **state) {
    for (uint32_t slow = 0; slow < 2; slow++) {
        pair p;
        pair_make(&p, state);
        hyp_io_faults limit = {.bytes_per_s = 400u << 20, .sources = 1u << (1 - slow), .only_class = -1};
        hyp_io_faults faults = {.bytes_per_s = 40u << 20, .sources = 1u << slow, .only_class = -1, .next = &limit};
        pair_open(&p, (hyp_io_config){.faults = &faults});
        read_all(&p, 1);
        assert_true(stats_of(&p).sources[1 - slow].bytes > 0);
        pair_close(&p);
    }
}

/* Of two files only the first has a copy; the second goes on being read when the primary was dropped. */
static void a_file_without_a_copy(void **state) {
    pair p;
    fixture other;
    pair_make(&p, state);
    fixture_make(&other, *state);
    const char *paths[] = {p.f.path, other.path}, *copies[] = {p.copy.path, NULL};
    hyp_io_mirror mirror = {copies};
    hyp_err err = HYP_ERR_NONE;
    const hyp_io_config config = {
        .backend = p.f.w.backend, .buffered = p.f.w.buffered, .mirrors = &mirror, .n_mirrors = 1};
    int opened = hyp_io_open(paths, 2, &config, &p.f.io, &err);
    if (opened == HYP_OK) {
        hyp_io_drop_source(p.f.io, 0, EIO);
        hyp_io_request r[2] = {fixture_request(3, 9), fixture_request(3, 9)};
        r[1].file = 1;
        for (size_t i = 0; i < 2; i++)
            hyp_io_submit(p.f.io, &r[i]);
        fixture_reap_all(&p.f, 2, NULL);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(r[i].result, HYP_OK);
            assert_true(fixture_matches(r[i].buf, r[i].offset, r[i].bytes));
            free(r[i].buf);
        }
        hyp_io_stats stats = stats_of(&p);
        assert_true(stats.sources[0].bytes == 9 * PAGE && stats.sources[1].bytes == 9 * PAGE);
        assert_int_equal(hyp_io_living_fd(p.f.io, 1), -1);
        pair_close(&p);
    } else {
        unlink(p.f.path), unlink(p.copy.path);
    }
    unlink(other.path);
    if (opened == HYP_EUNSUPPORTED) skip();
    assert_int_equal(opened, HYP_OK);
}

static void what_is_no_copy(void **state) {
    pair p;
    pair_make(&p, state);
    const char *path = p.f.path;
    hyp_io *io = NULL;
    hyp_io_config config = {.backend = HYP_IO_PLAIN, .mirrors = &p.mirror, .n_mirrors = 1};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(truncate(p.copy.path, FILE_BYTES - 1), 0);
    assert_int_equal(hyp_io_open(&path, 1, &config, &io, &err), HYP_EINVAL);
    assert_non_null(strstr(err.message, "is not a copy of"));
    err = HYP_ERR_NONE;
    p.path = p.f.path;
    assert_int_equal(hyp_io_open(&path, 1, &config, &io, &err), HYP_EINVAL);
    assert_non_null(strstr(err.message, "own file"));
    err = HYP_ERR_NONE;
    p.path = "/nonexistent/copy.gguf";
    assert_int_equal(hyp_io_open(&path, 1, &config, &io, &err), HYP_EIO);
    err = HYP_ERR_NONE;
    const hyp_io_mirror many[HYP_IO_MAX_SOURCES] = {p.mirror, p.mirror, p.mirror, p.mirror};
    config.mirrors = many;
    config.n_mirrors = HYP_IO_MAX_SOURCES;
    assert_int_equal(hyp_io_open(&path, 1, &config, &io, &err), HYP_EINVAL);
    assert_null(io);
    unlink(p.f.path), unlink(p.copy.path);
}

#define ROW(f)                                                                                                         \
    { #f, f }
static const struct {
    const char *name;
    CMUnitTestFunction function;
} rows[] = {
    ROW(both_are_read),
    ROW(a_dying_mirror_is_dropped),
    ROW(a_dying_primary_is_dropped),
    ROW(a_copy_cut_short_is_dropped),
    ROW(merged_reads_move_together),
    ROW(the_dropped_are_the_last_resort),
    ROW(without_any_copy_it_fails),
    ROW(a_slow_one_delays_no_result),
    ROW(a_file_without_a_copy),
    ROW(what_is_no_copy),
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
