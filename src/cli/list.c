/* list.c - `hypura list`: the models that can be run by name. */
#include "base/json.h"
#include "base/times.h"
#include "cli/command.h"
#include "registry/registry.h"

#include <string.h>

static void print_json(hyp_entry *const *list, size_t n) {
    hyp_str out = {0};
    hyp_json j = {&out, false};
    hyp_json_open(&j, '[');
    for (size_t i = 0; i < n; i++) {
        char date[HYP_TIMESTAMP_SIZE];
        hyp_json_open(&j, '{');
        hyp_json_kv_str(&j, "name", list[i]->display);
        hyp_json_kv_str(&j, "path", list[i]->path);
        hyp_json_kv_str(&j, "source", list[i]->source);
        hyp_json_kv_str(&j, "digest", list[i]->summary.digest);
        hyp_json_kv_int(&j, "size", (int64_t)list[i]->summary.bytes);
        hyp_json_kv_str(&j, "modified_at", hyp_timestamp(list[i]->modified_ns, date));
        hyp_json_close(&j, '}');
    }
    hyp_json_close(&j, ']');
    puts(out.data != NULL ? out.data : "[]");
    hyp_str_free(&out);
}

static void print_text(hyp_entry *const *list, size_t n) {
    int width = (int)strlen("NAME");
    for (size_t i = 0; i < n; i++)
        width = (int)strlen(list[i]->display) > width ? (int)strlen(list[i]->display) : width;
    printf("%-*s  %-12s  %8s  %-10s  %s\n", width, "NAME", "ID", "SIZE", "MODIFIED", "FROM");
    for (size_t i = 0; i < n; i++) {
        char date[HYP_TIMESTAMP_SIZE], size[32];
        printf("%-*s  %.12s  %8s  %.10s  %s\n", width, list[i]->display, list[i]->summary.digest,
               hyp_text_format_bytes(list[i]->summary.bytes, size, sizeof size),
               hyp_timestamp(list[i]->modified_ns, date), list[i]->source);
    }
}

int hyp_command_list(const hyp_args *args, hyp_err *err) {
    hyp_registry *registry = NULL;
    hyp_entry **list = NULL;
    size_t n = 0;
    int r = hyp_registry_open(args->n_words > 0 ? args->words[0] : NULL, &registry, err);
    if (r == HYP_OK) r = hyp_registry_list(registry, &list, &n, err);
    if (r == HYP_OK && args->json)
        print_json(list, n);
    else if (r == HYP_OK)
        print_text(list, n);
    hyp_registry_free_list(list, n);
    hyp_registry_close(registry);
    return r == HYP_OK ? HYP_EXIT_OK : HYP_EXIT_FAILED;
}
