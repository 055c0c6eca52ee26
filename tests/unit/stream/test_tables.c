/* The pager's tables: the plan's units under their own numbers, then what is always there. */
#include "../test.h"
#include "base/mem.h"
#include "stream/stream_priv.h"

#include <string.h>

static void numbers_are_the_plans(void **state) {
    (void)state;
    hyp_tensor tensors[] = {
        {.file = 0, .offset = 1000, .bytes = 300},
        {.file = 0, .offset = 5000, .bytes = 600}, /* 3 experts each */
        {.file = 1, .offset = 100, .bytes = 50},   /* one unit */
    };
    hyp_units_layer layers[] = {
        {.model_layer = 2, .first_unit = 0, .n_units = 3, .n_parts = 2, .tensors = {1, 0}},
        {.model_layer = 5, .first_unit = 3, .n_units = 1, .n_parts = 1, .tensors = {2}},
    };
    hyp_units_range always[] = {{0, 9000, 70}, {1, 700, 20}};
    const hyp_model model = {.tensors = tensors, .n_tensors = HYP_ARRAY_LEN(tensors)};
    const hyp_units units = {.layers = layers, .n_layers = 2, .n_units = 4, .always = always, .n_always = 2};
    stream_tables t;
    assert_int_equal(hyp_stream_tables_make(&model, &units, &t, NULL), HYP_OK);
    assert_int_equal(t.n_units, 6);
    assert_int_equal(t.n_extents, 3 * 2 + 1 + 2);
    for (uint32_t u = 0, extent = 0; u < t.n_units; u++) {
        assert_int_equal(t.units[u].first_extent, extent);
        assert_int_equal(t.units[u].n_extents, u < 3 ? 2 : 1);
        assert_int_equal(t.units[u].always, u >= 4);
        if (u < 4) assert_int_equal(t.units[u].layer, u < 3 ? 0 : 1);
        extent += t.units[u].n_extents;
    }
    for (uint32_t expert = 0; expert < 3; expert++) {
        const hyp_extent *part = &t.extents[t.units[expert].first_extent];
        assert_true(part[0].file == 0 && part[0].offset == 5000 + expert * 200 && part[0].bytes == 200);
        assert_true(part[1].file == 0 && part[1].offset == 1000 + expert * 100 && part[1].bytes == 100);
    }
    assert_true(t.extents[6].file == 1 && t.extents[6].offset == 100 && t.extents[6].bytes == 50);
    assert_true(t.extents[7].offset == 9000 && t.extents[8].file == 1 && t.extents[8].bytes == 20);
    hyp_stream_tables_free(&t);
    hyp_stream_tables_free(&t); /* twice is harmless */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_are_the_plans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
