/* Grammars that begin in the middle of an answer, over the demo model's vocabulary (skipped without it). */
#include "../test.h"
#include "base/text.h"
#include "engine/lazy_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct llama_model *model;
static const struct llama_vocab *vocab;

static const char call_grammar[] = "root ::= \"<tool_call>\" \"\\n\"? \"{\" [a-z]+ \"}\"\n";

static void quiet(enum ggml_log_level level, const char *text, void *arg) {
    (void)level, (void)text, (void)arg;
}

static int load_vocabulary(void **state) {
    (void)state;
    char path[1024];
    const char *folder = getenv("HYPURA_MODELS");
    snprintf(path, sizeof path, "%s/smollm2-135m-instruct-q4_1.gguf", folder != NULL ? folder : "models");
    if (access(path, R_OK) != 0) return 0;
    llama_log_set(quiet, NULL);
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    model = llama_model_load_from_file(path, params);
    vocab = llama_model_get_vocab(model);
    return 0;
}

static int free_vocabulary(void **state) {
    (void)state;
    llama_model_free(model);
    return 0;
}

typedef enum outcome { FREE, BOUND, REFUSED, GIVEN_UP } outcome;

/* What becomes of an answer that goes like this: FREE, the word never came; BOUND, the grammar allowed all of it;
 * REFUSED, it would have been kept from going on; GIVEN_UP, the word's own token went on wrongly. */
static outcome feed(hyp_lazy *lazy, const char *text) {
    llama_token tokens[4096];
    int n = llama_tokenize(vocab, text, (int)strlen(text), tokens, 4096, false, true);
    assert_true(n >= 0);
    struct llama_sampler *grammar = NULL;
    outcome r = FREE;
    bool over = false;
    for (int i = 0; i < n && r != REFUSED && r != GIVEN_UP; i++) {
        if (grammar != NULL) {
            if (hyp_lazy_allows(grammar, tokens[i]))
                llama_sampler_accept(grammar, tokens[i]);
            else
                r = REFUSED;
            continue;
        }
        grammar = hyp_lazy_feed(lazy, vocab, tokens[i], &over);
        if (over) r = grammar != NULL ? BOUND : GIVEN_UP;
    }
    if (grammar != NULL) llama_sampler_free(grammar);
    return r;
}

static outcome run(const hyp_trigger *triggers, size_t n, const char *grammar, const char *text) {
    hyp_lazy *lazy = NULL;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_lazy_new(grammar, triggers, n, &lazy, &err), HYP_OK);
    outcome r = feed(lazy, text);
    hyp_lazy_free(lazy);
    return r;
}

static void a_word_begins_the_grammar(void **state) {
    (void)state;
    if (model == NULL) skip();
    static const hyp_trigger trigger = {"<tool_call>", NULL, false};
    assert_int_equal(run(&trigger, 1, call_grammar, "Any text { at all, <tool and so on"), FREE);
    assert_int_equal(run(&trigger, 1, call_grammar, "Let me look.\n<tool_call>\n{abc}"), BOUND);
    assert_int_equal(run(&trigger, 1, call_grammar, "<tool_call>{abc}"), BOUND);
    assert_int_equal(run(&trigger, 1, call_grammar, "\"Quoted\\\" <tool_call>{abc}"), BOUND);
    assert_int_equal(run(&trigger, 1, call_grammar, "Gr\xc3\xbc\xc3\x9f\x65 <tool_call>{abc}"), BOUND);
    assert_int_equal(run(&trigger, 1, call_grammar, "Let me look.\n<tool_call>\n{1"), REFUSED);
}

/* The token that completes the word may hold more: libllama's own lazy grammar ends the process here. */
static void a_word_that_goes_on_wrongly_is_let_go(void **state) {
    (void)state;
    if (model == NULL) skip();
    static const hyp_trigger trigger = {"<tool_call>", NULL, false};
    assert_int_equal(run(&trigger, 1, call_grammar, "x <tool_call>)"), GIVEN_UP);
}

static void a_grammar_may_begin_behind_the_word(void **state) {
    (void)state;
    if (model == NULL) skip();
    static const hyp_trigger trigger = {"</think>", "[ \\n]*", false};
    static const char digits[] = "root ::= [0-9]+\n";
    assert_int_equal(run(&trigger, 1, digits, "I think 5 </think>\n\n42"), BOUND);
    assert_int_equal(run(&trigger, 1, digits, "I think </think>42"), BOUND);
    assert_int_equal(run(&trigger, 1, digits, "I think 5 </think>\n\nfive"), REFUSED);
    assert_int_equal(run(&trigger, 1, digits, "42 and no end of it"), FREE);
}

static void some_words_count_only_at_the_start(void **state) {
    (void)state;
    if (model == NULL) skip();
    static const hyp_trigger trigger = {"{\"name\"", NULL, true};
    static const char named[] = "root ::= \"{\\\"name\\\"\" \":\" [a-z]+\n";
    assert_int_equal(run(&trigger, 1, named, " \n{\"name\":abc"), BOUND);
    assert_int_equal(run(&trigger, 1, named, "Such as {\"name\":abc"), FREE);
    hyp_str text = {0};
    for (int i = 0; i < 300; i++)
        hyp_str_puts(&text, "word ");
    for (int i = 0; i < 300; i++)
        hyp_str_puts(&text, "\n\n   \n");
    hyp_str_puts(&text, "{\"name\":abc");
    assert_int_equal(run(&trigger, 1, named, text.data), FREE);
    hyp_str_free(&text);
}

/* Only the end of an answer is looked at, but none of it is missed. */
static void long_answers_are_followed(void **state) {
    (void)state;
    if (model == NULL) skip();
    static const hyp_trigger triggers[] = {{"[TOOL_CALLS]", NULL, false}, {"<tool_call>", NULL, false}};
    for (size_t n = 1000; n < 1300; n += 7) {
        hyp_str text = {0};
        while (text.length < 3 * n)
            hyp_str_puts(&text, n % 2 == 0 ? "a <tool b [TOOL_CALL c\n" : "0123456789");
        hyp_str_printf(&text, "%.*s<tool_call>{abc}", (int)(n % 13), "xxxxxxxxxxxxx");
        assert_int_equal(run(triggers, 2, call_grammar, text.data), BOUND);
        hyp_str_free(&text);
    }
}

static void words_have_bounds(void **state) {
    (void)state;
    hyp_lazy *lazy = NULL;
    hyp_err err = HYP_ERR_NONE;
    char word[HYP_TRIGGER_MAX + 2];
    memset(word, 'a', sizeof word);
    word[sizeof word - 1] = '\0';
    assert_int_equal(hyp_lazy_new("root ::= \"a\"", &(hyp_trigger){word, NULL, false}, 1, &lazy, &err), HYP_EINVAL);
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_lazy_new("root ::= \"a\"", &(hyp_trigger){"", NULL, false}, 1, &lazy, &err), HYP_EINVAL);
    assert_null(lazy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_begins_the_grammar),           cmocka_unit_test(a_word_that_goes_on_wrongly_is_let_go),
        cmocka_unit_test(a_grammar_may_begin_behind_the_word), cmocka_unit_test(some_words_count_only_at_the_start),
        cmocka_unit_test(long_answers_are_followed),           cmocka_unit_test(words_have_bounds)};
    return cmocka_run_group_tests(tests, load_vocabulary, free_vocabulary);
}
