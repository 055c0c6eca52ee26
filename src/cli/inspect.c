/* inspect.c - `hypura inspect`: what a model is made of, from its header alone. */
#include "cli/inspect.h"

#include "base/mem.h"
#include "cli/command.h"
#include "cli/supervise.h"
#include "cli/terminal.h"

static void add(hyp_inspect_sum *sum, const hyp_tensor *t, uint64_t touched) {
    sum->tensors++;
    sum->bytes += t->bytes;
    sum->touched_bytes += touched;
    sum->types |= (uint64_t)1 << t->type;
}

static int sum_up(const hyp_model *model, hyp_inspect_sums *ret, hyp_err *err) {
    hyp_inspect_sums sums = {.layers = calloc(model->n_layers, sizeof *sums.layers)};
    if (sums.layers == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory describing %s", model->path);
    for (size_t i = 0; i < model->n_tensors; i++) {
        const hyp_tensor *t = &model->tensors[i];
        uint64_t touched = hyp_tensor_touched_bytes(model, t);
        add(&sums.roles[t->role], t, touched);
        add(&sums.total, t, touched);
        if (t->layer >= 0) add(&sums.layers[t->layer][t->role], t, touched);
    }
    *ret = sums;
    return HYP_OK;
}

const char *hyp_inspect_types(uint64_t types, char *buf, size_t size) {
    size_t n = 0;
    buf[0] = '\0';
    for (int t = 0; t < 64 && n < size; t++) {
        if ((types >> t & 1) == 0) continue;
        int k = snprintf(buf + n, size - n, "%s%s", n > 0 ? " " : "", hyp_tensor_type_name(t));
        if (k < 0) break;
        n += (size_t)k;
    }
    return buf;
}

static void print_failure(const hyp_err *failure) {
    printf("\nPLAN: none\n  %s\n", failure->message);
    if (failure->hint[0] != '\0') printf("  %s\n", failure->hint);
}

/* The model, and how it would run: planned without measuring, from the kept profile or from assumed rates, so that the
 * answer comes at once. That it would not run is an answer, not a failure. */
static int show(const hyp_args *args, const hyp_model *model, const hyp_inspect_sums *sums,
                const hyp_sidecar_look *packed, hyp_err *err) {
    hyp_machine machine;
    hyp_plan *plan = NULL;
    hyp_err failure = HYP_ERR_NONE;
    int e = HYP_OK;
    if (!args->no_plan) e = hyp_machine_get(args, model, false, &machine, err);
    if (e != HYP_OK) return e;
    if (!args->no_plan) (void)!hyp_machine_plan(args, model, &machine, &plan, &failure);
    hyp_inspect_plan how = {&machine, plan, failure.code != 0 ? &failure : NULL, packed};
    if (plan != NULL && args->svg != NULL) e = hyp_plan_view_svg(args->svg, model, &machine, plan, err);
    if (e == HYP_OK && args->json)
        e = hyp_inspect_print_json(model, sums, args->tensors, &how, err);
    else if (e == HYP_OK) {
        hyp_inspect_print_text(model, sums, args->tensors, hyp_terminal_width(), packed);
        if (plan != NULL) {
            putchar('\n');
            hyp_plan_view_print(model, &machine, plan, hyp_terminal_width());
        } else if (how.failure != NULL)
            print_failure(how.failure);
    }
    hyp_plan_free(plan);
    return e;
}

int hyp_command_inspect(const hyp_args *args, hyp_err *err) {
    const char *path;
    hyp_model *model = NULL;
    hyp_inspect_sums sums = {0};
    int e = hyp_command_model_path(args, &path, err);
    if (e != HYP_OK) return HYP_EXIT_USAGE;
    int status = hyp_supervise_if_remote(args, err);
    if (status >= 0) return status;
    e = hyp_model_open(path, &model, err);
    if (e == HYP_OK) e = sum_up(model, &sums, err);
    HYP_AUTOFREE hyp_sidecar_look *packed = calloc(1, sizeof *packed);
    if (packed == NULL) e = hyp_err_set(err, HYP_ENOMEM, "out of memory describing %s", path);
    if (e == HYP_OK) hyp_sidecar_find(model, args->engine.sidecar_path, packed);
    if (e == HYP_OK) e = show(args, model, &sums, packed, err);
    if (packed != NULL) hyp_sidecar_look_done(packed);
    free(sums.layers);
    hyp_model_free(model);
    return e == HYP_OK ? HYP_EXIT_OK : HYP_EXIT_FAILED;
}
