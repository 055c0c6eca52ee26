#include "bench/replay.h"

#include "base/mem.h"
#include "base/text.h"
#include "bench/belady_priv.h"

#include <string.h>

enum { RESIDENT = 1, PINNED = 2, PREFETCHED = 4 };

typedef struct replay {
    const hyp_trace *trace;
    const hyp_replay_config *config;
    hyp_replay_result *result;
    hyp_policy *policy; /* one of the two */
    belady *oracle;
    size_t n_units;
    uint32_t *first;    /* [layer] its first unit; [n_layers] = n_units */
    uint32_t *next_use; /* [unit] visit, kept for the oracle */
    uint32_t *after;    /* [i] visit that next uses the unit of trace->experts[i] */
    uint8_t *flags;     /* [unit] */
    uint64_t cached_bytes;
    double now_s, disk_free_s;
    const hyp_trace_visit *predicted; /* prefetches that wait for the disk are its predicted experts from `next` on */
    uint32_t next;
    size_t n_decode_visits, n_late; /* decode visits in all; from the n_late-th on they count as late */
} replay;

static uint64_t bytes_of(const replay *r, uint32_t layer) {
    return r->trace->info.layers[layer].unit_bytes;
}

static uint32_t unit_of(const replay *r, const hyp_trace_visit *visit, size_t at) {
    return r->first[visit->layer] + r->trace->experts[at];
}

static uint32_t layer_of(const replay *r, uint32_t unit) {
    uint32_t low = 0, high = r->trace->info.n_layers - 1;
    while (low < high) {
        uint32_t middle = (low + high + 1) / 2;
        if (r->first[middle] <= unit)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static void set_flags(replay *r, uint32_t unit, uint8_t set, uint8_t clear) {
    uint8_t old = r->flags[unit], new = (uint8_t)((old | set) & ~clear);
    r->flags[unit] = new;
    if (r->policy != NULL) {
        if (((old ^ new) & PINNED) != 0) hyp_policy_set_pinned(r->policy, unit, (new &PINNED) != 0);
        if (((old ^ new) & RESIDENT) != 0) hyp_policy_set_resident(r->policy, unit, (new &RESIDENT) != 0);
        return;
    }
    bool was = (old & (RESIDENT | PINNED)) == RESIDENT, is = (new &(RESIDENT | PINNED)) == RESIDENT;
    if (was != is) hyp_belady_set_evictable(r->oracle, unit, is);
}

/* Make room for a unit of `bytes`. For a prefetch only at the cost of what is worth less than `prefetched`. */
static bool make_room(replay *r, uint64_t bytes, uint32_t prefetched) {
    while (r->cached_bytes + bytes > r->config->cache_bytes) {
        uint32_t victim = r->policy != NULL ? hyp_policy_victim(r->policy) : hyp_belady_victim(r->oracle);
        if (victim == UINT32_MAX) return false;
        if (prefetched != UINT32_MAX && !(r->policy != NULL ? hyp_policy_worth(r->policy, prefetched, victim)
                                                            : r->next_use[prefetched] < r->next_use[victim]))
            return false;
        uint64_t freed = bytes_of(r, layer_of(r, victim));
        set_flags(r, victim, 0, RESIDENT | PREFETCHED);
        r->cached_bytes -= freed;
        r->result->evicted_bytes += freed;
    }
    return true;
}

static void bring_in(replay *r, uint32_t unit, uint64_t bytes, uint8_t flags) {
    r->cached_bytes += bytes;
    r->result->peak_bytes = HYP_MAX(r->result->peak_bytes, r->cached_bytes);
    set_flags(r, unit, RESIDENT | flags, 0);
}

/* Start waiting prefetches while the disk is free before `until_s`; what has not begun by then is forgotten. */
static void run_prefetches(replay *r, double until_s) {
    const hyp_trace_visit *visit = r->predicted;
    for (; visit != NULL && r->next < visit->n_predicted && r->disk_free_s < until_s; r->next++) {
        uint32_t unit = unit_of(r, visit, visit->predicted + r->next);
        uint64_t bytes = bytes_of(r, visit->layer);
        if ((r->flags[unit] & RESIDENT) != 0 || !make_room(r, bytes, unit)) continue;
        bring_in(r, unit, bytes, PREFETCHED);
        r->disk_free_s += (double)bytes / r->config->disk_bytes_per_s;
        r->result->prefetch_issued_bytes += bytes;
    }
    r->predicted = NULL;
}

static void count_demand(replay *r, const hyp_trace_visit *visit, bool hit, uint64_t bytes) {
    hyp_replay_result *ret = r->result;
    if (visit->n_tokens > 1) return;
    *(hit ? &ret->hit_bytes : &ret->miss_bytes) += bytes;
    if (r->n_decode_visits >= r->n_late) *(hit ? &ret->late_hit_bytes : &ret->late_miss_bytes) += bytes;
}

static void demand(replay *r, const hyp_trace_visit *visit) {
    uint64_t bytes = bytes_of(r, visit->layer);
    if (r->policy != NULL) hyp_policy_enter_layer(r->policy, visit->layer);
    for (uint32_t i = 0; i < visit->n_used; i++) {
        uint32_t unit = unit_of(r, visit, visit->used + i);
        r->next_use[unit] = r->after[visit->used + i];
        if (r->policy != NULL) hyp_policy_touch(r->policy, unit, r->trace->counts[visit->used + i]);
        set_flags(r, unit, PINNED, 0);
    }
    double ready_s = r->now_s;
    bool reads = false;
    for (uint32_t i = 0; i < visit->n_used; i++) {
        uint32_t unit = unit_of(r, visit, visit->used + i);
        bool hit = (r->flags[unit] & RESIDENT) != 0;
        count_demand(r, visit, hit, bytes);
        if (hit && (r->flags[unit] & PREFETCHED) != 0) {
            r->result->prefetch_used_bytes += bytes;
            set_flags(r, unit, 0, PREFETCHED);
            ready_s = HYP_MAX(ready_s, r->disk_free_s); /* it may still be on its way */
        }
        if (hit) continue;
        if (!reads) r->disk_free_s = HYP_MAX(r->disk_free_s, r->now_s);
        reads = true;
        r->disk_free_s += (double)bytes / r->config->disk_bytes_per_s;
        ready_s = r->disk_free_s;
        if (make_room(r, bytes, UINT32_MAX)) bring_in(r, unit, bytes, 0);
    }
    if (visit->n_tokens == 1) r->result->stall_s += ready_s - r->now_s;
    r->now_s = ready_s;
}

static void count_predicted(replay *r, const hyp_trace_visit *visit) {
    if (visit->n_predicted == 0) return;
    r->result->n_predicted += visit->n_predicted;
    r->result->n_predictable += visit->n_used;
    const uint16_t *used = r->trace->experts + visit->used;
    for (uint32_t i = 0; i < visit->n_predicted; i++) {
        uint16_t expert = r->trace->experts[visit->predicted + i];
        for (uint32_t j = 0; j < visit->n_used; j++)
            r->result->n_predicted_right += used[j] == expert;
    }
}

static void replay_all(replay *r) {
    const hyp_trace *t = r->trace;
    double layer_s = r->config->compute_s / t->info.n_layers;
    for (size_t v = 0; v < t->n_visits; v++) {
        const hyp_trace_visit *visit = &t->visits[v];
        double begun_s = r->now_s;
        run_prefetches(r, r->now_s);
        count_predicted(r, visit);
        demand(r, visit);
        r->now_s += layer_s;
        if (visit->n_tokens == 1) {
            r->n_decode_visits++;
            r->result->decode_s += r->now_s - begun_s;
        }
        for (uint32_t i = 0; i < visit->n_used; i++)
            set_flags(r, unit_of(r, visit, visit->used + i), 0, PINNED);
        if (!r->config->prefetch || v + 1 == t->n_visits) continue;
        r->predicted = visit + 1;
        r->next = 0;
        r->disk_free_s = HYP_MAX(r->disk_free_s, r->now_s - layer_s);
    }
}

/* From the back: who uses a unit next. Counts what a token touches on the way. */
static void look_ahead(replay *r) {
    const hyp_trace *t = r->trace;
    uint64_t demanded = 0;
    size_t n_decode = 0;
    for (size_t i = 0; i < r->n_units; i++)
        r->next_use[i] = UINT32_MAX;
    for (size_t v = t->n_visits; v-- > 0;) {
        const hyp_trace_visit *visit = &t->visits[v];
        bool last_of_pass = v + 1 == t->n_visits || visit[1].pass != visit->pass;
        if (visit->n_tokens == 1) {
            n_decode++;
            demanded += visit->n_used * bytes_of(r, visit->layer);
            r->result->n_tokens += last_of_pass;
        }
        for (uint32_t i = 0; i < visit->n_used; i++) {
            uint32_t unit = unit_of(r, visit, visit->used + i);
            r->after[visit->used + i] = r->next_use[unit];
            r->next_use[unit] = (uint32_t)v;
        }
    }
    r->n_late = n_decode / 2;
    r->result->cycle_bytes = r->result->n_tokens > 0 ? demanded / r->result->n_tokens : 0;
}

static int check(const hyp_trace *trace, const hyp_replay_config *config, hyp_err *err) {
    uint64_t largest = 0;
    for (uint32_t l = 0; l < trace->info.n_layers; l++)
        largest = HYP_MAX(largest, trace->info.layers[l].unit_bytes);
    if (!(config->disk_bytes_per_s > 0) || config->policy < 0 || config->policy >= HYP_REPLAY_N_POLICIES ||
        config->compute_s < 0)
        return hyp_err_set(err, HYP_EINVAL, "a replay needs a policy and a disk's rate above 0");
    if (config->cache_bytes >= largest) return HYP_OK;
    char have[32], need[32];
    hyp_err_set(err, HYP_EINVAL, "%s for experts do not hold a single one (%s)",
                hyp_text_format_bytes(config->cache_bytes, have, sizeof have),
                hyp_text_format_bytes(largest, need, sizeof need));
    hyp_err_hint(err, "raise --ram");
    return HYP_EINVAL;
}

static int allocate(replay *r, hyp_err *err) {
    const hyp_trace_info *info = &r->trace->info;
    r->first = calloc(info->n_layers + 1, sizeof *r->first);
    if (r->first == NULL) return HYP_ENOMEM;
    for (uint32_t l = 0; l < info->n_layers; l++) {
        r->first[l + 1] = r->first[l] + info->layers[l].n_experts;
        r->result->all_bytes += info->layers[l].n_experts * info->layers[l].unit_bytes;
    }
    r->n_units = r->first[info->n_layers];
    r->next_use = calloc(r->n_units, sizeof *r->next_use);
    r->after = calloc(r->trace->n_experts + 1, sizeof *r->after);
    r->flags = calloc(r->n_units, 1);
    if (r->next_use == NULL || r->after == NULL || r->flags == NULL) return HYP_ENOMEM;
    if (r->config->policy == HYP_REPLAY_BELADY)
        return (r->oracle = hyp_belady_new(r->next_use, r->n_units)) != NULL ? HYP_OK : HYP_ENOMEM;
    HYP_AUTOFREE hyp_policy_unit *units = calloc(r->n_units, sizeof *units);
    if (units == NULL) return HYP_ENOMEM;
    for (uint32_t l = 0; l < info->n_layers; l++)
        for (uint32_t u = r->first[l]; u < r->first[l + 1]; u++)
            units[u] = (hyp_policy_unit){l, info->layers[l].unit_bytes};
    return hyp_policy_new((hyp_policy_kind)r->config->policy, units, r->n_units, info->n_layers, &r->policy, err);
}

int hyp_replay_run(const hyp_trace *trace, const hyp_replay_config *config, hyp_replay_result *ret, hyp_err *err) {
    hyp_replay_result result = {0};
    replay r = {.trace = trace, .config = config, .result = &result};
    int status = check(trace, config, err);
    if (status != HYP_OK) return status;
    status = allocate(&r, err);
    if (status == HYP_OK) {
        look_ahead(&r);
        replay_all(&r);
        if (r.oracle != NULL && hyp_belady_failed(r.oracle)) status = HYP_ENOMEM;
    }
    if (status == HYP_ENOMEM)
        hyp_err_set(err, HYP_ENOMEM, "out of memory replaying a trace of %zu visits", trace->n_visits);
    hyp_policy_free(r.policy);
    hyp_belady_free(r.oracle);
    free(r.first);
    free(r.next_use);
    free(r.after);
    free(r.flags);
    if (status == HYP_OK) *ret = result;
    return status;
}

static double share(uint64_t part, uint64_t rest) {
    return part + rest > 0 ? (double)part / (double)(part + rest) : 0;
}
double hyp_replay_hit_rate(const hyp_replay_result *result) {
    return share(result->hit_bytes, result->miss_bytes);
}
double hyp_replay_late_hit_rate(const hyp_replay_result *result) {
    return share(result->late_hit_bytes, result->late_miss_bytes);
}
double hyp_replay_bytes_per_token(const hyp_replay_result *result) {
    if (result->n_tokens == 0) return 0;
    return (double)(result->miss_bytes + result->prefetch_issued_bytes) / (double)result->n_tokens;
}
const char *hyp_replay_policy_name(int policy) {
    return policy == HYP_REPLAY_BELADY ? "belady" : hyp_policy_name((hyp_policy_kind)policy);
}
