/* weights.h - the bytes of a tensor: seeded, the same whatever the order or the chunks they are asked for in.
 *
 * Quantising random numbers would be the bottleneck (some 10 MB/s a core), so a stream of random blocks is quantised
 * once for each (type, standard deviation) and every row is a run of it, starting at a block drawn from the hash of
 * seed, tensor name and row. Blocks of every ggml type stand alone, so such a row is as good as one quantised on its
 * own; two rows, and so two experts, differ unless they draw the same start. See README.md, "Weights". */
#pragma once
#include "plan.h"

typedef struct hyp_make_weights hyp_make_weights;

/* Bytes of the tensors of `shape`. `shape` and `plan` must outlive it. The caller frees with hyp_make_weights_free().
 * Not thread-safe. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_make_weights_new(const hyp_make_shape *shape, const hyp_make_plan *plan, hyp_make_weights **ret,
                                       hyp_err *err);
void hyp_make_weights_free(hyp_make_weights *weights);

/* Write rows [row, row + n_rows) of `t` (rows of all its matrices counted on) to `dst`, n_rows * t->row_bytes bytes.
 * Errors: HYP_ENOMEM, HYP_EENGINE (ggml could not quantise). */
HYP_NODISCARD int hyp_make_weights_rows(hyp_make_weights *weights, const hyp_make_tensor *t, int64_t row,
                                        int64_t n_rows, void *dst, hyp_err *err);
