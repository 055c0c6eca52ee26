/* order.c - which experts should be neighbours: those that one token uses together, so that a layer's experts come in
 * fewer and longer reads. */
#include "sidecar/sidecar_priv.h"

#include "base/mem.h"
#include "predict/coact.h"
#include "predict/trace.h"

#include <limits.h>
#include <string.h>

void hyp_sidecar_ranking_free(hyp_sidecar_ranking *r) {
    for (uint32_t i = 0; r->experts != NULL && i < r->n_layers; i++)
        free(r->experts[i]);
    free(r->experts);
    *r = (hyp_sidecar_ranking){0};
}

void hyp_sidecar_chain(uint32_t n, const uint64_t *uses, const uint32_t *together, uint32_t *ret) {
    for (uint32_t i = 0; i < n; i++)
        ret[i] = i;
    for (uint32_t at = 0; at < n; at++) {
        const uint32_t *row = at > 0 ? together + (size_t)ret[at - 1] * n : NULL;
        uint32_t best = at;
        for (uint32_t i = at + 1; i < n; i++) {
            uint32_t a = ret[i], b = ret[best];
            uint32_t pair_a = row != NULL ? row[a] : 0, pair_b = row != NULL ? row[b] : 0;
            bool better = pair_a != pair_b ? pair_a > pair_b : uses[a] != uses[b] ? uses[a] > uses[b] : a < b;
            if (better) best = i;
        }
        uint32_t chosen = ret[best];
        ret[best] = ret[at];
        ret[at] = chosen;
    }
}

static int make_empty(const hyp_units *units, hyp_sidecar_ranking *ret, hyp_err *err) {
    *ret = (hyp_sidecar_ranking){.n_layers = units->n_layers, .experts = calloc(units->n_layers, sizeof(uint32_t *))};
    for (uint32_t i = 0; ret->experts != NULL && i < units->n_layers; i++) {
        ret->experts[i] = malloc(units->layers[i].n_units * sizeof(uint32_t));
        if (ret->experts[i] == NULL) break;
        for (uint32_t e = 0; e < units->layers[i].n_units; e++)
            ret->experts[i][e] = e;
        if (i + 1 == units->n_layers) return HYP_OK;
    }
    hyp_sidecar_ranking_free(ret);
    return hyp_err_set(err, HYP_ENOMEM, "out of memory for the order of %u layers", units->n_layers);
}

/* Room for one layer's counts. */
typedef struct counts {
    uint64_t *uses;     /* [n] */
    uint32_t *together; /* [n * n] */
} counts;

static void free_counts(counts *c) {
    free(c->uses);
    free(c->together);
}

static int make_counts(const hyp_units *units, counts *ret, hyp_err *err) {
    uint32_t most = 1;
    for (uint32_t i = 0; i < units->n_layers; i++)
        most = HYP_MAX(most, units->layers[i].n_units);
    *ret = (counts){calloc(most, sizeof(uint64_t)), calloc((size_t)most * most, sizeof(uint32_t))};
    if (ret->uses != NULL && ret->together != NULL) return HYP_OK;
    return hyp_err_set(err, HYP_ENOMEM, "out of memory counting what %u experts do together", most);
}

static void add_pair(counts *c, uint32_t n, uint32_t a, uint32_t b, uint32_t times) {
    if (a == b || a >= n || b >= n) return;
    uint32_t *x = &c->together[(size_t)a * n + b], *y = &c->together[(size_t)b * n + a];
    *x = *x > UINT32_MAX - times ? UINT32_MAX : *x + times;
    *y = *x;
}

/* --- a trace --- */

/* Single tokens tell what is used together; batches only how often. */
static void count_visits(const hyp_trace *t, uint32_t layer, uint32_t n, counts *c) {
    memset(c->uses, 0, n * sizeof *c->uses);
    memset(c->together, 0, (size_t)n * n * sizeof *c->together);
    for (size_t v = 0; v < t->n_visits; v++) {
        const hyp_trace_visit *visit = &t->visits[v];
        if (visit->layer != layer) continue;
        for (uint32_t i = 0; i < visit->n_used; i++) {
            uint32_t expert = t->experts[visit->used + i];
            if (expert < n) c->uses[expert] += t->counts[visit->used + i];
            for (uint32_t j = 0; j < i && visit->n_tokens == 1; j++)
                add_pair(c, n, expert, t->experts[visit->used + j], 1);
        }
    }
}

static int rank_by_trace(const hyp_model *model, const char *path, const hyp_units *units, hyp_sidecar_ranking *ranking,
                         counts *c, hyp_err *err) {
    hyp_trace *t = NULL;
    int r = hyp_trace_read(path, &t, err);
    if (r != HYP_OK) return r;
    bool same = strcmp(t->info.digest, model->digest) == 0 && t->info.n_layers == ranking->n_layers;
    for (uint32_t i = 0; same && i < ranking->n_layers; i++)
        same = t->info.layers[i].n_experts == units->layers[i].n_units &&
               t->info.layers[i].model_layer == (uint32_t)units->layers[i].model_layer;
    if (!same) {
        hyp_err_set(err, HYP_EINVAL, "%s is not a trace of this model", path);
        hyp_err_hint(err, "make one with: hypura run MODEL --mode experts --trace FILE");
        hyp_trace_free(t);
        return HYP_EINVAL;
    }
    for (uint32_t i = 0; i < ranking->n_layers; i++) {
        count_visits(t, i, units->layers[i].n_units, c);
        hyp_sidecar_chain(units->layers[i].n_units, c->uses, c->together, ranking->experts[i]);
    }
    ranking->order = HYP_SIDECAR_BY_TRACE;
    hyp_trace_free(t);
    return HYP_OK;
}

/* --- the statistics of earlier runs --- */

static void count_statistics(hyp_coact *coact, uint32_t layer, uint32_t n, counts *c) {
    enum { PARTNERS = 8 };
    memset(c->together, 0, (size_t)n * n * sizeof *c->together);
    for (uint32_t e = 0; e < n; e++) {
        uint32_t partners[PARTNERS];
        float scores[PARTNERS];
        c->uses[e] = (uint64_t)(hyp_coact_frequency(coact, layer, e) * 1e6f);
        uint32_t found = hyp_coact_partners(coact, layer, &e, 1, PARTNERS, partners, scores);
        for (uint32_t i = 0; i < found; i++)
            if (scores[i] > 0) add_pair(c, n, e, partners[i], (uint32_t)HYP_MIN(scores[i] * 1e6f, 1e9f));
    }
}

static int rank_by_statistics(const hyp_model *model, const hyp_units *units, hyp_sidecar_ranking *ranking, counts *c,
                              hyp_err *err) {
    char path[PATH_MAX];
    HYP_AUTOFREE uint32_t *n_experts = calloc(ranking->n_layers, sizeof *n_experts);
    if (n_experts == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for %u layers", ranking->n_layers);
    for (uint32_t i = 0; i < ranking->n_layers; i++)
        n_experts[i] = units->layers[i].n_units;
    hyp_coact *coact = NULL;
    hyp_coact_shape shape = {model->digest, ranking->n_layers, n_experts};
    if (hyp_coact_path(model->digest, path, sizeof path, NULL) != HYP_OK || access(path, R_OK) != 0) return HYP_OK;
    int r = hyp_coact_load(path, &shape, &coact, NULL, err);
    if (r != HYP_OK) return r;
    for (uint32_t i = 0; i < ranking->n_layers; i++) {
        if (hyp_coact_weight_of_layer(coact, i) <= 0) continue;
        count_statistics(coact, i, n_experts[i], c);
        hyp_sidecar_chain(n_experts[i], c->uses, c->together, ranking->experts[i]);
        ranking->order = HYP_SIDECAR_BY_STATISTICS;
    }
    hyp_coact_free(coact);
    return HYP_OK;
}

int hyp_sidecar_rank(const hyp_model *model, const char *trace_path, hyp_sidecar_ranking *ret, hyp_err *err) {
    HYP_CLEANUP(hyp_units_free) hyp_units units = {0};
    HYP_CLEANUP(free_counts) counts c = {0};
    hyp_sidecar_ranking ranking = {0};
    int r = hyp_sidecar_units(model, &units, err);
    if (r == HYP_OK) r = make_counts(&units, &c, err);
    if (r == HYP_OK) r = make_empty(&units, &ranking, err);
    if (r != HYP_OK) return r;
    if (trace_path != NULL)
        r = rank_by_trace(model, trace_path, &units, &ranking, &c, err);
    else
        r = rank_by_statistics(model, &units, &ranking, &c, err);
    if (r == HYP_OK)
        *ret = ranking;
    else
        hyp_sidecar_ranking_free(&ranking);
    return r;
}
