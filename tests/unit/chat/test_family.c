/* The table of model families: what every row must hold, and that its grammar, its marks and its parser mean the same
 * calls. */
#include "../test.h"
#include "base/mem.h"
#include "base/text.h"
#include "chat/family_priv.h"
#include "chat/grammar.h"
#include "chat/output.h"

/* --- a sentence of a grammar --- */

/* Writes one sentence of a GBNF grammar: of alternatives the first; what may be left out is left out, or with `full`
 * written once. */
typedef struct writer {
    const char *gbnf;
    bool full;
    int depth;
    hyp_str out;
} writer;

static const char *write_alternatives(writer *w, const char *s, bool silent);

static void write_rule(writer *w, const char *name, size_t n) {
    for (const char *line = w->gbnf; line != NULL; line = strchr(line, '\n'), line = line != NULL ? line + 1 : NULL) {
        if (strncmp(line, name, n) != 0 || strncmp(line + n, " ::= ", 5) != 0) continue;
        assert_true(++w->depth < 200);
        write_alternatives(w, line + n + 5, false);
        w->depth--;
        return;
    }
    fail_msg("no rule %.*s", (int)n, name);
}

static const char *write_literal(writer *w, const char *s, bool silent) {
    for (s++; *s != '"'; s++) {
        char c = *s;
        if (c == '\\') {
            c = *++s == 'n' ? '\n' : *s;
            if (*s == 'x') {
                c = (char)strtol((char[]){s[1], s[2], '\0'}, NULL, 16);
                s += 2;
            }
        }
        assert_true(c != '\0');
        if (!silent) hyp_str_append(&w->out, &c, 1);
    }
    return s + 1;
}

/* A class that excludes is taken to let an x through. */
static const char *write_class(writer *w, const char *s, bool silent) {
    if (!silent) hyp_str_append(&w->out, s[1] == '^' ? "x" : s + 1, 1);
    while (*s != ']')
        s += *s == '\\' ? 2 : 1;
    return s + 1;
}

static const char *write_item(writer *w, const char *s, bool silent) {
    if (*s == '"') return write_literal(w, s, silent);
    if (*s == '[') return write_class(w, s, silent);
    if (*s == '(') {
        s = write_alternatives(w, s + 1, silent);
        assert_int_equal(*s, ')');
        return s + 1;
    }
    size_t n = strcspn(s, " \n|)?*+{");
    assert_true(n > 0);
    if (!silent) write_rule(w, s, n);
    return s + n;
}

/* How often an item with what follows it is written. */
static const char *repeats(const writer *w, const char *s, int *ret) {
    *ret = *s == '?' || *s == '*' ? w->full : 1;
    if (*s == '{') {
        *ret = atoi(s + 1);
        return strchr(s, '}') + 1;
    }
    return *s == '?' || *s == '*' || *s == '+' ? s + 1 : s;
}

static const char *write_alternatives(writer *w, const char *s, bool silent) {
    for (;;) {
        while (*s == ' ')
            s++;
        if (*s == '\0' || *s == '\n' || *s == ')') return s;
        if (*s == '|') {
            silent = true;
            s++;
            continue;
        }
        int n = 0;
        const char *item = s;
        s = repeats(w, write_item(w, s, true), &n);
        for (; n > 0 && !silent; n--)
            write_item(w, item, false);
    }
}

/* --- what comes out of the sorter --- */

typedef struct record {
    hyp_str content, thinking;
    int calls;
    bool with_on;
} record;

static void on_content(void *arg, const char *s, size_t n) {
    hyp_str_append(&((record *)arg)->content, s, n);
}

static void on_thinking(void *arg, const char *s, size_t n) {
    hyp_str_append(&((record *)arg)->thinking, s, n);
}

static void on_call(void *arg, const hyp_tool_call *call) {
    record *r = arg;
    assert_string_equal(call->name, "get_weather");
    assert_string_equal(call->arguments, r->with_on ? "{\"city\":\"Rome\",\"on\":true}" : "{\"city\":\"Rome\"}");
    r->calls++;
}

static void sort(hyp_output_format format, yyjson_val *tools, const char *text, record *r) {
    hyp_output_sink sink = {r, on_content, on_thinking, on_call};
    hyp_output *o = NULL;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_output_new(format, "", tools, sink, &o, &err), HYP_OK);
    assert_int_equal(hyp_output_feed(o, text, strlen(text), &err), HYP_OK);
    assert_int_equal(hyp_output_finish(o, &err), HYP_OK);
    hyp_output_free(o);
}

static void record_free(record *r) {
    hyp_str_free(&r->content);
    hyp_str_free(&r->thinking);
}

/* --- tests --- */

static void check_marks(const char *const *list, size_t cap) {
    assert_null(list[cap - 1]); /* the list ends */
    for (; *list != NULL; list++)
        assert_true((*list)[0] == '<' || (*list)[0] == '['); /* the sorter looks for no others */
}

static void every_tool_row_is_whole(void **state) {
    (void)state;
    for (size_t i = 0; i < hyp_n_tool_families; i++) {
        const hyp_tool_family *f = &hyp_tool_families[i];
        assert_int_equal(hyp_tool_family_of((hyp_tool_format)i)->format, i); /* so there are as many rows as formats */
        assert_true(f->name != NULL && f->name[0] != '\0');
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(f->name, hyp_tool_families[k].name);
        assert_true((f->open[0] != NULL) == (f->parse != NULL));
        check_marks(f->open, HYP_ARRAY_LEN(f->open));
        check_marks(f->drop, HYP_ARRAY_LEN(f->drop));
        assert_null(f->detect[HYP_ARRAY_LEN(f->detect) - 1]);
        assert_null(f->close[HYP_ARRAY_LEN(f->close) - 1]);
        bool opens = f->inside == NULL;
        for (size_t k = 0; f->open[k] != NULL; k++)
            opens |= f->inside != NULL && strcmp(f->inside, f->open[k]) == 0;
        assert_true(opens);
        assert_true(f->bare || !f->wrapped);
        /* Only the row of no family is never recognised, reads nothing and binds nothing. */
        bool none = f->format == HYP_TOOLS_NONE;
        assert_int_equal(none, i == 0);
        assert_int_equal(none, f->detect[0] == NULL);
        assert_int_equal(none, f->parse == NULL && !f->channels);
        for (size_t k = 0; f->detect[k] != NULL; k++)
            assert_int_equal(hyp_output_format_detect(f->detect[k]).tools, f->format);
        if (f->hint != NULL) assert_int_equal(hyp_output_format_detect(f->hint).tools, f->format);
    }
}

static void every_dialect_is_whole_and_reached(void **state) {
    (void)state;
    for (size_t i = 0; i < hyp_n_tool_families; i++) {
        const hyp_tool_family *f = &hyp_tool_families[i];
        size_t n = 0;
        for (; n < HYP_FAMILY_DIALECTS && f->dialects[n].triggers[0].word != NULL; n++) {
            const hyp_call_dialect *d = &f->dialects[n];
            const char *text = d->with != NULL                ? d->with
                               : d->without != NULL || n == 0 ? ""
                                                              : f->dialects[n - 1].without;
            assert_ptr_equal(hyp_tool_family_dialect(f, text != NULL ? text : ""), d);
            assert_false(d->json.name != NULL && d->xml.name != NULL);
            assert_int_equal(f->channels, d->json.name == NULL && d->xml.name == NULL);
        }
        const hyp_call_dialect *by_default = hyp_tool_family_dialect(f, NULL);
        assert_ptr_equal(by_default, n > 0 ? &f->dialects[n - 1] : NULL);
        assert_true(n == 0 || (by_default->with == NULL && by_default->without == NULL));
    }
}

/* Write a call as the grammar of the dialect wants it and read it back. */
static void round_trip(const hyp_tool_family *f, const hyp_call_dialect *d, yyjson_val *tools, bool full) {
    hyp_tool_grammar grammar = {0};
    hyp_err err = HYP_ERR_NONE;
    const char *text = d->with != NULL ? d->with : d->without != NULL ? "" : NULL;
    assert_int_equal(hyp_grammar_for_tools(f->format, text, tools, 0, &grammar, &err), HYP_OK);
    writer w = {.gbnf = grammar.gbnf, .full = full};
    write_rule(&w, "root", 4);
    bool begins = false;
    for (size_t i = 0; i < grammar.n_triggers; i++)
        begins |= strstr(w.out.data, grammar.triggers[i].word) != NULL;
    record r = {.with_on = full};
    hyp_output_format format = {f->format, f->channels ? HYP_THINK_HARMONY : HYP_THINK_NONE};
    sort(format, tools, w.out.data, &r);
    /* Joined calls come twice when everything optional is written. */
    bool joins = d->json.name != NULL ? d->json.join != NULL : d->xml.name != NULL;
    if (!begins || r.content.length > 0 || r.calls != (full && joins ? 2 : 1))
        print_error("%s: %d calls, content \"%s\" of %s\n", f->name, r.calls,
                    r.content.data != NULL ? r.content.data : "", w.out.data);
    assert_true(begins);
    assert_int_equal(r.content.length, 0);
    assert_int_equal(r.calls, full && joins ? 2 : 1);
    record_free(&r);
    hyp_str_free(&w.out);
    hyp_tool_grammar_clear(&grammar);
}

static void calls_come_back_from_their_grammar(void **state) {
    (void)state;
    static const char tools_json[] =
        "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\","
        "\"properties\":{\"city\":{\"type\":\"string\",\"enum\":[\"Rome\"]},\"on\":{\"type\":\"boolean\"}},"
        "\"required\":[\"city\"]}}}]";
    yyjson_doc *tools = yyjson_read(tools_json, strlen(tools_json), 0);
    for (size_t i = 0; i < hyp_n_tool_families; i++)
        for (size_t k = 0; k < HYP_FAMILY_DIALECTS; k++) {
            const hyp_call_dialect *d = &hyp_tool_families[i].dialects[k];
            if (d->triggers[0].word == NULL) break;
            round_trip(&hyp_tool_families[i], d, yyjson_doc_get_root(tools), false);
            round_trip(&hyp_tool_families[i], d, yyjson_doc_get_root(tools), true);
        }
    yyjson_doc_free(tools);
}

static void every_think_row_is_whole(void **state) {
    (void)state;
    for (size_t i = 0; i < hyp_n_think_families; i++) {
        const hyp_think_family *f = &hyp_think_families[i];
        bool none = f->format == HYP_THINK_NONE;
        assert_int_equal(none, i == 0);
        assert_int_equal(hyp_think_family_of((hyp_think_format)i)->format, i);
        assert_true(f->name != NULL && f->name[0] != '\0');
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(f->name, hyp_think_families[k].name);
        assert_int_equal(none, f->detect[0] == NULL);
        assert_null(f->detect[HYP_ARRAY_LEN(f->detect) - 1]);
        for (size_t k = 0; f->detect[k] != NULL; k++)
            assert_int_equal(hyp_output_format_detect(f->detect[k]).think, f->format);
        for (size_t k = 0; k < HYP_ARRAY_LEN(f->known) && f->known[k].word != NULL; k++) {
            hyp_str text = {0};
            hyp_str_printf(&text, "%s %s", f->known[k].word, f->known[k].and != NULL ? f->known[k].and : "");
            assert_true(hyp_think_is_known_to(text.data, text.length));
            assert_int_equal(hyp_output_format_detect(text.data).think, f->format);
            hyp_str_free(&text);
        }
        assert_int_equal(f->open != NULL, f->close != NULL);
        assert_int_equal(none, f->close == NULL && !f->channels);
        hyp_answer_trigger end = {0};
        assert_int_equal(hyp_think_answer_trigger(f->format, &end), !none);
        assert_int_equal(end.lead != NULL, !none);
        if (f->close != NULL) assert_string_equal(end.word, f->close);
    }
    assert_false(hyp_think_is_known_to("</think>", strlen("</think>"))); /* the detection is content with that */
}

/* What a row calls the end of reasoning is the end of it for the sorter, and what it calls the beginning begins it. */
static void reasoning_ends_at_its_mark(void **state) {
    (void)state;
    for (size_t i = 1; i < hyp_n_think_families; i++) {
        const hyp_think_family *f = &hyp_think_families[i];
        hyp_str text = {0};
        if (f->channels)
            hyp_str_printf(&text, "<|channel|>analysis<|message|>hm<|end|><|start|>assistant%s<|message|>yes",
                           f->answer);
        else
            hyp_str_printf(&text, "%shm%s\nyes", f->open, f->close);
        record r = {0};
        sort((hyp_output_format){HYP_TOOLS_NONE, f->format}, NULL, text.data, &r);
        assert_string_equal(r.thinking.data, "hm");
        assert_string_equal(r.content.data, "yes");
        record_free(&r);
        if (f->open != NULL) assert_true(hyp_output_prompt_thinks(f->format, f->open));
        hyp_str_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tool_row_is_whole),
        cmocka_unit_test(every_dialect_is_whole_and_reached),
        cmocka_unit_test(calls_come_back_from_their_grammar),
        cmocka_unit_test(every_think_row_is_whole),
        cmocka_unit_test(reasoning_ends_at_its_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
