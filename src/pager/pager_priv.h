/* pager_priv.h - private to src/pager: the pager's tables, and what its files share.
 *
 * A span is what is read, mapped and evicted as one: the pages of one cached extent, or of a run of neighbouring
 * `always` extents. Spans are numbered in the order of the files, so that those which share a page are neighbours in
 * the table.
 *
 *   build.c  from the caller's extents to units and spans
 *   open.c   files, classes, frames, policy and io; close
 *   state.c  the state of spans, pins of units, what is reported to the policy, finished reads
 *   map.c    which pages of the mapping show a frame; shared edges
 *   load.c   the `always` units
 *   packed.c reading from the packed file
 *   pager.c  the public operations
 *   check.c  contradictions, for tests */
#pragma once
#include "base/mem.h"
#include "pager/frames_priv.h"
#include "pager/pager.h"

typedef struct hyp_io hyp_io;                 /* io/io.h */
typedef struct hyp_io_request hyp_io_request; /* io/io.h */
typedef struct hyp_policy hyp_policy;         /* pager/policy.h */

enum { NONE = UINT32_MAX, MAX_STRETCHES = 16, MAX_BATCH = 64 };
#define NOT_PACKED UINT64_MAX

/* on disk -> reading -> arrived -> resident, and from each of them back to on disk; nothing else. */
typedef enum span_state {
    SPAN_ON_DISK,  /* no frame; the mapping shows the file */
    SPAN_READING,  /* has a frame, which belongs to the io layer until the read is reaped */
    SPAN_ARRIVED,  /* the frame holds the bytes; the mapping still shows the file */
    SPAN_RESIDENT, /* the mapping shows the frame */
} span_state;

/* For the log; static. */
const char *hyp_span_state_name(span_state state);

typedef struct pager_span {
    uint32_t file;
    uint32_t unit; /* NONE: a run of `always` extents */
    uint32_t cls;
    uint32_t reading_at;  /* place in pager->reading while SPAN_READING */
    uint64_t first, last; /* pages of the file, both included */
    uint64_t file_bytes;  /* before rounding */
    uint64_t frame;       /* offset in the arena, unless SPAN_ON_DISK */
    uint64_t packed_at;   /* its place in the packed file, or NOT_PACKED */
    uint64_t checksum;    /* of its pages, when packed */
    uint8_t state;        /* span_state; changed by hyp_span_set_state() alone */
    bool owns_first : 1;  /* the mapping's page `first` (`last`) shows this frame, not that of a neighbour */
    bool owns_last : 1;   /* equal to owns_first when first == last */
    bool guessed : 1;     /* a prefetch brought it and nothing has demanded it yet */
    bool doomed : 1;      /* while reading: give the frame back when the read ends */
    bool starved : 1;     /* demanded, found no frame */
    bool in_starved : 1;  /* listed in pager->starved */
    bool in_arrived : 1;  /* listed in pager->arrived */
    bool from_packed : 1; /* while reading: out of the packed file */
    bool proven : 1;      /* the packed file's bytes have been checked once */
    bool failed : 1;      /* a demanded read failed, which was not reported yet */
} pager_span;

typedef struct pager_unit {
    uint32_t first_extent;
    uint32_t layer;
    uint32_t pinned_at; /* place in pager->pinned while pinned */
    uint32_t epoch;     /* of the demand that named it last */
    uint64_t frame_bytes, file_bytes;
    uint8_t n_extents;
    uint8_t n_held, n_reading; /* of its spans: with a frame; being read */
    bool always : 1;
    bool pinned : 1;
    bool stuck : 1; /* the system refused to evict it: not tried again before its next release */
} pager_unit;

typedef struct mapped_file {
    char *path;
    uint8_t *base;
    uint64_t bytes;
    int fd;
    hyp_stretch stretches[MAX_STRETCHES]; /* where the file is mapped, spans or not; for joining mappings */
    size_t n_stretches;
} mapped_file;

/* A unit's place in the packed file. */
typedef struct packed_unit {
    uint64_t at;
    uint32_t unit;
} packed_unit;

struct hyp_pager {
    hyp_io *io;
    hyp_policy *policy;
    hyp_arena arena;
    hyp_frames frames;
    size_t page;
    bool opened, left_primary;
    mapped_file *files;
    size_t n_files;
    pager_unit *units;
    size_t n_units;
    uint32_t n_layers;
    uint32_t *n_away; /* of each layer: cached spans without a frame */
    pager_span *spans;
    size_t n_spans;
    uint32_t *span_of; /* of each extent */
    size_t n_extents;
    hyp_io_request *requests; /* one a span; `always` runs have their own */
    uint64_t always_bytes, budget_bytes;
    uint32_t n_held, max_held; /* cached spans with a frame; what the system's limit on mappings allows */

    uint32_t *reading; /* cached spans being read */
    size_t n_reading;
    size_t n_reading_loose; /* of these, of units that are not pinned */
    uint32_t *pinned;       /* units */
    size_t n_pinned;
    uint32_t *starved; /* spans in the order of demand; each once; some may have lost `starved` */
    size_t n_starved;
    uint32_t *arrived; /* spans to map: arrived and of pinned units when listed; each once; some may have moved on */
    size_t n_arrived;
    /* The packed file. */
    bool packed_on, whole_units;
    hyp_err packed_failure;
    hyp_io_request *batch[MAX_BATCH]; /* neighbours in it, made and not yet submitted; empty between two operations */
    size_t n_batch;
    packed_unit *packed_order; /* scratch for a demand: n_units */
    uint32_t epoch;
    size_t n_failed;       /* spans with `failed` */
    hyp_pager_stats stats; /* the counters; gauges are filled in when asked */
};

static inline uint64_t span_bytes(const hyp_pager *p, const pager_span *s) {
    return (s->last - s->first + 1) * p->page;
}

/* The span of extent `part` of unit `u`. Several parts of an `always` unit may share one. */
static inline uint32_t unit_span(const hyp_pager *p, const pager_unit *u, uint32_t part) {
    return p->span_of[u->first_extent + part];
}

/* --- state.c --- */

/* The one place where a span changes its state: checks that the change is allowed, frees the frame of what goes back to
 * disk, keeps the counts, and updates the policy. */
void hyp_span_set_state(hyp_pager *p, uint32_t s, span_state state);

void hyp_unit_set_pinned(hyp_pager *p, uint32_t u, bool pinned);
void hyp_unit_set_stuck(hyp_pager *p, uint32_t u, bool stuck);

/* Take back every read that has finished; with `wait` block for one first. Returns whether any was taken back. */
bool hyp_reads_collect(hyp_pager *p, bool wait);

/* Submit the read of a span that has just got a frame. */
void hyp_read_start(hyp_pager *p, uint32_t s, hyp_io_class cls);

/* List an arrived span of a pinned unit for mapping. */
void hyp_span_list_arrived(hyp_pager *p, uint32_t s);

/* Forget that the reads of `s` failed. */
void hyp_span_forget_failure(hyp_pager *p, uint32_t s);

/* --- packed.c --- */

/* Give every cached span whose extent is in config->packed its place there. Errors: HYP_ENOMEM, HYP_EINVAL (runs out of
 * order). */
HYP_NODISCARD int hyp_packed_attach(hyp_pager *p, const hyp_pager_config *config, hyp_err *err);

/* Aim the request of a span at the packed file, if the span is there. */
void hyp_packed_aim(hyp_pager *p, uint32_t s, hyp_io_request *request);

/* Submit a request, or keep it back while it may be a neighbour of the next. hyp_packed_flush() submits what was kept
 * back: every operation calls it before it ends, or looks for finished reads. */
void hyp_packed_submit(hyp_pager *p, uint32_t s);
void hyp_packed_flush(hyp_pager *p);

/* A read out of the packed file has ended: are these the model's bytes? If not, the packed file is done with. */
bool hyp_packed_check(hyp_pager *p, uint32_t s, const hyp_io_request *request);

/* Read a demand's units one after the other in the order of the packed file? Puts them into packed_order. */
bool hyp_packed_sort(hyp_pager *p, const uint32_t *units, size_t n);

/* --- map.c --- */

/* Show the frame of an arrived span; SPAN_RESIDENT afterwards. When the system refuses, the span goes back to disk.
 * Returns whether it is resident. */
bool hyp_span_map(hyp_pager *p, uint32_t s, bool populate);

/* Show the file, or a neighbour's frame on a shared page, instead of the frame of a resident span; SPAN_ON_DISK
 * afterwards. False when the system refused: the span stays resident. */
bool hyp_span_unmap(hyp_pager *p, uint32_t s);

/* --- load.c --- */

/* Say where the frames of the `always` runs lie, from arena offset 0 on; `*ret_end`: one past the last. */
void hyp_always_place(hyp_pager *p, uint64_t *ret_end);

/* --- build.c --- */

/* Check the config and fill the tables that need no memory object, no policy and no files: units, spans, sums. */
HYP_NODISCARD int hyp_tables_build(hyp_pager *p, const hyp_pager_config *config, hyp_err *err);
void hyp_tables_free(hyp_pager *p);

/* --- check.c --- */

/* Recompute every count and look for contradictions; for tests. Returns NULL or what is wrong. */
const char *hyp_pager_check(const hyp_pager *p);
