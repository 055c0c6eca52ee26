/* optimize.c - `hypura optimize`: a copy of a model that is faster to read. */
#include "base/mem.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/faults.h"
#include "cli/interrupt.h"
#include "cli/print_json.h"
#include "cli/progress.h"
#include "cli/sidecar_view.h"
#include "gguf/model_json.h"

#include <string.h>

typedef struct watch {
    hyp_progress progress;
    const char *what;
    bool quiet;
} watch;

static bool on_progress(const char *what, uint64_t done, uint64_t total, void *user) {
    watch *w = user;
    if (w->what != what) {
        if (w->what != NULL) hyp_progress_end(&w->progress);
        hyp_progress_start(&w->progress, what, w->quiet);
        w->what = what;
    }
    hyp_progress_update(&w->progress, done, total);
    return !hyp_interrupt_seen();
}

/* What is to be done, and what came of it. */
typedef struct task {
    const hyp_args *args;
    const hyp_model *model;
    hyp_machine machine;
    hyp_sidecar *layout; /* NULL with --in-gguf */
    hyp_sidecar_gain gain;
    char path[HYP_SIDECAR_PATH_SIZE];
    uint64_t bytes; /* of the file to write; of --in-gguf about that */
    hyp_sidecar_space space;
    bool there; /* already whole: nothing to do */
    bool written;
    hyp_sidecar_written result;
    double seconds;
} task;

/* --- what it will be --- */

static int plan_gguf(task *t, hyp_err *err) {
    const char *out = t->args->out;
    if (out == NULL) {
        hyp_err_set(err, HYP_EINVAL, "--in-gguf needs --out FILE");
        hyp_err_hint(err, "for instance: hypura optimize %.60s --in-gguf -o packed.gguf", t->model->path);
        return HYP_EINVAL;
    }
    if (snprintf(t->path, sizeof t->path, "%s", out) >= (int)sizeof t->path)
        return hyp_err_set(err, HYP_ELIMIT, "the path %s is too long", out);
    if (access(out, F_OK) == 0 && !t->args->force) {
        hyp_err_set(err, HYP_EINVAL, "%s is there already", out);
        hyp_err_hint(err, "choose another name, or replace it with --force");
        return HYP_EINVAL;
    }
    int r = hyp_sidecar_check_target(t->model, out, true, err);
    return r == HYP_OK ? hyp_sidecar_gguf_bytes(t->model, &t->bytes, err) : r;
}

static int plan_sidecar(task *t, hyp_err *err) {
    hyp_plan *plan = NULL;
    int r = hyp_machine_get(t->args, t->model, true, &t->machine, err);
    /* That it does not run within this memory is an answer: the copy is made all the same. */
    if (r == HYP_OK) (void)!hyp_machine_plan(t->args, t->model, &t->machine, &plan, NULL);
    if (r == HYP_OK) r = hyp_sidecar_view_predict(t->args, t->model, &t->machine, plan, &t->layout, &t->gain, err);
    hyp_plan_free(plan);
    if (r == HYP_EUNSUPPORTED) hyp_err_hint(err, "--in-gguf writes a whole GGUF file with pages aligned");
    if (r == HYP_OK) r = hyp_sidecar_place(t->model, t->args->out, t->path, err);
    if (r == HYP_OK) r = hyp_sidecar_check_target(t->model, t->path, false, err);
    if (r != HYP_OK) return r;
    t->bytes = t->gain.bytes;
    hyp_sidecar_look look;
    hyp_sidecar_find(t->model, t->path, &look);
    t->there = look.state == HYP_SIDECAR_PRESENT && (t->args->trace == NULL && !t->args->force);
    hyp_sidecar_look_done(&look);
    return HYP_OK;
}

/* Larger reads are no faster: the space would be spent for nothing. */
static int refuse_useless(const task *t, hyp_err *err) {
    if (t->args->in_gguf || t->args->force || t->there || !t->gain.too_large) return HYP_OK;
    char size[24];
    uint64_t part = (t->layout->bytes - t->layout->data_offset) / t->layout->n_runs;
    hyp_err_set(err, HYP_EUNSUPPORTED, "a packed copy would gain nothing: %s come in reads of %s as it is",
                t->model->n_experts > 0 ? "the parts of its experts" : "its FFN matrices",
                hyp_text_format_bytes(part, size, sizeof size));
    hyp_err_hint(err, "a disk gives its full rate from about 1 MB on; --force writes it all the same");
    return HYP_EUNSUPPORTED;
}

/* --- telling --- */

static void print_plan(const task *t) {
    char a[24], b[24];
    printf("%s, %s\n", t->model->name, hyp_text_format_bytes(t->model->bytes, a, sizeof a));
    if (t->layout != NULL)
        printf("  packed copy  %s, %u %s, %s\n               %s\n", hyp_text_format_bytes(t->bytes, a, sizeof a),
               t->layout->n_units, t->model->n_experts > 0 ? "experts" : "layers",
               hyp_sidecar_order_name(t->layout->order), t->path);
    else
        printf("  GGUF copy    %s: %s\n", hyp_text_format_bytes(t->bytes, a, sizeof a), t->path);
    if (!t->there)
        printf("  space        %s needed, %s free in %s\n", hyp_text_format_bytes(t->space.needed_bytes, a, sizeof a),
               hyp_text_format_bytes(t->space.free_bytes, b, sizeof b), t->space.folder);
    if (t->layout != NULL) hyp_sidecar_view_gain(&t->gain);
    if (t->there) puts("It is there, made for this model as it is. --force writes it again.");
    fflush(stdout);
}

static void print_result(const task *t) {
    char a[24], b[24];
    if (!t->written) return;
    printf("Wrote %s in %.1f s; every byte was read back and compared.\n",
           hyp_text_format_bytes(t->result.bytes, a, sizeof a), t->seconds);
    if (t->result.resumed_bytes > 0)
        printf("%s of it had been written before.\n", hyp_text_format_bytes(t->result.resumed_bytes, b, sizeof b));
}

static int print_json(const task *t, hyp_err *err) {
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    bool good = hyp_model_add_json(doc, root, t->model) != NULL && yyjson_mut_obj_add_str(doc, root, "path", t->path) &&
                yyjson_mut_obj_add_str(doc, root, "kind", t->layout != NULL ? "sidecar" : "gguf") &&
                yyjson_mut_obj_add_uint(doc, root, "bytes", t->bytes) &&
                yyjson_mut_obj_add_uint(doc, root, "needed_bytes", t->space.needed_bytes) &&
                yyjson_mut_obj_add_uint(doc, root, "free_bytes", t->space.free_bytes) &&
                yyjson_mut_obj_add_bool(doc, root, "there", t->there) &&
                yyjson_mut_obj_add_bool(doc, root, "written", t->written) &&
                yyjson_mut_obj_add_uint(doc, root, "resumed_bytes", t->result.resumed_bytes) &&
                yyjson_mut_obj_add_real(doc, root, "seconds", t->seconds);
    if (good && t->layout != NULL)
        good = yyjson_mut_obj_add_str(doc, root, "order", hyp_sidecar_order_name(t->layout->order)) &&
               hyp_sidecar_view_gain_json(doc, yyjson_mut_obj_add_obj(doc, root, "gain"), &t->gain);
    int r = good ? hyp_print_json(doc, err) : hyp_err_set(err, HYP_ENOMEM, "out of memory printing JSON");
    yyjson_mut_doc_free(doc);
    return r;
}

/* --- doing it --- */

static int write_it(task *t, hyp_err *err) {
    hyp_faults faults;
    const hyp_args *args = t->args;
    if (args->io_faults != NULL && hyp_faults_parse(args->io_faults, &faults, err) != HYP_OK) return HYP_EINVAL;
    watch w = {.quiet = args->quiet};
    hyp_sidecar_job job = {
        .model = t->model,
        .layout = t->layout,
        .path = t->path,
        .any_order = args->trace == NULL,
        .io = args->engine.io,
        .progress = on_progress,
        .user = &w,
    };
    job.io.faults = args->io_faults != NULL ? faults.items : NULL;
    double start_s = hyp_text_now_s();
    hyp_interrupt_watch(NULL);
    int r =
        t->layout != NULL ? hyp_sidecar_write(&job, &t->result, err) : hyp_sidecar_write_gguf(&job, &t->result, err);
    if (w.what != NULL) hyp_progress_end(&w.progress);
    t->seconds = hyp_text_now_s() - start_s;
    t->written = r == HYP_OK;
    return r;
}

static int optimize(task *t, hyp_err *err) {
    int r = t->args->in_gguf ? plan_gguf(t, err) : plan_sidecar(t, err);
    if (r == HYP_OK) r = hyp_sidecar_space_of(t->path, t->bytes, &t->space, err);
    if (r != HYP_OK) return r;
    if (!t->args->json && !t->args->quiet) print_plan(t);
    if (!t->args->dry_run) r = refuse_useless(t, err);
    if (r == HYP_OK && !t->args->dry_run && !t->there) r = write_it(t, err);
    if (r == HYP_OK && t->args->json) return print_json(t, err);
    if (r == HYP_OK && !t->args->quiet) print_result(t);
    return r;
}

int hyp_command_optimize(const hyp_args *args, hyp_err *err) {
    const char *path;
    hyp_model *model = NULL;
    if (hyp_command_model_path(args, &path, err) != HYP_OK) return HYP_EXIT_USAGE;
    int r = hyp_model_open(path, &model, err);
    if (r != HYP_OK) return HYP_EXIT_FAILED;
    HYP_AUTOFREE task *t = calloc(1, sizeof *t);
    if (t == NULL) {
        r = hyp_err_set(err, HYP_ENOMEM, "out of memory");
    } else {
        t->args = args;
        t->model = model;
        r = optimize(t, err);
        hyp_sidecar_free(t->layout);
    }
    hyp_model_free(model);
    if (r == HYP_ECANCELED) return HYP_EXIT_INTERRUPTED;
    return r == HYP_OK ? HYP_EXIT_OK : r == HYP_EINVAL ? HYP_EXIT_USAGE : HYP_EXIT_FAILED;
}
