#include "../test.h"
#include "base/sampling.h"

#include <string.h>

/* What a table can promise of itself: every row by name, its field, its range and its defaults. */
static void every_row_is_whole(void **state) {
    (void)state;
    for (size_t i = 0; i < hyp_sampling_n_rows; i++) {
        const hyp_sampling_row *row = &hyp_sampling_rows[i];
        size_t width = row->kind == HYP_SAMPLING_INT ? sizeof(int) : sizeof(double);
        assert_ptr_equal(hyp_sampling_find(row->name, strlen(row->name)), row);
        assert_true(row->offset + width <= sizeof(hyp_sampling_params));
        assert_true(row->least < row->most && row->most <= row->request_most);
        for (size_t d = 0; d < HYP_SAMPLING_N_DIALECTS; d++) {
            double value = row->defaults[d];
            if (isnan(value) && d == HYP_SAMPLING_OPENAI) continue;
            assert_true(value >= row->least && value <= row->most);
            assert_true(row->kind == HYP_SAMPLING_REAL || value == floor(value));
        }
        for (size_t other = 0; other < i; other++)
            assert_true(hyp_sampling_rows[other].offset != row->offset);
    }
    /* No field is without a row: each int stands alone between wider ones, padded to their width. */
    assert_int_equal(hyp_sampling_n_rows * sizeof(double), sizeof(hyp_sampling_params));
    assert_null(hyp_sampling_find("top", 3));
    assert_null(hyp_sampling_find("top_kk", 6));
}

static void rows_read_and_write_their_field(void **state) {
    (void)state;
    for (size_t i = 0; i < hyp_sampling_n_rows; i++) {
        const hyp_sampling_row *row = &hyp_sampling_rows[i];
        const double values[] = {row->least, row->most, row->request_most};
        for (size_t v = 0; v < 3; v++) {
            hyp_sampling_params params, before;
            hyp_sampling_set_defaults(&params, HYP_SAMPLING_LLAMA_CPP);
            before = params;
            hyp_sampling_set(&params, row, values[v]);
            assert_true(hyp_sampling_get(&params, row) == values[v]);
            for (size_t other = 0; other < hyp_sampling_n_rows; other++)
                if (other != i)
                    assert_true(hyp_sampling_get(&params, &hyp_sampling_rows[other]) ==
                                hyp_sampling_get(&before, &hyp_sampling_rows[other]));
        }
    }
}

/* The differences are on purpose: a user of each program gets what that program does. */
static void dialects_have_their_defaults(void **state) {
    (void)state;
    hyp_sampling_params cpp, ollama;
    memset(&cpp, 0xff, sizeof cpp); /* every field is set */
    memset(&ollama, 0xff, sizeof ollama);
    hyp_sampling_set_defaults(&cpp, HYP_SAMPLING_LLAMA_CPP);
    hyp_sampling_set_defaults(&ollama, HYP_SAMPLING_OLLAMA);
    assert_true(cpp.temperature == 0.8 && cpp.top_p == 0.95 && cpp.min_p == 0.05 && cpp.typical_p == 1 &&
                cpp.repeat_penalty == 1 && cpp.presence_penalty == 0 && cpp.frequency_penalty == 0 && cpp.top_k == 40 &&
                cpp.repeat_last_n == 64 && cpp.seed == -1);
    assert_true(ollama.temperature == 0.8 && ollama.top_p == 0.9 && ollama.min_p == 0 && ollama.typical_p == 1 &&
                ollama.repeat_penalty == 1 && ollama.presence_penalty == 0 && ollama.frequency_penalty == 0 &&
                ollama.top_k == 40 && ollama.repeat_last_n == 64 && ollama.seed == -1);
    hyp_sampling_params asked = {
        .temperature = 0.3, .top_p = 0.5, .min_p = 0.2, .top_k = 7, .frequency_penalty = 2, .seed = 9};
    hyp_sampling_set_defaults(&asked, HYP_SAMPLING_OPENAI);
    assert_true(asked.temperature == 1 && asked.top_p == 1);
    assert_true(asked.min_p == 0.2 && asked.top_k == 7 && asked.frequency_penalty == 2 && asked.seed == 9);
    const hyp_sampling_row *seed = hyp_sampling_find("seed", 4);
    assert_true(seed->most == INT_MAX && seed->request_most == 9e15);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row_is_whole),
                                       cmocka_unit_test(rows_read_and_write_their_field),
                                       cmocka_unit_test(dialects_have_their_defaults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
