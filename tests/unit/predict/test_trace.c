#include "../test.h"
#include "base/paths.h"
#include "predict/trace.h"
#include "synth.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/hypura-test-trace-XXXXXX";

static int make_path(void **state) {
    (void)state;
    int fd = mkstemp(path);
    close(fd);
    return fd < 0;
}
static int remove_path(void **state) {
    (void)state;
    return unlink(path);
}

/* Two layers of different widths; a batch and two tokens, one of them predicted. */
static void write_small(void) {
    hyp_trace_layer layers[] = {{3, 8, 4096}, {4, 300, 8192}};
    hyp_trace_info info = {.name = "small", .n_layers = 2, .n_used = 2, .always_bytes = 12345, .layers = layers};
    memset(info.digest, 'a', 64);
    hyp_trace_writer *w;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_trace_create(path, &info, &w, &err), HYP_OK);
    hyp_trace_used(w, 0, 5, (const uint32_t[]){7, 0, 3}, (const uint32_t[]){2, 5, 3}, 3);
    hyp_trace_used(w, 1, 5, (const uint32_t[]){299, 128}, (const uint32_t[]){1, 200}, 2);
    hyp_trace_predicted(w, 0, (const uint32_t[]){1, 2}, 2);
    hyp_trace_predicted(w, 0, (const uint32_t[]){5, 4, 1}, 3);
    hyp_trace_used(w, 0, 1, (const uint32_t[]){4, 1}, NULL, 2);
    hyp_trace_predicted(w, 0, (const uint32_t[]){6}, 1); /* for a layer that is not what comes next: forgotten */
    hyp_trace_used(w, 1, 1, (const uint32_t[]){200, 100}, NULL, 2);
    hyp_trace_used(w, 1, 1, (const uint32_t[]){0, 1, 300, 5, 5}, NULL, 5); /* a new pass; what cannot be is left out */
    assert_int_equal(hyp_trace_close(w, &err), HYP_OK);
}

static void what_is_written_is_read(void **state) {
    (void)state;
    write_small();
    hyp_trace *t;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_trace_read(path, &t, &err), HYP_OK);
    assert_true(t->complete);
    assert_int_equal(t->n_passes, 3);
    assert_int_equal(t->n_visits, 5);
    assert_string_equal(t->info.name, "small");
    assert_int_equal(strlen(t->info.digest), 64);
    assert_int_equal(t->info.always_bytes, 12345);
    assert_int_equal(t->info.layers[1].model_layer, 4);
    assert_int_equal(t->info.layers[1].unit_bytes, 8192);
    const hyp_trace_visit *v = t->visits;
    assert_int_equal(v[0].n_tokens, 5);
    const uint16_t first[] = {0, 3, 7}, last[] = {0, 1, 5};
    const uint32_t counts[] = {5, 3, 2};
    assert_memory_equal(t->experts + v[0].used, first, sizeof first);
    assert_memory_equal(t->counts + v[0].used, counts, sizeof counts);
    assert_int_equal(t->counts[v[1].used], 5); /* not more than the batch has */
    assert_int_equal(v[2].pass, 1);
    assert_int_equal(v[2].n_predicted, 3);
    assert_int_equal(t->experts[v[2].predicted], 5);
    assert_int_equal(t->experts[v[2].predicted + 2], 1);
    assert_int_equal(v[3].n_predicted, 0);
    assert_int_equal(v[4].pass, 2);
    assert_int_equal(v[4].n_used, 3);
    assert_memory_equal(t->experts + v[4].used, last, sizeof last);
    hyp_trace_free(t);
}

/* A file cut anywhere is refused, or read as far as it goes and known to be incomplete. */
static void a_cut_file_is_read_as_far_as_it_goes(void **state) {
    (void)state;
    write_small();
    char *data;
    size_t n, n_read = 0;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_paths_read(path, 1 << 20, &data, &n, &err), HYP_OK);
    for (size_t cut = 0; cut < n; cut++) {
        hyp_trace *t = NULL;
        err = HYP_ERR_NONE;
        /* A copy of the exact size, so that the address sanitizer sees a read beyond it. */
        char *part = malloc(cut > 0 ? cut : 1);
        memcpy(part, data, cut);
        int r = hyp_trace_parse(part, cut, "part", &t, &err);
        free(part);
        if (r == HYP_OK) {
            assert_false(t->complete);
            assert_uint_in_range(t->n_visits, n_read, 5);
            n_read = t->n_visits;
            hyp_trace_free(t);
        } else {
            assert_int_equal(r, HYP_EFORMAT);
            assert_int_equal(n_read, 0);
            assert_true(err.message[0] != '\0' && err.hint[0] != '\0');
        }
    }
    assert_int_equal(n_read, 5);
    free(data);
}

/* The last layer of a batch often computes only the tokens whose output is wanted. */
static void later_layers_may_have_fewer_tokens(void **state) {
    (void)state;
    hyp_trace_layer layers[] = {{0, 8, 4096}, {1, 8, 4096}};
    hyp_trace_info info = {.name = "pruned", .n_layers = 2, .n_used = 2, .layers = layers};
    hyp_trace_writer *w;
    hyp_trace *t;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_trace_create(path, &info, &w, &err), HYP_OK);
    hyp_trace_used(w, 0, 9, (const uint32_t[]){2, 5}, (const uint32_t[]){9, 9}, 2);
    hyp_trace_used(w, 1, 1, (const uint32_t[]){6, 1}, NULL, 2);
    hyp_trace_used(w, 0, 1, (const uint32_t[]){3, 4}, NULL, 2);
    hyp_trace_used(w, 1, 1, (const uint32_t[]){0, 7}, NULL, 2);
    assert_int_equal(hyp_trace_close(w, &err), HYP_OK);
    assert_int_equal(hyp_trace_read(path, &t, &err), HYP_OK);
    assert_true(t->complete);
    assert_int_equal(t->n_visits, 4);
    assert_int_equal(t->visits[1].pass, 0);
    assert_int_equal(t->experts[t->visits[1].used + 1], 6);
    assert_int_equal(t->counts[t->visits[1].used + 1], 1);
    assert_int_equal(t->experts[t->visits[3].used + 1], 7);
    hyp_trace_free(t);
}

static void check_consistent(const hyp_trace *t) {
    for (size_t v = 0; v < t->n_visits; v++) {
        const hyp_trace_visit *visit = &t->visits[v];
        assert_uint_in_range(visit->layer, 0, t->info.n_layers - 1);
        assert_uint_in_range(visit->pass, 0, t->n_passes - 1);
        assert_true(visit->n_tokens > 0);
        assert_true(visit->predicted + visit->n_predicted <= t->n_experts);
        for (size_t i = visit->used; i < visit->predicted + visit->n_predicted; i++) {
            assert_true(t->experts[i] < t->info.layers[visit->layer].n_experts);
            assert_true(i >= visit->predicted || (t->counts[i] > 0 && t->counts[i] <= visit->n_tokens));
            assert_true(i <= visit->used || i >= visit->predicted || t->experts[i] > t->experts[i - 1]);
        }
    }
}

/* No flipped byte is believed in a complete file; whatever is read, is consistent. */
static void a_damaged_file_is_no_danger(void **state) {
    (void)state;
    write_small();
    char *data;
    size_t n;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_paths_read(path, 1 << 20, &data, &n, &err), HYP_OK);
    for (size_t at = 0; at < n; at++) {
        for (int flip = 1; flip < 256; flip++) {
            hyp_trace *t = NULL;
            data[at] = (char)(data[at] ^ flip);
            if (hyp_trace_parse(data, n, "flipped", &t, NULL) == HYP_OK) {
                assert_false(t->complete);
                check_consistent(t);
                hyp_trace_free(t);
            }
            data[at] = (char)(data[at] ^ flip);
        }
    }
    free(data);
    err = HYP_ERR_NONE;
    hyp_trace *t;
    assert_int_equal(hyp_trace_parse("HYPTRACE", 8, "a magic alone", &t, &err), HYP_EFORMAT);
    assert_int_equal(hyp_trace_parse("", 0, "nothing", &t, NULL), HYP_EFORMAT);
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_trace_read("/nonexistent/trace", &t, &err), HYP_EIO);
}

static void impossible_models_and_places_are_refused(void **state) {
    (void)state;
    hyp_trace_layer layer = {0, 8, 4096};
    hyp_trace_info info = {.n_layers = 0, .layers = &layer};
    hyp_trace_writer *w;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_trace_create(path, &info, &w, &err), HYP_EINVAL);
    info.n_layers = 1;
    layer.n_experts = 65536;
    assert_int_equal(hyp_trace_create(path, &info, &w, NULL), HYP_EINVAL);
    layer.n_experts = 8;
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_trace_create("/nonexistent/trace", &info, &w, &err), HYP_EIO);
    assert_true(err.hint[0] != '\0');
    assert_int_equal(hyp_trace_create("/dev/full", &info, &w, NULL), HYP_OK);
    hyp_trace_used(w, 0, 1, (const uint32_t[]){1}, NULL, 1);
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_trace_close(w, &err), HYP_EIO);
    assert_int_equal(hyp_trace_close(NULL, &err), HYP_OK);
}

/* Over the buffer's size, and as compact as promised. */
static void a_long_trace_is_compact(void **state) {
    (void)state;
    synth_config c = {.n_layers = 40,
                      .n_experts = 128,
                      .n_used = 8,
                      .unit_bytes = 1,
                      .n_prefill = 64,
                      .n_tokens = 4000,
                      .skew = 0.5,
                      .persistence = 0.3,
                      .recall = 0.5,
                      .seed = 7};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(synth_write(path, &c, &err), HYP_OK);
    hyp_trace *t;
    assert_int_equal(hyp_trace_read(path, &t, &err), HYP_OK);
    assert_true(t->complete);
    assert_int_equal(t->n_passes, 4001);
    assert_int_equal(t->n_visits, 4001 * 40);
    check_consistent(t);
    char *data;
    size_t n;
    assert_int_equal(hyp_paths_read(path, (size_t)64 << 20, &data, &n, &err), HYP_OK);
    assert_true(n < t->n_experts * 5 / 4 + t->n_visits);
    free(data);
    hyp_trace_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_cut_file_is_read_as_far_as_it_goes),
        cmocka_unit_test(later_layers_may_have_fewer_tokens),
        cmocka_unit_test(a_damaged_file_is_no_danger),
        cmocka_unit_test(impossible_models_and_places_are_refused),
        cmocka_unit_test(a_long_trace_is_compact),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
