/* The Jinja engine against what Python's jinja2 renders (tests/chat/generate.py wrote tests/chat/expected), and its
 * limits. */
#include "../test.h"
#include "corpus.h"
#include "jinja/jinja.h"

#include <dirent.h>

/* One template with one set of variables: the same text, or the same refusal, or a failure where jinja2 fails. */
static int compare(const char *label, const hyp_jinja *jinja, int compiled, const hyp_err *compile_err,
                   yyjson_val *vars, yyjson_val *expected) {
    const char *output = yyjson_get_str(yyjson_obj_get(expected, "output"));
    const char *refused = yyjson_get_str(yyjson_obj_get(expected, "refused"));
    hyp_err err = HYP_ERR_NONE;
    hyp_str out = {0};
    int rc = compiled;
    if (rc == HYP_OK) {
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        rc = hyp_jinja_render(jinja, yyjson_val_mut_copy(doc, vars), CORPUS_NOW, &out, &err);
        yyjson_mut_doc_free(doc);
    } else {
        err = *compile_err;
    }
    int bad = 0;
    if (output != NULL)
        bad = rc != HYP_OK || strcmp(out.length > 0 ? out.data : "", output) != 0;
    else if (refused != NULL)
        bad = rc != HYP_EINVAL || strstr(err.message, refused) == NULL;
    else
        bad = rc >= 0 || rc == HYP_EINVAL;
    if (bad)
        print_error("%s\n  expected: %s\n  got:      %s\n", label,
                    output != NULL    ? output
                    : refused != NULL ? refused
                                      : "a failure",
                    rc == HYP_OK ? (out.length > 0 ? out.data : "") : err.message);
    hyp_str_free(&out);
    return bad;
}

static void run_folder(const char *folder, const char *cases_path, size_t at_least) {
    char path[600];
    const char *root = getenv("HYPURA_ROOT");
    snprintf(path, sizeof path, "%s/tests/chat/%s", root != NULL ? root : ".", folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    yyjson_doc *cases = corpus_json(cases_path);
    assert_non_null(cases);
    int bad = 0;
    size_t seen = 0, rendered = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char *dot = strstr(e->d_name, ".jinja");
        if (dot == NULL) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        size_t n = 0;
        char *text = corpus_read(path, &n);
        snprintf(path, sizeof path, "expected/%s/%.*s.json", folder, (int)(dot - e->d_name), e->d_name);
        yyjson_doc *expected = corpus_json(path);
        assert_non_null(expected);
        hyp_err err = HYP_ERR_NONE;
        hyp_jinja *jinja = NULL;
        int rc = hyp_jinja_compile(text, n, NULL, &jinja, &err);
        size_t i, max;
        yyjson_val *key, *val;
        yyjson_obj_foreach(yyjson_doc_get_root(expected), i, max, key, val) {
            yyjson_val *vars = yyjson_doc_get_root(cases);
            if (strcmp(folder, "templates") == 0) vars = yyjson_obj_get(vars, yyjson_get_str(key));
            assert_non_null(vars);
            snprintf(path, sizeof path, "%s/%s with %s", folder, e->d_name, yyjson_get_str(key));
            bad += compare(path, jinja, rc, &err, vars, val);
            rendered++;
        }
        hyp_jinja_free(jinja);
        yyjson_doc_free(expected);
        free(text);
        seen++;
    }
    closedir(dir);
    yyjson_doc_free(cases);
    print_message("%zu templates, %zu renders\n", seen, rendered);
    assert_int_equal(bad, 0);
    assert_true(seen >= at_least);
}

static void every_feature_as_jinja2(void **state) {
    (void)state;
    run_folder("features", "values.json", 90);
}

static void every_model_template_as_jinja2(void **state) {
    (void)state;
    run_folder("templates", "conversations.json", 30);
}

static int render_limited(const char *text, const hyp_jinja_limits *limits, hyp_err *err) {
    hyp_jinja *jinja = NULL;
    hyp_str out = {0};
    int rc = hyp_jinja_compile(text, strlen(text), limits, &jinja, err);
    if (rc == HYP_OK) {
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        rc = hyp_jinja_render(jinja, yyjson_mut_obj(doc), CORPUS_NOW, &out, err);
        yyjson_mut_doc_free(doc);
        if (rc < 0) assert_null(out.data);
    }
    hyp_str_free(&out);
    hyp_jinja_free(jinja);
    return rc;
}

static void hostile_templates_hit_limits(void **state) {
    (void)state;
    static const char *const hostile[] = {
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' * 1000 }}{% endfor %}",
        "{{ 'x' * 999999999999 }}",
        "{{ ('x' * 1000000) * 1000000 }}",
        "{{ [0] * 4000000000 }}",
        "{{ range(100001) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(f) %}{{ f(f) }}{% endmacro %}{{ m(m) }}",
        "{% set l = [1] %}{% set _ = l.append(l) %}{{ l }}",
        "{% set l = [1] %}{% set _ = l.append(l) %}{{ l | tojson }}",
        "{% set l = [1] %}{% set m = [1] %}{% set _ = l.append(m) %}{% set _ = m.append(l) %}{{ l == m }}",
        "{% set l = [1] %}{% for x in range(100) %}{% set _ = l.extend(l) %}{% endfor %}",
        ("{% set l = [1] %}{% for x in l %}{% set _ = l.append(x) %}{% endfor %}{{ l | length }}"
         "{% for x in range(64) %}{% set _ = l.extend(l) %}{% endfor %}"),
        "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{{ 9223372036854775807 + 1 }}",
        "{{ 2 ** 64 }}",
        "{{ -9223372036854775807 - 2 }}",
        "{{ '%99999d' % 1 }}",
        "{{ 'x' | center(99999999999) }}",
        "{{ 'a\nb' | indent(99999999999) }}",
        "{{ [[[]]] | tojson(indent=999999999) }}",
    };
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        hyp_err err = HYP_ERR_NONE;
        int rc = render_limited(hostile[i], NULL, &err);
        if (rc != HYP_ELIMIT) print_error("%s: %d %s\n", hostile[i], rc, err.message);
        assert_int_equal(rc, HYP_ELIMIT);
        assert_int_equal(err.code, HYP_ELIMIT);
    }
}

static void repeat(char *out, const char *part, size_t n, const char *end) {
    for (size_t i = 0; i < n; i++)
        out = stpcpy(out, part);
    stpcpy(out, end);
}

static void deep_nesting_is_refused(void **state) {
    (void)state;
    static const char *const parts[] = {
        "(",    "[",     "{'a':", "not ", "-",     "x if x else ", "x.a(", "{{ [", "{% if x %}", "{% for a in b %}",
        "1 + ", "1 ** ", "x|f(",  "a[",   "x and "};
    char *text = malloc(3 << 20);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        bool tag = parts[i][0] == '{' && (parts[i][1] == '%' || parts[i][1] == '{');
        strcpy(text, tag ? "" : "{{ ");
        repeat(text + strlen(text), parts[i], 50000, "1 }}");
        hyp_err err = HYP_ERR_NONE;
        int rc = render_limited(text, NULL, &err);
        if (rc != HYP_ELIMIT && rc != HYP_EFORMAT) print_error("%s: %d %s\n", parts[i], rc, err.message);
        assert_true(rc == HYP_ELIMIT || rc == HYP_EFORMAT);
    }
    free(text);
}

static void small_limits_are_kept(void **state) {
    (void)state;
    hyp_jinja_limits limits = hyp_jinja_default_limits;
    hyp_err err = HYP_ERR_NONE;
    limits.max_steps = 100;
    assert_int_equal(render_limited("{% for a in range(99) %}{{ a }}{% endfor %}", &limits, &err), HYP_ELIMIT);
    limits = hyp_jinja_default_limits;
    limits.max_output_bytes = 10;
    err = HYP_ERR_NONE;
    assert_int_equal(render_limited("0123456789", &limits, &err), HYP_OK);
    assert_int_equal(render_limited("0123456789a", &limits, &err), HYP_ELIMIT);
    limits = hyp_jinja_default_limits;
    limits.max_template_bytes = 10;
    err = HYP_ERR_NONE;
    assert_int_equal(render_limited("0123456789a", &limits, &err), HYP_ELIMIT);
    limits = hyp_jinja_default_limits;
    limits.max_memory_bytes = 100000;
    err = HYP_ERR_NONE;
    assert_int_equal(render_limited("{{ range(50000) | list | length }}", &limits, &err), HYP_ELIMIT);
}

static void errors_name_the_line(void **state) {
    (void)state;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(render_limited("a\nb\n{{ 'x' + 1 }}", NULL, &err), HYP_EFORMAT);
    assert_non_null(strstr(err.message, "line 3"));
    err = HYP_ERR_NONE;
    assert_int_equal(render_limited("a\n{% if x %}\n\n", NULL, &err), HYP_EFORMAT);
    assert_non_null(strstr(err.message, "line"));
    err = HYP_ERR_NONE;
    assert_int_equal(render_limited("{% include 'x' %}", NULL, &err), HYP_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "include"));
    err = HYP_ERR_NONE;
    assert_int_equal(render_limited("{{ raise_exception('why') }}", NULL, &err), HYP_EINVAL);
    assert_non_null(strstr(err.message, "why"));
}

int main(void) {
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_feature_as_jinja2),      cmocka_unit_test(every_model_template_as_jinja2),
        cmocka_unit_test(hostile_templates_hit_limits), cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(small_limits_are_kept),        cmocka_unit_test(errors_name_the_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
