/* Placement: rules and capacities always hold, the optimiser is never worse than the greedy filling, and on small cases
 * both meet brute force. Problems are drawn at random from a fixed seed. */
#include "../test.h"
#include "plan/place_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 5, CASES = 150 };

typedef struct world {
    hyp_place_problem problem;
    hyp_place_layer layers[64];
} world;

static uint64_t state = 88172645463325252ull;
static uint32_t draw(uint32_t below) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 33) % below;
}

/* `n` layers and a head; experts or dense; up to `devices` devices. */
static void random_world(world *w, size_t n, size_t devices, bool divisible) {
    memset(w, 0, sizeof *w);
    hyp_place_problem *p = &w->problem;
    p->layers = w->layers, p->n_layers = n + 1, p->n_devices = devices;
    uint64_t total = 0;
    bool streamable = draw(4) > 0;
    for (size_t l = 0; l <= n; l++) {
        hyp_place_layer *layer = &w->layers[l];
        layer->base_bytes = 10 + draw(20), layer->kv_bytes = draw(5);
        layer->divisible = divisible, layer->streamable = streamable;
        if (l < n) layer->bulk_bytes = 40 + draw(100);
        layer->n_segments = l < n ? 1 : 0;
        layer->segments[0] = (hyp_place_segment){layer->bulk_bytes, (double)layer->bulk_bytes * (divisible ? 0.2 : 1)};
        if (l < n && divisible && draw(2) > 0) {
            layer->n_segments = 2;
            layer->segments[0] = (hyp_place_segment){layer->bulk_bytes / 4, (double)layer->bulk_bytes * 0.12};
            layer->segments[1] =
                (hyp_place_segment){layer->bulk_bytes - layer->bulk_bytes / 4, (double)layer->bulk_bytes * 0.08};
        }
        for (size_t s = 0; s <= devices; s++) {
            double speed = s == 0 ? 1 : 2 + (double)s * 3;
            layer->base_s[s] = (double)layer->base_bytes / speed;
            layer->bulk_s[s] = (double)layer->bulk_bytes * (divisible ? 0.2 : 1) / speed;
        }
        total += layer->base_bytes + layer->kv_bytes + layer->bulk_bytes;
    }
    for (size_t d = 0; d < devices; d++)
        p->devices[d] = (hyp_place_device){.capacity_bytes = draw((uint32_t)total),
                                           .buffer_bytes = draw(10),
                                           .unified = draw(5) == 0,
                                           .hop_s = draw(8)};
    p->ram_fixed_bytes = draw(20), p->stream_bytes = 10 + draw(40);
    p->ram_bytes = total / 4 + draw((uint32_t)total);
    p->disk_bytes_per_s = 0.2 + draw(10) / 10.0;
    p->wait_share = draw(11) / 10.0;
    p->idle_share = draw(11) / 10.0;
    p->time_limit_s = 20;
}

/* --- brute force: every site, every bulk, every choice of dense FFNs; experts fill what is left in the order of use
 * --- */
static double best_of_all;

static void fill_divisible(const hyp_place_problem *p, hyp_placement *t) {
    hyp_placement probe = *t;
    uint64_t host = 0;
    for (size_t l = 0; l < p->n_layers; l++)
        if (t->bulk_site[l] == 0) t->bulk_ram[l] = p->layers[l].bulk_bytes, host += p->layers[l].bulk_bytes;
    if (hyp_place_evaluate(p, t) && t->token_s < best_of_all) best_of_all = t->token_s;
    if (!p->layers[0].streamable || host == 0) return;
    memset(t->bulk_ram, 0, p->n_layers * sizeof *t->bulk_ram);
    probe = *t;
    hyp_place_evaluate(p, &probe);
    if (probe.ram_bytes > p->ram_bytes) return;
    uint64_t left = p->ram_bytes - probe.ram_bytes;
    if (left >= host) left = host - 1;
    for (; left > 0; left--) { /* a byte at a time, to the piece that saves most */
        size_t best = SIZE_MAX;
        double best_gain = -1;
        for (size_t l = 0; l < p->n_layers; l++) {
            const hyp_place_layer *layer = &p->layers[l];
            if (t->bulk_site[l] != 0 || t->bulk_ram[l] == layer->bulk_bytes) continue;
            const hyp_place_segment *s = &layer->segments[t->bulk_ram[l] < layer->segments[0].bytes ? 0 : 1];
            double gain = s->saved_bytes / (double)s->bytes;
            if (gain > best_gain) best_gain = gain, best = l;
        }
        if (best == SIZE_MAX) break;
        t->bulk_ram[best]++;
    }
    if (hyp_place_evaluate(p, t) && t->token_s < best_of_all) best_of_all = t->token_s;
}

static void try_dense(const hyp_place_problem *p, hyp_placement *t) {
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): never without a layer */
    for (uint32_t mask = 0; mask < 1u << (p->n_layers - 1); mask++) {
        for (size_t l = 0; l < p->n_layers; l++)
            t->bulk_ram[l] = t->bulk_site[l] == 0 && (mask >> l & 1) != 0 ? p->layers[l].bulk_bytes : 0;
        if (hyp_place_evaluate(p, t) && t->token_s < best_of_all) best_of_all = t->token_s;
    }
}

static void brute(const hyp_place_problem *p, hyp_placement *t, size_t l) {
    if (l == p->n_layers) {
        memset(t->bulk_ram, 0, p->n_layers * sizeof *t->bulk_ram);
        if (p->layers[0].divisible)
            fill_divisible(p, t);
        else
            try_dense(p, t);
        return;
    }
    for (uint8_t site = l > 0 ? t->site[l - 1] : 0; site <= p->n_devices; site++) {
        t->site[l] = site;
        for (int bulk = 0; bulk < (site > 0 && p->layers[l].bulk_bytes > 0 ? 2 : 1); bulk++) {
            t->bulk_site[l] = bulk > 0 ? site : 0;
            brute(p, t, l + 1);
        }
    }
}

static double brute_force(const hyp_place_problem *p) {
    uint8_t site[MAX_LAYERS + 1] = {0}, bulk[MAX_LAYERS + 1] = {0};
    uint64_t ram[MAX_LAYERS + 1] = {0};
    hyp_placement t = {.site = site, .bulk_site = bulk, .bulk_ram = ram, .n_layers = p->n_layers};
    best_of_all = INFINITY;
    brute(p, &t, 0);
    return best_of_all;
}

static void one_case(world *w, size_t n, size_t devices, bool divisible, size_t *n_solved) {
    random_world(w, n, devices, divisible);
    const hyp_place_problem *p = &w->problem;
    hyp_placement greedy = {0}, best = {0};
    hyp_err err = HYP_ERR_NONE;
    uint64_t least = 0;
    double optimum = brute_force(p);
    int r = hyp_place_greedy(p, &greedy, &least, &err);
    assert_true(r == HYP_OK || r == HYP_ENOMEM);
    assert_int_equal(r == HYP_OK, least <= p->ram_bytes);
    if (r != HYP_OK) {
        assert_true(err.hint[0] != '\0');
        return;
    }
    bool optimal;
    assert_true(hyp_place_evaluate(p, &greedy));
    assert_int_equal(hyp_place_optimise(p, &greedy, &best, &optimal, &err), HYP_OK);
    assert_true(hyp_place_evaluate(p, &best)); /* no capacity is exceeded, no rule broken */
    assert_true(best.token_s <= greedy.token_s * (1 + 1e-12));
    assert_true(best.token_s >= optimum * (1 - 1e-9));
    assert_true(optimal);
    /* A byte of rounding either way is all that may lie between the program and brute force. */
    if (best.token_s > optimum * (1 + 1e-5) + 1e-5)
        fail_msg("optimiser %.9g, brute force %.9g, greedy %.9g", best.token_s, optimum, greedy.token_s);
    hyp_placement_free(&greedy);
    hyp_placement_free(&best);
    (*n_solved)++;
}

static void small_cases_equal_brute_force(void **s) {
    (void)s;
    world w;
    size_t n_solved = 0;
    for (size_t i = 0; i < CASES; i++)
        one_case(&w, 1 + draw(MAX_LAYERS - 2), draw(3), i % 2 == 0, &n_solved);
    assert_true(n_solved > CASES / 3);
}

static void large_cases_obey_every_rule(void **s) {
    (void)s;
    for (size_t i = 0; i < 12; i++) {
        world w;
        random_world(&w, 40, i % 4, i % 2 == 0);
        w.problem.time_limit_s = 0.5;
        hyp_placement greedy = {0}, best = {0};
        hyp_err err = HYP_ERR_NONE;
        bool optimal;
        if (hyp_place_greedy(&w.problem, &greedy, NULL, &err) != HYP_OK) continue;
        assert_int_equal(hyp_place_optimise(&w.problem, &greedy, &best, &optimal, &err), HYP_OK);
        assert_true(hyp_place_evaluate(&w.problem, &best));
        assert_true(best.token_s <= greedy.token_s * (1 + 1e-12));
        hyp_placement_free(&greedy);
        hyp_placement_free(&best);
    }
}

static void the_same_problem_gives_the_same_plan(void **s) {
    (void)s;
    world w;
    hyp_placement greedy = {0}, a = {0}, b = {0};
    hyp_err err = HYP_ERR_NONE;
    bool optimal;
    do
        random_world(&w, 20, 2, false);
    while (hyp_place_greedy(&w.problem, &greedy, NULL, &err) != HYP_OK);
    w.problem.time_limit_s = 60;
    assert_int_equal(hyp_place_optimise(&w.problem, &greedy, &a, &optimal, &err), HYP_OK);
    assert_int_equal(hyp_place_optimise(&w.problem, &greedy, &b, &optimal, &err), HYP_OK);
    assert_memory_equal(a.site, b.site, a.n_layers);
    assert_memory_equal(a.bulk_site, b.bulk_site, a.n_layers);
    assert_memory_equal(a.bulk_ram, b.bulk_ram, a.n_layers * sizeof *a.bulk_ram);
    hyp_placement_free(&greedy);
    hyp_placement_free(&a);
    hyp_placement_free(&b);
}

static void broken_rules_are_seen(void **s) {
    (void)s;
    world w;
    hyp_placement greedy = {0};
    hyp_err err = HYP_ERR_NONE;
    do
        random_world(&w, 4, 2, false);
    while (!w.layers[0].streamable || hyp_place_greedy(&w.problem, &greedy, NULL, &err) != HYP_OK);
    memset(greedy.site, 0, 5), memset(greedy.bulk_site, 0, 5), memset(greedy.bulk_ram, 0, 5 * sizeof *greedy.bulk_ram);
    for (size_t d = 0; d < 2; d++)
        w.problem.devices[d].capacity_bytes = 1000000;
    w.problem.ram_bytes = 1000000;
    assert_true(hyp_place_evaluate(&w.problem, &greedy));
    greedy.site[1] = 1; /* a gap: the layers after it are back on the CPU */
    assert_false(hyp_place_evaluate(&w.problem, &greedy));
    greedy.site[1] = 0, greedy.bulk_site[1] = 1; /* a bulk away from its layer */
    assert_false(hyp_place_evaluate(&w.problem, &greedy));
    greedy.bulk_site[1] = 0, greedy.bulk_ram[1] = 1; /* a part of what is not divisible */
    assert_false(hyp_place_evaluate(&w.problem, &greedy));
    greedy.bulk_ram[1] = 0, w.problem.ram_bytes = 1;
    assert_false(hyp_place_evaluate(&w.problem, &greedy));
    hyp_placement_free(&greedy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_cases_equal_brute_force),
        cmocka_unit_test(large_cases_obey_every_rule),
        cmocka_unit_test(the_same_problem_gives_the_same_plan),
        cmocka_unit_test(broken_rules_are_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
