/* stream.h - feeding a graph with weights that are not all in memory: ggml's evaluation callback on one side, the pager
 * on the other.
 *
 * ggml asks about every node before it runs (ask = true); answering true makes the graph run up to and including that
 * node and then call back with its value. Between the two no node computes, so the pager may move pages. What matters
 * is recognised by what a node does, not by an architecture's name:
 *   - a MUL_MAT_ID over routed experts names in src[2] the node that holds the chosen ids: stop there, demand those
 * experts;
 *   - a MUL_MAT over a streamed FFN matrix names its layer: wait for it, and after the layer's last part give it back;
 *   - the node before a dense layer's first matrix: stop there, so that attention computes while the layer is read.
 * A graph not yet known merely faults from the file: slower, never wrong.
 *
 * Threads: everything runs on the compute thread. */
#pragma once
#include "gguf/model.h"
#include "pager/pager.h"

struct ggml_tensor;
typedef struct hyp_plan hyp_plan; /* plan/plan.h */
typedef struct hyp_stream hyp_stream;

typedef struct hyp_stream_config {
    const hyp_model *model;
    const hyp_plan *plan;  /* of mode HYP_MODE_EXPERTS or HYP_MODE_FFN; used only by hyp_stream_new() */
    void *const *bases;    /* of model->files, as mapped by libllama */
    uint64_t budget_bytes; /* for frames */
    hyp_policy_kind policy;
    bool prefetch;
    const char *trace_path; /* record the routing there, or NULL */
    bool no_memory;         /* neither read nor write the routing statistics of earlier runs */
    hyp_io_config io;
    const char *sidecar_path; /* NULL: look where it usually is */
    bool short_reads_cost;    /* this disk reads parts of experts clearly slower than whole ones, as far as is known */
    bool no_sidecar;
} hyp_stream_config;

/* Cut the model into units and build the pager. Nothing is read yet. `*ret_least_bytes` is the least budget for frames,
 * set on failure too. Errors: those of hyp_units_make() and hyp_pager_open(). */
HYP_NODISCARD int hyp_stream_new(const hyp_stream_config *config, hyp_stream **ret, uint64_t *ret_least_bytes,
                                 hyp_err *err);
void hyp_stream_free(hyp_stream *stream);

/* hyp_engine_end_trace() */
HYP_NODISCARD int hyp_stream_end_trace(hyp_stream *stream, hyp_err *err);

/* Read what is always needed, then begin to fill the rest. Errors: HYP_EIO, HYP_ECANCELED. */
HYP_NODISCARD int hyp_stream_load(hyp_stream *stream, bool (*progress)(uint64_t, uint64_t, void *), void *user,
                                  hyp_err *err);

/* ggml's evaluation callback; `user` is the stream. */
bool hyp_stream_on_node(struct ggml_tensor *node, bool ask, void *user);

/* A decode begins, or has ended after `seconds` for `n_tokens`: then the error that stopped the graph, if any. */
void hyp_stream_begin(hyp_stream *stream);
HYP_NODISCARD int hyp_stream_end(hyp_stream *stream, double seconds, uint32_t n_tokens, hyp_err *err);

/* Has a read failed? (ggml's abort callback asks.) */
bool hyp_stream_failed(const hyp_stream *stream);

/* As hyp_engine_uses_sidecar(). */
bool hyp_stream_uses_sidecar(const hyp_stream *stream, const char **ret_path, const hyp_err **ret_why);

typedef struct hyp_stream_stats {
    hyp_pager_stats pager;
    bool prefetch_on;         /* the governor lets predictions be prefetched now */
    double recall, precision; /* of predicted experts */
    bool whole_units;         /* experts are read whole: the last trial showed a gain */
} hyp_stream_stats;
/* hyp_pager_measure_faults() */
double hyp_stream_measure_faults(const hyp_stream *stream, uint64_t max_bytes, double max_s);

/* The model's own files cannot be read any more (hyp_pager_leave_primary()). */
void hyp_stream_leave_primary(hyp_stream *stream, int sys_errno);
void hyp_stream_get_stats(const hyp_stream *stream, hyp_stream_stats *ret);
