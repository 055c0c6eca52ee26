/* A prompt of tokens and media items: evaluated in order, found again in memory item by item. */
#include "../test.h"
#include "fake_backend.h"
#include "session/session.h"

#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 256 };

static const size_t small = 5, large = 40;

typedef struct fixture {
    fake_options options;
    hyp_backend_info info;
    void *model;
    hyp_session *session;
} fixture;

static void open_session(fixture *f, const hyp_backend_ops *ops, unsigned max_batch) {
    hyp_err err = HYP_ERR_NONE;
    *f = (fixture){.options = {.max_batch = max_batch}};
    fake_new(&f->options, CONTEXT, &f->model, &f->info);
    hyp_session_config config = {.ops = ops, .model = f->model, .info = &f->info};
    assert_int_equal(hyp_session_open(&config, &f->session, &err), HYP_OK);
}

static void close_session(fixture *f) {
    hyp_session_close(f->session);
    fake_backend_ops.close(f->model);
}

static void add_text(hyp_prompt *p, const char *text) {
    for (; *text != '\0'; text++)
        p->tokens[p->n++] = (unsigned char)*text;
}

static void add_item(hyp_prompt *p, uint64_t id, const size_t *positions) {
    p->media[p->n_media++] = (hyp_media_chunk){p->n, *positions, id, positions};
    for (size_t i = 0; i < *positions; i++)
        p->tokens[p->n++] = hyp_media_cell(id);
}

/* "say {TOKENS}" between two items: the answer is how many positions the sequence was given. */
static hyp_prompt *make_prompt(uint64_t second_id) {
    hyp_prompt *p = calloc(1, sizeof *p);
    p->tokens = calloc(CONTEXT, sizeof *p->tokens);
    p->media = calloc(2, sizeof *p->media);
    p->sampling.params.temperature = 0;
    add_item(p, 7, &small);
    add_text(p, "say ");
    add_item(p, second_id, &large);
    add_text(p, "{TOKENS}=>");
    return p;
}

typedef struct outcome {
    char text[64];
    hyp_stats stats;
    int status;
} outcome;

static outcome answer(fixture *f, hyp_prompt *prompt) {
    outcome o = {0};
    hyp_job *job = hyp_job_new(HYP_JOB_GENERATE, NULL, "m");
    job->raw = true;
    assert_non_null(job);
    assert_true(hyp_session_begin(f->session, hyp_job_ref(job), prompt));
    for (bool done = false; !done;) {
        bool worked = false;
        hyp_err err = HYP_ERR_NONE;
        assert_int_equal(hyp_session_step(f->session, &worked, &err), HYP_OK);
        assert_true(worked);
        for (hyp_event *event; (event = hyp_job_take(job)) != NULL; hyp_event_free(event)) {
            if (event->kind == HYP_EVENT_DELTA) strcat(o.text, event->content);
            if (event->kind == HYP_EVENT_ERROR) o.status = event->status;
            if (event->kind == HYP_EVENT_DONE) o.stats = event->stats;
            done |= event->kind == HYP_EVENT_DONE || event->kind == HYP_EVENT_ERROR;
        }
    }
    hyp_job_unref(job);
    return o;
}

static void items_take_their_positions(void **state) {
    (void)state;
    fixture f;
    for (unsigned max_batch = 1; max_batch < 20; max_batch += 6) {
        open_session(&f, &fake_backend_ops, max_batch);
        outcome o = answer(&f, make_prompt(9));
        assert_int_equal(o.status, 0);
        assert_string_equal(o.text, "59");
        assert_int_equal(o.stats.n_prompt, small + 4 + large + 10);
        close_session(&f);
    }
}

static void items_are_found_again_by_what_they_are(void **state) {
    (void)state;
    fixture f;
    open_session(&f, &fake_backend_ops, 0);
    assert_int_equal(answer(&f, make_prompt(9)).stats.n_cached, 0);
    outcome again = answer(&f, make_prompt(9)), other = answer(&f, make_prompt(10));
    assert_int_equal(again.stats.n_cached, small + 4 + large + 10 - 1);
    assert_int_equal(other.stats.n_cached, small + 4);
    assert_string_equal(again.text, "59");
    assert_string_equal(other.text, "59");
    close_session(&f);
}

static void a_model_without_eyes_says_so(void **state) {
    (void)state;
    fixture f;
    hyp_backend_ops blind = fake_backend_ops;
    blind.decode_media = NULL;
    open_session(&f, &blind, 0);
    assert_int_equal(answer(&f, make_prompt(9)).status, 400);
    assert_int_equal(hyp_session_busy(f.session), 0);
    close_session(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(items_take_their_positions),
                                       cmocka_unit_test(items_are_found_again_by_what_they_are),
                                       cmocka_unit_test(a_model_without_eyes_says_so)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
