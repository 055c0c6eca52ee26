/* upcycle.h - turns a dense model into a mixture of experts that says the same.
 *
 * Every expert is a copy of the layer's FFN and a seeded random router spreads tokens over them. The architectures
 * chosen normalise the weights of the chosen experts to a sum of one (softmax, then renormalised over the top k), so
 * the mixture's output is sum(w_i) * FFN(x) = FFN(x) up to rounding. Tokenizer, chat template, attention and norms stay
 * as they are. The dense bytes are copied, not requantised.
 *
 * Rounding of the weighted sum does change logits a little (libllama quantises activations, which magnifies it), and
 * with them, at near ties, the text. With `exact`, groups of as many experts as are used share a router row: they are
 * chosen together with weights of exactly 1/k, a power of two, and the logits are the dense model's bit for bit. */
#pragma once
#include "write.h"

typedef struct hyp_make_upcycle hyp_make_upcycle;

/* Open shape->upcycle and plan its mixture of shape->experts experts, shape->experts_used of them used (router scale
 * and seed from the shape, too; its other numbers do not count). The caller frees with hyp_make_upcycle_free().
 * Errors: HYP_ENOTFOUND, HYP_EFORMAT (no GGUF), HYP_EUNSUPPORTED (an architecture without a mixture of the same form,
 * a split file, FFN biases), HYP_EINVAL, HYP_ENOMEM. */
HYP_NODISCARD int hyp_make_upcycle_new(const hyp_make_shape *shape, hyp_make_upcycle **ret, hyp_err *err);
void hyp_make_upcycle_free(hyp_make_upcycle *up);

/* Owned by `up`. */
const hyp_make_plan *hyp_make_upcycle_plan(const hyp_make_upcycle *up);
struct gguf_context *hyp_make_upcycle_keys(hyp_make_upcycle *up);

/* A hyp_make_rows_fn; `source` is the hyp_make_upcycle. Errors: HYP_EIO. */
HYP_NODISCARD int hyp_make_upcycle_rows(void *source, const hyp_make_tensor *t, int64_t row, int64_t n_rows, void *dst,
                                        hyp_err *err);
