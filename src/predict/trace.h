/* trace.h - a record of routing: which experts every layer of every pass used, and which had been predicted.
 *
 * A pass is one evaluation of the model over a batch: one token in decoding, many in prefill. Layers are the streamed
 * ones, numbered densely in the order of computation. The file is compact (about one byte an expert used), versioned,
 * and says by its last record whether it is whole; a file whose writer died is read up to its last whole visit. */
#pragma once
#include "base/err.h"

typedef struct hyp_trace_layer {
    uint32_t model_layer; /* "blk.N" */
    uint32_t n_experts;
    uint64_t unit_bytes; /* frame bytes of an expert of this layer */
} hyp_trace_layer;

typedef struct hyp_trace_info {
    char digest[65];       /* hyp_model.digest */
    char name[128];        /* for people */
    uint32_t n_layers;     /* streamed layers */
    uint32_t n_used;       /* experts a token uses in a layer */
    uint64_t always_bytes; /* what every token touches beside the experts: pinned in memory */
    hyp_trace_layer *layers;
} hyp_trace_info;

/* --- writing --- */
typedef struct hyp_trace_writer hyp_trace_writer;

/* Create or replace the file at `path`. `info` is copied. One owner. Errors: HYP_EIO, HYP_ENOMEM, HYP_EINVAL (limits:
 * 4096 layers, 65535 experts, 2^40 bytes a unit). */
HYP_NODISCARD int hyp_trace_create(const char *path, const hyp_trace_info *info, hyp_trace_writer **ret, hyp_err *err);

/* `layer` uses `experts[0..n)`, distinct, in any order, `counts[i]` tokens each (NULL: 1), in a batch of `n_tokens`. A
 * layer not above the one before begins a new pass, of so many tokens; later layers of it may have fewer (a last layer
 * that computes outputs alone). Only appends to a buffer, which is written out by the megabyte; a failure is kept for
 * hyp_trace_close(). */
void hyp_trace_used(hyp_trace_writer *writer, uint32_t layer, uint32_t n_tokens, const uint32_t *experts,
                    const uint32_t *counts, size_t n);

/* Before `layer` was reached, `experts[0..n)` had been predicted for it, the surest first. Call before hyp_trace_used()
 * of that layer; of several calls for a visit the last holds. */
void hyp_trace_predicted(hyp_trace_writer *writer, uint32_t layer, const uint32_t *experts, size_t n);

/* Write what is left and the end mark, and free. NULL is fine. Errors: HYP_EIO, also of earlier writes. */
HYP_NODISCARD int hyp_trace_close(hyp_trace_writer *writer, hyp_err *err);

/* --- reading --- */
typedef struct hyp_trace_visit {
    uint32_t pass, layer, n_tokens;
    uint32_t n_used, n_predicted;
    size_t used;      /* index of the first one in hyp_trace.experts and .counts: ascending experts */
    size_t predicted; /* index in hyp_trace.experts: the surest first */
} hyp_trace_visit;

typedef struct hyp_trace {
    hyp_trace_info info;
    bool complete; /* the end mark and its checksum are there */
    uint32_t n_passes;
    hyp_trace_visit *visits; /* in the order of computation */
    size_t n_visits;
    uint16_t *experts;
    uint32_t *counts; /* tokens that used experts[i], 1..n_tokens; 0 where experts[i] was predicted */
    size_t n_experts;
} hyp_trace;

/* Read a trace, untrusted: every number is checked. Free with hyp_trace_free().
 * Errors: HYP_EIO, HYP_EFORMAT (not a trace, another version, out of range, bad checksum), HYP_ELIMIT (over 256 MiB),
 * HYP_ENOMEM. */
HYP_NODISCARD int hyp_trace_read(const char *path, hyp_trace **ret, hyp_err *err);

/* The same from memory; `what` names it in errors. */
HYP_NODISCARD int hyp_trace_parse(const void *data, size_t n, const char *what, hyp_trace **ret, hyp_err *err);
void hyp_trace_free(hyp_trace *trace);
