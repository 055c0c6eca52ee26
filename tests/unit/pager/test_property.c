/* Random operations on random layouts under random budgets and faults. After every operation every byte of the mappings
 * must be the file's, and the pager's counts must agree with what can be counted. A failure prints its seed; a run with
 * HYPURA_SEED=N replays that one. */
#include "io/io.h"
#include "packed_file.h"

#include <errno.h>
#include <string.h>

#ifdef DISORDER
/* A system that has run out of mappings: what is refused must stay as it was. */
int __real_hyp_arena_map(const hyp_arena *arena, uint64_t offset, uint64_t bytes, void *at, bool populate);
int __wrap_hyp_arena_map(const hyp_arena *arena, uint64_t offset, uint64_t bytes, void *at, bool populate);
int __real_hyp_platform_map_file(int fd, uint64_t offset, uint64_t bytes, void *at);
int __wrap_hyp_platform_map_file(int fd, uint64_t offset, uint64_t bytes, void *at);

static unsigned refuse_every, n_asked; /* 0: never */

static bool refused(void) {
    return refuse_every > 0 && ++n_asked % refuse_every == 0;
}

int __wrap_hyp_arena_map(const hyp_arena *arena, uint64_t offset, uint64_t bytes, void *at, bool populate) {
    return refused() ? ENOMEM : __real_hyp_arena_map(arena, offset, bytes, at, populate);
}

int __wrap_hyp_platform_map_file(int fd, uint64_t offset, uint64_t bytes, void *at) {
    return refused() ? ENOMEM : __real_hyp_platform_map_file(fd, offset, bytes, at);
}
#endif

typedef struct trace {
    fixture f;
    hyp_io_faults faults;
    bool faulty; /* demand reads may fail */
    uint64_t demanded_bytes;
    uint32_t cursor; /* layer */
} trace;

/* Cut file `file` into extents: many below a page, most sharing their edges with a neighbour. */
static void cut(fixture *f, uint32_t file) {
    uint64_t at = fixture_random(f, 3000);
    while (f->config.n_extents < (file + 1) * 60) {
        uint64_t bytes = 0;
        switch (fixture_random(f, 4)) {
        case 0: bytes = 1 + fixture_random(f, 300); break;
        case 1: bytes = 1 + fixture_random(f, 3 * PAGE); break;
        case 2: bytes = 3 * PAGE + 100; break;
        default: bytes = (1 + fixture_random(f, 18)) * PAGE; break;
        }
        if (at + bytes > f->bytes[file]) break;
        fixture_extent(f, file, at, bytes);
        at += bytes;
        if (fixture_random(f, 4) == 0) at += fixture_random(f, 2 * PAGE);
        if (fixture_random(f, 4) == 0) at = (at + PAGE - 1) / PAGE * PAGE;
    }
}

static void shuffle_extents(fixture *f) {
    for (size_t i = f->config.n_extents; i > 1; i--) {
        size_t j = fixture_random(f, i);
        hyp_extent e = f->extents[i - 1];
        f->extents[i - 1] = f->extents[j];
        f->extents[j] = e;
    }
}

static void make(trace *t, uint64_t seed) {
    fixture *f = &t->f;
    bool two = seed % 2 == 0;
    fixture_make(f, "property", 80 * PAGE + 1000, two ? 50 * PAGE + 17 : 0, seed);
    cut(f, 0);
    if (two) cut(f, 1);
    if (fixture_random(f, 2) == 0) shuffle_extents(f);
    uint32_t n_layers = (uint32_t)fixture_random(f, 6) + 1;
    for (uint32_t e = 0; e < f->config.n_extents;) {
        uint32_t n = 1 + (uint32_t)fixture_random(f, 8), left = (uint32_t)f->config.n_extents - e;
        n = HYP_MIN(n, left);
        fixture_unit(f, e, n, (uint32_t)fixture_random(f, n_layers), fixture_random(f, 6) == 0);
        e += n;
    }
    f->config.n_layers = n_layers;
    f->config.policy = (hyp_policy_kind)fixture_random(f, HYP_N_POLICIES);
    t->faults = (hyp_io_faults){.seed = seed * 7919 + 1, .only_class = -1};
}

static void choose_faults(trace *t) {
    fixture *f = &t->f;
    if (fixture_random(f, 3) == 0) t->faults.fail_every = 3 + fixture_random(f, 20);
    if (fixture_random(f, 3) == 0) t->faults.short_every = 2 + fixture_random(f, 5);
    if (fixture_random(f, 4) == 0) t->faults.truncate_every = 5 + fixture_random(f, 20);
    if (fixture_random(f, 3) == 0) {
        t->faults.delay_every = 2;
        t->faults.delay_us = 300;
        t->faults.random_delay = true;
    }
    if (fixture_random(f, 3) == 0) t->faults.only_class = HYP_IO_PREFETCH;
    t->faulty = (t->faults.fail_every > 0 || t->faults.truncate_every > 0) && t->faults.only_class != HYP_IO_PREFETCH;
    f->config.io.faults = &t->faults;
    f->config.io.chunk_bytes = fixture_random(f, 2) == 0 ? PAGE : 4 * PAGE;
    f->config.io.depth = 1 + (uint32_t)fixture_random(f, 8);
    f->config.io.buffered = fixture_random(f, 4) == 0;
}

/* The failures that faults may cause, and nothing else. */
static void expect(const trace *t, int r, const hyp_err *err) {
    if (r == HYP_OK) return;
    if (!t->faulty || r != HYP_EIO) fail_msg("unexpected failure %d: %s", r, err->message);
    assert_non_null(strstr(err->message, "test_pager_"));
}

static uint32_t any_unit(trace *t) {
    return (uint32_t)fixture_random(&t->f, t->f.config.n_units);
}

static void load(trace *t) {
    for (int attempt = 0; attempt < 50; attempt++) {
        hyp_err err = HYP_ERR_NONE;
        int r = hyp_pager_load_always(t->f.pager, NULL, NULL, &err);
        fixture_check(&t->f);
        if (r == HYP_OK) return;
        assert_true(r == HYP_EIO && t->faulty);
    }
}

static void demand(trace *t) {
    fixture *f = &t->f;
    uint32_t units[6], tokens[6];
    size_t n = 1 + fixture_random(f, 6);
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        units[i] = any_unit(t);
        tokens[i] = (uint32_t)fixture_random(f, 3) + 1;
        bool again = false;
        for (size_t j = 0; j < i; j++)
            again = again || units[j] == units[i];
        bytes += again ? 0 : f->pager->units[units[i]].file_bytes;
    }
    t->cursor = (t->cursor + (uint32_t)fixture_random(f, 2)) % f->config.n_layers;
    hyp_err err = HYP_ERR_NONE;
    int r = hyp_pager_demand(f->pager, t->cursor, units, fixture_random(f, 2) == 0 ? tokens : NULL, n, &err);
    expect(t, r, &err);
    if (r == HYP_OK) t->demanded_bytes += bytes;
}

static void wait_for(trace *t) {
    fixture *f = &t->f;
    uint32_t u = any_unit(t);
    if (f->pager->n_pinned > 0 && fixture_random(f, 4) != 0)
        u = f->pager->pinned[fixture_random(f, f->pager->n_pinned)];
    uint8_t mask = fixture_random(f, 2) == 0 ? HYP_PART_ALL : (uint8_t)fixture_random(f, 256);
    hyp_err err = HYP_ERR_NONE;
    int r = hyp_pager_wait(f->pager, u, mask, &err);
    expect(t, r, &err);
    const pager_unit *unit = &f->pager->units[u];
    if (r != HYP_OK || !unit->pinned || unit->always) return;
    for (uint32_t part = 0; part < unit->n_extents; part++) {
        const pager_span *s = &f->pager->spans[unit_span(f->pager, unit, part)];
        if ((mask >> part & 1) == 0 || s->state == SPAN_RESIDENT) continue;
        assert_int_equal(s->state, SPAN_ON_DISK); /* nothing is left half-way */
    }
}

static void operate(trace *t) {
    fixture *f = &t->f;
    uint32_t u = any_unit(t);
    switch (fixture_random(f, 14)) {
    case 0:
    case 1:
    case 2: demand(t); break;
    case 3:
    case 4:
    case 5: wait_for(t); break;
    case 6:
    case 7: hyp_pager_prefetch(f->pager, u); break;
    case 8: hyp_pager_prefetch_free(f->pager, u, (uint8_t)fixture_random(f, 256)); break;
    case 9: hyp_pager_release(f->pager, &u, fixture_random(f, 2) == 0 ? SIZE_MAX : 1); break;
    case 10:
        if (fixture_random(f, 2) == 0)
            hyp_pager_drop(f->pager, u);
        else
            hyp_pager_drop_parts(f->pager, u, (uint8_t)fixture_random(f, 256));
        break;
    case 11:
        hyp_pager_read_whole(f->pager, fixture_random(f, 2) == 0);
        hyp_pager_poll(f->pager);
        break;
    case 12: hyp_pager_pass(f->pager, &u, 1, (uint8_t)fixture_random(f, 256)); break;
    default:
        if (fixture_random(f, 3) == 0)
            hyp_pager_cancel_prefetches(f->pager);
        else
            (void)hyp_pager_ready(f->pager, u, HYP_PART_ALL);
        break;
    }
}

static void run(uint64_t seed, hyp_io_backend backend, int n_operations) {
    trace t = {0};
    make(&t, seed);
    choose_faults(&t);
    t.f.config.io.backend = backend;
    uint64_t always = 0, largest = 0, all = 0;
    hyp_err err = HYP_ERR_NONE;
    if (hyp_pager_measure(&t.f.config, &always, &largest, &err) != HYP_OK) fail_msg("%s", err.message);
    for (size_t i = 0; i < t.f.config.n_extents; i++)
        all += t.f.extents[i].bytes + 2 * PAGE;
    uint64_t spread = fixture_random(&t.f, 3) == 0 ? 1 : fixture_random(&t.f, 2) == 0 ? 20 * PAGE : all;
    packed_file packed = {
        0}; /* in half of the runs; sometimes with gaps, sometimes with a wrong byte, cut short or gone */
    if (fixture_random(&t.f, 2) == 0) {
        packed_file_make(&packed, &t.f, "property", true, fixture_random(&t.f, 3) == 0 ? 4 : 0);
        if (packed.bytes > 0 && fixture_random(&t.f, 3) == 0)
            packed_file_spoil(&packed, fixture_random(&t.f, packed.bytes));
        if (fixture_random(&t.f, 6) == 0) assert_int_equal(truncate(packed.path, (off_t)packed.bytes / 2), 0);
        if (fixture_random(&t.f, 12) == 0) packed_file_done(&packed);
    }
    fixture_open(&t.f, always + largest + fixture_random(&t.f, spread));
    load(&t);
    if (fixture_random(&t.f, 3) == 0) /* fewer mappings than frames */
        t.f.pager->max_held = HYP_UNIT_MAX_EXTENTS + (uint32_t)fixture_random(&t.f, 20);
#ifdef DISORDER
    refuse_every = fixture_random(&t.f, 3) == 0 ? 2 + (unsigned)fixture_random(&t.f, 40) : 0;
#endif
    for (int i = 0; i < n_operations; i++) {
        operate(&t);
        fixture_check(&t.f);
    }
#ifdef DISORDER
    refuse_every = 0;
#endif
    hyp_pager_stats stats;
    hyp_pager_get_stats(t.f.pager, &stats);
    assert_int_equal(stats.hit_bytes + stats.miss_bytes, t.demanded_bytes);
    fixture_done(&t.f);
    if (t.f.config.packed != NULL) packed_file_done(&packed);
}

static void run_backend(hyp_io_backend backend, uint64_t n_seeds, int n_operations) {
    const char *one = getenv("HYPURA_SEED"), *many = getenv("HYPURA_SEEDS");
    if (many != NULL) n_seeds = strtoull(many, NULL, 10);
    for (uint64_t seed = 1; seed <= n_seeds; seed++) {
        if (one != NULL) seed = strtoull(one, NULL, 10);
        if (one != NULL || many != NULL) print_message("seed %llu\n", (unsigned long long)seed);
        run(seed, backend, n_operations);
        if (one != NULL) break;
    }
}

#ifdef DISORDER
static void test_disorder(void **state) {
    (void)state;
    run_backend(HYP_IO_AUTO, 60, 400);
}
#else
static bool available(hyp_io_backend backend) {
    fixture f;
    fixture_make(&f, "probe", PAGE, 0, 1);
    hyp_io *io = NULL;
    const char *path = f.paths[0];
    hyp_err err = HYP_ERR_NONE;
    int r = hyp_io_open(&path, 1, &(hyp_io_config){.backend = backend}, &io, &err);
    hyp_io_close(io);
    fixture_done(&f);
    return r == HYP_OK;
}

static void test_plain(void **state) {
    (void)state;
    run_backend(HYP_IO_PLAIN, 20, 300);
}

static void test_threads(void **state) {
    (void)state;
    run_backend(HYP_IO_THREADS, 30, 300);
}

static void test_uring(void **state) {
    (void)state;
    if (!available(HYP_IO_URING)) skip();
    run_backend(HYP_IO_URING, 30, 300);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
#ifdef DISORDER
        cmocka_unit_test(test_disorder),
#else
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_uring),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
