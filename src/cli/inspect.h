/* inspect.h - what the files of `hypura inspect` share: sums over a model, printed for people or as JSON. */
#pragma once
#include "cli/plan_view.h"
#include "cli/sidecar_view.h"
#include "gguf/model.h"

typedef struct hyp_inspect_sum {
    uint64_t tensors, bytes;
    uint64_t touched_bytes; /* read for one token, see hyp_tensor_touched_bytes() */
    uint64_t types;         /* bit set of hyp_tensor.type, which is below 64 */
} hyp_inspect_sum;

typedef struct hyp_inspect_sums {
    hyp_inspect_sum roles[HYP_N_ROLES];
    hyp_inspect_sum total;
    hyp_inspect_sum (*layers)[HYP_N_ROLES]; /* model->n_layers rows; tensors outside layers are in none */
} hyp_inspect_sums;

/* Print the model for a person, at most `width` columns wide where names allow; with `tensors`, every tensor too.
 * `packed`: its packed copy, shown unless it is absent. */
void hyp_inspect_print_text(const hyp_model *model, const hyp_inspect_sums *sums, bool tensors, int width,
                            const hyp_sidecar_look *packed);

/* How it would run: the plan, or why there is none (these NULL with --no-plan); and its packed copy. */
typedef struct hyp_inspect_plan {
    const hyp_machine *machine;
    const hyp_plan *plan;
    const hyp_err *failure;
    const hyp_sidecar_look *packed; /* never NULL */
} hyp_inspect_plan;

/* Print the model as one JSON object. Errors: HYP_ENOMEM, HYP_EIO. */
HYP_NODISCARD int hyp_inspect_print_json(const hyp_model *model, const hyp_inspect_sums *sums, bool tensors,
                                         const hyp_inspect_plan *plan, hyp_err *err);

/* The types in a bit set by their names, "f32 q4_K". Returns `buf`. */
const char *hyp_inspect_types(uint64_t types, char *buf, size_t size);
