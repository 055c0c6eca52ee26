#include "../test.h"
#include "registry/model_name.h"

#include <string.h>

static void names_are_parsed(void **state) {
    (void)state;
    static const struct {
        const char *text, *host, *space, *model, *tag, *formatted;
    } good[] = {{"llama3.2", "", "", "llama3.2", "latest", "llama3.2:latest"},
                {"q:q4", "", "", "q", "q4", "q:q4"},
                {"library/q", "", "", "q", "latest", "q:latest"},
                {"registry.ollama.ai/library/q:1b", "", "", "q", "1b", "q:1b"},
                {"hf.co/org/Repo-GGUF:Q4_K_M", "hf.co", "org", "Repo-GGUF", "Q4_K_M", "hf.co/org/Repo-GGUF:Q4_K_M"},
                {"host:5000/a/b:c", "host:5000", "a", "b", "c", "host:5000/a/b:c"},
                {"https://host/a/b", "host", "a", "b", "latest", "host/a/b:latest"},
                {"me/mine", "", "me", "mine", "latest", "me/mine:latest"},
                {"_x.y-z_", "", "", "_x.y-z_", "latest", "_x.y-z_:latest"}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        hyp_name name;
        char text[HYP_NAME_MAX];
        assert_int_equal(hyp_name_parse(good[i].text, &name, NULL), HYP_OK);
        assert_string_equal(name.host, good[i].host);
        assert_string_equal(name.space, good[i].space);
        assert_string_equal(name.model, good[i].model);
        assert_string_equal(name.tag, good[i].tag);
        assert_string_equal(hyp_name_format(&name, text, sizeof text), good[i].formatted);
    }
}

static void hostile_names_are_refused(void **state) {
    (void)state;
    char longest[200];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *bad[] = {"",         ":",      "a:",        ":b",   "a:b:c", "/a",   "a/",   "..",
                         "../x",     "a/../b", ".hidden",   "-x",   "a b",   "a\nb", "a%2e", "w/x/y/z",
                         "\xc3\xa4", "a:-b",   "a/b/c/d:e", "a\\b", longest, "a:..", "./a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hyp_name name;
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(hyp_name_parse(bad[i], &name, &err), HYP_EINVAL);
        assert_true(err.message[0] != '\0');
    }
    longest[HYP_NAME_PART_MAX] = '\0';
    hyp_name name;
    assert_int_equal(hyp_name_parse(longest, &name, NULL), HYP_OK);
}

static void names_compare_without_case(void **state) {
    (void)state;
    hyp_name a, b;
    assert_int_equal(hyp_name_parse("Org/Model:Q4_K_M", &a, NULL), HYP_OK);
    assert_int_equal(hyp_name_parse("org/model:q4_k_m", &b, NULL), HYP_OK);
    assert_true(hyp_name_equal(&a, &b));
    assert_int_equal(hyp_name_parse("org/model", &b, NULL), HYP_OK);
    assert_false(hyp_name_equal(&a, &b));
    assert_true(hyp_name_same_model(&a, &b));
}

static void stems_are_split(void **state) {
    (void)state;
    static const struct {
        const char *stem, *quant;
    } cases[] = {{"Qwen3-8B-Q4_K_M", "Q4_K_M"},
                 {"model.IQ2_XXS", "IQ2_XXS"},
                 {"a-F16", "F16"},
                 {"a-bf16", "bf16"},
                 {"gpt-oss-20b-MXFP4", "MXFP4"},
                 {"a-Q8_0", "Q8_0"},
                 {"smollm2", NULL},
                 {"model-q4", "q4"},
                 {"phi-4-mini", NULL},
                 {"Q4_K_M", NULL},
                 {"a-Quick", NULL},
                 {"a-Q4 K", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t at = hyp_name_quant_suffix(cases[i].stem);
        if (cases[i].quant == NULL)
            assert_int_equal(at, 0);
        else
            assert_string_equal(cases[i].stem + at, cases[i].quant);
    }
    char model[HYP_NAME_PART_MAX + 1];
    hyp_name_sanitize("a b/c\xc3\xa4", 7, model);
    assert_string_equal(model, "a-b-c--");
    hyp_name_sanitize("..", 2, model);
    assert_string_equal(model, "_.");
    hyp_name_sanitize("", 0, model);
    assert_string_equal(model, "_");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_parsed), cmocka_unit_test(hostile_names_are_refused),
                                       cmocka_unit_test(names_compare_without_case), cmocka_unit_test(stems_are_split)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
