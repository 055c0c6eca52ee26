/* Conversations saved and read again. */
#include "../test.h"
#include "base/paths.h"
#include "cli/transcript.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_save_and_load(void **state) {
    (void)state;
    char path[] = "/tmp/hypura-transcript-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    hyp_conversation *c = hyp_conversation_new(), *again = NULL;
    hyp_err err = HYP_ERR_NONE;
    static const char tools[] = "[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]";
    yyjson_doc *doc = yyjson_read(tools, strlen(tools), 0);
    assert_int_equal(hyp_conversation_add(c, "user",
                                          "Gr\xc3\xbc\xc3\x9f"
                                          "e \xff",
                                          &err),
                     HYP_OK);
    assert_int_equal(hyp_conversation_add_answer(c, "line\nline", "thought", &err), HYP_OK);
    assert_int_equal(hyp_conversation_set_tools(c, yyjson_doc_get_root(doc), &err), HYP_OK);
    yyjson_doc_free(doc);
    assert_int_equal(hyp_transcript_save(c, "m.gguf", path, &err), HYP_OK);
    assert_int_equal(hyp_transcript_load(path, &again, &err), HYP_OK);
    assert_int_equal(again->n, 2);
    assert_string_equal(again->messages[0].content, "Gr\xc3\xbc\xc3\x9f"
                                                    "e \xef\xbf\xbd");
    assert_null(again->messages[0].thinking);
    assert_string_equal(again->messages[1].role, "assistant");
    assert_string_equal(again->messages[1].content, "line\nline");
    assert_string_equal(again->messages[1].thinking, "thought");
    assert_non_null(again->tools);
    hyp_conversation_free(again);
    hyp_conversation_free(c);
    unlink(path);
}

static void test_load_refuses(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "x",
        "{}",
        "[]",
        "{\"messages\":{}}",
        "{\"messages\":[1]}",
        "{\"messages\":[{\"role\":\"user\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":1,\"content\":\"\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"images\":[\"aGk=\"]}]}"};
    char path[] = "/tmp/hypura-transcript-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hyp_err err = HYP_ERR_NONE;
        hyp_conversation *c = NULL;
        assert_int_equal(hyp_paths_write_atomic(path, bad[i], strlen(bad[i]), &err), HYP_OK);
        assert_int_equal(hyp_transcript_load(path, &c, &err), HYP_EFORMAT);
        assert_null(c);
    }
    unlink(path);
    hyp_err err = HYP_ERR_NONE;
    hyp_conversation *c = NULL;
    assert_int_equal(hyp_transcript_load(path, &c, &err), HYP_EIO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_save_and_load),
        cmocka_unit_test(test_load_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
