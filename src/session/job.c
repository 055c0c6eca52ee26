#include "session/job.h"

#include "base/mem.h"
#include "base/times.h"
#include "session/prepare_priv.h"

#include <pthread.h>
#include <string.h>

/* About a thousand short lines: far more than a reader that keeps up ever leaves, far less than memory notices. */
enum { QUEUE_MAX_BYTES = 256 << 10, EVENT_OVERHEAD = 256 };

struct hyp_job_queue {
    pthread_mutex_t lock;
    hyp_event *first, *last; /* all guarded by lock */
    size_t bytes;
    bool ended, full, notify_each;
    void (*notify)(void *arg);
    void *notify_arg;
    void (*resume)(void *arg);
    void *resume_arg;
};

void hyp_logprob_clear(hyp_logprob *logprob) {
    free(logprob->bytes);
    for (size_t i = 0; i < logprob->n_top; i++)
        hyp_logprob_clear(&logprob->top[i]);
    free(logprob->top);
}

void hyp_event_free(hyp_event *event) {
    if (event == NULL) return;
    free(event->content);
    free(event->thinking);
    free(event->tool_id);
    free(event->tool_name);
    free(event->tool_arguments);
    for (size_t i = 0; i < event->n_logprobs; i++)
        hyp_logprob_clear(&event->logprobs[i]);
    free(event->logprobs);
    free(event->embedding);
    free(event->context);
    free(event->message);
    free(event->error);
    free(event);
}

static atomic_uint_fast64_t n_jobs;

hyp_job *hyp_job_new(hyp_job_kind kind, hyp_entry *entry, const char *model) {
    hyp_job *job = calloc(1, sizeof *job);
    struct hyp_job_queue *queue = calloc(1, sizeof *queue);
    char *name = strdup(model);
    if (job == NULL || queue == NULL || name == NULL) {
        free(job);
        free(queue);
        free(name);
        return NULL;
    }
    pthread_mutex_init(&queue->lock, NULL);
    job->kind = kind;
    job->entry = entry != NULL ? hyp_entry_ref(entry) : NULL;
    job->model = name;
    job->queue = queue;
    job->truncate = job->shift = true;
    job->created_ns = hyp_mono_ns();
    job->number = atomic_fetch_add(&n_jobs, 1) + 1;
    hyp_params_init(&job->params);
    atomic_init(&job->refs, 1);
    atomic_init(&job->cancelled, false);
    return job;
}

void hyp_job_log(const hyp_job *job, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    hyp_log_write(HYP_LOG_SESSION, HYP_LOG_DEBUG, "job %llu: %s", (unsigned long long)job->number, text);
}

hyp_job *hyp_job_ref(hyp_job *job) {
    atomic_fetch_add(&job->refs, 1);
    return job;
}

void hyp_job_unref(hyp_job *job) {
    if (job == NULL || atomic_fetch_sub(&job->refs, 1) != 1) return;
    while (job->queue->first != NULL) {
        hyp_event *event = job->queue->first;
        job->queue->first = event->next;
        hyp_event_free(event);
    }
    pthread_mutex_destroy(&job->queue->lock);
    free(job->queue);
    hyp_preparation_free(job->preparation);
    hyp_entry_unref(job->entry);
    hyp_params_free(&job->params);
    hyp_conversation_free(job->conversation);
    for (size_t i = 0; i < job->n_inputs; i++)
        free(job->inputs[i]);
    free(job->inputs);
    free(job->model);
    free(job->prompt);
    free(job->suffix);
    free(job->context);
    free(job);
}

void hyp_job_set_notify(hyp_job *job, bool each, void (*notify)(void *arg), void *arg) {
    pthread_mutex_lock(&job->queue->lock);
    job->queue->notify_each = each;
    job->queue->notify = notify;
    job->queue->notify_arg = arg;
    pthread_mutex_unlock(&job->queue->lock);
}

void hyp_job_set_resume(hyp_job *job, void (*resume)(void *arg), void *arg) {
    pthread_mutex_lock(&job->queue->lock);
    job->queue->resume = resume;
    job->queue->resume_arg = arg;
    pthread_mutex_unlock(&job->queue->lock);
}

static size_t weigh(const hyp_event *event) {
    size_t n = EVENT_OVERHEAD + event->n_embedding * sizeof(float) + event->n_logprobs * 64;
    if (event->content != NULL) n += strlen(event->content);
    if (event->thinking != NULL) n += strlen(event->thinking);
    if (event->tool_arguments != NULL) n += strlen(event->tool_arguments);
    for (size_t i = 0; i < event->n_logprobs; i++)
        n += 64 * event->logprobs[i].n_top;
    return n;
}

/* The queue's lock is held. */
static void append(struct hyp_job_queue *queue, hyp_event *event) {
    event->bytes = weigh(event);
    event->next = NULL;
    if (queue->last != NULL)
        queue->last->next = event;
    else
        queue->first = event;
    queue->last = event;
    queue->bytes += event->bytes;
    if (queue->bytes > QUEUE_MAX_BYTES) queue->full = true;
    queue->ended = event->kind == HYP_EVENT_DONE || event->kind == HYP_EVENT_ERROR;
    bool due = queue->notify_each || queue->ended || queue->bytes > QUEUE_MAX_BYTES / 4;
    /* Under the lock on purpose: hyp_job_set_notify() takes it too, so that nobody is in here any more when that
     * returned, and the request behind `notify_arg` may be freed. No deadlock: hyp_request_wake() takes the request's
     * lock and libmicrohttpd's, which come after this one (src/api/README.md) and under which no function of a job is
     * called. */
    if (due && queue->notify != NULL) queue->notify(queue->notify_arg);
}

void hyp_job_push(hyp_job *job, hyp_event *event) {
    if (event == NULL) {
        hyp_job_fail(job, 500, "out of memory");
        return;
    }
    struct hyp_job_queue *queue = job->queue;
    pthread_mutex_lock(&queue->lock);
    bool taken = !queue->ended;
    if (taken) append(queue, event);
    pthread_mutex_unlock(&queue->lock);
    if (!taken) hyp_event_free(event);
}

static void push_error(hyp_job *job, int status, const char *text, const hyp_err *why) {
    hyp_event *event = calloc(1, sizeof *event);
    if (event == NULL) { /* without even this much memory the job is ended by cutting the client off */
        atomic_store(&job->cancelled, true);
        return;
    }
    event->kind = HYP_EVENT_ERROR;
    event->status = status;
    event->message = strdup(text);
    if (why != NULL && (event->error = malloc(sizeof *event->error)) != NULL) *event->error = *why;
    hyp_job_push(job, event);
}

void hyp_job_fail(hyp_job *job, int status, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    push_error(job, status, text, NULL);
}

void hyp_job_fail_with(hyp_job *job, int status, const hyp_err *why, bool tell_hint) {
    char text[sizeof why->message + sizeof why->hint + 4];
    snprintf(text, sizeof text, tell_hint && why->hint[0] != '\0' ? "%s (%s)" : "%s", why->message, why->hint);
    push_error(job, status, text, why);
}

hyp_event *hyp_job_take(hyp_job *job) {
    struct hyp_job_queue *queue = job->queue;
    pthread_mutex_lock(&queue->lock);
    hyp_event *event = queue->first;
    if (event != NULL) {
        queue->first = event->next;
        if (queue->first == NULL) queue->last = NULL;
        queue->bytes -= event->bytes;
        event->next = NULL;
    }
    bool resume = queue->full && queue->bytes <= QUEUE_MAX_BYTES / 2;
    if (resume) queue->full = false;
    /* Under the lock as `notify` is; no deadlock, since the scheduler's lock that poke() takes is a leaf. */
    if (resume && queue->resume != NULL) queue->resume(queue->resume_arg);
    pthread_mutex_unlock(&queue->lock);
    return event;
}

void hyp_job_cancel(hyp_job *job) {
    atomic_store(&job->cancelled, true);
    hyp_job_fail(job, 499, "client closed request");
    struct hyp_job_queue *queue = job->queue;
    pthread_mutex_lock(&queue->lock);
    if (queue->resume != NULL) queue->resume(queue->resume_arg);
    pthread_mutex_unlock(&queue->lock);
}

bool hyp_job_is_full(hyp_job *job) {
    pthread_mutex_lock(&job->queue->lock);
    bool full = job->queue->full;
    pthread_mutex_unlock(&job->queue->lock);
    return full;
}

bool hyp_job_has_ended(hyp_job *job) {
    pthread_mutex_lock(&job->queue->lock);
    bool ended = job->queue->ended;
    pthread_mutex_unlock(&job->queue->lock);
    return ended;
}
