#include "../test.h"
#include "session/conversation.h"

#include <stdlib.h>
#include <string.h>

static char *convert(const char *json, bool openai, int expected) {
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    assert_non_null(doc);
    hyp_conversation *c = hyp_conversation_new();
    hyp_err err = HYP_ERR_NONE;
    hyp_str out = {0};
    int r = openai ? hyp_conversation_add_openai(c, yyjson_doc_get_root(doc), &err)
                   : hyp_conversation_add_ollama(c, yyjson_doc_get_root(doc), &err);
    assert_int_equal(r, expected);
    if (r == HYP_OK) hyp_conversation_write(c, &out);
    hyp_conversation_free(c);
    yyjson_doc_free(doc);
    return out.data;
}

static void messages_become_one_form(void **state) {
    (void)state;
    static const struct {
        bool openai;
        const char *in, *out; /* out NULL: an error */
    } cases[] = {
        {false, "[{\"role\":\"user\"}]", "[{\"role\":\"user\",\"content\":\"\"}]"},
        {false,
         "[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"x\":"
         "1}}}]},"
         "{\"role\":\"tool\",\"tool_name\":\"f\",\"content\":\"3\"}]",
         "[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"\",\"type\":\"function\",\"function\":{"
         "\"name\":\"f\",\"arguments\":{\"x\":1}}}]},"
         "{\"role\":\"tool\",\"content\":\"3\",\"tool_name\":\"f\"}]"},
        {true,
         "[{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}"
         "]",
         "[{\"role\":\"system\",\"content\":\"a\\nb\"}]"},
        {true,
         "[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
         "\"arguments\":\"{\\\"x\\\":1}\"}}]},"
         "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"3\"}]",
         "[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{"
         "\"name\":\"f\",\"arguments\":{\"x\":1}}}]},"
         "{\"role\":\"tool\",\"content\":\"3\",\"tool_name\":\"f\",\"tool_call_id\":\"c1\"}]"},
        {true,
         "[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"not "
         "json\"}}]}]",
         "[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{"
         "\"name\":\"f\",\"arguments\":{}}}]}]"},
        {false, "[{\"role\":\"\"}]", NULL},
        {false, "[{}]", NULL},
        {false, "[7]", NULL},
        {false, "[{\"role\":\"user\",\"content\":[]}]", NULL},
        {true, "[{\"role\":\"user\",\"content\":{}}]", NULL},
        {false, "[{\"role\":\"assistant\",\"tool_calls\":{}}]", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out = convert(cases[i].in, cases[i].openai, cases[i].out != NULL ? HYP_OK : HYP_EFORMAT);
        if (cases[i].out != NULL) assert_string_equal(out, cases[i].out);
        free(out);
    }
}

static void the_system_and_the_last_stay(void **state) {
    (void)state;
    hyp_conversation *c = hyp_conversation_new();
    static const char *const roles[] = {"system", "user", "assistant", "system", "user"};
    hyp_err err = HYP_ERR_NONE;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(hyp_conversation_add(c, roles[i], "x", &err), HYP_OK);
    bool dropped[5] = {false};
    assert_int_equal(hyp_conversation_next_droppable(c, dropped), 1);
    dropped[1] = true;
    assert_int_equal(hyp_conversation_next_droppable(c, dropped), 2);
    dropped[2] = true;
    assert_true(hyp_conversation_next_droppable(c, dropped) == SIZE_MAX);
    hyp_conversation_free(c);
    hyp_conversation_free(NULL);
}

static void the_system_message_is_replaced(void **state) {
    (void)state;
    hyp_conversation *c = hyp_conversation_new();
    hyp_err err = HYP_ERR_NONE;
    assert_null(hyp_conversation_system(c));
    for (int i = 0; i < 40; i++) /* across several growths */
        assert_int_equal(hyp_conversation_add(c, "user", "u", &err), HYP_OK);
    assert_int_equal(hyp_conversation_set_system(c, "one", &err), HYP_OK);
    assert_string_equal(hyp_conversation_system(c), "one");
    assert_int_equal(hyp_conversation_set_system(c, "two", &err), HYP_OK);
    assert_string_equal(hyp_conversation_system(c), "two");
    assert_int_equal(c->n, 41);
    assert_int_equal(hyp_conversation_set_system(c, "", &err), HYP_OK);
    assert_null(hyp_conversation_system(c));
    assert_int_equal(hyp_conversation_set_system(c, NULL, &err), HYP_OK);
    assert_int_equal(c->n, 40);
    hyp_conversation_cut(c, 3);
    assert_int_equal(c->n, 3);
    hyp_conversation_free(c);
}

static void text_is_made_valid(void **state) {
    (void)state;
    hyp_conversation *c = hyp_conversation_new();
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_conversation_add(c, "user", "d\xff", &err), HYP_OK);
    assert_int_equal(hyp_conversation_add_answer(c, "", "h\xffm", &err), HYP_OK);
    assert_string_equal(c->messages[0].content, "d\xef\xbf\xbd");
    assert_string_equal(c->messages[1].content, "");
    assert_string_equal(c->messages[1].thinking, "h\xef\xbf\xbdm");
    hyp_conversation_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_become_one_form), cmocka_unit_test(the_system_and_the_last_stay),
        cmocka_unit_test(the_system_message_is_replaced), cmocka_unit_test(text_is_made_valid)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
