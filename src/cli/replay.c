/* replay.c - `hypura replay`: what a cache of experts would do on a recorded trace, on hardware that is not here. */
#include "bench/replay.h"

#include "base/mem.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/print_json.h"

#include <string.h>

typedef struct plan {
    const hyp_args *args;
    hyp_trace *trace;
    bool chosen[HYP_REPLAY_N_POLICIES];
    hyp_replay_config config;
    hyp_replay_result results[HYP_REPLAY_N_POLICIES];
} plan;

static const double no_bound = 0; /* what a rate is when nothing limits it */

static int read_arguments(const hyp_args *args, plan *p, hyp_err *err) {
    p->args = args;
    if (args->n_words != 1) {
        hyp_err_set(err, HYP_EINVAL, args->n_words == 0 ? "no trace was named" : "more than one trace was named");
        hyp_err_hint(err, "record one with: hypura run MODEL --mode experts --trace FILE");
        return HYP_EXIT_USAGE;
    }
    if (args->wishes.ram_bytes == 0 || args->disk_rate_bytes == 0) {
        hyp_err_set(err, HYP_EINVAL, "a replay needs --ram and --disk-rate");
        hyp_err_hint(err, "for instance: hypura replay %s --ram 16G --disk-rate 3G", args->words[0]);
        return HYP_EXIT_USAGE;
    }
    for (int i = 0; i < HYP_REPLAY_N_POLICIES; i++)
        p->chosen[i] = args->replay_policy == HYP_REPLAY_N_POLICIES || args->replay_policy == i;
    p->config.disk_bytes_per_s = (double)args->disk_rate_bytes;
    p->config.compute_s = args->compute_time_ms / 1e3;
    p->config.prefetch = strcmp(args->prefetch, "on") == 0;
    return HYP_EXIT_OK;
}

static int replay_all(plan *p, hyp_err *err) {
    int r = hyp_trace_read(p->args->words[0], &p->trace, err);
    if (r != HYP_OK) return r;
    uint64_t always = p->trace->info.always_bytes;
    p->config.cache_bytes = p->args->wishes.ram_bytes > always ? p->args->wishes.ram_bytes - always : 0;
    for (int i = 0; i < HYP_REPLAY_N_POLICIES && r == HYP_OK; i++) {
        if (!p->chosen[i]) continue;
        p->config.policy = i;
        r = hyp_replay_run(p->trace, &p->config, &p->results[i], err);
    }
    return r;
}

static double tok_per_s(const hyp_replay_result *result) {
    return result->decode_s > 0 ? (double)result->n_tokens / result->decode_s : no_bound;
}

/* No overlap of reads and computing could do better: the slower of the two alone. */
static double bound_tok_per_s(const plan *p, const hyp_replay_result *result) {
    double disk_s = hyp_replay_bytes_per_token(result) / p->config.disk_bytes_per_s;
    double slower_s = HYP_MAX(disk_s, p->config.compute_s);
    return slower_s > 0 ? 1 / slower_s : no_bound;
}

static const char *rate_text(double rate, char *buf, size_t size) {
    if (rate > 0)
        snprintf(buf, size, "%.2f", rate);
    else
        snprintf(buf, size, "-");
    return buf;
}

static void print_text(const plan *p) {
    const hyp_trace *t = p->trace;
    const hyp_replay_result *any = NULL;
    char a[32], b[32], c[32];
    for (int i = 0; i < HYP_REPLAY_N_POLICIES && any == NULL; i++)
        if (p->chosen[i]) any = &p->results[i];
    printf("%s: %u passes, %llu decoded tokens%s\n", t->info.name[0] != '\0' ? t->info.name : "unnamed model",
           t->n_passes, (unsigned long long)any->n_tokens, t->complete ? "" : " (the file is cut short)");
    printf("experts: %s in %u layers, %s a token; cache %s\n", hyp_text_format_bytes(any->all_bytes, a, sizeof a),
           t->info.n_layers, hyp_text_format_bytes(any->cycle_bytes, b, sizeof b),
           hyp_text_format_bytes(p->config.cache_bytes, c, sizeof c));
    if (any->n_predicted > 0)
        printf("predicted: %.1f %% of what was used (recall), %.1f %% of it right (precision)\n",
               100 * (double)any->n_predicted_right / (double)any->n_predictable,
               100 * (double)any->n_predicted_right / (double)any->n_predicted);
    printf("\n%-8s %9s %9s %12s %9s %9s %12s\n", "policy", "hit rate", "warm", "read/token", "tok/s", "bound",
           "prefetched");
    for (int i = 0; i < HYP_REPLAY_N_POLICIES; i++) {
        const hyp_replay_result *r = &p->results[i];
        if (!p->chosen[i]) continue;
        double right =
            r->prefetch_issued_bytes > 0 ? 100 * (double)r->prefetch_used_bytes / (double)r->prefetch_issued_bytes : 0;
        printf("%-8s %7.1f %% %7.1f %% %12s %9s %9s", hyp_replay_policy_name(i), 100 * hyp_replay_hit_rate(r),
               100 * hyp_replay_late_hit_rate(r),
               hyp_text_format_bytes((uint64_t)hyp_replay_bytes_per_token(r), a, sizeof a),
               rate_text(tok_per_s(r), b, sizeof b), rate_text(bound_tok_per_s(p, r), c, sizeof c));
        if (r->prefetch_issued_bytes > 0)
            printf(" %12s, %.0f %% used\n", hyp_text_format_bytes(r->prefetch_issued_bytes, a, sizeof a), right);
        else
            printf(" %12s\n", "-");
    }
}

static bool add_result(yyjson_mut_doc *doc, yyjson_mut_val *array, const plan *p, int policy) {
    const hyp_replay_result *r = &p->results[policy];
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, array);
    return yyjson_mut_obj_add_str(doc, o, "policy", hyp_replay_policy_name(policy)) &&
           yyjson_mut_obj_add_real(doc, o, "hit_rate", hyp_replay_hit_rate(r)) &&
           yyjson_mut_obj_add_real(doc, o, "warm_hit_rate", hyp_replay_late_hit_rate(r)) &&
           yyjson_mut_obj_add_uint(doc, o, "hit_bytes", r->hit_bytes) &&
           yyjson_mut_obj_add_uint(doc, o, "miss_bytes", r->miss_bytes) &&
           yyjson_mut_obj_add_uint(doc, o, "evicted_bytes", r->evicted_bytes) &&
           yyjson_mut_obj_add_uint(doc, o, "peak_bytes", r->peak_bytes) &&
           yyjson_mut_obj_add_uint(doc, o, "prefetch_issued_bytes", r->prefetch_issued_bytes) &&
           yyjson_mut_obj_add_uint(doc, o, "prefetch_used_bytes", r->prefetch_used_bytes) &&
           yyjson_mut_obj_add_real(doc, o, "read_bytes_per_token", hyp_replay_bytes_per_token(r)) &&
           yyjson_mut_obj_add_real(doc, o, "tok_per_s", tok_per_s(r)) &&
           yyjson_mut_obj_add_real(doc, o, "bound_tok_per_s", bound_tok_per_s(p, r)) &&
           yyjson_mut_obj_add_real(doc, o, "stall_s", r->stall_s);
}

static int print_json(const plan *p, hyp_err *err) {
    const hyp_trace *t = p->trace;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    const hyp_replay_result *any = NULL;
    for (int i = 0; i < HYP_REPLAY_N_POLICIES && any == NULL; i++)
        if (p->chosen[i]) any = &p->results[i];
    bool good = yyjson_mut_obj_add_str(doc, root, "model", t->info.name) &&
                yyjson_mut_obj_add_str(doc, root, "digest", t->info.digest) &&
                yyjson_mut_obj_add_bool(doc, root, "complete", t->complete) &&
                yyjson_mut_obj_add_uint(doc, root, "n_passes", t->n_passes) &&
                yyjson_mut_obj_add_uint(doc, root, "n_tokens", any->n_tokens) &&
                yyjson_mut_obj_add_uint(doc, root, "cache_bytes", p->config.cache_bytes) &&
                yyjson_mut_obj_add_uint(doc, root, "always_bytes", t->info.always_bytes) &&
                yyjson_mut_obj_add_uint(doc, root, "expert_bytes", any->all_bytes) &&
                yyjson_mut_obj_add_uint(doc, root, "token_bytes", any->cycle_bytes) &&
                yyjson_mut_obj_add_uint(doc, root, "n_foretold", any->n_predicted) &&
                yyjson_mut_obj_add_uint(doc, root, "n_foretold_right", any->n_predicted_right) &&
                yyjson_mut_obj_add_uint(doc, root, "n_foretellable", any->n_predictable);
    yyjson_mut_val *array = good ? yyjson_mut_obj_add_arr(doc, root, "policies") : NULL;
    for (int i = 0; i < HYP_REPLAY_N_POLICIES && good; i++)
        if (p->chosen[i]) good = add_result(doc, array, p, i);
    int r = good ? hyp_print_json(doc, err) : hyp_err_set(err, HYP_ENOMEM, "out of memory printing JSON");
    yyjson_mut_doc_free(doc);
    return r;
}

int hyp_command_replay(const hyp_args *args, hyp_err *err) {
    plan p = {0};
    int status = read_arguments(args, &p, err);
    if (status != HYP_EXIT_OK) return status;
    int r = replay_all(&p, err);
    if (r == HYP_OK && args->json)
        r = print_json(&p, err);
    else if (r == HYP_OK)
        print_text(&p);
    hyp_trace_free(p.trace);
    return r == HYP_OK ? HYP_EXIT_OK : HYP_EXIT_FAILED;
}
