/* estimate.c - `hypura estimate`: will it run, how fast, what stands in the way. */
#include "base/mem.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/plan_view.h"
#include "cli/print_json.h"
#include "cli/sidecar_view.h"
#include "cli/supervise.h"
#include "cli/terminal.h"
#include "gguf/model_json.h"

#include <string.h>

typedef struct change {
    const char *what;
    double decode_tok_per_s, prefill_tok_per_s; /* 0: it would not run */
    hyp_mode mode;
} change;

enum { N_CHANGES = 3 };

static const char *const change_names[N_CHANGES] = {"1 GB more RAM", "twice the disk rate", "twice the processor"};

/* The same machine with one thing better; more RAM is the request's. */
static hyp_hardware better(const hyp_hardware *from, size_t which) {
    hyp_hardware hw = *from;
    if (which == 1) {
        hw.disk_bytes_per_s *= 2;
        hw.disk_fault_bytes_per_s *= 2;
    }
    if (which != 2) return hw;
    hw.memory_bytes_per_s *= 2;
    hw.node_s /= 2;
    for (size_t i = 0; i < hw.n_rates; i++) {
        hw.rates[i].decode_bytes_per_s *= 2;
        hw.rates[i].repacked_bytes_per_s *= 2;
        hw.rates[i].decode_cached_bytes_per_s *= 2;
        hw.rates[i].repacked_cached_bytes_per_s *= 2;
        hw.rates[i].prefill_flop_per_s *= 2;
        hw.rates[i].repacked_flop_per_s *= 2;
    }
    return hw;
}

static void ask_what_if(const hyp_model *model, const hyp_machine *machine, const hyp_plan_request *request,
                        change ret[N_CHANGES]) {
    for (size_t i = 0; i < N_CHANGES; i++) {
        hyp_hardware hw = better(&machine->hardware, i);
        hyp_plan_request r = *request;
        hyp_plan *plan = NULL;
        if (i == 0) r.ram_bytes += 1000000000ull;
        ret[i] = (change){.what = change_names[i]};
        if (hyp_plan_make(model, &hw, &r, &plan, NULL) != HYP_OK) continue;
        ret[i].decode_tok_per_s = plan->prediction.decode_tok_per_s;
        ret[i].prefill_tok_per_s = plan->prediction.prefill_tok_per_s;
        ret[i].mode = plan->mode;
        hyp_plan_free(plan);
    }
}

/* The packed copy: what is there of it, and what it would change. Nothing when there is nothing to pack. */
typedef struct packed_copy {
    bool possible;
    hyp_sidecar_look look;
    hyp_sidecar_gain gain;
} packed_copy;

static int look_at_packed(const hyp_args *args, const hyp_model *model, const hyp_machine *machine,
                          const hyp_plan *plan, packed_copy *ret, hyp_err *err) {
    hyp_sidecar *layout = NULL;
    hyp_err failure = HYP_ERR_NONE;
    hyp_sidecar_find(model, args->engine.sidecar_path, &ret->look);
    int r = hyp_sidecar_view_predict(args, model, machine, plan, &layout, &ret->gain, &failure);
    hyp_sidecar_free(layout);
    ret->possible = r == HYP_OK && ret->gain.streams;
    return r == HYP_ENOMEM ? hyp_err_pass(err, &failure) : HYP_OK;
}

static void print_packed(const packed_copy *p) {
    char size[24];
    if (!p->possible) return;
    puts("\nA packed copy of what is streamed (hypura optimize):");
    if (p->look.state != HYP_SIDECAR_ABSENT)
        hyp_sidecar_view_state(&p->look);
    else
        printf("  space        %s\n", hyp_text_format_bytes(p->gain.bytes, size, sizeof size));
    hyp_sidecar_view_gain(&p->gain);
}

static void print_text(const hyp_model *model, const hyp_machine *machine, const hyp_plan *plan,
                       const change *changes) {
    char a[24];
    printf("%s, %s, %s, %s\n", model->name, model->arch, model->quant,
           hyp_text_format_bytes(model->bytes, a, sizeof a));
    printf("It runs in mode %s: %s.\n\n", hyp_mode_name(plan->mode), plan->reason);
    hyp_plan_view_speed(machine, plan);
    printf("  memory       at least %s, with a context of %u tokens\n\nWhat would help:\n",
           hyp_text_format_bytes(hyp_text_round_bytes_up(plan->least_budget_bytes), a, sizeof a), plan->context_tokens);
    for (size_t i = 0; i < N_CHANGES; i++) {
        if (changes[i].decode_tok_per_s <= 0) continue;
        printf("  %-20s %s tok/s (%+.0f %%)", changes[i].what,
               hyp_plan_view_number(changes[i].decode_tok_per_s, a, sizeof a),
               100 * (changes[i].decode_tok_per_s / plan->prediction.decode_tok_per_s - 1));
        if (changes[i].mode != plan->mode) printf(", mode %s", hyp_mode_name(changes[i].mode));
        putchar('\n');
    }
}

static int print_json(const hyp_model *model, const hyp_machine *machine, const hyp_plan *plan, const change *changes,
                      const packed_copy *packed, hyp_err *err) {
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    bool good = hyp_model_add_json(doc, root, model) != NULL && hyp_plan_view_json(doc, root, machine, plan) &&
                hyp_plan_view_placement_json(doc, root, model, plan);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "what_if");
    for (size_t i = 0; good && i < N_CHANGES; i++) {
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
        good = yyjson_mut_obj_add_str(doc, o, "change", changes[i].what) &&
               yyjson_mut_obj_add_str(doc, o, "mode", hyp_mode_name(changes[i].mode)) &&
               yyjson_mut_obj_add_real(doc, o, "decode_tok_per_s", changes[i].decode_tok_per_s) &&
               yyjson_mut_obj_add_real(doc, o, "prefill_tok_per_s", changes[i].prefill_tok_per_s);
    }
    if (good && packed->possible) {
        yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, "sidecar");
        good = hyp_sidecar_view_state_json(doc, o, &packed->look) &&
               hyp_sidecar_view_gain_json(doc, yyjson_mut_obj_add_obj(doc, o, "gain"), &packed->gain);
    }
    int e = good ? hyp_print_json(doc, err) : hyp_err_set(err, HYP_ENOMEM, "out of memory printing JSON");
    yyjson_mut_doc_free(doc);
    return e;
}

int hyp_command_estimate(const hyp_args *args, hyp_err *err) {
    const char *path;
    hyp_model *model = NULL;
    hyp_plan *plan = NULL;
    hyp_machine machine;
    change changes[N_CHANGES];
    if (hyp_command_model_path(args, &path, err) != HYP_OK) return HYP_EXIT_USAGE;
    int status = hyp_supervise_if_remote(args, err);
    if (status >= 0) return status;
    int e = hyp_model_open(path, &model, err);
    if (e == HYP_OK) e = hyp_machine_get(args, model, true, &machine, err);
    if (e == HYP_OK) e = hyp_machine_plan(args, model, &machine, &plan, err);
    if (e == HYP_OK) ask_what_if(model, &machine, &plan->request, changes);
    HYP_AUTOFREE packed_copy *copy = calloc(1, sizeof *copy);
    if (copy == NULL) e = hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (e == HYP_OK) e = look_at_packed(args, model, &machine, plan, copy, err);
    if (e == HYP_OK && args->svg != NULL) e = hyp_plan_view_svg(args->svg, model, &machine, plan, err);
    if (e == HYP_OK && args->json)
        e = print_json(model, &machine, plan, changes, copy, err);
    else if (e == HYP_OK) {
        print_text(model, &machine, plan, changes);
        print_packed(copy);
    }
    if (copy != NULL) hyp_sidecar_look_done(&copy->look);
    hyp_plan_free(plan);
    hyp_model_free(model);
    return e == HYP_OK ? HYP_EXIT_OK : HYP_EXIT_FAILED;
}
