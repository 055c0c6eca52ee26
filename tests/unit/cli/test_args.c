#include "../test.h"
#include "cli/args.h"

#include <string.h>

static const hyp_option *row(size_t i) {
    return &hyp_args_table.rows[i];
}

/* Everything that `option` can be called, once with the name's dashes, separated by blanks. */
static void spellings(const hyp_option *option, char *ret, size_t size) {
    snprintf(ret, size, "--%s%s%s", option->name, option->aliases != NULL ? " " : "",
             option->aliases != NULL ? option->aliases : "");
}

static bool share_a_spelling(const hyp_option *a, const hyp_option *b) {
    char mine[128], others[128], *rest = NULL;
    spellings(a, mine, sizeof mine);
    spellings(b, others + 1, sizeof others - 2);
    others[0] = ' ';
    strcat(others, " ");
    for (const char *word = strtok_r(mine, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        char whole[64];
        snprintf(whole, sizeof whole, " %s ", word);
        if (strstr(others, whole) != NULL) return true;
    }
    return false;
}

static void no_command_has_two_meanings_for_a_word(void **state) {
    (void)state;
    for (size_t i = 0; i < hyp_args_table.n; i++)
        for (size_t j = 0; j < i; j++)
            if ((row(i)->commands & row(j)->commands) != 0 && share_a_spelling(row(i), row(j)))
                fail_msg("--%s and --%s are spelled alike", row(i)->name, row(j)->name);
}

/* An enum without words, or a default beyond the bounds, would end the program. */
static void every_row_is_whole(void **state) {
    (void)state;
    for (uint64_t command = HYP_COMMAND_RUN; command <= HYP_COMMAND_HELP; command <<= 1) {
        hyp_args args = {0};
        hyp_options_set_defaults(&hyp_args_table, command, &args);
    }
    for (size_t i = 0; i < hyp_args_table.n; i++) {
        char words[128];
        bool flag = row(i)->kind == HYP_OPTION_FLAG;
        const char *metavar = hyp_options_metavar(&hyp_args_table, row(i), words, sizeof words);
        assert_true(flag == (metavar == NULL));
        assert_true(metavar == NULL || strlen(metavar) < sizeof words - 1);
        assert_true(row(i)->offset < sizeof(hyp_args) && row(i)->help[0] != '\0' && row(i)->commands != 0);
        assert_true(row(i)->help[strlen(row(i)->help) - 1] != '.');
    }
}

/* `bench` starts `run` with them. */
static void what_is_handed_on_is_taken(void **state) {
    (void)state;
    size_t n = 0;
    for (size_t i = 0; i < hyp_args_table.n; i++) {
        if ((row(i)->commands & HYP_HANDED_ON) == 0 || strcmp(row(i)->name, "help") == 0) continue;
        assert_true((row(i)->commands & HYP_COMMAND_BENCH) != 0 && (row(i)->commands & HYP_COMMAND_RUN) != 0);
        n++;
    }
    assert_true(n > 0);
}

static void words_arrive_where_they_are_obeyed(void **state) {
    (void)state;
    static char *argv[] = {"--mode",    "experts",  "--policy=lfu", "--io", "threads",   "--io-depth",
                           "7",         "--ram=2G", "-c",           "99",   "--sidecar", "s.packed",
                           "--top-k=3", "-s",       "2147483647",   "-t",   "5",         "--no-prefetch"};
    hyp_args args = {0};
    const char *words[1];
    size_t n_words = 0;
    hyp_err err = HYP_ERR_NONE;
    hyp_options_set_defaults(&hyp_args_table, HYP_COMMAND_RUN, &args);
    assert_int_equal(hyp_options_parse(&hyp_args_table, HYP_COMMAND_RUN, (int)(sizeof argv / sizeof *argv), argv, &args,
                                       words, 1, &n_words, &err),
                     HYP_OK);
    assert_true(args.wishes.mode == HYP_MODE_EXPERTS && args.wishes.ram_bytes == (uint64_t)2 << 30 &&
                args.wishes.context_tokens == 99 && args.wishes.batch_tokens == 512);
    assert_true(args.engine.policy == HYP_POLICY_LFU && args.engine.io.backend == HYP_IO_THREADS &&
                args.engine.io.depth == 7 && args.engine.no_prefetch && args.engine.threads == 5);
    assert_string_equal(args.engine.sidecar_path, "s.packed");
    assert_true(args.sampling.top_k == 3 && args.sampling.seed == 2147483647 && args.sampling.top_p == 0.95);
    /* The sampler's table bounds what may be typed. */
    static char *beyond[] = {"--seed", "2147483648"};
    assert_int_equal(hyp_options_parse(&hyp_args_table, HYP_COMMAND_RUN, 2, beyond, &args, words, 1, &n_words, &err),
                     HYP_EINVAL);
    assert_string_equal(err.message, "--seed must be between -1 and 2147483647, not 2147483648");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_command_has_two_meanings_for_a_word), cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(what_is_handed_on_is_taken), cmocka_unit_test(words_arrive_where_they_are_obeyed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
