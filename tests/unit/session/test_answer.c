/* Text becomes certain only when no stop string can begin in it and its last character is whole, however it comes. */
#include "../test.h"
#include "base/utf8.h"
#include "session/answer_priv.h"

#include <stdlib.h>
#include <string.h>

/* Feed `text` in pieces of `step` bytes and collect what comes out. */
static void run(const char *text, size_t step, const char *const *stops, size_t n_stops, hyp_str *out,
                bool *ret_stopped) {
    hyp_job *job = hyp_job_new(HYP_JOB_CHAT, NULL, "m");
    hyp_prompt prompt = {0};
    answer a;
    hyp_err err = HYP_ERR_NONE;
    assert_non_null(job);
    for (size_t i = 0; i < n_stops; i++)
        job->params.stop[job->params.n_stop++] = strdup(stops[i]);
    assert_int_equal(hyp_answer_open(&a, job, &prompt, &err), HYP_OK);
    *ret_stopped = false;
    for (size_t i = 0, len = strlen(text); i < len && !*ret_stopped; i += step)
        *ret_stopped = hyp_answer_feed(&a, text + i, len - i < step ? len - i : step, NULL);
    hyp_answer_finish(&a);
    hyp_answer_close(&a);
    for (hyp_event *event; (event = hyp_job_take(job)) != NULL; hyp_event_free(event)) {
        assert_int_equal(event->kind, HYP_EVENT_DELTA);
        assert_int_equal(hyp_utf8_whole(event->content, strlen(event->content)), strlen(event->content));
        hyp_str_puts(out, event->content);
    }
    hyp_job_unref(job);
}

static void any_chunking_gives_the_same(void **state) {
    (void)state;
    static const char *const stops[] = {"STOP", "</s>", "ÄÖ"};
    static const struct {
        const char *text, *out;
        bool stopped;
    } cases[] = {
        {"hello", "hello", false},
        {"hello STOP never", "hello ", true},
        {"hello STO", "hello STO", false},
        {"a</s>b", "a", true},
        {"a</", "a</", false},
        {"x ÄÖ y", "x ", true},
        {"x Ä y ä€😀", "x Ä y ä€😀", false},
        {"SSTOP", "S", true},
        {"</STOP", "</", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step < 9; step++) {
            hyp_str out = {0};
            bool stopped;
            run(cases[i].text, step, stops, 3, &out, &stopped);
            assert_string_equal(out.data != NULL ? out.data : "", cases[i].out);
            assert_int_equal(stopped, cases[i].stopped);
            hyp_str_free(&out);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_chunking_gives_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
