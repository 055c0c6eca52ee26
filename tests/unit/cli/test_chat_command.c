/* Lines of the terminal chat, and /set. */
#include "../test.h"
#include "cli/chat_command.h"

#include <string.h>

static void test_parse(void **state) {
    (void)state;
    static const struct {
        const char *line;
        hyp_chat_verb verb;
        const char *rest;
    } cases[] = {
        {"", HYP_CHAT_NOTHING, ""},
        {" \t", HYP_CHAT_NOTHING, ""},
        {"hello /bye", HYP_CHAT_SAY, "hello /bye"},
        {"/bye", HYP_CHAT_BYE, ""},
        {" /exit ", HYP_CHAT_BYE, ""},
        {"/set  parameter seed 1", HYP_CHAT_SET, "parameter seed 1"},
        {"/set", HYP_CHAT_SET, ""},
        {"/show info", HYP_CHAT_SHOW, "info"},
        {"/save a b.json", HYP_CHAT_SAVE, "a b.json"},
        {"/load x", HYP_CHAT_LOAD, "x"},
        {"/clear", HYP_CHAT_CLEAR, ""},
        {"/?", HYP_CHAT_HELP, ""},
        {"/help set", HYP_CHAT_HELP, "set"},
        {"/sett x", HYP_CHAT_UNKNOWN, "/sett x"},
        {"/etc/passwd is what?", HYP_CHAT_SAY, "/etc/passwd is what?"},
        {"/ is the root", HYP_CHAT_SAY, "/ is the root"},
        {"//comment", HYP_CHAT_SAY, "//comment"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *rest = NULL;
        assert_int_equal(hyp_chat_parse(cases[i].line, &rest), cases[i].verb);
        assert_string_equal(rest, cases[i].rest);
    }
}

static int set(hyp_chat_settings *s, const char *text) {
    hyp_str out = {0};
    hyp_err err = HYP_ERR_NONE;
    int r = hyp_chat_set(s, text, &out, &err);
    if (r == HYP_OK)
        assert_true(out.length > 0);
    else
        assert_true(err.code == r && err.message[0] != '\0');
    hyp_str_free(&out);
    return r;
}

static hyp_chat_settings settings_of(int max_tokens) {
    hyp_chat_settings s = {.max_tokens = max_tokens};
    hyp_sampling_set_defaults(&s.sampling, HYP_SAMPLING_LLAMA_CPP);
    return s;
}

static void test_set(void **state) {
    (void)state;
    hyp_chat_settings s = settings_of(512);
    assert_int_equal(set(&s, "parameter temperature 0"), HYP_OK);
    assert_true(s.sampling.temperature == 0);
    assert_int_equal(set(&s, "temperature 1.5 "), HYP_OK);
    assert_true(s.sampling.temperature == 1.5);
    assert_int_equal(set(&s, "seed 42"), HYP_OK);
    assert_int_equal(s.sampling.seed, 42);
    assert_int_equal(set(&s, "num_predict -1"), HYP_OK);
    assert_int_equal(s.max_tokens, -1);
    assert_int_equal(set(&s, "think high"), HYP_OK);
    assert_int_equal(s.think, HYP_THINK_ON);
    assert_string_equal(s.effort, "high");
    assert_int_equal(set(&s, "nothink"), HYP_OK);
    assert_int_equal(s.think, HYP_THINK_OFF);
    assert_null(s.effort);
    assert_int_equal(set(&s, "verbose"), HYP_OK);
    assert_true(s.verbose);
    assert_int_equal(set(&s, "quiet"), HYP_OK);
    assert_false(s.verbose);
    for (int i = 0; i < HYP_CHAT_MAX_STOPS; i++)
        assert_int_equal(set(&s, "stop the end"), HYP_OK);
    assert_string_equal(s.stops[0], "the end");
    assert_int_equal(set(&s, "stop one more"), HYP_EINVAL);
    assert_int_equal(set(&s, "parameter stop"), HYP_OK);
    assert_int_equal(s.n_stops, 0);
}

static void test_set_refuses(void **state) {
    (void)state;
    static const char *const bad[] = {"temperature",
                                      "temperature hot",
                                      "temperature nan",
                                      "temperature -1",
                                      "top_k 1.5",
                                      "top_k 1e99",
                                      "top_k 5 6",
                                      "parameter",
                                      "parameter xx",
                                      "num_ctx 8192",
                                      "think deeply",
                                      "xx",
                                      ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hyp_chat_settings s = settings_of(512), before = s;
        assert_int_equal(set(&s, bad[i]), HYP_EINVAL);
        assert_memory_equal(&s, &before, sizeof s);
    }
}

static void test_show(void **state) {
    (void)state;
    hyp_chat_settings s = settings_of(7);
    hyp_str out = {0};
    assert_int_equal(set(&s, "stop END"), HYP_OK);
    hyp_chat_show_parameters(&s, &out);
    assert_non_null(strstr(out.data, "temperature        0.8\n"));
    assert_non_null(strstr(out.data, "num_predict        7\n"));
    assert_non_null(strstr(out.data, "stop               END\n"));
    hyp_str_free(&out);
    hyp_chat_settings_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_refuses),
        cmocka_unit_test(test_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
