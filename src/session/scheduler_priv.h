/* scheduler_priv.h - shared by scheduler.c, lane.c and step.c. Private to them.
 *
 * Everything without a note belongs to the compute thread. */
#pragma once
#include "session/scheduler.h"
#include "session/slot.h"

#include <pthread.h>
#include <stdatomic.h>

/* A loaded model with its slots. */
typedef struct lane {
    bool embeddings;
    void *model; /* NULL: nothing loaded. Written with s->loaded_lock held */
    hyp_backend_info info;
    hyp_entry *entry;   /* the last one asked for; s->loaded_lock */
    int64_t expires_ns; /* monotonic; s->loaded_lock */
    int64_t keep_alive_ns;
    int64_t load_ns;             /* how long loading took, charged to the job that caused it */
    slots slots;                 /* of a text lane */
    hyp_template *template;      /* the model's chat template, of a text lane */
    hyp_template *tool_template; /* where it has one of its own for conversations with tools, else NULL */
    size_t next_turn;            /* the slot to be served next, where each batch is one slot's */
    hyp_job *embedding;          /* the job that an embedding lane works on, a reference */
    size_t n_embedded;
    hyp_stats embed_stats;
} lane;

enum { TEXT_LANE, EMBED_LANE, N_LANES };

struct hyp_scheduler {
    hyp_scheduler_config config;
    pthread_t thread;
    bool running;

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
    hyp_input *batch;
    size_t batch_capacity;

    atomic_uint_fast64_t jobs, failed, cancelled, refused, prompt_tokens, cached_tokens, output_tokens, decodes,
        decoded_tokens, loads, prompt_ns, decode_ns;
};

/* lane.c */
HYP_NODISCARD int lane_load(hyp_scheduler *s, lane *l, hyp_job *job, hyp_err *err);
void lane_unload(hyp_scheduler *s, lane *l);
bool lane_holds(const lane *l, const hyp_job *job);
bool lane_busy(const lane *l);
void lane_touch(hyp_scheduler *s, lane *l, hyp_job *job); /* a request for it ended: when does it expire? */

/* step.c, step_embed.c: one round of work. False when there was nothing to do. */
bool step_text(hyp_scheduler *s, lane *l);
bool step_embed(hyp_scheduler *s, lane *l);
/* Render and tokenise what a job asks (prompt_build()). */
HYP_NODISCARD int step_plan(hyp_scheduler *s, lane *l, const hyp_job *job, answer_plan *ret, int *ret_status,
                            hyp_err *err);
/* Put a job into a slot. False when it had to be failed. */
bool step_begin(hyp_scheduler *s, lane *l, hyp_job *job);
void step_abort_all(hyp_scheduler *s, lane *l, int status, const char *message);
