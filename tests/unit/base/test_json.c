#include "../test.h"
#include "base/json.h"

#include <string.h>

static void bodies_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int code;
    } cases[] = {{"{}", HYP_OK},
                 {" \r\n\t", HYP_EFORMAT},
                 {"", HYP_EFORMAT},
                 {"{", HYP_EFORMAT},
                 {"{}x", HYP_EFORMAT},
                 {"[\"\\ud83d\"]", HYP_OK},
                 {"[\"\xff\"]", HYP_OK},
                 {"[\"\\ud83d\\ude00\", \"\\udc00\", \"\\\\ud800\"]", HYP_OK},
                 {"[\"\\ud83", HYP_EFORMAT},
                 {"\"\\", HYP_EFORMAT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        yyjson_doc *doc = NULL;
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(hyp_json_parse(cases[i].text, strlen(cases[i].text), &doc, &err), cases[i].code);
        yyjson_doc_free(doc);
    }
    yyjson_doc *doc = NULL;
    static const char text[] = "[\"a\\ud83dz\xff\",\"\\ud83d\\ude00\"]";
    assert_int_equal(hyp_json_parse(text, strlen(text), &doc, NULL), HYP_OK);
    assert_string_equal(yyjson_get_str(yyjson_arr_get(yyjson_doc_get_root(doc), 0)), "a\xef\xbf\xbdz\xef\xbf\xbd");
    assert_string_equal(yyjson_get_str(yyjson_arr_get(yyjson_doc_get_root(doc), 1)), "\xf0\x9f\x98\x80");
    yyjson_doc_free(doc);
}

static void depth_is_limited(void **state) {
    (void)state;
    char text[2 * (HYP_JSON_MAX_DEPTH + 1) + 1];
    for (int depth = HYP_JSON_MAX_DEPTH; depth <= HYP_JSON_MAX_DEPTH + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        yyjson_doc *doc = NULL;
        assert_int_equal(hyp_json_parse(text, 2 * (size_t)depth, &doc, NULL),
                         depth > HYP_JSON_MAX_DEPTH ? HYP_ELIMIT : HYP_OK);
        yyjson_doc_free(doc);
    }
}

static void fields_are_typed(void **state) {
    (void)state;
    static const char text[] = "{\"s\":\"x\",\"n\":null,\"i\":3,\"r\":1.5,\"b\":true,\"whole\":4.0}";
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    hyp_err err = HYP_ERR_NONE;
    hyp_fields f = {yyjson_doc_get_root(doc), "T", &err};
    assert_string_equal(hyp_field_str(&f, "s", ""), "x");
    assert_string_equal(hyp_field_str(&f, "n", "unset"), "unset");
    assert_string_equal(hyp_field_str(&f, "missing", "unset"), "unset");
    assert_int_equal(hyp_field_int(&f, "i", 0), 3);
    assert_int_equal(hyp_field_int(&f, "whole", 0), 4);
    assert_true(hyp_field_real(&f, "r", 0) == 1.5 && hyp_field_bool(&f, "b", false));
    assert_int_equal(err.code, 0);
    hyp_field_int(&f, "r", 0);
    assert_string_equal(err.message, "json: cannot unmarshal number into Go struct field T.r of type int");
    hyp_field_str(&f, "b", "");
    assert_string_equal(err.message,
                        "json: cannot unmarshal number into Go struct field T.r of type int"); /* the first stays */
    yyjson_doc_free(doc);
}

static void what_is_written_reads_back(void **state) {
    (void)state;
    hyp_str out = {0};
    hyp_json j = {&out, false};
    hyp_json_open(&j, '{');
    hyp_json_kv_str(&j, "a\"b", "\x01\n\\\"\xff\xc3\xa4");
    hyp_json_key(&j, "list");
    hyp_json_open(&j, '[');
    hyp_json_int(&j, -5);
    hyp_json_real(&j, (double)0.1f);
    hyp_json_real(&j, 1.0 / 0.0);
    hyp_json_str(&j, NULL);
    hyp_json_open(&j, '{');
    hyp_json_close(&j, '}');
    hyp_json_close(&j, ']');
    hyp_json_kv_bool(&j, "t", true);
    hyp_json_close(&j, '}');
    assert_string_equal(
        out.data, "{\"a\\\"b\":\"\\u0001\\n\\\\\\\"\xef\xbf\xbd\xc3\xa4\",\"list\":[-5,0.1,null,null,{}],\"t\":true}");
    yyjson_doc *doc = yyjson_read(out.data, out.length, 0);
    assert_non_null(doc);
    yyjson_doc_free(doc);
    hyp_str_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bodies_are_read), cmocka_unit_test(depth_is_limited),
                                       cmocka_unit_test(fields_are_typed),
                                       cmocka_unit_test(what_is_written_reads_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
