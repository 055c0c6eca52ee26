/* job.h - one unit of work between an HTTP request and the scheduler.
 *
 * The HTTP thread fills a job and submits it; from then on what it asks for is immutable. The compute thread answers
 * with events through a bounded queue; the HTTP thread takes them out as its client reads. A job is counted by
 * reference: the request holds one, the scheduler another.
 *
 * Threads: fields under "asked" are read by anyone after submission; the queue is behind hyp_job_...() functions. */
#pragma once
#include "base/log.h"
#include "registry/params.h"
#include "registry/registry.h"
#include "session/conversation.h"

#include <stdatomic.h>

typedef enum hyp_job_kind {
    HYP_JOB_GENERATE,
    HYP_JOB_CHAT,
    HYP_JOB_COUNT, /* how many tokens the prompt of a chat has: DONE alone tells */
    HYP_JOB_EMBED,
    HYP_JOB_LOAD,
    HYP_JOB_UNLOAD
} hyp_job_kind;

typedef enum hyp_event_kind {
    HYP_EVENT_BEGIN,  /* of a GENERATE or CHAT, before all others: the prompt is about to be evaluated */
    HYP_EVENT_PROMPT, /* of the same: the prompt has been evaluated */
    HYP_EVENT_DELTA,
    HYP_EVENT_TOOL_CALL,
    HYP_EVENT_EMBEDDING,
    HYP_EVENT_DONE,
    HYP_EVENT_ERROR
} hyp_event_kind;

typedef struct hyp_logprob {
    char *bytes; /* the token's own bytes */
    size_t n;
    float logprob;
    struct hyp_logprob *top; /* the likeliest tokens, descending; owned */
    size_t n_top;
} hyp_logprob;

/* Free what a logprob owns, not itself. */
void hyp_logprob_clear(hyp_logprob *logprob);

typedef struct hyp_stats {
    int64_t total_ns, load_ns, prompt_ns, eval_ns;
    int64_t n_prompt, n_cached, n_eval; /* tokens; n_cached of n_prompt were in a slot already */
    int64_t n_reasoning;                /* of n_eval, tokens of reasoning */
    int64_t n_decoded;                  /* of n_eval, those evaluated: the others' logits nobody wanted */
    int64_t n_dropped;                  /* messages left out of the prompt, which was too long */
} hyp_stats;

typedef struct hyp_event {
    struct hyp_event *next;
    hyp_event_kind kind;
    char *content, *thinking;                   /* DELTA: either may be NULL */
    char *tool_id, *tool_name, *tool_arguments; /* TOOL_CALL: arguments are a JSON object's text */
    int tool_index;
    hyp_logprob *logprobs; /* DELTA */
    size_t n_logprobs;
    float *embedding; /* EMBEDDING, one an input, in order */
    size_t n_embedding;
    const char *reason; /* DONE: stop, length, interrupted, load, unload; static */
    const char *stop;   /* DONE: the job's stop string that ended it, or NULL */
    hyp_stats stats;    /* DONE; BEGIN: n_prompt, n_cached, n_dropped */
    uint64_t digest;    /* DONE of a job with `digest` */
    int32_t *context;   /* DONE of a GENERATE that is not raw: every token that memory still holds */
    size_t n_context;
    int status; /* ERROR: the HTTP status it would have */
    char *message;
    hyp_err *error; /* ERROR: what failed, with its code and hint; or NULL */
    size_t bytes;   /* charged to the queue */
} hyp_event;

/* Accepts NULL. */
void hyp_event_free(hyp_event *event);

typedef struct hyp_job {
    /* asked */
    hyp_job_kind kind;
    hyp_entry *entry; /* a reference; NULL where the session's model is the only one */
    char *model;      /* as the client spelled it */
    hyp_params params;
    int64_t keep_alive_ns;          /* HYP_FOREVER, 0: unload after */
    hyp_conversation *conversation; /* CHAT, COUNT, and GENERATE that is not raw */
    char *prompt, *suffix;          /* GENERATE raw, or with a suffix to be filled towards */
    int32_t *context;               /* GENERATE: tokens that come before */
    size_t n_context;
    bool raw, truncate, shift, logprobs;
    int top_logprobs;
    bool prompt_only; /* evaluate the prompt and answer nothing */
    bool verbatim;    /* the answer is content as the model wrote it, reasoning and calls not taken apart */
    bool ignore_end;  /* go on after the model's end token */
    bool digest;      /* sum up the logits that tokens were chosen from, see hyp_digest_logits() */
    char **inputs;    /* EMBED */
    size_t n_inputs;
    int64_t created_ns; /* monotonic */
    uint64_t number;    /* in order of creation, from 1: its name in the log */

    /* shared */
    atomic_uint refs;
    atomic_bool cancelled;
    struct hyp_job_queue *queue;
    /* the scheduler's */
    struct hyp_job *next;
    struct hyp_preparation *preparation; /* see prepare_priv.h; NULL before it was begun */
    int64_t load_ns;                     /* how long loading took, if this job caused it */
} hyp_job;

/* A job with one reference and Ollama's defaults; takes a reference of `entry`, which may be NULL. NULL without memory.
 */
hyp_job *hyp_job_new(hyp_job_kind kind, hyp_entry *entry, const char *model);
hyp_job *hyp_job_ref(hyp_job *job);
void hyp_job_unref(hyp_job *job); /* accepts NULL */

/* Report in the log what becomes of a job: HYP_JOB_LOG(job, "begun in slot %d", seq), at session:debug. */
#define HYP_JOB_LOG(job, ...)                                                                                          \
    do {                                                                                                               \
        if (HYP_LOG_ON(SESSION, DEBUG)) hyp_job_log(job, __VA_ARGS__);                                                 \
    } while (0)

/* The same, whatever the levels are. */
void hyp_job_log(const hyp_job *job, const char *format, ...) HYP_PRINTF(2, 3);

/* --- the consumer's side (HTTP thread) --- */

/* `notify` is called from any thread, with the queue's lock held: it must not call back, nor take a lock under which
 * others call functions of a job. NULL stops that; once this returned no call is under way. `each`: whenever an event
 * arrived; else at the end, and when a good part of the queue is filled: who gathers a whole answer need not wake for
 * every token. */
void hyp_job_set_notify(hyp_job *job, bool each, void (*notify)(void *arg), void *arg);

/* The next event, or NULL when there is none yet. The caller frees it. After DONE or ERROR nothing follows. */
hyp_event *hyp_job_take(hyp_job *job);

/* The client is gone: work for it stops soon, and an ERROR event of status 499 ends the queue at once. Any thread. */
void hyp_job_cancel(hyp_job *job);

/* --- the producer's side --- */

/* Append; takes `event` whatever happens. Ignored once the job has ended. NULL stands for "out of memory": the job
 * fails. */
void hyp_job_push(hyp_job *job, hyp_event *event);
/* End with an error. */
void hyp_job_fail(hyp_job *job, int status, const char *format, ...) HYP_PRINTF(3, 4);
/* The same, with what failed: its message, and with `tell_hint` its hint in brackets. */
void hyp_job_fail_with(hyp_job *job, int status, const hyp_err *why, bool tell_hint);
/* Is the client too far behind to be given more? Reset when it has caught up, with `resume(arg)` called then. */
bool hyp_job_is_full(hyp_job *job);
void hyp_job_set_resume(hyp_job *job, void (*resume)(void *arg), void *arg);
bool hyp_job_has_ended(hyp_job *job);
