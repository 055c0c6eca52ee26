/* What streams, in pieces: every byte once, in the order of use, and only what the plan left on the host. */
#include "../test.h"
#include "base/mem.h"
#include "model.h"
#include "plan/plan.h"

#include <string.h>
#include <unistd.h>

enum { MB = 1000000 };
static const test_shape dense_shape = {"llama", 16, 1024, 16, 4, 8192, 0, 0, 2048, false};
static const test_shape moe_shape = {"qwen3moe", 12, 1024, 16, 4, 1024, 32, 4, 2048, false};

static hyp_units units_of(const hyp_model *m) {
    hyp_units u;
    assert_int_equal(hyp_units_of_model(m, &u, NULL), HYP_OK);
    return u;
}

static hyp_plan *plan_for(const hyp_model *m, uint64_t ram, uint64_t vram, hyp_mode mode) {
    hyp_hardware hw;
    hyp_err err = HYP_ERR_NONE;
    hyp_plan *p = NULL;
    hyp_hardware_default(&hw);
    hw.ram_budget_bytes = hw.ram_available_bytes = ram;
    if (vram > 0) hyp_hardware_assume_device("GPU", HYP_DEVICE_GPU, vram, 0, &hw.devices[hw.n_devices++]);
    hyp_plan_request request = {.mode = mode, .context_tokens = 1024, .batch_tokens = 64};
    if (hyp_plan_make(m, &hw, &request, &p, &err) != HYP_OK) fail_msg("%s (%s)", err.message, err.hint);
    return p;
}

static uint64_t page(void) {
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What holds for the units of any model: numbers without gaps, references both ways, slices that tile their tensors. */
static void check_layers(const hyp_model *m, const hyp_units *u) {
    uint32_t units = 0;
    size_t referred = 0;
    for (uint32_t l = 0; l < u->n_layers; l++) {
        const hyp_units_layer *layer = &u->layers[l];
        uint64_t frames = 0;
        assert_true(l == 0 || layer->model_layer > u->layers[l - 1].model_layer);
        assert_int_equal(layer->first_unit, units);
        assert_true(layer->n_parts > 0 && layer->n_parts <= HYP_UNITS_MAX_PARTS);
        units += layer->n_units;
        for (uint32_t p = 0; p < layer->n_parts; p++) {
            const hyp_tensor *t = &m->tensors[layer->tensors[p]];
            uint64_t next = t->offset;
            assert_int_equal(t->layer, layer->model_layer);
            assert_int_equal(u->tensors[layer->tensors[p]].layer, l);
            assert_int_equal(u->tensors[layer->tensors[p]].part, p);
            for (uint32_t i = 0; i < layer->n_units; i++) {
                hyp_units_range slice = hyp_units_slice(m, layer, i, p);
                assert_int_equal(slice.file, t->file);
                assert_int_equal(slice.offset, next);
                next += slice.bytes;
                frames += hyp_units_frame_bytes(slice.offset, slice.bytes, page());
                assert_true(hyp_units_frame_bytes(slice.offset, slice.bytes, page()) <=
                            hyp_units_frame_bound(t, slice.bytes));
            }
            assert_int_equal(next, t->offset + t->bytes);
            referred++;
        }
        assert_int_equal(layer->frame_bytes, frames);
    }
    assert_int_equal(units, u->n_units);
    for (size_t i = 0; i < m->n_tensors; i++)
        referred -= u->tensors[i].layer != HYP_UNITS_NONE;
    assert_int_equal(referred, 0);
}

/* How many `always` runs hold the whole tensor. */
static size_t runs_over(const hyp_units *u, const hyp_tensor *t) {
    size_t n = 0;
    for (size_t i = 0; i < u->n_always; i++) {
        const hyp_units_range *run = &u->always[i];
        n += run->file == t->file && run->offset <= t->offset && t->offset + t->bytes <= run->offset + run->bytes;
    }
    return n;
}

/* A plan's units hold every tensor that the pager is to hold, once, and none that is elsewhere. */
static void check_plan(const hyp_model *m, const hyp_plan *p) {
    const hyp_units *u = &p->units;
    uint64_t frames = 0;
    check_layers(m, u);
    for (size_t i = 0; i < m->n_tensors; i++) {
        bool in_unit = u->tensors[i].layer != HYP_UNITS_NONE;
        if (!hyp_tier_on_host(p->tensor_tier[i])) assert_false(in_unit);
        if (hyp_tier_is_paged(p->tensor_tier[i])) assert_int_equal(in_unit + runs_over(u, &m->tensors[i]), 1);
    }
    for (size_t i = 0; i < u->n_always; i++)
        frames += hyp_units_frame_bytes(u->always[i].offset, u->always[i].bytes, page());
    assert_int_equal(frames, u->always_bytes);
}

static void dense_layers_are_units(void **state) {
    (void)state;
    hyp_model *m = test_model(&dense_shape);
    hyp_units u = units_of(m);
    check_layers(m, &u);
    assert_int_equal(u.n_layers, dense_shape.layers);
    assert_int_equal(u.n_units, dense_shape.layers);
    assert_int_equal(u.n_always, 0);
    for (uint32_t l = 0; l < u.n_layers; l++) {
        static const hyp_role order[] = {HYP_ROLE_FFN_GATE, HYP_ROLE_FFN_UP, HYP_ROLE_FFN_DOWN};
        assert_int_equal(u.layers[l].n_parts, 3);
        for (uint32_t p = 0; p < 3; p++)
            assert_int_equal(m->tensors[u.layers[l].tensors[p]].role, order[p]);
    }
    hyp_units_free(&u);
    hyp_units_free(&u); /* twice is harmless */
    hyp_model_free(m);
}

static void experts_are_units(void **state) {
    (void)state;
    hyp_model *m = test_model(&moe_shape);
    hyp_units u = units_of(m);
    check_layers(m, &u);
    assert_int_equal(u.n_layers, moe_shape.layers);
    assert_int_equal(u.n_units, moe_shape.layers * moe_shape.experts);
    for (uint32_t l = 0; l < u.n_layers; l++) {
        assert_int_equal(u.layers[l].n_parts, 3);
        assert_non_null(strstr(m->tensors[u.layers[l].tensors[2]].name, "down"));
    }
    hyp_units_free(&u);
    hyp_model_free(m);
}

/* Gate and up in one tensor, which stands behind down in the file: it is used first all the same. */
static void merged_matrices_are_used_first(void **state) {
    (void)state;
    test_shape shape = moe_shape;
    shape.layers = 2;
    test_builder b = test_build_begin(&shape);
    for (uint32_t l = 0; l < shape.layers; l++) {
        char name[64];
        test_build_attention(&b, &shape, l);
        snprintf(name, sizeof name, "blk.%u.ffn_gate_inp.weight", l);
        test_build_tensor(&b, name, 1024, 32, 1);
        snprintf(name, sizeof name, "blk.%u.ffn_down_exps.weight", l);
        test_build_tensor(&b, name, 1024, 1024, 32);
        snprintf(name, sizeof name, "blk.%u.ffn_gate_up_exps.weight", l);
        test_build_tensor(&b, name, 1024, 2048, 32);
    }
    hyp_model *m = test_build_end(&b);
    hyp_units u = units_of(m);
    check_layers(m, &u);
    assert_int_equal(u.n_layers, 2);
    for (uint32_t l = 0; l < 2; l++) {
        assert_int_equal(u.layers[l].n_parts, 2);
        assert_non_null(strstr(m->tensors[u.layers[l].tensors[0]].name, "gate_up"));
    }
    hyp_units_free(&u);
    hyp_model_free(m);
}

/* A layer with matrices that several experts share cannot be cut into experts: it is pinned, the others stream. */
static void an_uneven_layer_is_pinned(void **state) {
    (void)state;
    test_shape shape = moe_shape;
    shape.layers = 4;
    test_builder b = test_build_begin(&shape);
    for (uint32_t l = 0; l < shape.layers; l++) {
        test_build_attention(&b, &shape, l);
        test_build_ffn(&b, &shape, l);
        if (l == 1) test_build_tensor(&b, "blk.1.ffn_gate_chexps.weight", 1024, 1024, 16);
    }
    hyp_model *m = test_build_end(&b);
    hyp_plan *p = plan_for(m, 300ull * MB, 0, HYP_MODE_EXPERTS);
    check_plan(m, p);
    assert_int_equal(p->units.n_layers, 3);
    for (uint32_t l = 0; l < 3; l++)
        assert_int_equal(p->units.layers[l].model_layer, l < 1 ? l : l + 1);
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].layer == 1 && m->tensors[i].role == HYP_ROLE_ROUTED_EXPERT)
            assert_int_equal(runs_over(&p->units, &m->tensors[i]), 1);
    hyp_plan_free(p);
    hyp_model_free(m);
}

static void a_plan_owns_its_units(void **state) {
    (void)state;
    hyp_model *moe = test_model(&moe_shape), *dense = test_model(&dense_shape);
    const struct {
        const hyp_model *model;
        uint64_t ram, vram;
        hyp_mode mode;
    } cases[] = {{moe, 600ull * MB, 0, HYP_MODE_EXPERTS},
                 {moe, 600ull * MB, 400ull * MB, HYP_MODE_EXPERTS},
                 {dense, 350ull * MB, 0, HYP_MODE_FFN},
                 {dense, 350ull * MB, 300ull * MB, HYP_MODE_FFN}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(cases); i++) {
        hyp_plan *p = plan_for(cases[i].model, cases[i].ram, cases[i].vram, cases[i].mode);
        hyp_units all = units_of(cases[i].model);
        check_plan(cases[i].model, p);
        assert_true(p->units.n_layers > 0 && p->units.n_always > 0);
        /* What is on devices is in no unit. */
        assert_int_equal(p->units.n_layers<all.n_layers, cases[i].vram> 0);
        uint32_t pinned_or_streamed = p->n_ffn_pinned + p->n_ffn_streamed;
        if (cases[i].mode == HYP_MODE_FFN) assert_int_equal(p->units.n_layers, pinned_or_streamed);
        hyp_units_free(&all);
        hyp_plan_free(p);
    }
    hyp_plan *resident = plan_for(dense, 4000ull * MB, 0, HYP_MODE_AUTO);
    assert_true(hyp_mode_is_resident(resident->mode));
    assert_int_equal(resident->units.n_layers + resident->units.n_always, 0);
    hyp_plan_free(resident);
    hyp_model_free(moe);
    hyp_model_free(dense);
}

static void frames_are_whole_pages(void **state) {
    (void)state;
    for (uint64_t size = 4096; size <= 65536; size *= 4) {
        assert_int_equal(hyp_units_frame_bytes(0, size, size), size);
        assert_int_equal(hyp_units_frame_bytes(0, 1, size), size);
        assert_int_equal(hyp_units_frame_bytes(size - 1, 2, size), 2 * size);
        assert_int_equal(hyp_units_frame_bytes(3 * size + 7, 2 * size, size), 3 * size);
    }
    /* The bound is reached somewhere, and never passed. */
    const hyp_tensor t = {.offset = 1};
    uint64_t most = 0, bytes = 5 * page() + 2;
    for (uint64_t at = 0; at < page(); at++)
        most = HYP_MAX(most, hyp_units_frame_bytes(at, bytes, page()));
    assert_int_equal(most, hyp_units_frame_bound(&t, bytes));
    const hyp_tensor aligned = {.offset = 4 * page()};
    assert_int_equal(hyp_units_frame_bound(&aligned, 3 * page()), 3 * page());
}

static void what_does_not_stream_has_no_units(void **state) {
    (void)state;
    hyp_model *m = test_model(&dense_shape);
    for (int mode = 0; mode < HYP_N_MODES; mode++) {
        assert_int_equal(hyp_units_mode(m, (hyp_mode)mode), mode == HYP_MODE_EXPERTS ? HYP_MODE_EXPERTS : HYP_MODE_FFN);
        size_t n = 0;
        for (size_t i = 0; i < m->n_tensors; i++)
            n += hyp_units_is_streamed(&m->tensors[i], (hyp_mode)mode);
        assert_int_equal(n, mode == HYP_MODE_FFN ? 3 * dense_shape.layers : 0);
    }
    hyp_units u;
    assert_int_equal(hyp_units_make(m, HYP_MODE_EXPERTS, NULL, &u, NULL), HYP_OK);
    assert_int_equal(u.n_layers + u.n_units, 0);
    hyp_units_free(&u);
    hyp_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_layers_are_units),
        cmocka_unit_test(experts_are_units),
        cmocka_unit_test(merged_matrices_are_used_first),
        cmocka_unit_test(an_uneven_layer_is_pinned),
        cmocka_unit_test(a_plan_owns_its_units),
        cmocka_unit_test(frames_are_whole_pages),
        cmocka_unit_test(what_does_not_stream_has_no_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
