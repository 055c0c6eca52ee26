/* stream_priv.h - what stream.c (the callback) and its two ways of streaming share. */
#pragma once
#include "pager/ring.h"
#include "plan/units.h"
#include "predict/accuracy.h"
#include "predict/coact.h"
#include "predict/gate.h"
#include "predict/lookahead.h"
#include "predict/trace.h"
#include "stream/node_names_priv.h"
#include "stream/stream.h"

#include <ggml.h>

enum { STREAM_NO_LAYER = UINT32_MAX };

/* What the pager is built from. */
typedef struct stream_tables {
    hyp_extent *extents;
    hyp_unit *units; /* the plan's units under their numbers, then a unit for each of its `always` runs */
    size_t n_extents, n_units;
} stream_tables;

/* Errors: HYP_ENOMEM. Freed with hyp_stream_tables_free(), which may be called twice. */
int hyp_stream_tables_make(const hyp_model *model, const hyp_units *units, stream_tables *ret, hyp_err *err);
void hyp_stream_tables_free(stream_tables *tables);

/* What a way of streaming does, in the order of the calls. All run on the compute thread; those that return no code
 * keep a failure with hyp_stream_fail(). */
typedef struct stream_ops {
    /* Make the instance's own tables; the pager's are made, the pager is not built yet. May set `always` in their
     * units, and `routers_bytes`. Errors: HYP_ENOMEM. What was made before a failure, `close` frees. */
    int (*open)(hyp_stream *s, const hyp_stream_config *config, hyp_err *err);
    /* Free the tables; called also when `open` failed or was not reached. The pager, if one was built, still stands. */
    void (*close)(hyp_stream *s);
    /* The pager has read what is always needed: begin to fill the rest. Errors: HYP_ENOMEM, HYP_EIO. */
    int (*start)(hyp_stream *s, hyp_err *err);
    void (*begin)(hyp_stream *s); /* a decode begins; may be NULL */
    /* A node is about to run: should the graph stop after it? `ref` is the streamed weight it multiplies with, or NULL.
     */
    bool (*before)(hyp_stream *s, const struct ggml_tensor *node, const hyp_units_ref *ref);
    void (*after)(hyp_stream *s, const struct ggml_tensor *node); /* a node that was stopped at has run */
    /* A decode of `n_tokens` ended after `seconds`, s->failure says how; may be NULL. */
    void (*end)(hyp_stream *s, double seconds, uint32_t n_tokens);
    void (*get_stats)(const hyp_stream *s, hyp_stream_stats *ret); /* all members but `pager` */
} stream_ops;

/* Experts: the layer under way, and what is predicted of the next. experts.c */
typedef struct stream_experts {
    hyp_names id_nodes;       /* name of a node of chosen ids -> streamed layer, learnt from graphs */
    uint32_t *demand;         /* units demanded in the layer under way */
    uint32_t *demand_tokens;  /* parallel: tokens that use each */
    uint32_t *demand_experts; /* parallel: their expert numbers */
    size_t n_demand;
    uint32_t *slot_of_expert; /* scratch: expert -> index in `demand` + 1 */
    uint32_t max_experts;
    int32_t *ids; /* scratch: chosen ids of a batch */
    size_t ids_room;

    hyp_lookahead *lookahead;    /* NULL: not enough memory for the routers, or none found */
    hyp_names routers;           /* router weight's name -> streamed layer */
    struct ggml_tensor **inputs; /* n_layers: the router's input in the graph under way */
    float *rows;                 /* scratch: router inputs */
    size_t rows_room;
    uint32_t *predicted; /* of `predicted_layer` */
    uint32_t n_predicted, predicted_layer;
    uint32_t *further; /* scratch: predicted of the layer after that */
    bool disk_bound;   /* the last token waited for the disk much of its time */
    double stalled_s;  /* the pager's stall time after it */
    hyp_accuracy accuracy;
    hyp_gate gate;
    hyp_gate whole; /* with a sidecar: read experts whole, or part by part? */
    hyp_coact *coact;
    hyp_coact_unit *warm; /* what earlier runs used most, to fill free frames with */
    size_t n_warm, next_warm;
    hyp_trace_writer *trace; /* NULL: not recorded */
    uint32_t n_tokens;       /* of the batch under way */
} stream_experts;

/* Dense: a ring over the layers that do not fit. dense.c */
typedef struct stream_dense {
    hyp_names pre_nodes; /* names of nodes before a streamed layer's first matrix */
    char last_name[GGML_MAX_NAME];
    uint32_t *place; /* n_layers: place in the ring, or STREAM_NO_LAYER when the layer is pinned */
    hyp_ring *ring;  /* NULL when every layer is pinned */
    uint32_t n_streamed;
} stream_dense;

struct hyp_stream {
    const hyp_model *model;
    const stream_ops *ops;
    const hyp_units *units; /* the plan's; the pager numbers units as they do */
    stream_tables tables;
    hyp_pager *pager;
    bool prefetch, no_memory;
    const char *trace_path;
    uint64_t routers_bytes;          /* of the look-ahead's copy; 0: no look-ahead */
    hyp_names weights;               /* streamed weight's name -> index of the tensor in the model */
    uint32_t layer;                  /* the streamed layer under way, or STREAM_NO_LAYER */
    uint8_t parts_all, parts_passed; /* of that layer's units: their parts, and those whose node was asked about */
    stream_experts experts;
    stream_dense dense;
    hyp_err failure;     /* of this decode */
    char *sidecar_path;  /* of the one that was given to the pager, or NULL */
    hyp_err sidecar_why; /* why none was */
};

/* Keep the first failure of a decode. */
void hyp_stream_fail(hyp_stream *s, const hyp_err *failure);

extern const stream_ops hyp_stream_experts_ops, hyp_stream_dense_ops;
