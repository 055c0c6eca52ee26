/* Conversations: kept, written, saved and read again. */
#include "../test.h"
#include "base/paths.h"
#include "cli/transcript.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add(hyp_transcript *t, const char *role, const char *content, const char *thinking) {
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_transcript_add(t, role, content, thinking, &err), HYP_OK);
}

static void assert_written(const hyp_transcript *t, size_t n_dropped, const char *expected) {
    hyp_str out = {0};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_transcript_write(t, n_dropped, &out, &err), HYP_OK);
    assert_string_equal(out.data, expected);
    hyp_str_free(&out);
}

static void test_write(void **state) {
    (void)state;
    hyp_transcript t = {0};
    assert_written(&t, 0, "[]");
    add(&t, "system", "s", NULL);
    add(&t, "user", "a\"b\nc", NULL);
    add(&t, "assistant", "d\xff", "hm");
    add(&t, "user", "e", NULL);
    assert_written(&t, 0,
                   "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"a\\\"b\\nc\"},"
                   "{\"role\":\"assistant\",\"content\":\"d\xef\xbf\xbd\",\"thinking\":\"hm\"},"
                   "{\"role\":\"user\",\"content\":\"e\"}]");
    /* The oldest go first, the system message stays. */
    assert_written(&t, 2, "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"e\"}]");
    hyp_transcript_cut(&t, 2);
    assert_written(&t, 1, "[{\"role\":\"system\",\"content\":\"s\"}]");
    hyp_transcript_free(&t);
}

static void test_system(void **state) {
    (void)state;
    hyp_transcript t = {0};
    hyp_err err = HYP_ERR_NONE;
    assert_null(hyp_transcript_system(&t));
    for (int i = 0; i < 40; i++) /* across several growths */
        add(&t, "user", "u", NULL);
    assert_int_equal(hyp_transcript_set_system(&t, "one", &err), HYP_OK);
    assert_string_equal(hyp_transcript_system(&t), "one");
    assert_int_equal(hyp_transcript_set_system(&t, "two", &err), HYP_OK);
    assert_string_equal(hyp_transcript_system(&t), "two");
    assert_int_equal(t.n, 41);
    assert_int_equal(hyp_transcript_set_system(&t, "", &err), HYP_OK);
    assert_null(hyp_transcript_system(&t));
    assert_int_equal(t.n, 40);
    hyp_transcript_free(&t);
}

static void test_save_and_load(void **state) {
    (void)state;
    char path[] = "/tmp/hypura-transcript-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    hyp_transcript t = {0}, again = {0};
    hyp_err err = HYP_ERR_NONE;
    add(&t, "user", "Grüße", NULL);
    add(&t, "assistant", "line\nline", "thought");
    assert_int_equal(hyp_transcript_save(&t, "m.gguf", path, &err), HYP_OK);
    assert_int_equal(hyp_transcript_load(path, &again, &err), HYP_OK);
    assert_int_equal(again.n, 2);
    assert_string_equal(again.items[0].content, "Grüße");
    assert_null(again.items[0].thinking);
    assert_string_equal(again.items[1].role, "assistant");
    assert_string_equal(again.items[1].content, "line\nline");
    assert_string_equal(again.items[1].thinking, "thought");
    hyp_transcript_free(&again);
    hyp_transcript_free(&t);
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
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":1,\"content\":\"\"}]}"};
    char path[] = "/tmp/hypura-transcript-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hyp_err err = HYP_ERR_NONE;
        hyp_transcript t = {0};
        assert_int_equal(hyp_paths_write_atomic(path, bad[i], strlen(bad[i]), &err), HYP_OK);
        assert_int_equal(hyp_transcript_load(path, &t, &err), HYP_EFORMAT);
        assert_int_equal(t.n, 0);
        assert_null(t.items);
    }
    unlink(path);
    hyp_err err = HYP_ERR_NONE;
    hyp_transcript t = {0};
    assert_int_equal(hyp_transcript_load(path, &t, &err), HYP_EIO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_system),
        cmocka_unit_test(test_save_and_load),
        cmocka_unit_test(test_load_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
