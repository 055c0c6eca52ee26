#include "../test.h"
#include "registry/params.h"

#include <string.h>

static int apply(hyp_params *params, const char *json, hyp_err *err) {
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    int r = hyp_params_apply(params, yyjson_doc_get_root(doc), err);
    yyjson_doc_free(doc);
    return r;
}

static void defaults_are_ollamas(void **state) {
    (void)state;
    hyp_params p;
    hyp_params_init(&p);
    assert_true(p.num_ctx == 0 && p.num_predict == -1 && p.sampling.top_k == 40 && p.sampling.seed == -1 &&
                p.sampling.repeat_last_n == 64 && p.num_keep == 4);
    assert_true(p.sampling.temperature == 0.8 && p.sampling.top_p == 0.9 && p.sampling.min_p == 0 &&
                p.sampling.typical_p == 1 && p.sampling.repeat_penalty == 1);
    assert_int_equal(p.n_stop, 0);
}

static void options_are_applied(void **state) {
    (void)state;
    hyp_params p, copy;
    hyp_params_init(&p);
    assert_int_equal(apply(&p,
                           "{\"num_ctx\":8192,\"temperature\":0,\"top_k\":null,\"stop\":[\"a\",\"\",\"b\"],\"x\":[],"
                           "\"seed\":7.0,\"top_p\":5}",
                           NULL),
                     HYP_OK);
    assert_true(p.num_ctx == 8192 && p.sampling.temperature == 0 && p.sampling.top_k == 40 && p.sampling.seed == 7 &&
                p.sampling.top_p == 1);
    assert_int_equal(p.n_stop, 2);
    assert_int_equal(hyp_params_copy(&copy, &p, NULL), HYP_OK);
    assert_int_equal(apply(&p, "{\"stop\":\"c\"}", NULL), HYP_OK);
    assert_int_equal(p.n_stop, 1);
    assert_string_equal(p.stop[0], "c");
    assert_string_equal(copy.stop[1], "b");
    hyp_params_free(&p);
    hyp_params_free(&copy);
}

static void wrong_types_are_named(void **state) {
    (void)state;
    static const char *const cases[][2] = {{"{\"num_ctx\":1.5}", "option \"num_ctx\" must be of type integer"},
                                           {"{\"seed\":\"1\"}", "option \"seed\" must be of type integer"},
                                           {"{\"top_p\":true}", "option \"top_p\" must be of type float32"},
                                           {"{\"main_gpu\":{}}", "option \"main_gpu\" must be of type integer"},
                                           {"{\"use_mmap\":0}", "option \"use_mmap\" must be of type boolean"},
                                           {"{\"stop\":[1]}", "option \"stop\" must be of an array of strings"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hyp_params p;
        hyp_err err = HYP_ERR_NONE;
        hyp_params_init(&p);
        assert_int_equal(apply(&p, cases[i][0], &err), HYP_EFORMAT);
        assert_string_equal(err.message, cases[i][1]);
        hyp_params_free(&p);
    }
    hyp_str many = {0};
    hyp_params p;
    hyp_params_init(&p);
    hyp_str_puts(&many, "{\"stop\":[\"x\"");
    for (int i = 0; i < HYP_PARAMS_MAX_STOPS; i++)
        hyp_str_puts(&many, ",\"x\"");
    hyp_str_puts(&many, "]}");
    assert_int_equal(apply(&p, many.data, NULL), HYP_ELIMIT);
    hyp_params_free(&p);
    hyp_str_free(&many);
}

static void parameters_are_described(void **state) {
    (void)state;
    hyp_params p;
    hyp_str out = {0};
    hyp_params_init(&p);
    assert_int_equal(apply(&p, "{\"temperature\":0.5,\"stop\":[\"<\\\"x\\\">\"]}", NULL), HYP_OK);
    hyp_params_describe(&p, 4096, &out);
    assert_string_equal(out.data, "num_ctx                        4096\ntemperature                    0.5\nstop       "
                                  "                    \"<\\\"x\\\">\"");
    hyp_str_free(&out);
    hyp_params_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(defaults_are_ollamas), cmocka_unit_test(options_are_applied),
                                       cmocka_unit_test(wrong_types_are_named),
                                       cmocka_unit_test(parameters_are_described)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
