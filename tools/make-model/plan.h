/* plan.h - the tensors of a model about to be written: names, sizes, and how to fill each. Pure data. */
#pragma once
#include "shape.h"

struct gguf_context;

typedef enum hyp_make_fill {
    HYP_MAKE_FILL_NORMAL,   /* zero-mean, standard deviation `scale` */
    HYP_MAKE_FILL_CONSTANT, /* every element is `scale` */
    HYP_MAKE_FILL_EMBED,    /* token embeddings: constant coordinate, token part, empty context part */
    HYP_MAKE_FILL_ROUTER,   /* a router: see README.md, "Routing" */
    HYP_MAKE_FILL_DECAY,    /* -exp(uniform): decay rates of linear attention */
    HYP_MAKE_FILL_COPY,     /* bytes come from another file (upcycling) */
} hyp_make_fill;

typedef struct hyp_make_rows {
    int64_t from, to; /* rows [from, to) of every matrix in the tensor; from == to: none */
} hyp_make_rows;

/* Rows of a matrix whose element 0, the weight on the constant coordinate, is prescribed: of rows [from, to), those
 * with 0 <= e < length and e % half >= skip, where e = (row - from) % head - offset is the element of a head. */
typedef struct hyp_make_first {
    bool set;
    float value;
    int64_t from, to;
    int64_t head, offset, length, half, skip;
} hyp_make_first;

/* What a matrix writes to the part of the residual stream that is not its own. Not zero: every weight counts. */
#define HYP_MAKE_QUIET 0.1f

typedef struct hyp_make_tensor {
    char name[GGML_MAX_NAME];
    int n_dims;
    int64_t ne[4];
    enum ggml_type type;
    hyp_make_fill fill;
    float scale;
    int layer;   /* -1 outside layers */
    bool expert; /* routed expert weights */
    hyp_make_first first;
    hyp_make_rows zero;  /* rows that are all zero */
    hyp_make_rows quiet; /* rows at HYP_MAKE_QUIET of the scale, */
    bool quiet_others;   /* or those outside it */
    uint64_t bytes;
    int64_t row_bytes, n_rows;
    int64_t written_rows; /* with --sparse: rows of each matrix that are written, the rest are holes; else all */
    int64_t source;       /* FILL_COPY: tensor index in the other file */
} hyp_make_tensor;

typedef struct hyp_make_plan {
    hyp_make_tensor *tensors;
    size_t n, capacity;
    uint64_t bytes; /* of all tensor data, padding excluded */
    int code;       /* the first failure while adding; adding then does nothing */
    hyp_err *err;
} hyp_make_plan;

/* All tensors of a resolved `shape`. The caller frees with hyp_make_plan_free().
 * Errors: HYP_EINVAL (a name too long, a row no type fits), HYP_ENOMEM. */
HYP_NODISCARD int hyp_make_plan_new(const hyp_make_shape *shape, hyp_make_plan *ret, hyp_err *err);
void hyp_make_plan_free(hyp_make_plan *plan);

/* Every metadata key of a resolved `shape`, tokenizer included. The caller frees with gguf_free(). */
HYP_NODISCARD int hyp_make_keys_new(const hyp_make_shape *shape, struct gguf_context **ret, hyp_err *err);

/* Add a tensor of `n_dims` dimensions; NULL after a failure (which `plan` remembers), so every caller checks.
 * The tensor is at once valid and may be adjusted through the pointer until the next addition. */
hyp_make_tensor *hyp_make_plan_add(hyp_make_plan *plan, int layer, enum ggml_type type, int n_dims, const int64_t *ne,
                                   const char *format, ...) HYP_PRINTF(6, 7);

/* A vector of F32: norms (1), biases. */
hyp_make_tensor *hyp_make_plan_vector(hyp_make_plan *plan, int layer, int64_t n, hyp_make_fill fill, double scale,
                                      const char *name);

/* A matrix [in, out] scaled by 1/sqrt(in), of `role`'s type. */
hyp_make_tensor *hyp_make_plan_matrix(hyp_make_plan *plan, const hyp_make_shape *shape, int layer, hyp_make_role role,
                                      int64_t in, int64_t out, const char *name);

/* Say that the rows of `t` (may be NULL) are coordinates of the residual stream: the constant one is left alone, and
 * attention is quiet outside the context part, all else inside it. */
void hyp_make_plan_to_residual(const hyp_make_shape *shape, hyp_make_tensor *t, bool attention);
