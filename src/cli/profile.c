/* profile.c - `hypura profile`: what this machine can do. */
#include "hw/profile.h"

#include "base/mem.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/print_json.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "engine/devices.h"
#include "engine/runtime.h"
#include "gguf/model.h"

#include <string.h>

static const char *age_text(hyp_profile_source source, double age_s, char *buf, size_t size) {
    if (source == HYP_PROFILE_DEFAULT)
        snprintf(buf, size, "not measured");
    else if (age_s < 60)
        snprintf(buf, size, "measured now");
    else if (age_s < 5400)
        snprintf(buf, size, "measured %.0f minutes ago", age_s / 60);
    else if (age_s < 129600)
        snprintf(buf, size, "measured %.0f hours ago", age_s / 3600);
    else
        snprintf(buf, size, "measured %.0f days ago", age_s / 86400);
    return buf;
}

static const char *gb(double rate, char *buf, size_t size) {
    snprintf(buf, size, "%.2f GB/s", rate * 1e-9);
    return buf;
}

static void print_memory(const hyp_memory *m) {
    char a[24], b[24];
    printf("memory       %s, %s available\n", hyp_text_format_bytes(m->total_bytes, a, sizeof a),
           hyp_text_format_bytes(m->available_bytes, b, sizeof b));
    for (size_t i = 0; i < m->n_groups; i++)
        printf("             control group limit %s, %s available%s\n",
               hyp_text_format_bytes(m->groups[i].limit_bytes, a, sizeof a),
               hyp_text_format_bytes(m->groups[i].available_bytes, b, sizeof b),
               (int)i == m->limited_by ? " (this one counts)" : "");
    printf("             default budget %s", hyp_text_format_bytes(hyp_memory_budget(m), a, sizeof a));
    if (m->swap_total_bytes > 0) printf(", swap %s", hyp_text_format_bytes(m->swap_total_bytes, a, sizeof a));
    putchar('\n');
}

static void print_machine(const hyp_profile *p) {
    const hyp_hardware *hw = &p->hardware;
    char a[40], b[40], c[40], d[40];
    printf("processor    %s, %u cores, %d threads (%s)\n             %s\n", p->cpu.name, p->cpu.cores, hw->threads,
           age_text(p->machine_source, p->machine_age_s, a, sizeof a), p->cpu.isa);
    if (p->machine_disturbed)
        puts("             other programs used it meanwhile, so its figures are rough; they are measured again in a "
             "few minutes");
    print_memory(&p->memory);
    printf("             read at %s, %.1f us a graph node\n\n", gb(hw->memory_bytes_per_s, a, sizeof a),
           hw->node_s * 1e6);
    printf("%-10s %14s %14s %14s %14s\n", "WEIGHTS", "ONE TOKEN", "REPACKED", "BATCH", "REPACKED");
    for (size_t i = 0; i < hw->n_rates; i++) {
        const hyp_weight_rate *r = &hw->rates[i];
        snprintf(c, sizeof c, "%.0f GFLOP/s", r->prefill_flop_per_s * 1e-9);
        snprintf(d, sizeof d, "%.0f GFLOP/s", r->repacked_flop_per_s * 1e-9);
        printf("%-10s %14s %14s %14s %14s\n", hyp_tensor_type_name((int)r->type),
               gb(r->decode_bytes_per_s, a, sizeof a), gb(r->repacked_bytes_per_s, b, sizeof b), c, d);
    }
    for (size_t i = 0; i < hw->n_devices; i++) {
        const hyp_device *v = &hw->devices[i];
        printf("\n%-12s %s, %s, %s free\n             weights at %s, %.0f GFLOP/s, copy at %s, %.0f us a hop\n",
               v->name, v->description, hyp_text_format_bytes(v->total_bytes, a, sizeof a),
               hyp_text_format_bytes(v->free_bytes, b, sizeof b), gb(v->weight_bytes_per_s, c, sizeof c),
               v->flop_per_s * 1e-9, gb(v->copy_bytes_per_s, d, sizeof d), v->hop_s * 1e6);
    }
    if (hw->n_devices == 0) puts("\nno GPU");
}

static void print_disk(const hyp_profile *p, const char *path) {
    static const char *const caches[] = {"direct", "cold", "cached"};
    const hyp_profile_disk *disk = &p->disk;
    char a[40], b[40], c[40], d[40];
    printf(
        "\ndisk         of %s (%s)\n             %s scattered, %s in order; best with %s reads, %u in flight, %s%s\n\n",
        path, age_text(p->disk_source, p->disk_age_s, c, sizeof c), gb(disk->bytes_per_s, a, sizeof a),
        gb(disk->sequential_bytes_per_s, b, sizeof b), hyp_text_format_bytes(disk->chunk_bytes, d, sizeof d),
        disk->prefetch_depth, hyp_io_backend_name(disk->backend), disk->direct ? "" : ", no direct reads");
    printf("%-10s %-8s %-10s %10s %6s %12s %12s\n", "READS", "CACHE", "ORDER", "SIZE", "DEPTH", "RATE", "CPU S A GB");
    for (size_t i = 0; i < disk->n_points; i++) {
        const hyp_probe_point *q = &disk->points[i];
        printf("%-10s %-8s %-10s %10s %6u %12s %12.2f\n", hyp_io_backend_name(q->backend), caches[q->cache % 3],
               q->random ? "scattered" : "in order", hyp_text_format_bytes(q->size_bytes, a, sizeof a), q->depth,
               gb(q->bytes_per_s, b, sizeof b), q->cpu_s_per_gb);
    }
}

static bool add_devices(yyjson_mut_doc *doc, yyjson_mut_val *root, const hyp_hardware *hw) {
    static const char *const kinds[HYP_N_DEVICE_KINDS] = {"gpu", "unified", "remote"};
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "devices");
    bool good = list != NULL;
    for (size_t i = 0; good && i < hw->n_devices; i++) {
        const hyp_device *d = &hw->devices[i];
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
        good = yyjson_mut_obj_add_str(doc, o, "name", d->name) &&
               yyjson_mut_obj_add_str(doc, o, "description", d->description) &&
               yyjson_mut_obj_add_str(doc, o, "kind", kinds[d->kind]) &&
               yyjson_mut_obj_add_uint(doc, o, "total_bytes", d->total_bytes) &&
               yyjson_mut_obj_add_uint(doc, o, "free_bytes", d->free_bytes) &&
               yyjson_mut_obj_add_real(doc, o, "weight_bytes_per_s", d->weight_bytes_per_s) &&
               yyjson_mut_obj_add_real(doc, o, "flop_per_s", d->flop_per_s) &&
               yyjson_mut_obj_add_real(doc, o, "copy_bytes_per_s", d->copy_bytes_per_s) &&
               yyjson_mut_obj_add_real(doc, o, "hop_s", d->hop_s);
    }
    return good;
}

static bool add_rates(yyjson_mut_doc *doc, yyjson_mut_val *root, const hyp_hardware *hw) {
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "rates");
    bool good = list != NULL;
    for (size_t i = 0; good && i < hw->n_rates; i++) {
        const hyp_weight_rate *r = &hw->rates[i];
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
        good = yyjson_mut_obj_add_str(doc, o, "type", hyp_tensor_type_name((int)r->type)) &&
               yyjson_mut_obj_add_real(doc, o, "decode_bytes_per_s", r->decode_bytes_per_s) &&
               yyjson_mut_obj_add_real(doc, o, "repacked_bytes_per_s", r->repacked_bytes_per_s) &&
               yyjson_mut_obj_add_real(doc, o, "prefill_flop_per_s", r->prefill_flop_per_s) &&
               yyjson_mut_obj_add_real(doc, o, "repacked_flop_per_s", r->repacked_flop_per_s);
    }
    return good;
}

static bool add_disk(yyjson_mut_doc *doc, yyjson_mut_val *root, const hyp_profile *p) {
    const hyp_profile_disk *d = &p->disk;
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, "disk"), *points = yyjson_mut_obj_add_arr(doc, o, "points");
    bool good = yyjson_mut_obj_add_real(doc, o, "bytes_per_s", d->bytes_per_s) &&
                yyjson_mut_obj_add_real(doc, o, "sequential_bytes_per_s", d->sequential_bytes_per_s) &&
                yyjson_mut_obj_add_real(doc, o, "best_bytes_per_s", d->best_bytes_per_s) &&
                yyjson_mut_obj_add_real(doc, o, "fault_bytes_per_s", p->hardware.disk_fault_bytes_per_s) &&
                yyjson_mut_obj_add_bool(doc, o, "direct", d->direct) &&
                yyjson_mut_obj_add_str(doc, o, "backend", hyp_io_backend_name(d->backend)) &&
                yyjson_mut_obj_add_uint(doc, o, "chunk_bytes", d->chunk_bytes) &&
                yyjson_mut_obj_add_uint(doc, o, "depth", d->depth) &&
                yyjson_mut_obj_add_real(doc, o, "age_s", p->disk_age_s) && points != NULL;
    for (size_t i = 0; good && i < d->n_points; i++) {
        const hyp_probe_point *q = &d->points[i];
        yyjson_mut_val *v = yyjson_mut_arr_add_obj(doc, points);
        good = yyjson_mut_obj_add_str(doc, v, "backend", hyp_io_backend_name(q->backend)) &&
               yyjson_mut_obj_add_bool(doc, v, "random", q->random) &&
               yyjson_mut_obj_add_uint(doc, v, "size_bytes", q->size_bytes) &&
               yyjson_mut_obj_add_uint(doc, v, "depth", q->depth) &&
               yyjson_mut_obj_add_real(doc, v, "bytes_per_s", q->bytes_per_s);
    }
    return good;
}

static int print_json(const hyp_profile *p, bool disk, hyp_err *err) {
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_val *cpu = yyjson_mut_obj_add_obj(doc, root, "cpu"),
                   *memory = yyjson_mut_obj_add_obj(doc, root, "memory");
    bool good = yyjson_mut_obj_add_str(doc, cpu, "name", p->cpu.name) &&
                yyjson_mut_obj_add_uint(doc, cpu, "cores", p->cpu.cores) &&
                yyjson_mut_obj_add_int(doc, cpu, "threads", p->hardware.threads) &&
                yyjson_mut_obj_add_str(doc, cpu, "isa", p->cpu.isa) &&
                yyjson_mut_obj_add_real(doc, cpu, "node_s", p->hardware.node_s) &&
                yyjson_mut_obj_add_real(doc, cpu, "age_s", p->machine_age_s) &&
                yyjson_mut_obj_add_bool(doc, cpu, "disturbed", p->machine_disturbed) &&
                yyjson_mut_obj_add_uint(doc, memory, "total_bytes", p->memory.total_bytes) &&
                yyjson_mut_obj_add_uint(doc, memory, "available_bytes", p->memory.available_bytes) &&
                yyjson_mut_obj_add_uint(doc, memory, "budget_bytes", hyp_memory_budget(&p->memory)) &&
                yyjson_mut_obj_add_uint(doc, memory, "swap_bytes", p->memory.swap_total_bytes) &&
                yyjson_mut_obj_add_real(doc, memory, "bytes_per_s", p->hardware.memory_bytes_per_s);
    good = good && add_rates(doc, root, &p->hardware) && add_devices(doc, root, &p->hardware) &&
           (!disk || add_disk(doc, root, p));
    int e = good ? hyp_print_json(doc, err) : hyp_err_set(err, HYP_ENOMEM, "out of memory printing JSON");
    yyjson_mut_doc_free(doc);
    return e;
}

/* The weights' types, where the file is a model. */
static uint64_t types_in(const char *path) {
    hyp_model *model = NULL;
    if (path == NULL || hyp_model_open(path, &model, NULL) != HYP_OK) return 0;
    uint64_t types = hyp_devices_types(model);
    hyp_model_free(model);
    return types;
}

int hyp_command_profile(const hyp_args *args, hyp_err *err) {
    const char *path = args->path != NULL ? args->path : args->n_words > 0 ? args->words[0] : NULL;
    bool shown = !args->quiet && isatty(STDERR_FILENO);
    hyp_profile *profile = calloc(1, sizeof *profile);
    if (profile == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a profile");
    hyp_profile_request request = {.path = path,
                                   .force = args->force,
                                   .threads = args->engine.threads,
                                   .types = types_in(path),
                                   .progress = hyp_progress_show_step,
                                   .user = &shown};
    int e = hyp_runtime_start(err);
    if (e == HYP_OK) e = hyp_profile_load_or_measure(&request, profile, err);
    if (shown) hyp_terminal_show_line("");
    if (e == HYP_OK && args->json)
        e = print_json(profile, path != NULL, err);
    else if (e == HYP_OK) {
        print_machine(profile);
        if (path != NULL)
            print_disk(profile, path);
        else
            puts("\ndisk         not measured: name a model, or --path FILE");
        if (profile->machine_path[0] != '\0')
            printf("\nkept in %s\n", profile->machine_path);
        else
            puts("\nnot kept: the cache folder cannot be written to; XDG_CACHE_HOME names another");
    }
    free(profile);
    return e == HYP_OK ? HYP_EXIT_OK : HYP_EXIT_FAILED;
}
