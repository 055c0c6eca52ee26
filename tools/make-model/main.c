/* main.c - make-model: writes synthetic GGUF models of any shape, and turns a dense model into a mixture of experts. */
#include "arch.h"
#include "base/mem.h"
#include "base/text.h"
#include "upcycle.h"
#include "weights.h"
#include "write.h"

#include <gguf.h>
#include <string.h>
#include <sys/stat.h>

typedef struct progress {
    double start_s, last_s;
} progress;

static void show_progress(void *arg, uint64_t done, uint64_t total) {
    progress *p = arg;
    const double now = hyp_text_now_s();
    if (now - p->last_s < 0.2 && done < total) return;
    p->last_s = now;
    char have[32], all[32], rate[32];
    fprintf(stderr, "\r%s of %s, %s/s\033[K%s", hyp_text_format_bytes(done, have, sizeof have),
            hyp_text_format_bytes(total, all, sizeof all),
            hyp_text_format_bytes((uint64_t)((double)done / (now - p->start_s + 1e-9)), rate, sizeof rate),
            done >= total ? "\n" : "");
}

static void help(void) {
    puts("usage: make-model --arch NAME -o OUT.gguf [options]\n"
         "       make-model --upcycle DENSE.gguf --experts N --used K -o OUT.gguf [options]\n\n"
         "Write a synthetic model of any shape, or turn a real dense model into a mixture of experts whose experts\n"
         "are copies of its FFN. Prints the path of the (first) file written.\n");
    printf("architectures:");
    for (size_t i = 0; i < hyp_make_n_archs; i++)
        printf(" %s", hyp_make_archs[i]->name);
    puts("\n\noptions:");
    hyp_options_print_help(&hyp_make_options, 1, 100, stdout);
}

static int finish(const hyp_make_shape *shape, const hyp_make_plan *plan, struct gguf_context *keys,
                  hyp_make_rows_fn rows, void *source, hyp_err *err) {
    if (shape->dry_run) {
        printf("%zu tensors, %llu bytes\n", plan->n, (unsigned long long)plan->bytes);
        return HYP_OK;
    }
    progress p = {.start_s = hyp_text_now_s()};
    const hyp_make_output output = {.path = shape->out,
                                    .alignment = shape->alignment,
                                    .split_bytes = shape->split_bytes,
                                    .split_tensors = shape->split_tensors,
                                    .rows = rows,
                                    .source = source,
                                    .progress = !shape->quiet && isatty(STDERR_FILENO) ? show_progress : NULL,
                                    .progress_arg = &p};
    hyp_make_written written;
    int r = hyp_make_write(plan, keys, &output, &written, err);
    if (r == HYP_OK) puts(written.path);
    return r;
}

static int rows_of_weights(void *source, const hyp_make_tensor *t, int64_t row, int64_t n_rows, void *dst,
                           hyp_err *err) {
    return hyp_make_weights_rows(source, t, row, n_rows, dst, err);
}

static int synthesise(hyp_make_shape *shape, hyp_err *err) {
    hyp_make_plan plan = {0};
    struct gguf_context *keys = NULL;
    hyp_make_weights *weights = NULL;
    int r = hyp_make_shape_resolve(shape, err);
    if (r == HYP_OK) r = hyp_make_plan_new(shape, &plan, err);
    if (r == HYP_OK) r = hyp_make_keys_new(shape, &keys, err);
    if (r == HYP_OK) r = hyp_make_weights_new(shape, &plan, &weights, err);
    if (r == HYP_OK) r = finish(shape, &plan, keys, rows_of_weights, weights, err);
    hyp_make_weights_free(weights);
    gguf_free(keys);
    hyp_make_plan_free(&plan);
    return r;
}

static bool is_same_file(const char *a, const char *b) {
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static int upcycle(const hyp_make_shape *shape, hyp_err *err) {
    hyp_make_upcycle *up = NULL;
    if (shape->out != NULL && is_same_file(shape->upcycle, shape->out))
        return hyp_err_set(err, HYP_EINVAL, "%s would be written over itself: choose another name", shape->upcycle);
    int r = hyp_make_upcycle_new(shape, &up, err);
    if (r == HYP_OK)
        r = finish(shape, hyp_make_upcycle_plan(up), hyp_make_upcycle_keys(up), hyp_make_upcycle_rows, up, err);
    hyp_make_upcycle_free(up);
    return r;
}

static int run(int argc, char **argv, hyp_err *err) {
    hyp_make_shape shape = {0};
    const char *words[1];
    size_t n_words = 0;
    hyp_options_set_defaults(&hyp_make_options, 1, &shape);
    int r = hyp_options_parse(&hyp_make_options, 1, argc - 1, argv + 1, &shape, words, 1, &n_words, err);
    if (r != HYP_OK) return r;
    if (shape.help) {
        help();
        return HYP_OK;
    }
    if (n_words > 0 || (shape.out == NULL && !shape.dry_run) || (shape.upcycle == NULL && shape.arch_name == NULL)) {
        if (n_words > 0)
            hyp_err_set(err, HYP_EINVAL, "\"%s\" is not an option", words[0]);
        else
            hyp_err_set(err, HYP_EINVAL, "what to make, and where, must be given");
        hyp_err_hint(err, "make-model --arch llama -o model.gguf; --help tells the rest");
        return HYP_EINVAL;
    }
    return shape.upcycle != NULL ? upcycle(&shape, err) : synthesise(&shape, err);
}

int main(int argc, char **argv) {
    hyp_err err = HYP_ERR_NONE;
    int r = run(argc, argv, &err);
    if (r != HYP_OK) {
        fprintf(stderr, "make-model: %s\n", err.message);
        if (err.hint[0] != '\0') fprintf(stderr, "hint: %s\n", err.hint);
    }
    if (fflush(stdout) != 0 && r == HYP_OK) r = HYP_EIO;
    return r == HYP_OK ? 0 : r == HYP_EINVAL ? 2 : 1;
}
