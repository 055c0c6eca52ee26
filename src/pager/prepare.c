/* prepare.c - see prepare_priv.h. */
#include "pager/prepare_priv.h"

#include "base/mem.h"
#include "base/thread.h"

#include <time.h>

enum { MAX_WAITING = 64 };

/* Worth it while a megabyte costs less than the 460 us of clearing its pages one by one (README.md). A virtual
 * machine's host takes free memory back in large pieces, and finding it again costs up to 2700: there small pages,
 * which the kernel takes from what was used lately, are cheaper. Judged by samples; after a bad one the preparer rests,
 * longer each time. */
enum { SAMPLE_BYTES = 32 << 20, FIRST_REST_BYTES = 512 << 20, REST_FACTOR = 4 };
static const double WORTH_S_PER_BYTE = 460e-12;

typedef struct range {
    uint64_t at, end;
} range;

struct hyp_preparer {
    hyp_arena *arena;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows; not held while a piece is prepared */
    pthread_cond_t change;
    range waiting[MAX_WAITING]; /* the first n, in order */
    size_t n;
    range busy; /* the piece under way; empty: none */
    bool stop;
    /* The thread's own: what the sample under way has cost, and what is left to itself before the next. */
    double sample_s;
    uint64_t sample_bytes, rest_bytes, next_rest_bytes;
};

/* Cut the next piece off what waits: up to the next multiple of the arena's alignment. False when there is none. */
static bool take_piece(hyp_preparer *p, range *ret) {
    while (p->n > 0 && p->waiting[0].at >= p->waiting[0].end) {
        p->n--;
        for (size_t i = 0; i < p->n; i++)
            p->waiting[i] = p->waiting[i + 1];
    }
    if (p->n == 0) return false;
    range *first = &p->waiting[0];
    uint64_t end = HYP_MIN((first->at / HYP_ARENA_ALIGN + 1) * HYP_ARENA_ALIGN, first->end);
    *ret = (range){first->at, end};
    first->at = end;
    return true;
}

/* Of this thread alone: on a busy machine the wall clock would count the others' work. */
static double thread_time_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void judge(hyp_preparer *p) {
    bool worth = p->sample_s < WORTH_S_PER_BYTE * (double)p->sample_bytes;
    if (worth) p->next_rest_bytes = FIRST_REST_BYTES;
    if (!worth) {
        p->rest_bytes = p->next_rest_bytes;
        p->next_rest_bytes *= REST_FACTOR;
    }
    p->sample_s = 0;
    p->sample_bytes = 0;
}

static void prepare_piece(hyp_preparer *p, range piece) {
    const uint64_t bytes = piece.end - piece.at;
    if (p->rest_bytes > 0) {
        p->rest_bytes -= HYP_MIN(bytes, p->rest_bytes);
        return;
    }
    double start_s = thread_time_s();
    hyp_arena_prepare(p->arena, piece.at, bytes);
    p->sample_s += thread_time_s() - start_s;
    p->sample_bytes += bytes;
    if (p->sample_bytes >= SAMPLE_BYTES) judge(p);
}

static void *prepare(void *arg) {
    hyp_preparer *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        if (!take_piece(p, &p->busy)) {
            pthread_cond_broadcast(&p->change); /* drained */
            pthread_cond_wait(&p->change, &p->lock);
            continue;
        }
        range piece = p->busy; /* hyp_preparer_withdraw() waits while it overlaps what is taken back */
        pthread_mutex_unlock(&p->lock);
        prepare_piece(p, piece);
        pthread_mutex_lock(&p->lock);
        p->busy = (range){0};
        pthread_cond_broadcast(&p->change);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

hyp_preparer *hyp_preparer_new(hyp_arena *arena) {
    hyp_preparer *p = calloc(1, sizeof *p);
    if (p == NULL) return NULL;
    p->arena = arena;
    p->next_rest_bytes = FIRST_REST_BYTES;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->change, NULL);
    if (hyp_thread_start(&p->thread, prepare, p) == 0) return p;
    pthread_cond_destroy(&p->change);
    pthread_mutex_destroy(&p->lock);
    free(p);
    return NULL;
}

void hyp_preparer_free(hyp_preparer *p) {
    if (p == NULL) return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->change);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->change);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void hyp_preparer_add(hyp_preparer *p, uint64_t offset, uint64_t bytes) {
    if (p == NULL) return;
    pthread_mutex_lock(&p->lock);
    if (p->n > 0 && p->waiting[p->n - 1].end == offset)
        p->waiting[p->n - 1].end = offset + bytes;
    else if (p->n < MAX_WAITING)
        p->waiting[p->n++] = (range){offset, offset + bytes};
    pthread_cond_broadcast(&p->change);
    pthread_mutex_unlock(&p->lock);
}

/* Take [at, end) out of a range. Where it lies in the middle, what is behind it is lost too: that part is then prepared
 * by its first use. */
static void trim(range *r, uint64_t at, uint64_t end) {
    if (r->at >= end || at >= r->end) return;
    if (at <= r->at)
        r->at = HYP_MIN(end, r->end);
    else
        r->end = at;
}

void hyp_preparer_skip(hyp_preparer *p, uint64_t offset, uint64_t bytes) {
    if (p == NULL) return;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->n; i++)
        trim(&p->waiting[i], offset, offset + bytes);
    pthread_mutex_unlock(&p->lock);
}

void hyp_preparer_withdraw(hyp_preparer *p, uint64_t offset, uint64_t bytes) {
    if (p == NULL) return;
    hyp_preparer_skip(p, offset, bytes);
    pthread_mutex_lock(&p->lock);
    while (p->busy.at < offset + bytes && offset < p->busy.end)
        pthread_cond_wait(&p->change, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void hyp_preparer_drain(hyp_preparer *p) {
    if (p == NULL) return;
    pthread_mutex_lock(&p->lock);
    while (p->busy.end != 0 || p->n > 0)
        pthread_cond_wait(&p->change, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
