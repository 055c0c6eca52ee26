/* Proposed tokens are verified: whatever is proposed, the answer is the plain one, and right proposals save decodes.
 * The scripted model (fake_backend.h) says what it is told to, and checks positions like libllama does. */
#include "../test.h"
#include "fake_backend.h"
#include "session/session.h"

#include <stdlib.h>
#include <string.h>

static const char text[] = "one two three four five six seven eight nine ten";

typedef struct oracle {
    size_t n_prompt; /* where the answer begins */
    size_t wrong_at; /* the proposed token that is false, of each proposal; SIZE_MAX: none */
    size_t most;     /* proposed at once */
} oracle;

static size_t propose(void *user, const hyp_token *tokens, size_t n, hyp_token *ret, size_t room) {
    const oracle *o = user;
    size_t done = n - o->n_prompt, k = 0;
    assert_int_equal(tokens[n - 1], (unsigned char)text[done - 1]);
    for (; k < room && k < o->most && done + k < strlen(text); k++)
        ret[k] = k == o->wrong_at ? '#' : (unsigned char)text[done + k];
    return k;
}

typedef struct answered {
    hyp_str text;
    hyp_stats stats;
    const char *reason;
} answered;

static bool on_event(void *user, const hyp_event *event) {
    answered *a = user;
    if (event->kind == HYP_EVENT_DELTA) hyp_str_puts(&a->text, event->content);
    if (event->kind == HYP_EVENT_DONE) a->stats = event->stats, a->reason = event->reason;
    assert_int_not_equal(event->kind, HYP_EVENT_ERROR);
    return true;
}

/* Ask the scripted model for `text`, at most `max_tokens` of it, with what `o` proposes (NULL: nothing). Returns how
 * many batches it took. */
static uint64_t ask(oracle *o, int64_t max_tokens, const char *stop, answered *ret) {
    fake_options options = {0};
    hyp_backend_info info;
    hyp_session_counters counters = {0};
    void *model = NULL;
    hyp_err err = HYP_ERR_NONE;
    fake_new(&options, 256, &model, &info);
    hyp_session_config config = {.ops = &fake_backend_ops,
                                 .model = model,
                                 .info = &info,
                                 .counters = &counters,
                                 .propose = o != NULL ? propose : NULL,
                                 .user = o};
    hyp_session *session = NULL;
    assert_int_equal(hyp_session_open(&config, &session, &err), HYP_OK);
    hyp_job *job = hyp_job_new(HYP_JOB_GENERATE, NULL, "m");
    char prompt[256];
    snprintf(prompt, sizeof prompt, "say %s=>", text);
    job->raw = true;
    job->prompt = strdup(prompt);
    job->params.num_predict = max_tokens;
    if (stop != NULL) job->params.stop[job->params.n_stop++] = strdup(stop);
    if (o != NULL) o->n_prompt = strlen(prompt) + 1; /* with the beginning */
    *ret = (answered){0};
    assert_int_equal(hyp_session_answer(session, job, on_event, ret, &err), HYP_OK);
    hyp_job_unref(job);
    hyp_session_close(session);
    fake_backend_ops.close(model);
    return atomic_load(&counters.decodes);
}

static void assert_same(const answered *a, const answered *b) {
    assert_string_equal(a->text.data, b->text.data);
    assert_string_equal(a->reason, b->reason);
    assert_int_equal(a->stats.n_eval, b->stats.n_eval);
    assert_int_equal(a->stats.n_prompt, b->stats.n_prompt);
}

static void whatever_is_proposed_the_answer_is_the_same(void **state) {
    (void)state;
    static const struct {
        int64_t max_tokens;
        const char *stop;
    } asked[] = {{-1, NULL}, {1, NULL}, {7, NULL}, {-1, "seven"}};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        answered plain, drafted;
        uint64_t alone = ask(NULL, asked[i].max_tokens, asked[i].stop, &plain);
        for (size_t most = 1; most <= HYP_MAX_DRAFT; most += 3)
            for (size_t wrong_at = 0; wrong_at <= most; wrong_at++) {
                oracle o = {.wrong_at = wrong_at, .most = most};
                uint64_t decodes = ask(&o, asked[i].max_tokens, asked[i].stop, &drafted);
                assert_same(&plain, &drafted);
                assert_true(decodes <= alone);
                /* All of a proposal right: as many tokens a batch. */
                if (wrong_at == most && asked[i].max_tokens < 0 && asked[i].stop == NULL)
                    assert_true(decodes <= 2 + strlen(text) / (most + 1) + 1);
                hyp_str_free(&drafted.text);
            }
        hyp_str_free(&plain.text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_is_proposed_the_answer_is_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
