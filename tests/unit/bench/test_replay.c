#include "../test.h"
#include "bench/replay.h"
#include "synth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static hyp_trace *make(const synth_config *config) {
    hyp_trace *t;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(synth_make(config, &t, &err), HYP_OK);
    return t;
}

static hyp_replay_result run(const hyp_trace *t, int policy, double share) {
    hyp_replay_result r;
    uint64_t all = 0;
    for (uint32_t l = 0; l < t->info.n_layers; l++)
        all += t->info.layers[l].n_experts * t->info.layers[l].unit_bytes;
    hyp_replay_config c = {.policy = policy, .cache_bytes = (uint64_t)((double)all * share), .disk_bytes_per_s = 1e9};
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_replay_run(t, &c, &r, &err), HYP_OK);
    assert_true(r.peak_bytes <= c.cache_bytes);
    assert_int_equal(r.all_bytes, all);
    assert_true(r.late_hit_bytes <= r.hit_bytes && r.late_miss_bytes <= r.miss_bytes);
    return r;
}

static double late(const hyp_trace *t, int policy, double share) {
    hyp_replay_result r = run(t, policy, share);
    return 100 * hyp_replay_late_hit_rate(&r);
}

static bool uses(const hyp_trace *t, size_t visit, uint32_t unit) {
    const hyp_trace_visit *v = &t->visits[visit];
    for (uint32_t i = 0; i < v->n_used; i++)
        if (v->layer * t->info.layers[0].n_experts + t->experts[v->used + i] == unit) return true;
    return false;
}

/* The cached unit that is not used by `visit` and was used longest ago, or is needed last; n_units when there is none.
 */
static uint32_t naive_victim(const hyp_trace *t, size_t visit, uint32_t n_units, const bool *cached, const size_t *last,
                             bool belady) {
    uint32_t victim = n_units;
    size_t worst = 0;
    for (uint32_t u = 0; u < n_units; u++) {
        if (!cached[u] || last[u] == visit + 1) continue;
        size_t rank = SIZE_MAX - last[u];
        if (belady)
            for (rank = visit + 1; rank < t->n_visits && !uses(t, rank, u);)
                rank++;
        if (rank > worst) worst = rank, victim = u;
    }
    return victim;
}

/* Hits of a cache of `room` units that looks for its victim by brute force. */
static uint64_t naive_hits(const hyp_trace *t, size_t room, bool belady) {
    size_t last[64] = {0}, n_cached = 0;
    bool cached[64] = {false};
    uint32_t n = t->info.layers[0].n_experts, n_units = t->info.n_layers * n;
    uint64_t hits = 0;
    assert_true(n_units <= 64);
    for (size_t v = 0; v < t->n_visits; v++) {
        const hyp_trace_visit *visit = &t->visits[v];
        for (uint32_t i = 0; i < visit->n_used; i++)
            last[visit->layer * n + t->experts[visit->used + i]] = v + 1;
        for (uint32_t i = 0; i < visit->n_used; i++) {
            uint32_t unit = visit->layer * n + t->experts[visit->used + i];
            hits += cached[unit];
            if (cached[unit]) continue;
            if (n_cached == room) {
                uint32_t victim = naive_victim(t, v, n_units, cached, last, belady);
                if (victim == n_units) continue;
                cached[victim] = false;
                n_cached--;
            }
            cached[unit] = true;
            n_cached++;
        }
    }
    return hits;
}

static void lru_and_belady_equal_brute_force(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed < 8; seed++) {
        synth_config c = {.n_layers = 3,
                          .n_experts = 6,
                          .n_used = 2,
                          .unit_bytes = 4096,
                          .n_tokens = 60,
                          .skew = 0.1 * (double)seed,
                          .persistence = 0.3,
                          .seed = seed};
        hyp_trace *t = make(&c);
        for (size_t room = 1; room <= 18; room++) {
            double share = ((double)room + 0.5) / 18;
            assert_int_equal(run(t, HYP_POLICY_LRU, share).hit_bytes / 4096, naive_hits(t, room, false));
            assert_int_equal(run(t, HYP_REPLAY_BELADY, share).hit_bytes / 4096, naive_hits(t, room, true));
        }
        hyp_trace_free(t);
    }
}

/* Experts of many sizes: every policy keeps within the cache, and counts every byte. */
static void all_policies_keep_within_the_cache(void **state) {
    (void)state;
    synth_config c = {.n_layers = 9,
                      .n_experts = 16,
                      .n_used = 3,
                      .unit_bytes = 4096,
                      .n_prefill = 40,
                      .n_tokens = 120,
                      .skew = 0.7,
                      .persistence = 0.3,
                      .recall = 0.5,
                      .seed = 11};
    hyp_trace *t = make(&c);
    uint64_t demanded = 0;
    for (uint32_t l = 0; l < 9; l++)
        t->info.layers[l].unit_bytes = 4096 * (1 + l * l % 5);
    for (size_t v = 0; v < t->n_visits; v++)
        if (t->visits[v].n_tokens == 1) demanded += t->visits[v].n_used * t->info.layers[t->visits[v].layer].unit_bytes;
    for (int policy = 0; policy < HYP_REPLAY_N_POLICIES; policy++) {
        for (double share = 0.04; share < 1.2; share += 0.07) {
            hyp_replay_result r = run(t, policy, share);
            assert_int_equal(r.hit_bytes + r.miss_bytes, demanded);
            assert_int_equal(r.n_tokens, 120);
            assert_int_equal(r.cycle_bytes, demanded / 120);
            hyp_replay_config config = {policy, (uint64_t)(share * (double)r.all_bytes), 1e7, 0.01, true};
            hyp_err err = HYP_ERR_NONE;
            assert_int_equal(hyp_replay_run(t, &config, &r, &err), HYP_OK);
            assert_true(r.peak_bytes <= config.cache_bytes && r.prefetch_used_bytes <= r.prefetch_issued_bytes);
            assert_int_equal(r.hit_bytes + r.miss_bytes, demanded);
            if (share > 1.1) assert_int_equal(r.late_miss_bytes, 0);
        }
    }
    hyp_trace_free(t);
}

/* Uniform routing: nothing beats C/X, and below one cycle recency is lost while a fixed subset keeps its share. */
static void uniform_routing_keeps_a_fixed_share(void **state) {
    (void)state;
    synth_config c = {.n_layers = 24, .n_experts = 64, .n_used = 4, .unit_bytes = 1 << 20, .n_tokens = 500, .seed = 1};
    hyp_trace *t = make(&c);
    const double shares[] = {0.02, 0.04, 0.06, 0.12, 0.25, 0.5, 0.75};
    for (size_t i = 0; i < 7; i++) {
        double ours = late(t, HYP_POLICY_HYPURA, shares[i]), lru = late(t, HYP_POLICY_LRU, shares[i]);
        assert_true(fabs(ours - 100 * shares[i]) < 1.5);
        assert_true(ours > lru - 1);
        if (i < 3) assert_true(lru < 0.01);
    }
    hyp_trace_free(t);
}

/* On no kind of routing clearly worse than the better of LRU and LFU, on most clearly better; never better than Belady.
 */
static void ours_holds_up_on_every_kind_of_routing(void **state) {
    (void)state;
    const struct {
        double skew, persistence, correlation;
        uint32_t n_topics, n_prefill;
    } kinds[] = {{0.6, 0, 0, 1, 0},   {1, 0, 0, 1, 0},     {0, 0.3, 0, 1, 0},     {0, 0.6, 0, 1, 0},
                 {0.6, 0.3, 0, 1, 0}, {0.9, 0.3, 0, 4, 0}, {0.6, 0.2, 0.4, 2, 0}, {0.7, 0.3, 0, 3, 200}};
    const double shares[] = {0.03, 0.06, 0.12, 0.25, 0.5, 0.75};
    double gain = 0;
    for (size_t k = 0; k < 8; k++) {
        synth_config c = {.n_layers = 16,
                          .n_experts = 64,
                          .n_used = 4,
                          .unit_bytes = 1 << 20,
                          .n_tokens = 700,
                          .topic_tokens = 150,
                          .skew = kinds[k].skew,
                          .persistence = kinds[k].persistence,
                          .correlation = kinds[k].correlation,
                          .n_topics = kinds[k].n_topics,
                          .n_prefill = kinds[k].n_prefill,
                          .seed = 100 + k};
        hyp_trace *t = make(&c);
        for (size_t i = 0; i < 6; i++) {
            double ours = late(t, HYP_POLICY_HYPURA, shares[i]), lru = late(t, HYP_POLICY_LRU, shares[i]);
            double best = fmax(lru, late(t, HYP_POLICY_LFU, shares[i]));
            assert_true(ours > best - 1);
            assert_true(ours <= late(t, HYP_REPLAY_BELADY, shares[i]));
            if (i == 0) assert_true(ours > lru + 5); /* below one cycle */
            gain += (ours - best) / (6 * 8);
        }
        hyp_trace_free(t);
    }
    assert_true(gain > 3);
}

/* Two layers of two experts, one used; a read takes 1 s, a layer computes 1 s. Room for one expert a layer. */
static void the_clock_counts_stalls_and_prefetches(void **state) {
    (void)state;
    hyp_trace_layer layers[] = {{0, 2, 1000}, {1, 2, 1000}};
    uint16_t experts[] = {0, 0, 1, 1, 1, 1, 1};
    uint32_t counts[] = {1, 1, 1, 1, 0, 1, 1};
    /* Token 0 uses expert 0 of both layers; token 1 uses expert 1 of both, the second one predicted; token 2 the same.
     */
    hyp_trace_visit visits[] = {{0, 0, 1, 1, 0, 0, 1}, {0, 1, 1, 1, 0, 1, 2}, {1, 0, 1, 1, 0, 2, 3},
                                {1, 1, 1, 1, 1, 3, 4}, {2, 0, 1, 1, 0, 5, 6}, {2, 1, 1, 1, 0, 6, 7}};
    hyp_trace t = {.info = {.n_layers = 2, .n_used = 1, .layers = layers},
                   .complete = true,
                   .n_passes = 3,
                   .visits = visits,
                   .n_visits = 6,
                   .experts = experts,
                   .counts = counts,
                   .n_experts = 7};
    hyp_replay_config c = {.policy = HYP_POLICY_LRU, .cache_bytes = 2000, .disk_bytes_per_s = 1000, .compute_s = 2};
    hyp_replay_result r;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_replay_run(&t, &c, &r, &err), HYP_OK);
    assert_true(fabs(r.decode_s - (6 + 4)) < 1e-9 && fabs(r.stall_s - 4) < 1e-9);
    assert_int_equal(r.hit_bytes, 2000);
    assert_int_equal(r.n_predicted_right, 1);
    assert_int_equal(r.n_predictable, 1);
    c.prefetch = true;
    assert_int_equal(hyp_replay_run(&t, &c, &r, &err), HYP_OK);
    assert_true(fabs(r.stall_s - 3) < 1e-9);
    assert_int_equal(r.prefetch_issued_bytes, 1000);
    assert_int_equal(r.prefetch_used_bytes, 1000);
    assert_int_equal(r.hit_bytes, 3000);
    assert_true(fabs(hyp_replay_bytes_per_token(&r) - 4000.0 / 3) < 1e-9);
}

static void nonsense_is_refused(void **state) {
    (void)state;
    synth_config c = {.n_layers = 2, .n_experts = 4, .n_used = 1, .unit_bytes = 1 << 20, .n_tokens = 3, .seed = 1};
    hyp_trace *t = make(&c);
    hyp_replay_result r;
    hyp_err err = HYP_ERR_NONE;
    hyp_replay_config config = {.cache_bytes = 1000, .disk_bytes_per_s = 1e9};
    assert_int_equal(hyp_replay_run(t, &config, &r, &err), HYP_EINVAL);
    assert_true(err.hint[0] != '\0');
    config = (hyp_replay_config){.cache_bytes = 1 << 21, .disk_bytes_per_s = NAN};
    assert_int_equal(hyp_replay_run(t, &config, &r, NULL), HYP_EINVAL);
    config = (hyp_replay_config){.policy = HYP_REPLAY_N_POLICIES, .cache_bytes = 1 << 21, .disk_bytes_per_s = 1};
    assert_int_equal(hyp_replay_run(t, &config, &r, NULL), HYP_EINVAL);
    hyp_trace_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lru_and_belady_equal_brute_force),
        cmocka_unit_test(all_policies_keep_within_the_cache),
        cmocka_unit_test(uniform_routing_keeps_a_fixed_share),
        cmocka_unit_test(ours_holds_up_on_every_kind_of_routing),
        cmocka_unit_test(the_clock_counts_stalls_and_prefetches),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
