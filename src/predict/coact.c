#include "predict/coact_priv.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

/* Frequencies forget half in 1000 tokens or so: long enough for an answer or two, short enough to follow the user. */
static const float decay = 0.0007f;

void hyp_coact_free(hyp_coact *c) {
    if (c == NULL) return;
    free(c->first);
    free(c->frequency);
    free(c->rows);
    free(c->tokens);
    free(c->again);
    free(c->last);
    free(c->used_before);
    free(c->scores);
    free(c);
}

static int allocate(hyp_coact *c, const hyp_coact_shape *shape) {
    uint32_t most = 0;
    c->first = calloc(shape->n_layers + 1, sizeof *c->first);
    if (c->first == NULL) return HYP_ENOMEM;
    for (uint32_t l = 0; l < shape->n_layers; l++) {
        uint32_t n = shape->n_experts[l];
        if (n == 0 || n > COACT_MAX_EXPERTS || c->first[l] + n > COACT_MAX_UNITS) return HYP_EINVAL;
        c->first[l + 1] = c->first[l] + n;
        most = HYP_MAX(most, n);
    }
    c->n_units = c->first[shape->n_layers];
    c->frequency = calloc(c->n_units, sizeof *c->frequency);
    c->rows = calloc(c->n_units, sizeof *c->rows);
    c->tokens = calloc(shape->n_layers, sizeof *c->tokens);
    c->again = calloc(shape->n_layers, sizeof *c->again);
    c->last = calloc(most, sizeof *c->last);
    c->used_before = calloc(c->n_units, 1);
    c->scores = calloc(most, sizeof *c->scores);
    if (c->frequency == NULL || c->rows == NULL || c->tokens == NULL || c->again == NULL || c->last == NULL ||
        c->used_before == NULL || c->scores == NULL)
        return HYP_ENOMEM;
    for (uint32_t u = 0; u < c->n_units; u++)
        for (int i = 0; i < COACT_N_SLOTS; i++)
            c->rows[u].who[i] = COACT_NOBODY;
    return HYP_OK;
}

int hyp_coact_new(const hyp_coact_shape *shape, hyp_coact **ret, hyp_err *err) {
    if (shape->n_layers == 0 || shape->n_layers > COACT_MAX_LAYERS)
        return hyp_err_set(err, HYP_EINVAL, "routing statistics cannot describe %u layers", shape->n_layers);
    hyp_coact *c = calloc(1, sizeof *c);
    int r = HYP_ENOMEM;
    if (c != NULL) {
        snprintf(c->digest, sizeof c->digest, "%s", shape->digest);
        c->n_layers = shape->n_layers;
        c->last_layer = UINT32_MAX;
        r = allocate(c, shape);
    }
    if (r == HYP_OK) {
        *ret = c;
        return HYP_OK;
    }
    hyp_coact_free(c);
    if (r == HYP_ENOMEM)
        return hyp_err_set(err, r, "out of memory for routing statistics of %u layers", shape->n_layers);
    return hyp_err_set(err, r, "routing statistics cannot describe so many experts");
}

static uint32_t n_experts(const hyp_coact *c, uint32_t layer) {
    return c->first[layer + 1] - c->first[layer];
}

/* Misra and Gries: a newcomer wears the least counter down before it takes its slot. */
static void count_pair(coact_row *row, int from, int to, uint32_t other) {
    int least = from;
    for (int i = from; i < to; i++) {
        if (row->who[i] == other) {
            if (row->count[i] < UINT8_MAX) row->count[i]++;
            return;
        }
        if (row->count[i] < row->count[least]) least = i;
    }
    /* So pairs that come by chance wear each other out, and one that comes again and again stays. */
    if (row->count[least] > 0 && --row->count[least] > 0) return;
    row->who[least] = (uint16_t)other;
    row->count[least] = 1;
}

/* Begin another use of the row's expert; before a counter can be full, all are halved. */
static void count_use(coact_row *row) {
    if (row->n_uses >= UINT8_MAX) {
        row->n_uses /= 2;
        for (int i = 0; i < COACT_N_SLOTS; i++)
            if ((row->count[i] /= 2) == 0) row->who[i] = COACT_NOBODY;
    }
    row->n_uses++;
}

static void count_pairs(hyp_coact *c, uint32_t layer, const uint32_t *experts, size_t n) {
    coact_row *rows = c->rows + c->first[layer];
    for (size_t i = 0; i < n; i++) {
        count_use(&rows[experts[i]]);
        for (size_t j = 0; j < n; j++)
            if (i != j) count_pair(&rows[experts[i]], 0, COACT_N_PARTNERS, experts[j]);
    }
    /* Followers only where the layer before belongs to the same token: not across a batch, nor where one was left out.
     */
    if (layer == 0 || c->last_layer != layer - 1) return;
    rows = c->rows + c->first[layer - 1];
    for (uint32_t i = 0; i < c->n_last; i++)
        for (size_t j = 0; j < n; j++)
            count_pair(&rows[c->last[i]], COACT_N_PARTNERS, COACT_N_SLOTS, experts[j]);
}

static void count_frequencies(hyp_coact *c, uint32_t layer, float tokens, const uint32_t *experts,
                              const uint32_t *counts, size_t n) {
    float *frequency = c->frequency + c->first[layer];
    c->tokens[layer] = fminf(c->tokens[layer] + tokens, 1 / decay);
    /* While little was seen the mean is a plain one. */
    float rate = fminf(1, tokens / c->tokens[layer]);
    for (uint32_t e = 0; e < n_experts(c, layer); e++)
        frequency[e] -= rate * frequency[e];
    for (size_t i = 0; i < n; i++)
        frequency[experts[i]] += rate * fminf(1, (float)(counts != NULL ? counts[i] : 1) / tokens);
}

void hyp_coact_observe(hyp_coact *c, uint32_t layer, uint32_t n_tokens, const uint32_t *experts, const uint32_t *counts,
                       size_t n) {
    if (layer >= c->n_layers || n == 0 || n > n_experts(c, layer) || n_tokens == 0) return;
    for (size_t i = 0; i < n; i++)
        if (experts[i] >= n_experts(c, layer)) return;
    count_frequencies(c, layer, (float)n_tokens, experts, counts, n);
    uint8_t *before = c->used_before + c->first[layer];
    if (n_tokens > 1) { /* which expert of a batch went with which cannot be seen: only the frequencies learn */
        c->last_layer = UINT32_MAX;
        memset(before, 0, n_experts(c, layer));
        return;
    }
    count_pairs(c, layer, experts, n);
    uint32_t n_again = 0;
    for (size_t i = 0; i < n; i++)
        n_again += before[experts[i]];
    /* Nothing is marked after a batch and at the start: then there is no last token to compare with. */
    if (memchr(before, 1, n_experts(c, layer)) != NULL)
        c->again[layer] += fmaxf(0.01f, 1 / c->tokens[layer]) * ((float)n_again / (float)n - c->again[layer]);
    memset(before, 0, n_experts(c, layer));
    for (size_t i = 0; i < n; i++)
        before[experts[i]] = 1;
    memcpy(c->last, experts, n * sizeof *experts);
    c->n_last = (uint32_t)n;
    c->last_layer = layer;
}

double hyp_coact_weight_of_layer(const hyp_coact *c, uint32_t layer) {
    return layer < c->n_layers ? (double)c->tokens[layer] : 0;
}

float hyp_coact_frequency(const hyp_coact *c, uint32_t layer, uint32_t expert) {
    return layer < c->n_layers && expert < n_experts(c, layer) ? c->frequency[c->first[layer] + expert] : 0;
}

/* The m best scores above 0, the best first. */
static uint32_t best_scores(const hyp_coact *c, uint32_t layer, uint32_t m, uint32_t *ret_experts, float *ret_scores) {
    uint32_t n = 0;
    const float *scores = c->scores;
    for (uint32_t e = 0; e < n_experts(c, layer) && m > 0; e++) {
        if (!(scores[e] > 0) || (n == m && !(scores[e] > scores[ret_experts[m - 1]]))) continue;
        uint32_t at = n < m ? n++ : m - 1;
        for (; at > 0 && scores[e] > scores[ret_experts[at - 1]]; at--)
            ret_experts[at] = ret_experts[at - 1];
        ret_experts[at] = e;
    }
    for (uint32_t i = 0; i < n && ret_scores != NULL; i++)
        ret_scores[i] = scores[ret_experts[i]];
    return n;
}

/* Score the experts of `layer`: its frequencies, raised by what the counters [from, to) of `given` in `given_layer` say
 * beyond them. */
static void score_by_counters(hyp_coact *c, uint32_t layer, uint32_t given_layer, const uint32_t *given, size_t n,
                              int from, int to) {
    const float *frequency = c->frequency + c->first[layer];
    memcpy(c->scores, frequency, n_experts(c, layer) * sizeof *frequency);
    for (size_t i = 0; i < n; i++) {
        if (given[i] >= n_experts(c, given_layer)) continue;
        const coact_row *row = &c->rows[c->first[given_layer] + given[i]];
        for (int k = from; k < to; k++) {
            uint32_t other = row->who[k];
            if (row->count[k] == 0 || other >= n_experts(c, layer)) continue;
            /* Two pseudo-uses: a pair seen once in one use is no certainty. */
            float share = (float)row->count[k] / (float)(row->n_uses + 2);
            c->scores[other] += fmaxf(0, share - frequency[other]);
        }
    }
}

uint32_t hyp_coact_followers(hyp_coact *c, uint32_t layer, const uint32_t *before, size_t n, uint32_t m,
                             uint32_t *ret_experts, float *ret_scores) {
    if (layer == 0 || layer >= c->n_layers) return 0;
    score_by_counters(c, layer, layer - 1, before, n, COACT_N_PARTNERS, COACT_N_SLOTS);
    return best_scores(c, layer, m, ret_experts, ret_scores);
}

uint32_t hyp_coact_partners(hyp_coact *c, uint32_t layer, const uint32_t *known, size_t n, uint32_t m,
                            uint32_t *ret_experts, float *ret_scores) {
    if (layer >= c->n_layers) return 0;
    score_by_counters(c, layer, layer, known, n, 0, COACT_N_PARTNERS);
    for (size_t i = 0; i < n; i++)
        if (known[i] < n_experts(c, layer)) c->scores[known[i]] = 0;
    return best_scores(c, layer, m, ret_experts, ret_scores);
}

static int by_frequency(const void *a, const void *b) {
    const hyp_coact_unit *x = a, *y = b;
    if (x->frequency != y->frequency) return x->frequency < y->frequency ? 1 : -1;
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    return x->expert < y->expert ? -1 : x->expert > y->expert;
}

size_t hyp_coact_warm_list(const hyp_coact *c, hyp_coact_unit *ret, size_t max) {
    HYP_AUTOFREE hyp_coact_unit *all = calloc(c->n_units, sizeof *all);
    size_t n = 0;
    if (all == NULL) return 0; /* a cold start, then */
    for (uint32_t l = 0; l < c->n_layers; l++)
        for (uint32_t e = 0; e < n_experts(c, l); e++)
            if (c->frequency[c->first[l] + e] > 0) all[n++] = (hyp_coact_unit){l, e, c->frequency[c->first[l] + e]};
    qsort(all, n, sizeof *all, by_frequency);
    n = HYP_MIN(n, max);
    memcpy(ret, all, n * sizeof *all);
    return n;
}
