#include "session/answer_priv.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <string.h>
#include <sys/random.h>

static void move_logprobs(answer *a, hyp_event *event) {
    event->logprobs = a->logprobs;
    event->n_logprobs = a->n_logprobs;
    a->logprobs = NULL;
    a->n_logprobs = a->logprobs_capacity = 0;
}

static char *repaired(const char *bytes, size_t n) {
    hyp_str text = {0};
    hyp_utf8_repair(&text, bytes, n);
    return text.data;
}

static void push_text(answer *a, const char *bytes, size_t n, bool thinking) {
    if (n == 0) return;
    hyp_event *event = calloc(1, sizeof *event);
    if (event != NULL) {
        event->kind = HYP_EVENT_DELTA;
        *(thinking ? &event->thinking : &event->content) = repaired(bytes, n);
        move_logprobs(a, event);
    }
    hyp_job_push(a->job, event);
}

/* Tokens count for what came out of them: a marker for what follows it. */
static void count_tokens(answer *a, bool reasoning) {
    if (reasoning) a->n_reasoning += a->n_fed - a->n_told;
    a->n_told = a->n_fed;
}

static void on_content(void *arg, const char *bytes, size_t n) {
    count_tokens(arg, false);
    push_text(arg, bytes, n, false);
}

static void on_thinking(void *arg, const char *bytes, size_t n) {
    count_tokens(arg, true);
    push_text(arg, bytes, n, true);
}

static char *new_call_id(void) {
    unsigned char random[4] = {0};
    char text[16];
    if (getentropy(random, sizeof random) != 0) return strdup("call_0");
    snprintf(text, sizeof text, "call_%02x%02x%02x%02x", random[0], random[1], random[2], random[3]);
    return strdup(text);
}

static void on_call(void *arg, const hyp_tool_call *call) {
    answer *a = arg;
    count_tokens(a, false);
    hyp_event *event = calloc(1, sizeof *event);
    if (event != NULL) {
        event->kind = HYP_EVENT_TOOL_CALL;
        event->tool_id = call->id != NULL && call->id[0] != '\0' ? repaired(call->id, strlen(call->id)) : new_call_id();
        event->tool_name = repaired(call->name, strlen(call->name));
        event->tool_arguments = repaired(call->arguments, strlen(call->arguments));
        event->tool_index = a->n_tool_calls++;
        move_logprobs(a, event);
        if (event->tool_id == NULL || event->tool_name == NULL || event->tool_arguments == NULL) {
            hyp_event_free(event);
            event = NULL;
        }
    }
    hyp_job_push(a->job, event);
}

int hyp_answer_open(answer *a, hyp_job *job, hyp_prompt *prompt, hyp_err *err) {
    *a = (answer){.job = job};
    for (size_t i = 0; i < job->params.n_stop; i++)
        a->max_stop = HYP_MAX(a->max_stop, strlen(job->params.stop[i]));
    bool plain = prompt->format.tools == HYP_TOOLS_NONE && prompt->format.think == HYP_THINK_NONE;
    if (plain || job->verbatim) return HYP_OK;
    a->tools = HYP_TAKE(prompt->own_tools);
    hyp_output_sink sink = {a, on_content, on_thinking, on_call};
    return hyp_output_new(prompt->format, prompt->tail, prompt->tools, sink, &a->output, err);
}

/* Hand out the first `n` held bytes. */
static void deliver(answer *a, size_t n) {
    if (n == 0) return;
    hyp_err err = HYP_ERR_NONE;
    if (a->output == NULL)
        push_text(a, a->held.data, n, false);
    else if (hyp_output_feed(a->output, a->held.data, n, &err) != HYP_OK)
        hyp_job_push(a->job, NULL);
    memmove(a->held.data, a->held.data + n, a->held.length - n);
    a->held.length -= n;
}

/* The first stop string in what is held: its position and itself, or SIZE_MAX. */
static size_t find_stop(const answer *a, const char **ret_stop) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < a->job->params.n_stop; i++) {
        const char *stop = a->job->params.stop[i];
        const char *at = memmem(a->held.data, a->held.length, stop, strlen(stop));
        if (at == NULL || (size_t)(at - a->held.data) >= best) continue;
        best = (size_t)(at - a->held.data);
        *ret_stop = stop;
    }
    return best;
}

/* How many bytes from the start cannot be part of a stop string that is still to be completed. */
static size_t certain(const answer *a) {
    size_t n = a->held.length, from = n >= a->max_stop ? n - a->max_stop + (a->max_stop > 0) : 0;
    for (size_t at = from; at < n; at++)
        for (size_t i = 0; i < a->job->params.n_stop; i++)
            if (strncmp(a->job->params.stop[i], a->held.data + at, n - at) == 0) return at;
    return n;
}

static void add_logprob(answer *a, hyp_logprob *logprob) {
    if (a->n_logprobs == a->logprobs_capacity) {
        size_t capacity = a->logprobs_capacity == 0 ? 4 : 2 * a->logprobs_capacity;
        hyp_logprob *more = realloc(a->logprobs, capacity * sizeof *more);
        if (more == NULL) {
            hyp_logprob_clear(logprob);
            return;
        }
        a->logprobs = more;
        a->logprobs_capacity = capacity;
    }
    a->logprobs[a->n_logprobs++] = *logprob;
}

bool hyp_answer_feed(answer *a, const char *bytes, size_t n, hyp_logprob *logprob) {
    if (logprob != NULL) add_logprob(a, logprob);
    a->n_fed++;
    hyp_str_append(&a->held, bytes, n);
    if (a->held.length == 0) return false;
    const char *stopped = NULL;
    size_t stop = find_stop(a, &stopped);
    if (stop != SIZE_MAX) {
        deliver(a, stop);
        a->held.length = 0;
        a->stopped = stopped;
        return true;
    }
    deliver(a, hyp_utf8_whole(a->held.data, certain(a)));
    return false;
}

void hyp_answer_finish(answer *a) {
    hyp_err err = HYP_ERR_NONE;
    if (!a->stopped) deliver(a, a->held.length);
    if (a->output != NULL && hyp_output_finish(a->output, &err) != HYP_OK) hyp_job_push(a->job, NULL);
}

void hyp_answer_close(answer *a) {
    hyp_output_free(a->output);
    yyjson_doc_free(a->tools);
    hyp_str_free(&a->held);
    for (size_t i = 0; i < a->n_logprobs; i++)
        hyp_logprob_clear(&a->logprobs[i]);
    free(a->logprobs);
    *a = (answer){0};
}
