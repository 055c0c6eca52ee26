/* iobench.c - `hypura iobench`: how fast the drive is for the engine, and which settings suit it. */
#include "bench/iobench.h"

#include "base/mem.h"
#include "cli/command.h"
#include "cli/print_json.h"
#include "cli/save.h"
#include "cli/terminal.h"

#include <errno.h>

/* A line that replaces itself; only where somebody looks. */
static bool show_progress(size_t done, size_t total, const hyp_probe_point *point, void *user) {
    (void)user;
    char series[96], size[32], line[192] = "";
    if (point != NULL)
        snprintf(line, sizeof line, "%3zu of %zu: %s, %s, %u in flight", done + 1, total,
                 hyp_iobench_series_name(hyp_iobench_series_of(point), series, sizeof series),
                 hyp_iobench_size_name(point->size_bytes, size, sizeof size), point->depth);
    hyp_terminal_show_line(line);
    return true;
}

static bool add_point(yyjson_mut_doc *doc, yyjson_mut_val *array, const hyp_probe_point *p) {
    yyjson_mut_val *object = yyjson_mut_arr_add_obj(doc, array);
    return yyjson_mut_obj_add_str(doc, object, "method", hyp_io_backend_name(p->backend)) &&
           yyjson_mut_obj_add_str(doc, object, "cache", hyp_iobench_cache_name(p->cache)) &&
           yyjson_mut_obj_add_bool(doc, object, "random", p->random) &&
           yyjson_mut_obj_add_bool(doc, object, "expert", p->expert) &&
           yyjson_mut_obj_add_uint(doc, object, "size_bytes", p->size_bytes) &&
           yyjson_mut_obj_add_uint(doc, object, "chunk_bytes", p->chunk_bytes) &&
           yyjson_mut_obj_add_uint(doc, object, "depth", p->depth) &&
           yyjson_mut_obj_add_real(doc, object, "bytes_per_s", p->bytes_per_s) &&
           yyjson_mut_obj_add_real(doc, object, "cpu_s_per_gb", p->cpu_s_per_gb);
}

static bool add_recommended(yyjson_mut_doc *doc, yyjson_mut_val *root, const hyp_probe_result *r) {
    yyjson_mut_val *object = yyjson_mut_obj_add_obj(doc, root, "recommended");
    return yyjson_mut_obj_add_str(doc, object, "method", hyp_io_backend_name(r->backend)) &&
           yyjson_mut_obj_add_uint(doc, object, "chunk_bytes", r->chunk_bytes) &&
           yyjson_mut_obj_add_uint(doc, object, "depth", r->depth) &&
           yyjson_mut_obj_add_uint(doc, object, "prefetch_depth", r->prefetch_depth) &&
           yyjson_mut_obj_add_real(doc, object, "bytes_per_s", r->bytes_per_s) &&
           yyjson_mut_obj_add_real(doc, object, "sequential_bytes_per_s", r->sequential_bytes_per_s) &&
           yyjson_mut_obj_add_real(doc, object, "best_bytes_per_s", r->best_bytes_per_s);
}

static int print_json(const hyp_iobench *bench, hyp_err *err) {
    const hyp_probe_result *r = &bench->probe;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    bool good = yyjson_mut_obj_add_str(doc, root, "path", bench->path) &&
                yyjson_mut_obj_add_uint(doc, root, "bytes", r->file_bytes) &&
                yyjson_mut_obj_add_uint(doc, root, "hole_bytes", r->hole_bytes) &&
                yyjson_mut_obj_add_uint(doc, root, "read_bytes", r->bytes_read) &&
                yyjson_mut_obj_add_bool(doc, root, "direct", r->direct) &&
                yyjson_mut_obj_add_uint(doc, root, "expert_part_bytes", bench->expert_part_bytes) &&
                yyjson_mut_obj_add_uint(doc, root, "token_experts_bytes", bench->token_experts_bytes) &&
                add_recommended(doc, root, r);
    yyjson_mut_val *points = good ? yyjson_mut_obj_add_arr(doc, root, "points") : NULL;
    for (size_t i = 0; good && i < r->n_points; i++)
        good = add_point(doc, points, &r->points[i]);
    int e = good ? hyp_print_json(doc, err) : hyp_err_set(err, HYP_ENOMEM, "out of memory printing JSON");
    yyjson_mut_doc_free(doc);
    return e;
}

static int print_text(const hyp_iobench *bench, hyp_err *err) {
    HYP_CLEANUP(hyp_str_free) hyp_str text = {0};
    hyp_iobench_write_text(bench, &text);
    if (text.failed) return hyp_err_set(err, HYP_ENOMEM, "out of memory printing the result");
    if (fwrite(text.data, 1, text.length, stdout) == text.length) return HYP_OK;
    return hyp_err_set_sys(err, HYP_EIO, errno, "cannot write to standard output");
}

static int save_svg(const hyp_iobench *bench, const char *path, hyp_err *err) {
    HYP_CLEANUP(hyp_str_free) hyp_str text = {0};
    hyp_iobench_write_svg(bench, &text);
    return hyp_save_text(path, &text, err);
}

int hyp_command_iobench(const hyp_args *args, hyp_err *err) {
    if (args->n_words == 0) {
        hyp_err_set(err, HYP_EINVAL, "no file was named");
        hyp_err_hint(err, "name a large file on the drive to measure, for instance: hypura iobench model.gguf");
        return HYP_EXIT_USAGE;
    }
    if (args->n_words > 1) {
        hyp_err_set(err, HYP_EINVAL, "unexpected argument \"%s\"", args->words[1]);
        return HYP_EXIT_USAGE;
    }
    const hyp_probe_config config = {.bytes_per_point = (uint64_t)(args->read_gb * 1e9),
                                     .progress = isatty(STDERR_FILENO) ? show_progress : NULL};
    hyp_iobench bench;
    if (hyp_iobench_run(args->words[0], &config, &bench, err) != HYP_OK) return HYP_EXIT_FAILED;
    int e = args->json ? print_json(&bench, err) : print_text(&bench, err);
    if (e == HYP_OK && args->svg != NULL) e = save_svg(&bench, args->svg, err);
    hyp_iobench_free(&bench);
    return e == HYP_OK ? HYP_EXIT_OK : HYP_EXIT_FAILED;
}
