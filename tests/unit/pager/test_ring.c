/* The dense ring: how its window moves, and that it keeps the disk busy ahead of the computation. */
#include "fixture.h"
#include "pager/ring.h"

#include <string.h>

static void test_window(void **state) {
    (void)state;
    hyp_ring_window w = {.n = 5};
    assert_int_equal(hyp_ring_enter(&w, 2), 0);
    assert_int_equal(w.head, 2);
    assert_int_equal(w.held, 1);
    w.held = 3;                                 /* 2 3 4 */
    assert_int_equal(hyp_ring_enter(&w, 3), 1); /* the one just passed */
    assert_int_equal(w.held, 2);
    w.held = 4;                                 /* 3 4 0 1 */
    assert_int_equal(hyp_ring_enter(&w, 0), 2); /* two at once, across the end */
    assert_int_equal(w.held, 2);
    assert_int_equal(hyp_ring_enter(&w, 0), 0); /* again the same */
    assert_int_equal(w.held, 2);
    assert_int_equal(hyp_ring_enter(&w, 3), 2); /* elsewhere: all */
    assert_int_equal(w.held, 1);
    w.held = 5;
    assert_int_equal(hyp_ring_enter(&w, 1), 0); /* all held: nothing to gain */
    assert_int_equal(w.held, 5);
}

enum { LAYERS = 12, PARTS = 3, PART_PAGES = 3 };

/* Layers of three extents whose edges share pages. */
static void make_layers(fixture *f, hyp_io_backend backend) {
    const uint64_t bytes = PART_PAGES * PAGE - 96;
    fixture_make(f, "ring", 200 + LAYERS * PARTS * bytes, 0, 3);
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        for (uint32_t part = 0; part < PARTS; part++)
            fixture_extent(f, 0, 100 + (layer * PARTS + part) * bytes, bytes);
        fixture_unit(f, layer * PARTS, PARTS, layer, false);
    }
    f->config.io.backend = backend;
}

static void place_order(uint32_t *order) {
    for (uint32_t i = 0; i < LAYERS; i++)
        order[i] = i;
}

/* Computes the layers in order: each one's bytes are all resident when it is "computed". */
static void pass_over(fixture *f, hyp_ring *ring, uint32_t n_layers, bool part_by_part) {
    for (uint32_t layer = 0; layer < n_layers; layer++) {
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(hyp_ring_step(ring, layer, 1, &err), HYP_OK);
        for (uint32_t part = 0; part < PARTS; part++) {
            uint8_t bit = (uint8_t)(1u << part);
            assert_int_equal(hyp_pager_wait(f->pager, layer, bit, &err), HYP_OK);
            assert_true(hyp_pager_ready(f->pager, layer, bit));
            fixture_check(f);
            if (part_by_part) hyp_ring_pass(ring, bit);
        }
    }
}

static void run_cycles(hyp_io_backend backend, uint64_t slots, bool part_by_part) {
    fixture f;
    make_layers(&f, backend);
    uint64_t always = 0, unit = 0;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_measure(&f.config, &always, &unit, &err), HYP_OK);
    fixture_open(&f, unit * slots);
    uint32_t order[LAYERS];
    place_order(order);
    hyp_ring *ring = NULL;
    assert_int_equal(hyp_ring_new(f.pager, order, LAYERS, &ring, &err), HYP_OK);
    hyp_ring_start(ring);
    for (int pass = 0; pass < 3; pass++)
        pass_over(&f, ring, LAYERS, part_by_part);
    pass_over(&f, ring, LAYERS / 2, part_by_part); /* a pass that is broken off: the next begins at the first layer */
    pass_over(&f, ring, LAYERS, part_by_part);
    hyp_pager_stats stats;
    hyp_pager_get_stats(f.pager, &stats);
    assert_int_equal(stats.n_demands, 4 * LAYERS + LAYERS / 2);
    if (slots >= LAYERS) /* each read once in all; edges apart, nothing is evicted */
        assert_int_equal(stats.evicted_bytes, 0);
    else if (slots >= 2) /* all but the first after a jump had been fetched ahead */
        assert_true(stats.n_prefetch_hits >= stats.n_demands - 2);
    hyp_ring_free(ring);
    fixture_done(&f);
}

static void test_cycles(void **state) {
    (void)state;
    for (uint64_t slots = 1; slots <= LAYERS; slots += slots < 3 ? 1 : 3)
        for (int by_part = 0; by_part < 2; by_part++) {
            run_cycles(HYP_IO_PLAIN, slots, by_part);
            run_cycles(HYP_IO_THREADS, slots, by_part);
        }
    run_cycles(HYP_IO_PLAIN, LAYERS, true);
}

/* While one layer computes, every other frame is filled or being filled with what comes next, across the end. */
static void test_reads_ahead_across_the_end(void **state) {
    (void)state;
    fixture f;
    make_layers(&f, HYP_IO_PLAIN);
    uint64_t always = 0, unit = 0;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_measure(&f.config, &always, &unit, &err), HYP_OK);
    fixture_open(&f, unit * 4);
    uint32_t order[LAYERS];
    place_order(order);
    hyp_ring *ring = NULL;
    assert_int_equal(hyp_ring_new(f.pager, order, LAYERS, &ring, &err), HYP_OK);
    assert_int_equal(hyp_ring_step(ring, LAYERS - 2, 1, &err), HYP_OK);
    assert_int_equal(hyp_ring_held(ring), 4);
    const uint32_t held[4] = {LAYERS - 2, LAYERS - 1, 0, 1};
    for (int i = 0; i < 4; i++)
        assert_int_equal(f.pager->units[held[i]].n_held, PARTS);
    hyp_ring_pass(ring, 1); /* one part passed: its frame takes the first part of the fifth */
    assert_int_equal(f.pager->units[LAYERS - 2].n_held, PARTS - 1);
    assert_int_equal(f.pager->units[2].n_held, 1);
    assert_int_equal(hyp_ring_held(ring), 5);
    fixture_check(&f);
    assert_int_equal(hyp_ring_step(ring, 6, 1, &err), HYP_OK); /* a jump leaves nothing behind */
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(f.pager->units[i].n_held, 0);
    assert_int_equal(hyp_ring_held(ring), 4);
    hyp_ring_free(ring);
    fixture_done(&f);
}

/* A failed look-ahead is read again when its turn comes; only that one may fail. */
static void test_failed_look_ahead(void **state) {
    (void)state;
    fixture f;
    make_layers(&f, HYP_IO_THREADS);
    hyp_io_faults faults = {.fail_every = 2, .only_class = HYP_IO_PREFETCH, .seed = 9};
    f.config.io.faults = &faults;
    uint64_t always = 0, unit = 0;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_pager_measure(&f.config, &always, &unit, &err), HYP_OK);
    fixture_open(&f, unit * 3);
    uint32_t order[LAYERS];
    place_order(order);
    hyp_ring *ring = NULL;
    assert_int_equal(hyp_ring_new(f.pager, order, LAYERS, &ring, &err), HYP_OK);
    for (int pass = 0; pass < 3; pass++)
        pass_over(&f, ring, LAYERS, true);
    hyp_ring_free(ring);
    fixture_done(&f);
}

static void test_refuses_what_cannot_stream(void **state) {
    (void)state;
    fixture f;
    make_layers(&f, HYP_IO_PLAIN);
    f.units[3].always = true;
    fixture_open(&f, 256 * PAGE);
    hyp_ring *ring = NULL;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_ring_new(f.pager, (uint32_t[]){3}, 1, &ring, &err), HYP_EINVAL);
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_ring_new(f.pager, (uint32_t[]){LAYERS}, 1, &ring, &err), HYP_EINVAL);
    assert_int_equal(hyp_ring_new(f.pager, (uint32_t[]){1}, 1, &ring, &(hyp_err){0}), HYP_OK);
    assert_int_equal(hyp_ring_step(ring, 1, 1, &(hyp_err){0}), HYP_EINVAL);
    hyp_ring_free(ring);
    fixture_done(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window),
        cmocka_unit_test(test_cycles),
        cmocka_unit_test(test_reads_ahead_across_the_end),
        cmocka_unit_test(test_failed_look_ahead),
        cmocka_unit_test(test_refuses_what_cannot_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
