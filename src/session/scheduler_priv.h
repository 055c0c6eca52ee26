/* scheduler_priv.h - shared by scheduler.c, kinds.c, lane.c, prepare.c and step_embed.c. Private to them.
 *
 * Everything without a note belongs to the compute thread. */
#pragma once
#include "session/prepare_priv.h"
#include "session/scheduler.h"
#include "session/session.h"

#include <pthread.h>
#include <stdatomic.h>

/* A loaded model with what works on it. */
typedef struct lane {
    const hyp_backend_ops *ops;
    bool embeddings;
    void *model; /* NULL: nothing loaded. Written with s->loaded_lock held */
    hyp_backend_info info;
    hyp_entry *entry;   /* the last one asked for; s->loaded_lock */
    int64_t expires_ns; /* monotonic; s->loaded_lock */
    int64_t keep_alive_ns;
    size_t n_prepared;    /* waiting jobs whose preparation has begun; the model stays for them */
    hyp_session *session; /* of a text lane */
    hyp_input *batch;     /* of an embedding lane: info.max_batch */
    hyp_job *embedding;   /* the job that an embedding lane works on, a reference */
    size_t n_embedded;
    hyp_stats embed_stats;
} lane;

enum { TEXT_LANE, EMBED_LANE, N_LANES };

struct hyp_scheduler {
    hyp_scheduler_config config;
    pthread_t thread;
    bool running;
    hyp_preparers *preparers;

    pthread_mutex_t lock; /* innermost: no other lock is taken under it */
    pthread_cond_t wake;
    bool poked;                        /* lock */
    hyp_job *incoming, *incoming_last; /* lock */
    atomic_bool closed, ended;         /* ended: the compute thread has failed every job and takes up no more */
    char last_words[256];              /* why it was closed; written before `closed` */
    int last_status;

    hyp_job *waiting, *waiting_last;
    atomic_uint n_waiting, n_active;

    pthread_mutex_t loaded_lock; /* held only to read or swap what is loaded */
    lane lanes[N_LANES];

    atomic_uint_fast64_t jobs, refused, loads;
    hyp_session_counters counters;
};

typedef enum verdict { KEEP_WAITING, TAKEN } verdict;

/* What a kind of work needs, in the order in which it happens. */
typedef struct job_kind_ops {
    const char *name;
    bool needs_model; /* loaded, before anything else */
    /* Any thread: fill `p`. NULL: nothing is to be prepared. */
    void (*prepare)(const lane *l, const hyp_job *job, hyp_preparation *p);
    /* Take up a job that is prepared. KEEP_WAITING: the lane has no room, and those behind it wait, too. */
    verdict (*take)(hyp_scheduler *s, lane *l, hyp_job *job);
} job_kind_ops;

/* kinds.c */
const job_kind_ops *hyp_job_kind_of(const hyp_job *job);

/* scheduler.c: the two ends of a job that takes no slot. Both take the queue's reference. */
void hyp_scheduler_finish(hyp_scheduler *s, lane *l, hyp_job *job, const char *reason, hyp_stats stats);
void hyp_scheduler_fail(hyp_scheduler *s, hyp_job *job, int status, const hyp_err *err, bool tell_hint);

/* lane.c */
HYP_NODISCARD int hyp_lane_load(hyp_scheduler *s, lane *l, hyp_job *job, hyp_err *err);
void hyp_lane_unload(hyp_scheduler *s, lane *l);
bool hyp_lane_holds(const lane *l, const hyp_job *job);
bool hyp_lane_busy(const lane *l);
size_t hyp_lane_active(const lane *l); /* jobs at work */
/* A request for what the lane holds ended: when does it expire? */
void hyp_lane_touch(hyp_scheduler *s, lane *l, const hyp_job *job);
/* Fail all jobs at work. */
void hyp_lane_abort(lane *l, int status, const char *message);

/* step_embed.c: one round of embeddings. False when there was nothing to do. */
bool hyp_step_embed(hyp_scheduler *s, lane *l);
/* Tokenise the inputs of an EMBED job. Any thread. */
void hyp_step_embed_prepare(const lane *l, const hyp_job *job, hyp_preparation *p);
