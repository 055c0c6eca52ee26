#include "../test.h"
#include "arch.h"
#include "base/mem.h"
#include "router.h"
#include "weights.h"

#include <math.h>
#include <string.h>

typedef struct model {
    hyp_make_shape shape;
    hyp_make_plan plan;
    hyp_make_weights *weights;
} model;

/* `adjust` says what differs from the architecture's small default. */
static model *make(const char *arch, const char *quant, void (*adjust)(hyp_make_shape *)) {
    hyp_err err = HYP_ERR_NONE;
    model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    hyp_options_set_defaults(&hyp_make_options, 1, &m->shape);
    m->shape.arch_name = arch;
    m->shape.quant = quant;
    if (adjust != NULL) adjust(&m->shape);
    assert_int_equal(hyp_make_shape_resolve(&m->shape, &err), HYP_OK);
    assert_int_equal(hyp_make_plan_new(&m->shape, &m->plan, &err), HYP_OK);
    assert_int_equal(hyp_make_weights_new(&m->shape, &m->plan, &m->weights, &err), HYP_OK);
    return m;
}

static void done(model *m) {
    hyp_make_weights_free(m->weights);
    hyp_make_plan_free(&m->plan);
    free(m);
}

static const hyp_make_tensor *tensor(const model *m, const char *name) {
    for (size_t i = 0; i < m->plan.n; i++)
        if (strcmp(m->plan.tensors[i].name, name) == 0) return &m->plan.tensors[i];
    fail_msg("there is no %s", name);
    return NULL;
}

static uint8_t *bytes_of(const model *m, const hyp_make_tensor *t, int64_t chunk_rows) {
    hyp_err err = HYP_ERR_NONE;
    uint8_t *bytes = malloc(t->bytes);
    assert_non_null(bytes);
    for (int64_t row = 0; row < t->n_rows; row += chunk_rows) {
        int64_t n = HYP_MIN(chunk_rows, t->n_rows - row);
        assert_int_equal(hyp_make_weights_rows(m->weights, t, row, n, bytes + row * t->row_bytes, &err), HYP_OK);
    }
    return bytes;
}

static float *floats_of(const model *m, const hyp_make_tensor *t) {
    uint8_t *bytes = bytes_of(m, t, t->n_rows);
    int64_t n = t->ne[0] * t->n_rows;
    float *floats = malloc((size_t)n * sizeof *floats);
    assert_non_null(floats);
    if (t->type == GGML_TYPE_F32)
        memcpy(floats, bytes, (size_t)n * sizeof *floats);
    else
        ggml_get_type_traits(t->type)->to_float(bytes, floats, n);
    free(bytes);
    return floats;
}

static void matrices_have_mean_zero_and_the_scale(void **state) {
    (void)state;
    static const char *const quants[] = {"F32", "F16", "BF16", "Q8_0", "Q6_K", "Q4_K", "Q4_0", "IQ4_XS", "MXFP4"};
    for (size_t q = 0; q < HYP_ARRAY_LEN(quants); q++) {
        model *m = make("qwen3moe", quants[q], NULL);
        const hyp_make_tensor *t = tensor(m, "blk.1.ffn_gate_exps.weight");
        float *x = floats_of(m, t);
        const int64_t n = t->ne[0] * t->n_rows;
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < n; i++)
            sum += x[i], squares += (double)x[i] * x[i];
        const double sd = sqrt(squares / (double)n), wanted = 1 / sqrt(256);
        /* A million numbers: the mean is within a hundredth of the deviation, the deviation within what 4 bits lose. */
        assert_true(fabs(sum / (double)n) < wanted / 100);
        assert_true(fabs(sd / wanted - 1) < 0.06);
        free(x);
        done(m);
    }
}

static void bytes_depend_neither_on_chunks_nor_on_order(void **state) {
    (void)state;
    model *a = make("qwen3moe", "Q4_K", NULL), *b = make("qwen3moe", "Q4_K", NULL);
    for (size_t i = a->plan.n; i-- > 0;) {
        uint8_t *x = bytes_of(a, &a->plan.tensors[i], 7), *y = bytes_of(b, &b->plan.tensors[a->plan.n - 1 - i], 64);
        uint8_t *z = bytes_of(b, &b->plan.tensors[i], 13);
        assert_memory_equal(x, z, a->plan.tensors[i].bytes);
        free(x);
        free(y);
        free(z);
    }
    done(a);
    done(b);
}

static void another_seed(hyp_make_shape *shape) {
    shape->seed = 2;
}

static void experts_layers_and_seeds_differ(void **state) {
    (void)state;
    model *a = make("qwen3moe", "Q4_K", NULL), *b = make("qwen3moe", "Q4_K", another_seed);
    const hyp_make_tensor *t = tensor(a, "blk.0.ffn_up_exps.weight");
    uint8_t *x = bytes_of(a, t, t->n_rows), *y = bytes_of(a, tensor(a, "blk.1.ffn_up_exps.weight"), t->n_rows);
    uint8_t *z = bytes_of(b, tensor(b, "blk.0.ffn_up_exps.weight"), t->n_rows);
    const int64_t expert = t->ne[1] * t->row_bytes;
    for (int64_t e = 0; e < t->ne[2]; e++) {
        int64_t same = 0, same_layer = 0, same_seed = 0;
        for (int64_t r = 0; r < t->ne[1]; r++) {
            const uint8_t *row = x + e * expert + r * t->row_bytes;
            same += memcmp(row, x + (e + 1) % t->ne[2] * expert + r * t->row_bytes, (size_t)t->row_bytes) == 0;
            same_layer += memcmp(row, y + (row - x), (size_t)t->row_bytes) == 0;
            same_seed += memcmp(row, z + (row - x), (size_t)t->row_bytes) == 0;
        }
        /* Of 256 rows, that draw among 1,000 starts in so small a model, a few may agree. */
        assert_true(same < 8 && same_layer < 8 && same_seed < 8);
    }
    free(x);
    free(y);
    free(z);
    done(a);
    done(b);
}

static void wide(hyp_make_shape *shape) {
    shape->width = 1024;
    shape->sticky = 0.5;
}

static void the_stream_is_laid_out(void **state) {
    (void)state;
    model *m = make("qwen3moe", "Q8_0", wide);
    const int width = m->shape.width, from = m->shape.context_from;
    assert_int_equal(from, 768);
    const hyp_make_tensor *t = tensor(m, "token_embd.weight");
    float *x = floats_of(m, t);
    for (int64_t r = 0; r < t->n_rows; r++) {
        assert_true(fabsf(x[r * width] - m->shape.constant) < 0.05f);
        for (int c = from; c < width; c++)
            assert_true(x[r * width + c] == 0);
    }
    free(x);
    /* Attention writes to the context part, down to the token part, neither to the constant. */
    static const char *const names[] = {"blk.0.attn_output.weight", "blk.0.ffn_down_exps.weight"};
    for (int i = 0; i < 2; i++) {
        t = tensor(m, names[i]);
        x = floats_of(m, t);
        double token = 0, context = 0;
        for (int64_t r = 0; r < t->ne[1]; r++) {
            double squares = 0;
            for (int64_t c = 0; c < t->ne[0]; c++)
                squares += (double)x[r * t->ne[0] + c] * x[r * t->ne[0] + c];
            if (r == 0)
                assert_true(squares == 0);
            else
                assert_true(squares > 0);
            *(r < from ? &token : &context) += squares / (double)(r < from ? from : width - from);
        }
        assert_true(i == 0 ? context > 50 * token : token > 50 * context);
        free(x);
    }
    done(m);
}

static void popularity_sums_to_what_is_used(void **state) {
    (void)state;
    static const struct {
        int n, used;
        double skew;
    } cases[] = {{8, 2, 0}, {8, 8, 1}, {64, 8, 0.5}, {128, 8, 1}, {384, 8, 2}, {512, 10, 4}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(cases); i++) {
        double p[512], sum = 0;
        hyp_make_router_popularity(cases[i].n, cases[i].used, cases[i].skew, p);
        for (int r = 0; r < cases[i].n; r++) {
            sum += p[r];
            assert_true(p[r] > 0 && p[r] <= 1);
            if (r > 0) assert_true(p[r] <= p[r - 1]);
            if (r > 0 && p[r - 1] < 0.97 && cases[i].skew > 0)
                assert_true(fabs(log(p[r - 1] / p[r]) / log((r + 1.0) / r) - cases[i].skew) < 1e-6);
        }
        assert_true(fabs(sum - cases[i].used) < 1e-6);
    }
    assert_true(fabs(hyp_make_router_quantile(0.975) - 1.959964) < 1e-5);
    assert_true(fabs(hyp_make_router_quantile(0.5)) < 1e-9);
    assert_true(fabs(hyp_make_router_quantile(0.01) + 2.326348) < 1e-5);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(matrices_have_mean_zero_and_the_scale),
                                       cmocka_unit_test(bytes_depend_neither_on_chunks_nor_on_order),
                                       cmocka_unit_test(experts_layers_and_seeds_differ),
                                       cmocka_unit_test(the_stream_is_laid_out),
                                       cmocka_unit_test(popularity_sums_to_what_is_used)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
