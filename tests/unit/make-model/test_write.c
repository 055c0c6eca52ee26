#include "../test.h"
#include "arch.h"
#include "base/mem.h"
#include "upcycle.h"
#include "weights.h"
#include "write.h"

#include <dirent.h>
#include <fcntl.h>
#include <gguf.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

static char folder[64];

static int set_up(void **state) {
    (void)state;
    strcpy(folder, "/tmp/make-model-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int entries(void) {
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int n = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static int tear_down(void **state) {
    (void)state;
    char path[512];
    DIR *dir = opendir(folder);
    if (dir == NULL) return 1;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.') unlink(path);
    }
    closedir(dir);
    return rmdir(folder);
}

static int rows_of_weights(void *source, const hyp_make_tensor *t, int64_t row, int64_t n, void *dst, hyp_err *err) {
    return hyp_make_weights_rows(source, t, row, n, dst, err);
}

/* Write a model of `shape` (defaults set, not yet resolved) with `output`'s split, into the folder's "m.gguf". */
static int write_model(hyp_make_shape *shape, hyp_make_output output, hyp_make_written *ret, hyp_err *err) {
    char path[128];
    snprintf(path, sizeof path, "%s/m.gguf", folder);
    hyp_make_plan plan;
    struct gguf_context *keys;
    hyp_make_weights *weights;
    assert_int_equal(hyp_make_shape_resolve(shape, err), HYP_OK);
    assert_int_equal(hyp_make_plan_new(shape, &plan, err), HYP_OK);
    assert_int_equal(hyp_make_keys_new(shape, &keys, err), HYP_OK);
    assert_int_equal(hyp_make_weights_new(shape, &plan, &weights, err), HYP_OK);
    output.path = output.path != NULL ? output.path : path;
    output.alignment = shape->alignment;
    if (output.rows == NULL) {
        output.rows = rows_of_weights;
        output.source = weights;
    }
    int r = hyp_make_write(&plan, keys, &output, ret, err);
    hyp_make_weights_free(weights);
    gguf_free(keys);
    hyp_make_plan_free(&plan);
    return r;
}

static hyp_make_shape shape_of(const char *arch) {
    hyp_make_shape shape = {0};
    hyp_options_set_defaults(&hyp_make_options, 1, &shape);
    shape.arch_name = arch;
    return shape;
}

static struct gguf_context *read_back(const char *path) {
    struct gguf_context *gguf = gguf_init_from_file(path, (struct gguf_init_params){.no_alloc = true});
    assert_non_null(gguf);
    return gguf;
}

static uint64_t end_of(const struct gguf_context *gguf) {
    uint64_t end = 0;
    for (int64_t i = 0; i < gguf_get_n_tensors(gguf); i++)
        end =
            HYP_MAX(end, gguf_get_data_offset(gguf) + gguf_get_tensor_offset(gguf, i) + gguf_get_tensor_size(gguf, i));
    return end;
}

static void a_file_holds_what_its_header_says(void **state) {
    (void)state;
    static const int alignments[] = {32, 8, 4096};
    for (size_t i = 0; i < HYP_ARRAY_LEN(alignments); i++) {
        hyp_make_shape shape = shape_of("mixtral");
        shape.alignment = alignments[i];
        hyp_err err = HYP_ERR_NONE;
        hyp_make_written written;
        assert_int_equal(write_model(&shape, (hyp_make_output){0}, &written, &err), HYP_OK);
        struct gguf_context *gguf = read_back(written.path);
        assert_int_equal(gguf_get_alignment(gguf), alignments[i]);
        struct stat st;
        assert_int_equal(stat(written.path, &st), 0);
        assert_true((uint64_t)st.st_size >= end_of(gguf));
        assert_true((uint64_t)st.st_size == written.bytes);
        for (int64_t t = 0; t < gguf_get_n_tensors(gguf); t++)
            assert_int_equal((gguf_get_data_offset(gguf) + gguf_get_tensor_offset(gguf, t)) % (size_t)alignments[i], 0);
        gguf_free(gguf);
    }
    assert_int_equal(entries(), 1);
}

static void a_split_model_is_whole(void **state) {
    (void)state;
    hyp_make_shape shape = shape_of("mixtral");
    hyp_err err = HYP_ERR_NONE;
    hyp_make_written written;
    assert_int_equal(write_model(&shape, (hyp_make_output){.split_tensors = 10}, &written, &err), HYP_OK);
    assert_int_equal(written.n_files, (2 + 1 + 4 * 10 + 9) / 10);
    assert_int_equal(entries(), written.n_files);
    int64_t n_tensors = 0;
    for (size_t i = 0; i < written.n_files; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s/m-%05zu-of-%05zu.gguf", folder, i + 1, written.n_files);
        struct gguf_context *gguf = read_back(path);
        assert_int_equal(gguf_get_val_u16(gguf, gguf_find_key(gguf, "split.no")), i);
        assert_int_equal(gguf_get_val_u16(gguf, gguf_find_key(gguf, "split.count")), written.n_files);
        assert_true(gguf_get_n_tensors(gguf) > 0 && gguf_get_n_tensors(gguf) <= 10);
        n_tensors += gguf_get_n_tensors(gguf);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_true((uint64_t)st.st_size >= end_of(gguf));
        gguf_free(gguf);
    }
    assert_int_equal(n_tensors, 2 + 1 + 4 * 10);
}

static void files_are_split_at_the_size(void **state) {
    (void)state;
    hyp_make_tensor tensors[5] = {{.bytes = 100}, {.bytes = 100}, {.bytes = 1000}, {.bytes = 10}, {.bytes = 10}};
    hyp_make_plan plan = {.tensors = tensors, .n = 5};
    size_t first[5];
    hyp_make_output output = {.alignment = 32, .split_bytes = 256};
    /* 128 + 128 | 1000, too large for any file, alone | 32 + 32 */
    assert_int_equal(hyp_make_split(&plan, &output, first), 3);
    assert_int_equal(first[1], 2);
    assert_int_equal(first[2], 3);
    output = (hyp_make_output){.alignment = 32};
    assert_int_equal(hyp_make_split(&plan, &output, first), 1);
}

static void holes_take_no_space(void **state) {
    (void)state;
    hyp_make_shape shape = shape_of("qwen3moe");
    shape.experts = 128;
    shape.sparse_experts = true;
    hyp_err err = HYP_ERR_NONE;
    hyp_make_written written;
    assert_int_equal(write_model(&shape, (hyp_make_output){0}, &written, &err), HYP_OK);
    struct stat st;
    assert_int_equal(stat(written.path, &st), 0);
    assert_true((uint64_t)st.st_blocks * 512 < written.bytes / 8);
}

static int failing_rows(void *source, const hyp_make_tensor *t, int64_t row, int64_t n, void *dst, hyp_err *err) {
    memset(dst, 0, (size_t)(n * t->row_bytes));
    (void)source, (void)row;
    return strcmp(t->name, "output.weight") == 0 ? hyp_err_set(err, HYP_EIO, "the source failed") : HYP_OK;
}

static void a_failure_leaves_nothing_behind(void **state) {
    (void)state;
    hyp_make_shape shape = shape_of("llama");
    hyp_err err = HYP_ERR_NONE;
    hyp_make_output output = {.rows = failing_rows, .split_tensors = 7};
    assert_int_equal(write_model(&shape, output, NULL, &err), HYP_EIO);
    assert_string_equal(err.message, "the source failed");
    assert_int_equal(entries(), 0);
    err = HYP_ERR_NONE;
    shape = shape_of("llama");
    assert_int_equal(write_model(&shape, (hyp_make_output){.path = "/nowhere/m.gguf"}, NULL, &err), HYP_EIO);
    assert_non_null(strstr(err.message, "/nowhere"));
}

static void what_is_no_file_stays(void **state) {
    (void)state;
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/m.gguf", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    hyp_make_shape shape = shape_of("llama");
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(write_model(&shape, (hyp_make_output){0}, NULL, &err), HYP_EINVAL);
    assert_true(stat(path, &st) == 0 && S_ISFIFO(st.st_mode));
    assert_int_equal(entries(), 1);
}

static void upcycled_experts_are_copies(void **state) {
    (void)state;
    hyp_make_shape shape = shape_of("qwen3");
    shape.layers = 2;
    hyp_err err = HYP_ERR_NONE;
    hyp_make_written written;
    assert_int_equal(write_model(&shape, (hyp_make_output){0}, &written, &err), HYP_OK);
    hyp_make_shape to = {
        .upcycle = written.path, .experts = 3, .experts_used = 2, .alignment = 32, .router_scale = 1, .seed = 1};
    hyp_make_upcycle *up;
    assert_int_equal(hyp_make_upcycle_new(&to, &up, &err), HYP_OK);
    struct gguf_context *keys = hyp_make_upcycle_keys(up);
    assert_string_equal(gguf_get_val_str(keys, gguf_find_key(keys, "general.architecture")), "qwen3moe");
    assert_int_equal(gguf_get_val_u32(keys, gguf_find_key(keys, "qwen3moe.expert_count")), 3);
    assert_int_equal(gguf_get_val_u32(keys, gguf_find_key(keys, "qwen3moe.block_count")), 2);
    assert_int_equal(gguf_find_key(keys, "qwen3.block_count"), -1);
    assert_true(gguf_find_key(keys, "tokenizer.chat_template") >= 0);
    const hyp_make_plan *plan = hyp_make_upcycle_plan(up);
    int n_experts = 0, n_routers = 0;
    for (size_t i = 0; i < plan->n; i++) {
        const hyp_make_tensor *t = &plan->tensors[i];
        uint8_t *bytes = malloc(t->bytes);
        assert_non_null(bytes);
        /* In steps that straddle the experts' borders. */
        for (int64_t row = 0; row < t->n_rows; row += 100) {
            int64_t n = HYP_MIN(100, t->n_rows - row);
            assert_int_equal(hyp_make_upcycle_rows(up, t, row, n, bytes + row * t->row_bytes, &err), HYP_OK);
        }
        if (t->expert) {
            n_experts++;
            assert_int_equal(t->ne[2], 3);
            assert_memory_equal(bytes, bytes + t->bytes / 3, t->bytes / 3);
            assert_memory_equal(bytes, bytes + t->bytes / 3 * 2, t->bytes / 3);
        }
        n_routers += strstr(t->name, "ffn_gate_inp") != NULL;
        free(bytes);
    }
    assert_int_equal(n_experts, 2 * 3);
    assert_int_equal(n_routers, 2);
    hyp_make_upcycle_free(up);
}

/* With --vary no two experts are alike, and each row is the dense one's by one factor, within what Q8_0 can tell. */
static void varied_experts_differ_by_rows(void **state) {
    (void)state;
    hyp_make_shape shape = shape_of("llama");
    shape.layers = 1;
    shape.quant = "Q8_0";
    hyp_err err = HYP_ERR_NONE;
    hyp_make_written written;
    assert_int_equal(write_model(&shape, (hyp_make_output){0}, &written, &err), HYP_OK);
    hyp_make_shape to = {
        .upcycle = written.path, .experts = 2, .experts_used = 1, .alignment = 32, .router_scale = 1, .seed = 1};
    hyp_make_upcycle *same, *varied;
    assert_int_equal(hyp_make_upcycle_new(&to, &same, &err), HYP_OK);
    to.vary = 0.2;
    assert_int_equal(hyp_make_upcycle_new(&to, &varied, &err), HYP_OK);
    const hyp_make_plan *plan = hyp_make_upcycle_plan(varied);
    size_t n_experts = 0;
    for (size_t i = 0; i < plan->n; i++) {
        const hyp_make_tensor *t = &plan->tensors[i];
        if (!t->expert) continue;
        assert_int_equal(t->type, GGML_TYPE_Q8_0);
        n_experts++;
        uint8_t *was = malloc((size_t)t->row_bytes), *is = malloc((size_t)t->row_bytes);
        float *a = malloc((size_t)t->ne[0] * sizeof *a), *b = malloc((size_t)t->ne[0] * sizeof *b);
        float factor[2];
        for (int e = 0; e < 2; e++) {
            int64_t row = e * t->ne[1] + 3;
            assert_int_equal(hyp_make_upcycle_rows(same, t, row, 1, was, &err), HYP_OK);
            assert_int_equal(hyp_make_upcycle_rows(varied, t, row, 1, is, &err), HYP_OK);
            ggml_get_type_traits(t->type)->to_float(was, a, t->ne[0]);
            ggml_get_type_traits(t->type)->to_float(is, b, t->ne[0]);
            double ab = 0, aa = 0, worst = 0, most = 0;
            for (int64_t c = 0; c < t->ne[0]; c++)
                ab += (double)a[c] * b[c], aa += (double)a[c] * a[c], most = HYP_MAX(most, fabs((double)a[c]));
            factor[e] = (float)(ab / aa);
            for (int64_t c = 0; c < t->ne[0]; c++)
                worst = HYP_MAX(worst, fabs((double)b[c] - ab / aa * (double)a[c]));
            assert_true(worst < most / 64);
        }
        assert_true(fabsf(factor[0] - factor[1]) > 0.001f);
        free(was), free(is), free(a), free(b);
    }
    assert_int_equal(n_experts, 3);
    hyp_make_upcycle_free(same), hyp_make_upcycle_free(varied);
    to.exact = true;
    assert_int_equal(hyp_make_upcycle_new(&to, &varied, &err), HYP_EINVAL);
}

static void what_cannot_be_upcycled_is_refused(void **state) {
    (void)state;
    hyp_err err = HYP_ERR_NONE;
    hyp_make_written written;
    hyp_make_shape shape = shape_of("mixtral");
    assert_int_equal(write_model(&shape, (hyp_make_output){0}, &written, &err), HYP_OK);
    hyp_make_shape to = {.upcycle = written.path, .experts = 8, .experts_used = 2, .alignment = 32};
    hyp_make_upcycle *up = NULL;
    assert_int_equal(hyp_make_upcycle_new(&to, &up, &err), HYP_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "is a mixture of experts already"));
    shape = shape_of("gemma3");
    err = HYP_ERR_NONE;
    assert_int_equal(write_model(&shape, (hyp_make_output){0}, &written, &err), HYP_OK);
    assert_int_equal(hyp_make_upcycle_new(&to, &up, &err), HYP_EUNSUPPORTED);
    assert_non_null(strstr(err.hint, "llama and qwen3"));
    err = HYP_ERR_NONE;
    assert_int_equal(truncate(written.path, (off_t)written.bytes / 2), 0);
    assert_int_equal(hyp_make_upcycle_new(&to, &up, &err), HYP_EFORMAT);
    err = HYP_ERR_NONE;
    assert_int_equal(truncate(written.path, 10), 0);
    assert_int_equal(hyp_make_upcycle_new(&to, &up, &err), HYP_EFORMAT);
    err = HYP_ERR_NONE;
    to.upcycle = "/nowhere.gguf";
    assert_int_equal(hyp_make_upcycle_new(&to, &up, &err), HYP_ENOTFOUND);
    err = HYP_ERR_NONE;
    to.experts_used = 9;
    assert_int_equal(hyp_make_upcycle_new(&to, &up, &err), HYP_EINVAL);
    assert_null(up);
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {IN_A_FOLDER(a_file_holds_what_its_header_says),
                                       IN_A_FOLDER(a_split_model_is_whole),
                                       cmocka_unit_test(files_are_split_at_the_size),
                                       IN_A_FOLDER(what_is_no_file_stays),
                                       IN_A_FOLDER(holes_take_no_space),
                                       IN_A_FOLDER(a_failure_leaves_nothing_behind),
                                       IN_A_FOLDER(upcycled_experts_are_copies),
                                       IN_A_FOLDER(varied_experts_differ_by_rows),
                                       IN_A_FOLDER(what_cannot_be_upcycled_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
