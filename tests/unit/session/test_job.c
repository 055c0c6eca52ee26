#include "../test.h"
#include "session/job.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static hyp_entry *entry_of_nothing(void) {
    static atomic_uint refs = 1;
    static hyp_entry entry;
    entry.refs = &refs;
    return &entry;
}

static hyp_event *text(const char *content) {
    hyp_event *event = calloc(1, sizeof *event);
    assert_non_null(event);
    event->kind = HYP_EVENT_DELTA;
    event->content = strdup(content);
    return event;
}

static void count(void *arg) {
    ++*(int *)arg;
}

static void events_come_in_order_and_end(void **state) {
    (void)state;
    hyp_job *job = hyp_job_new(HYP_JOB_CHAT, entry_of_nothing(), "m");
    int notified = 0;
    assert_non_null(job);
    hyp_job_set_notify(job, true, count, &notified);
    hyp_job_push(job, text("a"));
    hyp_job_push(job, text("b"));
    hyp_job_fail(job, 500, "it %s", "broke");
    hyp_job_push(job, text("too late"));
    assert_int_equal(notified, 3);
    assert_true(hyp_job_has_ended(job));
    hyp_event *event = hyp_job_take(job);
    assert_string_equal(event->content, "a");
    hyp_event_free(event);
    hyp_event_free(hyp_job_take(job));
    event = hyp_job_take(job);
    assert_int_equal(event->kind, HYP_EVENT_ERROR);
    assert_int_equal(event->status, 500);
    assert_string_equal(event->message, "it broke");
    hyp_event_free(event);
    assert_null(hyp_job_take(job));
    hyp_job_unref(job);
}

static void who_gathers_is_told_at_the_end(void **state) {
    (void)state;
    hyp_job *job = hyp_job_new(HYP_JOB_CHAT, entry_of_nothing(), "m");
    int notified = 0, pushed = 0;
    hyp_job_set_notify(job, false, count, &notified);
    hyp_job_push(job, text("a"));
    assert_int_equal(notified, 0);
    while (notified == 0) { /* and before the queue is full, which would stop the answer */
        hyp_job_push(job, text("0123456789"));
        pushed++;
    }
    assert_true(pushed > 10);
    assert_false(hyp_job_is_full(job));
    for (hyp_event *event = NULL; (event = hyp_job_take(job)) != NULL;)
        hyp_event_free(event);
    hyp_job_push(job, text("b"));
    assert_int_equal(notified, 1);
    hyp_job_fail(job, 500, "the end");
    assert_int_equal(notified, 2);
    hyp_job_unref(job);
}

static void a_full_queue_is_told_and_resumed(void **state) {
    (void)state;
    hyp_job *job = hyp_job_new(HYP_JOB_CHAT, entry_of_nothing(), "m");
    int resumed = 0, pushed = 0;
    hyp_job_set_resume(job, count, &resumed);
    while (!hyp_job_is_full(job)) {
        hyp_job_push(job, text("0123456789"));
        assert_true(++pushed < 100000);
    }
    assert_true(pushed > 100);
    int taken = 0;
    while (resumed == 0) {
        hyp_event_free(hyp_job_take(job));
        assert_true(++taken <= pushed);
    }
    assert_false(hyp_job_is_full(job));
    assert_true(taken > pushed / 3 && taken < pushed * 2 / 3);
    hyp_job_unref(job); /* frees what is still queued */
}

static void cancelling_ends_at_once(void **state) {
    (void)state;
    hyp_job *job = hyp_job_new(HYP_JOB_CHAT, entry_of_nothing(), "m");
    hyp_job_cancel(job);
    assert_true(atomic_load(&job->cancelled));
    hyp_event *event = hyp_job_take(job);
    assert_int_equal(event->status, 499);
    hyp_event_free(event);
    hyp_job_unref(job);
}

static void *produce(void *arg) {
    for (int i = 0; i < 5000; i++)
        hyp_job_push(arg, text("x"));
    hyp_job_fail(arg, 500, "end");
    hyp_job_unref(arg);
    return NULL;
}

static void two_threads(void **state) {
    (void)state;
    hyp_job *job = hyp_job_new(HYP_JOB_CHAT, entry_of_nothing(), "m");
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, produce, hyp_job_ref(job)), 0);
    int n = 0;
    for (bool ended = false; !ended;) {
        hyp_event *event = hyp_job_take(job);
        if (event == NULL) continue;
        ended = event->kind == HYP_EVENT_ERROR;
        n += !ended;
        hyp_event_free(event);
    }
    assert_int_equal(n, 5000);
    pthread_join(thread, NULL);
    hyp_job_unref(job);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(events_come_in_order_and_end),
                                       cmocka_unit_test(who_gathers_is_told_at_the_end),
                                       cmocka_unit_test(a_full_queue_is_told_and_resumed),
                                       cmocka_unit_test(cancelling_ends_at_once), cmocka_unit_test(two_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
