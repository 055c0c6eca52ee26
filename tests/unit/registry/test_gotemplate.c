#include "../test.h"
#include "registry/gotemplate.h"

static void templates_are_rendered(void **state) {
    (void)state;
    static const struct {
        const char *text, *system, *out; /* out NULL: an error */
    } cases[] = {{"{{ .System }} USER: {{ .Prompt }} ASSISTANT: ", "S", "S USER: P ASSISTANT: "},
                 {"{{if .System}}[{{.System}}]{{end}}{{.Prompt}}", "", "P"},
                 {"{{ if .System }}a{{ else }}b{{ end }}", "", "b"},
                 {"{{ if .System }}a{{ else }}b{{ end }}", "S", "a"},
                 {"x \n{{- .Prompt -}}\n y", "", "xPy"},
                 {"{{/* note */}}{{ .Prompt }}{{ .Response }}<end>", "", "P"},
                 {"{{ if .System }}{{ if .Prompt }}1{{ end }}2{{ end }}3", "S", "123"},
                 {"{{ if .System }}{{ if .Prompt }}1{{ end }}2{{ end }}3", "", "3"},
                 {"plain", "", "plain"},
                 {"", "", ""},
                 {"{{ range .Messages }}", "", NULL},
                 {"{{ .Prompt", "", NULL},
                 {"{{ if .System }}", "", NULL},
                 {"{{ end }}", "", NULL},
                 {"{{ printf \"%s\" .Prompt }}", "", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hyp_str out = {0};
        hyp_err err = HYP_ERR_NONE;
        hyp_gotemplate_values values = {cases[i].system, "P", "", ""};
        int r = hyp_gotemplate_render(cases[i].text, &values, &out, &err);
        assert_int_equal(r, cases[i].out != NULL ? HYP_OK : HYP_EFORMAT);
        if (r == HYP_OK) assert_string_equal(out.data != NULL ? out.data : "", cases[i].out);
        hyp_str_free(&out);
    }
}

static void depth_is_limited(void **state) {
    (void)state;
    hyp_str text = {0}, out = {0};
    for (int i = 0; i < 1000; i++)
        hyp_str_puts(&text, "{{ if .Prompt }}");
    hyp_gotemplate_values values = {"", "P", "", ""};
    assert_int_equal(hyp_gotemplate_render(text.data, &values, &out, NULL), HYP_EFORMAT);
    hyp_str_free(&text);
    hyp_str_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(templates_are_rendered), cmocka_unit_test(depth_is_limited)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
