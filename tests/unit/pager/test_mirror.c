/* The model's own files go away while a mirror lives: the mapping goes on showing every byte. */
#include "base/mem.h"
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

typedef struct mirrored {
    fixture f;
    char paths[FIXTURE_FILES][280];
    const char *list[FIXTURE_FILES];
    hyp_io_mirror mirror;
} mirrored;

static void make_copies(mirrored *m) {
    for (uint32_t i = 0; i < m->f.config.n_files; i++) {
        char path[sizeof m->paths[i]]; /* gcc's sanitizers take a copy within `m` for one that overlaps */
        snprintf(path, sizeof path, "%s_copy", m->f.paths[i]);
        memcpy(m->paths[i], path, sizeof path);
        int fd = open(m->paths[i], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, m->f.content[i], m->f.bytes[i]), (ssize_t)m->f.bytes[i]);
        close(fd);
        m->list[i] = m->paths[i];
    }
    m->mirror.paths = m->list;
    m->f.config.io.mirrors = &m->mirror;
    m->f.config.io.n_mirrors = 1;
}

/* Two files; in the first, units of two parts of odd sizes that share pages, after a stretch that belongs to nobody; an
 * `always` run; in the second a few units more. Room for the run and six units. */
static void make(mirrored *m, hyp_io_backend backend) {
    fixture *f = &m->f;
    fixture_make(f, "mirror", 100 * PAGE + 77, 40 * PAGE, 11);
    uint32_t n = 0;
    for (uint32_t i = 0; i < 10; i++) {
        fixture_extent(f, 0, 7 * PAGE + i * 5000, 5000);
        fixture_extent(f, 0, 40 * PAGE + 100 + i * 9000, 9000);
        fixture_unit(f, n, 2, i / 4, false);
        n += 2;
    }
    fixture_extent(f, 0, 70 * PAGE, 20 * PAGE + 9);
    fixture_unit(f, n++, 1, 0, true);
    for (uint32_t i = 0; i < 4; i++) {
        fixture_extent(f, 1, i * 8 * PAGE + 50, 8 * PAGE);
        fixture_unit(f, n++, 1, 3, false);
    }
    make_copies(m);
    f->config.io.backend = backend;
    fixture_open(f, (21 + 6 * 14) * PAGE);
    assert_int_equal(hyp_pager_load_always(f->pager, NULL, NULL, &(hyp_err){0}), HYP_OK);
}

static void use(fixture *f, uint32_t unit) {
    assert_int_equal(hyp_pager_demand(f->pager, f->units[unit].layer, &unit, NULL, 1, &(hyp_err){0}), HYP_OK);
    assert_int_equal(hyp_pager_wait(f->pager, unit, HYP_PART_ALL, &(hyp_err){0}), HYP_OK);
    hyp_pager_release(f->pager, &unit, 1);
}

static void done(mirrored *m) {
    hyp_pager_close(m->f.pager);
    m->f.pager = NULL;
    for (uint32_t i = 0; i < m->f.config.n_files; i++) /* what is shown now outlives the pager */
        assert_memory_equal(m->f.base[i], m->f.content[i], m->f.bytes[i]);
    for (uint32_t i = 0; i < m->f.config.n_files; i++)
        unlink(m->paths[i]);
    fixture_done(&m->f);
}

static void the_primary_goes_away(void **state) {
    (void)state;
    static const hyp_io_backend backends[] = {HYP_IO_PLAIN, HYP_IO_THREADS};
    for (size_t b = 0; b < HYP_ARRAY_LEN(backends); b++) {
        mirrored m = {0};
        make(&m, backends[b]);
        for (uint32_t unit = 0; unit < 10; unit += 3)
            use(&m.f, unit);
        fixture_check(&m.f);
        for (uint32_t i = 0; i < m.f.config.n_files; i++)
            assert_int_equal(truncate(m.f.paths[i], 0), 0);
        hyp_pager_leave_primary(m.f.pager, EIO);
        fixture_check(&m.f);
        for (uint32_t i = 0; i < 60; i++) {
            uint32_t unit = (uint32_t)fixture_random(&m.f, m.f.config.n_units);
            use(&m.f, unit);
            if (fixture_random(&m.f, 3) == 0) hyp_pager_drop(m.f.pager, unit);
            fixture_check(&m.f);
        }
        hyp_pager_leave_primary(m.f.pager, EIO); /* the second time nothing happens */
        fixture_check(&m.f);
        hyp_pager_stats stats;
        hyp_pager_get_stats(m.f.pager, &stats);
        assert_int_equal(stats.io.sources[0].dropped_errno, EIO);
        done(&m);
    }
}

/* Without a mirror there is nothing to go to, and with a dead one neither. */
static void there_is_no_other(void **state) {
    (void)state;
    mirrored m = {0};
    make(&m, HYP_IO_PLAIN);
    for (uint32_t i = 0; i < m.f.config.n_files; i++)
        assert_int_equal(truncate(m.paths[i], 0), 0);
    for (uint32_t unit = 0; unit < m.f.config.n_units; unit++)
        use(&m.f, unit);
    hyp_pager_stats stats;
    hyp_pager_get_stats(m.f.pager, &stats);
    assert_int_equal(stats.io.sources[1].dropped_errno, ENODATA);
    hyp_pager_leave_primary(m.f.pager, EIO);
    fixture_check(&m.f);
    use(&m.f, 3);
    fixture_check(&m.f);
    done(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_primary_goes_away), cmocka_unit_test(there_is_no_other)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
