#include "cli/plan_view.h"

#include "base/mem.h"
#include "base/text.h"

#include <string.h>

static const char *bytes_text(uint64_t bytes, char *buf, size_t size) {
    return hyp_text_format_bytes(bytes, buf, size);
}

static const char *tier_text(const hyp_machine *machine, hyp_tier tier) {
    uint8_t site = hyp_tier_site(tier);
    return site > 0 ? machine->hardware.devices[site - 1].name : hyp_tier_name(tier);
}

static void print_budget(const hyp_plan *plan) {
    const struct {
        const char *name;
        uint64_t bytes;
    } parts[] = {{"weights", plan->pinned_bytes},  {"cache", plan->cache_bytes},      {"KV cache", plan->kv_bytes},
                 {"buffers", plan->compute_bytes}, {"program", plan->overhead_bytes}, {"spare", plan->spare_bytes}};
    char a[24];
    printf("  RAM budget %s:", bytes_text(plan->budget_bytes, a, sizeof a));
    const char *comma = " ";
    for (size_t i = 0; i < HYP_ARRAY_LEN(parts); i++) {
        if (parts[i].bytes == 0) continue;
        printf("%s%s %s", comma, parts[i].name, bytes_text(parts[i].bytes, a, sizeof a));
        comma = ", ";
    }
    printf("\n  least budget %s\n", bytes_text(hyp_text_round_bytes_up(plan->least_budget_bytes), a, sizeof a));
}

static void print_tiers(const hyp_machine *machine, const hyp_plan *plan) {
    char a[24];
    for (int t = 0; t < HYP_N_TIERS; t++) {
        uint64_t sum = 0;
        for (int r = 0; r < HYP_N_ROLES; r++)
            sum += plan->bytes[t][r];
        if (sum == 0) continue;
        printf("  %-14s %9s ", tier_text(machine, (hyp_tier)t), bytes_text(sum, a, sizeof a));
        const char *comma = " ";
        for (int r = 0; r < HYP_N_ROLES; r++) {
            if (plan->bytes[t][r] == 0) continue;
            printf("%s%s %s", comma, hyp_role_name((hyp_role)r), bytes_text(plan->bytes[t][r], a, sizeof a));
            comma = ", ";
        }
        putchar('\n');
    }
}

/* One letter a layer and row: where it computes, and where its FFN or experts are. */
static char site_letter(uint8_t site) {
    return site == 0 ? 'R' : (char)('A' + site - 1);
}

static char bulk_letter(const hyp_plan *plan, uint32_t l) {
    if (plan->bulk_site[l] > 0) return site_letter(plan->bulk_site[l]);
    if (hyp_mode_is_mapped(plan->mode)) return '.';
    float share = plan->bulk_resident[l];
    return share >= 1 ? 'R' : share <= 0 ? '.' : (char)('0' + (int)(share * 10));
}

static void print_picture(const hyp_machine *machine, const hyp_plan *plan, int width) {
    int per_row = HYP_MAX(width - 22, 20) / 10 * 10;
    for (uint32_t from = 0; from < plan->n_layers; from += (uint32_t)per_row) {
        uint32_t to = HYP_MIN(plan->n_layers, from + (uint32_t)per_row);
        printf("  layer %-5u ", from);
        for (uint32_t l = from; l < to; l++)
            putchar(l % 10 == 0 ? '|' : ' ');
        printf("\n    attention ");
        for (uint32_t l = from; l < to; l++)
            putchar(hyp_mode_is_mapped(plan->mode) ? '.' : site_letter(plan->layer_site[l]));
        printf("\n    FFN       ");
        for (uint32_t l = from; l < to; l++)
            putchar(bulk_letter(plan, l));
        putchar('\n');
    }
    printf("  R in RAM, digit: tenths in RAM, . %s", hyp_mode_is_mapped(plan->mode) ? "page cache" : "SSD");
    for (size_t d = 0; d < plan->n_devices; d++)
        printf(", %c %s", 'A' + (char)d, machine->hardware.devices[d].name);
    putchar('\n');
}

const char *hyp_plan_view_number(double value, char *buf, size_t size) {
    snprintf(buf, size, value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : value >= 1 ? "%.2f" : "%.3f", value);
    return buf;
}

void hyp_plan_view_speed(const hyp_machine *machine, const hyp_plan *plan) {
    const hyp_prediction *p = &plan->prediction;
    char a[24], b[24];
    printf("  generation   %s tok/s, limited by %s\n", hyp_plan_view_number(p->decode_tok_per_s, a, sizeof a),
           hyp_limit_name(p->limit));
    if (p->read_bytes > 0)
        printf("               %s from the SSD a token, %.0f %% of streamed weights found in RAM\n",
               bytes_text((uint64_t)p->read_bytes, a, sizeof a), 100 * p->hit_rate);
    printf("  prompt       %s tok/s, %u tokens at once\n", hyp_plan_view_number(p->prefill_tok_per_s, a, sizeof a),
           plan->ubatch_tokens);
    printf("  first token  %s s of a prompt of %u tokens, after %s s of loading\n",
           hyp_plan_view_number(p->first_token_s, a, sizeof a), plan->request.prompt_tokens,
           hyp_plan_view_number(p->load_s, b, sizeof b));
    bool assumed = machine->machine_source == HYP_PROFILE_DEFAULT || machine->disk_source == HYP_PROFILE_DEFAULT;
    if (assumed && !machine->imagined) puts("  (rates are assumed, not measured: \"hypura profile\" measures them)");
    for (size_t i = 0; i < machine->n_notes; i++)
        printf("  (%s)\n", machine->notes[i]);
}

void hyp_plan_view_print(const hyp_model *model, const hyp_machine *machine, const hyp_plan *plan, int width) {
    (void)model;
    printf("PLAN: %s\n  %s\n", hyp_mode_name(plan->mode), plan->reason);
    print_budget(plan);
    print_tiers(machine, plan);
    print_picture(machine, plan, width);
    hyp_plan_view_speed(machine, plan);
    if (!hyp_mode_is_mapped(plan->mode))
        printf("  placement    %.4g ms a token greedily, %.4g ms optimised%s\n", 1e3 * plan->greedy_token_s,
               1e3 * plan->optimal_token_s, plan->optimal ? "" : " (not proven)");
}

static bool add_prediction(yyjson_mut_doc *doc, yyjson_mut_val *o, const hyp_prediction *p) {
    yyjson_mut_val *v = yyjson_mut_obj_add_obj(doc, o, "prediction");
    return yyjson_mut_obj_add_real(doc, v, "decode_tok_per_s", p->decode_tok_per_s) &&
           yyjson_mut_obj_add_real(doc, v, "prefill_tok_per_s", p->prefill_tok_per_s) &&
           yyjson_mut_obj_add_real(doc, v, "first_token_s", p->first_token_s) &&
           yyjson_mut_obj_add_real(doc, v, "load_s", p->load_s) &&
           yyjson_mut_obj_add_real(doc, v, "compute_s", p->compute_s) &&
           yyjson_mut_obj_add_real(doc, v, "read_s", p->read_s) &&
           yyjson_mut_obj_add_real(doc, v, "read_bytes", p->read_bytes) &&
           yyjson_mut_obj_add_real(doc, v, "hit_rate", p->hit_rate) &&
           yyjson_mut_obj_add_real(doc, v, "bound_tok_per_s", p->bound_tok_per_s) &&
           yyjson_mut_obj_add_str(doc, v, "limited_by", hyp_limit_name(p->limit));
}

static bool add_tiers(yyjson_mut_doc *doc, yyjson_mut_val *o, const hyp_machine *machine, const hyp_plan *plan) {
    yyjson_mut_val *tiers = yyjson_mut_obj_add_arr(doc, o, "tiers");
    bool good = tiers != NULL;
    for (int t = 0; good && t < HYP_N_TIERS; t++) {
        uint64_t sum = 0;
        for (int r = 0; r < HYP_N_ROLES; r++)
            sum += plan->bytes[t][r];
        if (sum == 0) continue;
        yyjson_mut_val *tier = yyjson_mut_arr_add_obj(doc, tiers);
        good = yyjson_mut_obj_add_strcpy(doc, tier, "tier", tier_text(machine, (hyp_tier)t)) &&
               yyjson_mut_obj_add_uint(doc, tier, "bytes", sum);
        yyjson_mut_val *roles = yyjson_mut_obj_add_obj(doc, tier, "roles");
        for (int r = 0; good && r < HYP_N_ROLES; r++)
            if (plan->bytes[t][r] > 0)
                good = yyjson_mut_obj_add_uint(doc, roles, hyp_role_name((hyp_role)r), plan->bytes[t][r]);
    }
    return good;
}

static bool add_layer_tiers(yyjson_mut_doc *doc, yyjson_mut_val *o, const hyp_model *model, const hyp_plan *plan,
                            uint32_t layer) {
    uint64_t bytes[HYP_N_TIERS];
    hyp_plan_layer_bytes(model, plan, layer, bytes);
    yyjson_mut_val *tiers = yyjson_mut_obj_add_obj(doc, o, "tiers");
    bool good = tiers != NULL;
    for (int t = 0; good && t < HYP_N_TIERS; t++)
        if (bytes[t] > 0) good = yyjson_mut_obj_add_uint(doc, tiers, hyp_tier_name((hyp_tier)t), bytes[t]);
    return good;
}

bool hyp_plan_view_placement_json(yyjson_mut_doc *doc, yyjson_mut_val *object, const hyp_model *model,
                                  const hyp_plan *plan) {
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, object, "placement");
    bool good = yyjson_mut_obj_add_str(doc, o, "mode", hyp_mode_name(plan->mode)) &&
                yyjson_mut_obj_add_uint(doc, o, "pinned_bytes", plan->pinned_bytes) &&
                yyjson_mut_obj_add_uint(doc, o, "cache_bytes", plan->cache_bytes) &&
                yyjson_mut_obj_add_uint(doc, o, "batch_tokens", plan->ubatch_tokens);
    yyjson_mut_val *layers = yyjson_mut_obj_add_arr(doc, o, "layers");
    for (uint32_t l = 0; good && l <= plan->n_layers; l++) {
        yyjson_mut_val *layer = yyjson_mut_arr_add_obj(doc, layers);
        good = yyjson_mut_obj_add_uint(doc, layer, "site", plan->layer_site[l]) &&
               yyjson_mut_obj_add_uint(doc, layer, "bulk_site", plan->bulk_site[l]) &&
               yyjson_mut_obj_add_real(doc, layer, "bulk_resident", (double)plan->bulk_resident[l]) &&
               add_layer_tiers(doc, layer, model, plan, l);
    }
    return good;
}

bool hyp_plan_view_json(yyjson_mut_doc *doc, yyjson_mut_val *object, const hyp_machine *machine, const hyp_plan *plan) {
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, object, "plan");
    bool good = yyjson_mut_obj_add_str(doc, o, "mode", hyp_mode_name(plan->mode)) &&
                yyjson_mut_obj_add_str(doc, o, "reason", plan->reason);
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"budget_bytes", plan->budget_bytes},
                   {"pinned_bytes", plan->pinned_bytes},
                   {"cache_bytes", plan->cache_bytes},
                   {"kv_bytes", plan->kv_bytes},
                   {"compute_bytes", plan->compute_bytes},
                   {"overhead_bytes", plan->overhead_bytes},
                   {"spare_bytes", plan->spare_bytes},
                   {"streamed_bytes", plan->streamed_bytes},
                   {"least_budget_bytes", plan->least_budget_bytes},
                   {"context_tokens", plan->context_tokens},
                   {"batch_tokens", plan->ubatch_tokens},
                   {"ffn_layers_pinned", plan->n_ffn_pinned},
                   {"ffn_layers_streamed", plan->n_ffn_streamed}};
    for (size_t i = 0; good && i < HYP_ARRAY_LEN(numbers); i++)
        good = yyjson_mut_obj_add_uint(doc, o, numbers[i].name, numbers[i].value);
    good = good && yyjson_mut_obj_add_int(doc, o, "gpu_layers", plan->n_gpu_layers) &&
           yyjson_mut_obj_add_real(doc, o, "greedy_token_s", plan->greedy_token_s) &&
           yyjson_mut_obj_add_real(doc, o, "optimal_token_s", plan->optimal_token_s) &&
           yyjson_mut_obj_add_bool(doc, o, "optimal", plan->optimal);
    yyjson_mut_val *notes = yyjson_mut_obj_add_arr(doc, o, "notes");
    for (size_t i = 0; good && i < machine->n_notes; i++)
        good = yyjson_mut_arr_add_strcpy(doc, notes, machine->notes[i]);
    return good && notes != NULL && add_prediction(doc, o, &plan->prediction) && add_tiers(doc, o, machine, plan);
}
