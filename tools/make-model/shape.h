/* shape.h - what a synthetic model shall look like: the options of make-model, checked and completed.
 *
 * The struct is what the options table writes into. hyp_make_shape_resolve() turns it from what the user said into a
 * whole description: every number filled in from the architecture's defaults, every quantisation parsed, every
 * impossible combination refused with a hint. Everything after it (plan, weights, writer) trusts it. */
#pragma once
#include "base/options.h"

#include <ggml.h>

/* Which option decides a matrix's type. */
typedef enum hyp_make_role {
    HYP_MAKE_EMBED,
    HYP_MAKE_OUTPUT,
    HYP_MAKE_ATTN,   /* softmax and linear attention */
    HYP_MAKE_FFN,    /* dense FFN: gate and up */
    HYP_MAKE_SHARED, /* shared experts */
    HYP_MAKE_ROUTER,
    HYP_MAKE_EXPERT, /* routed experts: gate and up */
    HYP_MAKE_DOWN,   /* down of the dense FFN and of the routed experts */
    HYP_MAKE_N_ROLES,
} hyp_make_role;

struct hyp_make_arch;

typedef struct hyp_make_shape {
    /* options; 0 or NULL: the architecture's default */
    const char *arch_name, *out, *upcycle, *name, *chat_template;
    int layers, width, heads, kv_heads, head_dim, ffn, context, vocab;
    int experts, experts_used, expert_width, shared_experts, shared_width, dense_layers;
    int q_rank, kv_rank, rope_dim, value_dim; /* latent attention; q_rank -1: no factorised query */
    int attention_every;                      /* hybrid: every how many layers one of softmax attention */
    int linear_heads, linear_key_heads, linear_dim;
    int window; /* sliding window of those architectures that have one */
    int seed, alignment, split_tensors;
    uint64_t split_bytes;
    bool tied, merge_gate_up, exact, sparse_experts, sparse_all, dry_run, quiet, help;
    const char *quant, *quant_role[HYP_MAKE_N_ROLES];
    double skew, sticky, router_scale, residual_scale, logit_scale, vary;

    /* resolved */
    const struct hyp_make_arch *arch;
    enum ggml_type type[HYP_MAKE_N_ROLES];
    /* The residual stream's coordinates: 0 is a constant, [context_from, width) is written by attention alone. */
    int context_from;
    float constant;
} hyp_make_shape;

/* The table of options (one command, bit 0). Static storage. */
extern const hyp_options hyp_make_options;

/* Complete and check `shape` in place. Not for upcycling, whose shape comes from its input.
 * Errors: HYP_EINVAL with the option to change in the hint. */
HYP_NODISCARD int hyp_make_shape_resolve(hyp_make_shape *shape, hyp_err *err);

/* The ggml type called `text` ("Q4_K", "q4_k", "bf16") that ggml can quantise to, into `*ret`.
 * Errors: HYP_EINVAL; the hint lists the names. */
HYP_NODISCARD int hyp_make_type_parse(const char *text, enum ggml_type *ret, hyp_err *err);

/* The type for a matrix of `role` whose rows have `row` elements: the role's, unless the row is no whole number of its
 * blocks, when it is what llama.cpp's own quantiser falls back to (Q8_0, else F16). */
enum ggml_type hyp_make_shape_type(const hyp_make_shape *shape, hyp_make_role role, int64_t row);

/* The rms of the residual stream at the input of layer `layer`'s attention (`after_attention` false) or FFN, as the
 * initialisation predicts it, and of its token and context parts. See README.md, "Weights". */
typedef struct hyp_make_rms {
    double all, token, context;
} hyp_make_rms;
hyp_make_rms hyp_make_shape_rms(const hyp_make_shape *shape, int layer, bool after_attention);
