#include "../test.h"
#include "base/paths.h"
#include "predict/accuracy.h"
#include "predict/coact_priv.h"
#include "predict/trace.h"
#include "synth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint32_t small_experts[] = {8, 8, 5};
static const hyp_coact_shape small = {.digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                                      .n_layers = 3,
                                      .n_experts = small_experts};
static char path[] = "/tmp/hypura-test-coact-XXXXXX";

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

/* Tokens of two kinds by turns of ten: {0, 1} is followed by {4, 5} and {1, 2}, {2, 3} by {6, 7} and {3, 4}. */
static hyp_coact *learned(void) {
    hyp_coact *c;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_coact_new(&small, &c, &err), HYP_OK);
    for (int t = 0; t < 600; t++) {
        uint32_t k = t / 10 % 3 == 0 ? 1 : 0;
        hyp_coact_observe(c, 0, 1, (const uint32_t[]){2 * k, 2 * k + 1}, NULL, 2);
        hyp_coact_observe(c, 1, 1, (const uint32_t[]){2 * k + 4, 2 * k + 5}, NULL, 2);
        hyp_coact_observe(c, 2, 1, (const uint32_t[]){2 * k + 1, 2 * k + 2}, NULL, 2);
    }
    return c;
}

/* The sum of the two experts of `layer` that the next token most likely uses when the last one used `last`. */
static uint32_t two_likeliest_again(const hyp_coact *c, uint32_t layer, const uint32_t *last, size_t n) {
    uint32_t n_experts = c->first[layer + 1] - c->first[layer], first = 0, second = 0;
    float best = -1, next = -1;
    for (uint32_t e = 0; e < n_experts; e++) {
        float score = c->frequency[c->first[layer] + e];
        for (size_t i = 0; i < n; i++)
            if (last[i] == e) score += c->again[layer];
        if (score > best) {
            next = best;
            second = first;
            best = score;
            first = e;
        } else if (score > next) {
            next = score;
            second = e;
        }
    }
    return first + second;
}

static void check_learned(hyp_coact *c) {
    uint32_t ret[8];
    float scores[8];
    assert_true(fabsf(hyp_coact_frequency(c, 0, 0) - 0.66f) < 0.05f);
    assert_true(fabsf(hyp_coact_frequency(c, 0, 2) - 0.33f) < 0.05f);
    assert_true(hyp_coact_frequency(c, 0, 7) == 0 && hyp_coact_frequency(c, 9, 0) == 0);
    assert_int_equal(hyp_coact_followers(c, 1, (const uint32_t[]){2, 3}, 2, 2, ret, scores), 2);
    assert_int_equal(ret[0] + ret[1], 6 + 7);
    assert_true(scores[0] > 0.9f);
    assert_int_equal(hyp_coact_followers(c, 2, (const uint32_t[]){4, 5}, 2, 2, ret, NULL), 2);
    assert_int_equal(ret[0] + ret[1], 1 + 2);
    assert_int_equal(hyp_coact_followers(c, 0, ret, 2, 2, ret, NULL), 0);
    assert_int_equal(hyp_coact_partners(c, 0, (const uint32_t[]){3}, 1, 1, ret, NULL), 1);
    assert_int_equal(ret[0], 2);
    assert_int_equal(two_likeliest_again(c, 0, (const uint32_t[]){2, 3}, 2), 2 + 3);
    hyp_coact_unit units[64];
    assert_int_equal(hyp_coact_warm_list(c, units, 64), 12);
    assert_int_equal(hyp_coact_warm_list(c, units, 6), 6);
    for (int i = 0; i < 6; i++)
        assert_true(units[i].frequency > 0.6f && units[i].layer < 3);
}

static void patterns_are_learned(void **state) {
    (void)state;
    hyp_coact *c = learned();
    check_learned(c);
    /* What cannot be is not learned; a batch teaches frequencies alone, scaled to a token. */
    hyp_coact_observe(c, 3, 1, (const uint32_t[]){0}, NULL, 1);
    hyp_coact_observe(c, 0, 1, (const uint32_t[]){8}, NULL, 1);
    for (int i = 0; i < 200; i++)
        hyp_coact_observe(c, 0, 100, (const uint32_t[]){6, 7}, (const uint32_t[]){100, 25}, 2);
    assert_true(fabsf(hyp_coact_frequency(c, 0, 6) - 1) < 0.01f);
    assert_true(fabsf(hyp_coact_frequency(c, 0, 7) - 0.25f) < 0.01f);
    hyp_coact_free(c);
    hyp_coact_free(NULL);
}

static void statistics_survive_a_restart(void **state) {
    (void)state;
    hyp_coact *c = learned(), *again;
    hyp_err err = HYP_ERR_NONE, note = HYP_ERR_NONE;
    assert_int_equal(hyp_coact_save(c, path, &err), HYP_OK);
    hyp_coact_free(c);
    assert_int_equal(hyp_coact_load(path, &small, &again, &note, &err), HYP_OK);
    assert_int_equal(note.code, 0);
    check_learned(again);
    hyp_coact_free(again);
    hyp_coact_shape other = small;
    other.digest = "ff";
    assert_int_equal(hyp_coact_load(path, &other, &again, &note, &err), HYP_OK);
    assert_int_equal(note.code, HYP_EFORMAT);
    assert_true(hyp_coact_weight_of_layer(again, 0) == 0);
    hyp_coact_free(again);
    note = HYP_ERR_NONE;
    assert_int_equal(hyp_coact_load("/nonexistent/file", &small, &again, &note, &err), HYP_OK);
    assert_int_equal(note.code, 0);
    hyp_coact_free(again);
}

/* Cut and flipped everywhere: ignored with a note, never believed, never a danger. */
static void a_corrupt_file_is_ignored(void **state) {
    (void)state;
    hyp_coact *c = learned(), *again;
    hyp_err err = HYP_ERR_NONE;
    char *data;
    size_t n;
    assert_int_equal(hyp_coact_save(c, path, &err), HYP_OK);
    hyp_coact_free(c);
    assert_int_equal(hyp_paths_read(path, 1 << 20, &data, &n, &err), HYP_OK);
    for (size_t i = 0; i < 2 * n; i++) {
        bool cut = i < n;
        if (!cut) data[i - n] = (char)(data[i - n] ^ (1 + i % 255));
        FILE *f = fopen(path, "w");
        fwrite(data, 1, cut ? i : n, f);
        fclose(f);
        if (!cut) data[i - n] = (char)(data[i - n] ^ (1 + i % 255));
        hyp_err note = HYP_ERR_NONE;
        assert_int_equal(hyp_coact_load(path, &small, &again, &note, &err), HYP_OK);
        assert_int_equal(note.code, HYP_EFORMAT);
        assert_true(hyp_coact_weight_of_layer(again, 0) == 0);
        hyp_coact_free(again);
    }
    free(data);
    c = learned();
    assert_int_equal(hyp_coact_save(c, "/nonexistent/file", NULL), HYP_EIO);
    hyp_coact_free(c);
}

static void impossible_shapes_are_refused(void **state) {
    (void)state;
    const uint32_t none[] = {0}, many[] = {65535};
    hyp_coact *c;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_coact_new(&(hyp_coact_shape){"aa", 0, none}, &c, &err), HYP_EINVAL);
    assert_int_equal(hyp_coact_new(&(hyp_coact_shape){"aa", 1, none}, &c, NULL), HYP_EINVAL);
    assert_int_equal(hyp_coact_new(&(hyp_coact_shape){"aa", 1, many}, &c, NULL), HYP_EINVAL);
    assert_int_equal(hyp_coact_new(&(hyp_coact_shape){"aa", 5000, many}, &c, NULL), HYP_EINVAL);
    char dir[] = "/tmp/hypura-test-XXXXXX", ret[256], expected[256];
    assert_non_null(mkdtemp(dir));
    setenv("XDG_CACHE_HOME", dir, 1);
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_coact_path("../evil", ret, sizeof ret, &err), HYP_EINVAL);
    assert_int_equal(hyp_coact_path(small.digest, ret, 8, NULL), HYP_ELIMIT);
    assert_int_equal(hyp_coact_path(small.digest, ret, sizeof ret, NULL), HYP_OK);
    snprintf(expected, sizeof expected, "%s/hypura/routing-0123456789abcdef", dir);
    assert_string_equal(ret, expected);
    expected[strlen(dir) + sizeof "/hypura" - 1] = '\0';
    rmdir(expected);
    rmdir(dir);
}

/* On routing with correlated layers, followers predict clearly more than frequencies do; memory stays small. */
static void followers_beat_frequencies(void **state) {
    (void)state;
    synth_config config = {.n_layers = 12,
                           .n_experts = 64,
                           .n_used = 4,
                           .unit_bytes = 1,
                           .n_tokens = 1500,
                           .skew = 0.6,
                           .correlation = 0.5,
                           .seed = 3};
    hyp_trace *t;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(synth_make(&config, &t, &err), HYP_OK);
    uint32_t n_experts[12], used[64], before[64], predicted[4];
    for (int l = 0; l < 12; l++)
        n_experts[l] = 64;
    hyp_coact *c;
    assert_int_equal(hyp_coact_new(&(hyp_coact_shape){"aa", 12, n_experts}, &c, &err), HYP_OK);
    hyp_accuracy by_followers = {0}, by_frequency = {0};
    for (size_t v = 0; v < t->n_visits; v++) {
        const hyp_trace_visit *visit = &t->visits[v];
        for (uint32_t i = 0; i < visit->n_used; i++)
            used[i] = t->experts[visit->used + i];
        if (visit->layer > 0 && visit->pass > 750) {
            uint32_t n = hyp_coact_followers(c, visit->layer, before, 4, 4, predicted, NULL);
            hyp_accuracy_add(&by_followers, predicted, n, used, 4);
            n = hyp_coact_followers(c, visit->layer, NULL, 0, 4, predicted, NULL);
            hyp_accuracy_add(&by_frequency, predicted, n, used, 4);
        }
        hyp_coact_observe(c, visit->layer, 1, used, NULL, visit->n_used);
        memcpy(before, used, sizeof before);
    }
    assert_true(hyp_accuracy_recall(&by_followers) > hyp_accuracy_recall(&by_frequency) + 0.15);
    hyp_coact_free(c);
    hyp_trace_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_learned),       cmocka_unit_test(statistics_survive_a_restart),
        cmocka_unit_test(a_corrupt_file_is_ignored),  cmocka_unit_test(impossible_shapes_are_refused),
        cmocka_unit_test(followers_beat_frequencies),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
