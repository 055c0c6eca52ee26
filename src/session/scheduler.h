/* scheduler.h - the one thread that computes, and the bounded queue before it.
 *
 * Jobs wait in order. Up to `n_parallel` of them work in slots, whose tokens are decoded together in one batch; the
 * others wait, and beyond `max_queue` waiting jobs new ones are refused. One text model and one embedding model are
 * loaded at most; a job for another model waits until the slots are empty, and jobs behind it wait with it, so that
 * none starves. */
#pragma once
#include "session/backend.h"
#include "session/job.h"

typedef struct hyp_scheduler hyp_scheduler;

typedef struct hyp_scheduler_config {
    hyp_backend backend;
    uint32_t context_tokens; /* the server's limit, per request */
    uint32_t n_parallel;
    unsigned max_queue; /* 0: 512 */
} hyp_scheduler_config;

/* Start the compute thread. Errors: HYP_ENOMEM, HYP_EIO. */
HYP_NODISCARD int hyp_scheduler_start(const hyp_scheduler_config *config, hyp_scheduler **ret, hyp_err *err);
/* Fail every job, stop the thread, unload, free. Accepts NULL. */
void hyp_scheduler_stop(hyp_scheduler *s);
/* Fail every job from now on (a shutdown begins), without waiting. Any thread. */
void hyp_scheduler_close(hyp_scheduler *s);

/* Fail every job, working or waiting, with `status` and `message`, for the process is about to die: a backend's
 * function will not return. Only from the thread within which it dies, the compute thread or one that it waits for. */
void hyp_scheduler_fail_all(hyp_scheduler *s, int status, const char *message);

/* Queue a job; the scheduler takes a reference of its own. Any thread. Errors, with the HTTP status to answer in
 * `*ret_status`: HYP_EBUSY (the queue is full), HYP_ECANCELED (closed: the message says why). */
HYP_NODISCARD int hyp_scheduler_submit(hyp_scheduler *s, hyp_job *job, int *ret_status, hyp_err *err);

/* The context a model is served with: what it was trained for, at most the server's limit. */
uint32_t hyp_scheduler_context(const hyp_scheduler *s, const hyp_entry *entry);

typedef struct hyp_loaded {
    hyp_entry *entry; /* a reference */
    uint64_t size_bytes, vram_bytes;
    uint32_t context_tokens;
    int64_t expires_ns; /* wall clock; HYP_FOREVER: never */
    hyp_mode mode;
    bool embeddings;
} hyp_loaded;

enum { HYP_LOADED_MAX = 2 };
/* What is loaded, longest expiry first. The caller unrefs the entries. Any thread, never blocked by a decode. */
size_t hyp_scheduler_loaded(hyp_scheduler *s, hyp_loaded ret[HYP_LOADED_MAX]);

typedef struct hyp_scheduler_stats {
    uint64_t jobs, failed, cancelled, refused;
    uint64_t prompt_tokens, cached_tokens, output_tokens, decodes, decoded_tokens;
    double prompt_s, decode_s; /* time in decodes that held prompts, and in the others */
    uint64_t loads;
    unsigned waiting, active, n_parallel;
    bool loaded; /* a text model is; then the next two hold */
    hyp_engine_stats engine;
    hyp_backend_placement placement;
} hyp_scheduler_stats;
void hyp_scheduler_get_stats(hyp_scheduler *s, hyp_scheduler_stats *ret);
