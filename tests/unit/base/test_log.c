#include "base/log.h"

#include "../test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yyjson.h>

static char path[64];
static int evaluated;

static int count(void) {
    return ++evaluated;
}

/* Log to a fresh file with `spec`. */
static void begin(const char *spec, bool json) {
    hyp_err err = HYP_ERR_NONE;
    strcpy(path, "/tmp/hypura-log-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(hyp_log_open(path, json, &err), HYP_OK);
    assert_int_equal(hyp_log_set_levels(spec, &err), HYP_OK);
}

/* Close the log and read it. */
static char *end(void) {
    static char text[16384];
    hyp_log_close();
    FILE *f = fopen(path, "r");
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    unlink(path);
    return text;
}

static void test_levels(void **state) {
    (void)state;
    begin("warn,pager:debug,http:off", false);
    HYP_LOG(IO, WARN, "kept %d", 1);
    HYP_LOG(IO, INFO, "not kept %d", count());
    HYP_LOG(PAGER, DEBUG, "kept %d", 2);
    HYP_LOG(PAGER, TRACE, "not kept %d", count());
    HYP_LOG(HTTP, ERROR, "not kept %d", count());
    assert_true(HYP_LOG_ON(IO, ERROR));
    assert_true(hyp_log_is_on(HYP_LOG_PAGER, HYP_LOG_INFO));
    assert_false(hyp_log_is_on(HYP_LOG_HTTP, HYP_LOG_ERROR));
    const char *text = end();
    assert_non_null(strstr(text, "Z warn io: kept 1\n"));
    assert_non_null(strstr(text, "Z debug pager: kept 2\n"));
    assert_null(strstr(text, "not kept"));
    assert_int_equal(evaluated, 0);
    HYP_LOG(IO, ERROR, "closed %d", count());
    assert_int_equal(evaluated, 0);
}

static void test_unknown_words_change_nothing(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "loud", "pager:loud", "disk:info", "info,pager:", ":info", "pager", "info,,warn"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(hyp_log_set_levels(wrong[i], &err), HYP_EINVAL);
        assert_non_null(strstr(err.message, "there is no log "));
        assert_non_null(strstr(err.hint, "CATEGORY:LEVEL"));
        assert_false(hyp_log_is_on(HYP_LOG_PAGER, HYP_LOG_ERROR));
    }
}

static void test_one_line_whatever_it_holds(void **state) {
    (void)state;
    static char huge[9000];
    memset(huge, 'x', sizeof huge - 1);
    begin("info", false);
    HYP_LOG(SESSION, INFO, "a\nb\x1b[31mc");
    hyp_log_event(HYP_LOG_SESSION, HYP_LOG_INFO, "long", &(hyp_log_field){.name = "v", .text = huge}, 1);
    const char *text = end(), *second = strchr(text, '\n') + 1;
    assert_non_null(strstr(text, "session: a\\x0ab\\x1b[31mc\n"));
    assert_int_equal(strlen(second), 4096);
    assert_int_equal(second[4095], '\n');
}

static void test_json(void **state) {
    (void)state;
    const hyp_log_field fields[] = {{.name = "model", .text = "a \"b\"\n"},
                                    {.name = "left_out", .text = NULL},
                                    {.name = "tokens", .kind = HYP_LOG_FIELD_INT, .integer = -3},
                                    {.name = "rate", .kind = HYP_LOG_FIELD_REAL, .real = 0.5},
                                    {.name = "none", .kind = HYP_LOG_FIELD_REAL, .real = 0.0 / 0.0}};
    begin("info", true);
    hyp_log_event(HYP_LOG_SESSION, HYP_LOG_INFO, "request", fields, 5);
    const char *text = end();
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_int_equal(yyjson_obj_size(root), 7);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "level")), "info");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "category")), "session");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "message")), "request");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "model")), "a \"b\"\n");
    assert_int_equal(yyjson_get_sint(yyjson_obj_get(root, "tokens")), -3);
    assert_true(yyjson_get_num(yyjson_obj_get(root, "rate")) == 0.5);
    assert_int_equal(strlen(yyjson_get_str(yyjson_obj_get(root, "time"))), 24);
    yyjson_doc_free(doc);
}

static void test_a_file_that_cannot_be_written(void **state) {
    (void)state;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_log_open("/nowhere/at/all", false, &err), HYP_EIO);
    assert_non_null(strstr(err.message, "/nowhere/at/all"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_unknown_words_change_nothing),
        cmocka_unit_test(test_one_line_whatever_it_holds),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_a_file_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
