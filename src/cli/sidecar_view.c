#include "cli/sidecar_view.h"

#include "base/mem.h"
#include "base/text.h"
#include "cli/plan_view.h"

int hyp_sidecar_view_predict(const hyp_args *args, const hyp_model *model, const hyp_machine *machine,
                             const hyp_plan *plan, hyp_sidecar **ret_layout, hyp_sidecar_gain *ret, hyp_err *err) {
    hyp_sidecar_ranking ranking = {0};
    hyp_sidecar *layout = NULL;
    int r = hyp_sidecar_rank(model, args->trace, &ranking, err);
    if (r == HYP_OK) r = hyp_sidecar_layout(model, &ranking, (uint32_t)sysconf(_SC_PAGESIZE), &layout, err);
    if (r == HYP_OK)
        r = hyp_sidecar_predict(model, layout, &machine->hardware, machine->points, machine->n_points, plan, ret, err);
    hyp_sidecar_ranking_free(&ranking);
    if (r == HYP_OK)
        *ret_layout = layout;
    else
        hyp_sidecar_free(layout);
    return r;
}

void hyp_sidecar_view_state(const hyp_sidecar_look *look) {
    char size[24];
    printf("  packed copy  %s", hyp_sidecar_state_name(look->state));
    if (look->state == HYP_SIDECAR_PRESENT)
        printf(", experts %s, %s: %s\n", hyp_sidecar_order_name(look->sidecar->order),
               hyp_text_format_bytes(look->sidecar->bytes, size, sizeof size), look->path);
    else if (look->state == HYP_SIDECAR_ABSENT)
        putchar('\n');
    else if (look->state == HYP_SIDECAR_PARTIAL)
        printf(": %s.partial (hypura optimize goes on with it)\n", look->path);
    else
        printf(": %s (%s)\n", look->path, look->why.message);
}

static void print_read(const char *when, uint64_t bytes, uint32_t depth, double rate) {
    char size[24], speed[24];
    printf("  a read %s  %s, %u at a time", when, hyp_text_format_bytes(bytes, size, sizeof size), depth);
    if (rate > 0) printf(": %s/s", hyp_text_format_bytes((uint64_t)rate, speed, sizeof speed));
    putchar('\n');
}

/* "-0.0 %" would say that it is slower. */
static double percent_gained(const hyp_sidecar_gain *g) {
    double percent = 100 * (g->tok_per_s_then / g->tok_per_s_now - 1);
    return percent > -0.05 && percent < 0.05 ? 0 : percent;
}

void hyp_sidecar_view_gain(const hyp_sidecar_gain *g) {
    char now[24], then[24];
    print_read("now ", g->read_bytes_now, g->depth_now, g->bytes_per_s_now);
    print_read("then", g->read_bytes_then, g->depth_then, g->bytes_per_s_then);
    if (g->tok_per_s_now <= 0)
        puts("  generation   it does not run within this memory");
    else if (!g->streams)
        puts("  generation   no gain: with this memory nothing is read from the disk while it answers");
    else if (g->bytes_per_s_now <= 0)
        puts("  generation   the gain is not known: the disk was not measured");
    else
        printf("  generation   %s tok/s now, %s then (%+.1f %%)\n",
               hyp_plan_view_number(g->tok_per_s_now, now, sizeof now),
               hyp_plan_view_number(g->tok_per_s_then, then, sizeof then), percent_gained(g));
}

bool hyp_sidecar_view_state_json(yyjson_mut_doc *doc, yyjson_mut_val *o, const hyp_sidecar_look *look) {
    bool good = yyjson_mut_obj_add_str(doc, o, "state", hyp_sidecar_state_name(look->state));
    if (look->state != HYP_SIDECAR_ABSENT) good = good && yyjson_mut_obj_add_str(doc, o, "path", look->path);
    if (look->state == HYP_SIDECAR_PRESENT)
        good = good && yyjson_mut_obj_add_uint(doc, o, "bytes", look->sidecar->bytes) &&
               yyjson_mut_obj_add_str(doc, o, "order", hyp_sidecar_order_name(look->sidecar->order));
    if (look->why.code != 0) good = good && yyjson_mut_obj_add_str(doc, o, "why", look->why.message);
    return good;
}

bool hyp_sidecar_view_gain_json(yyjson_mut_doc *doc, yyjson_mut_val *o, const hyp_sidecar_gain *g) {
    return yyjson_mut_obj_add_uint(doc, o, "bytes", g->bytes) &&
           yyjson_mut_obj_add_uint(doc, o, "read_bytes_now", g->read_bytes_now) &&
           yyjson_mut_obj_add_uint(doc, o, "read_bytes_then", g->read_bytes_then) &&
           yyjson_mut_obj_add_uint(doc, o, "depth_now", g->depth_now) &&
           yyjson_mut_obj_add_uint(doc, o, "depth_then", g->depth_then) &&
           yyjson_mut_obj_add_real(doc, o, "disk_bytes_per_s_now", g->bytes_per_s_now) &&
           yyjson_mut_obj_add_real(doc, o, "disk_bytes_per_s_then", g->bytes_per_s_then) &&
           yyjson_mut_obj_add_real(doc, o, "decode_tok_per_s_now", g->tok_per_s_now) &&
           yyjson_mut_obj_add_real(doc, o, "decode_tok_per_s_then", g->tok_per_s_then) &&
           yyjson_mut_obj_add_bool(doc, o, "streams", g->streams) &&
           yyjson_mut_obj_add_bool(doc, o, "reads_long_enough", g->too_large);
}
