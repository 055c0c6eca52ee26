#include "../test.h"
#include "base/options.h"

#include <string.h>

typedef struct values {
    int count;
    double rate;
    uint64_t ram;
    bool fast;
    const char *mode, *name;
    enum { RED, GREEN, BLUE } colour;
    hyp_option_list stop;
    int64_t seed;
} values;

static const hyp_option rows[] = {
    {"count", "-n --number", HYP_OPTION_INT, offsetof(values, count), -1, 10, "N", "3", "how many", 1},
    {"rate", NULL, HYP_OPTION_REAL, offsetof(values, rate), 0, 2, "X", "0.5", "how fast", 1},
    {"ram", NULL, HYP_OPTION_SIZE, offsetof(values, ram), 0, 0, "SIZE", NULL, "budget", 1},
    {"fast", "-f", HYP_OPTION_FLAG, offsetof(values, fast), 0, 0, NULL, NULL, "hurry", 1},
    {"mode", NULL, HYP_OPTION_CHOICE, offsetof(values, mode), 0, 0, "auto|mmap", "auto", "how", 1},
    {"name", NULL, HYP_OPTION_STRING, offsetof(values, name), 0, 0, "TEXT", NULL, "who", 2},
    {"stop", NULL, HYP_OPTION_LIST, offsetof(values, stop), 0, 0, "TEXT", NULL, "where", 1},
    {"seed", NULL, HYP_OPTION_INT64, offsetof(values, seed), -1, 9e15, "N", "-1", "which", 1},
    {"colour", NULL, HYP_OPTION_ENUM, offsetof(values, colour), 0, 0, "COLOUR", "green", "of what", 1},
};
static const char *colour_word(int i) {
    static const char *const words[] = {[RED] = "red", [GREEN] = "green", [BLUE] = "blue"};
    return i <= BLUE ? words[i] : NULL;
}
static const hyp_option_enum enums[] = {{"COLOUR", colour_word}};
static const hyp_options table = {rows, sizeof rows / sizeof *rows, enums, 1};

static int parse(int argc, char **argv, values *v, hyp_err *err) {
    const char *words[2];
    size_t n_words = 0;
    *v = (values){0};
    *err = HYP_ERR_NONE;
    hyp_options_set_defaults(&table, 1, v);
    int r = hyp_options_parse(&table, 1, argc, argv, v, words, 2, &n_words, err);
    return r == HYP_OK ? (int)n_words : r;
}

static void every_kind_is_parsed(void **state) {
    (void)state;
    values v;
    hyp_err err;
    char *argv[] = {"model",         "-n",   "7",      "--rate=1.25", "--ram",    "8G",     "-f",
                    "--mode",        "mmap", "--stop", "a",           "--stop=b", "--seed", "9000000000000000",
                    "--colour=blue", "--",   "-x"};
    assert_int_equal(parse(17, argv, &v, &err), 2);
    assert_true(v.seed == 9000000000000000 && v.colour == BLUE);
    assert_int_equal(v.count, 7);
    assert_true(v.rate == 1.25 && v.ram == 8ull << 30 && v.fast);
    assert_string_equal(v.mode, "mmap");
    assert_int_equal(v.stop.n, 2);
    assert_string_equal(v.stop.items[1], "b");
}

static void defaults_hold(void **state) {
    (void)state;
    values v;
    hyp_err err;
    assert_int_equal(parse(0, NULL, &v, &err), 0);
    assert_true(v.count == 3 && v.rate == 0.5 && !v.fast && v.seed == -1 && v.colour == GREEN &&
                strcmp(v.mode, "auto") == 0);
}

static void mistakes_are_named(void **state) {
    (void)state;
    static const struct {
        char *argv[2];
        int argc;
        const char *message;
    } cases[] = {
        {{"--cuont", "1"}, 2, "unknown option --cuont"},
        {{"--name", "x"}, 2, "unknown option --name"},
        {{"--count", "x"}, 2, "--count needs a whole number, not \"x\""},
        {{"--count", "1.5"}, 2, "--count needs a whole number, not \"1.5\""},
        {{"--seed", "0.5"}, 2, "--seed needs a whole number, not \"0.5\""},
        {{"--count", "11"}, 2, "--count must be between -1 and 10, not 11"},
        {{"--count", NULL}, 1, "--count needs a value"},
        {{"--fast=1", NULL}, 1, "--fast takes no value"},
        {{"--mode", "slow"}, 2, "--mode must be one of auto|mmap, not \"slow\""},
        {{"--colour", "bl"}, 2, "--colour must be one of red|green|blue, not \"bl\""},
        {{"--ram", "lots"}, 2, "--ram needs a size such as 8G or 512M, not \"lots\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        values v;
        hyp_err err;
        assert_int_equal(parse(cases[i].argc, (char **)cases[i].argv, &v, &err), HYP_EINVAL);
        assert_string_equal(err.message, cases[i].message);
        if (i == 0) assert_string_equal(err.hint, "did you mean --count?");
    }
}

static void help_names_the_words(void **state) {
    (void)state;
    char words[64], few[8];
    for (size_t i = 0; i < table.n; i++)
        if (rows[i].kind == HYP_OPTION_ENUM)
            assert_string_equal(hyp_options_metavar(&table, &rows[i], words, sizeof words), "red|green|blue");
        else
            assert_ptr_equal(hyp_options_metavar(&table, &rows[i], words, sizeof words), rows[i].metavar);
    for (size_t i = 0; i < table.n; i++)
        if (rows[i].kind == HYP_OPTION_ENUM)
            assert_string_equal(hyp_options_metavar(&table, &rows[i], few, sizeof few), "red|gre");
}

static void what_is_written_is_parsed_again(void **state) {
    (void)state;
    values v, again;
    hyp_err err;
    hyp_str out = {0};
    char *argv[32] = {"-n",     "7",   "--rate=0.1", "--ram",     "8G",          "-f",
                      "--stop", "a b", "--stop=",    "--seed=12", "--colour=red"};
    assert_int_equal(parse(11, argv, &v, &err), 0);
    hyp_options_write(&table, 1, &v, &out);
    assert_string_equal(out.data, "--count");
    int argc = 0;
    for (size_t i = 0; i < out.length; i += strlen(out.data + i) + 1)
        argv[argc++] = out.data + i;
    assert_int_equal(parse(argc, argv, &again, &err), 0);
    assert_true(again.count == v.count && again.rate == v.rate && again.ram == v.ram && again.fast == v.fast &&
                again.seed == v.seed && again.colour == v.colour && again.stop.n == 2);
    assert_string_equal(again.mode, v.mode);
    assert_string_equal(again.stop.items[0], "a b");
    assert_string_equal(again.stop.items[1], "");
    hyp_str_free(&out);
    /* Of options without a default that were not given nothing is said. */
    assert_int_equal(parse(0, NULL, &v, &err), 0);
    hyp_options_write(&table, 1, &v, &out);
    assert_int_equal(out.length, sizeof "--count\0003\0--rate\0000.5\0--mode\0auto\0--seed\0-1\0--colour\0green");
    hyp_str_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_kind_is_parsed), cmocka_unit_test(defaults_hold),
                                       cmocka_unit_test(mistakes_are_named), cmocka_unit_test(help_names_the_words),
                                       cmocka_unit_test(what_is_written_is_parsed_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
