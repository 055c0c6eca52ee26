#include "pager/reuse_priv.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

/* Decay a visit: the last one alone, then half-lives of 1, 4, 16, 64 and 512 visits. */
static const float rates[REUSE_N_DECAYS] = {1, 0.5f, 0.159f, 0.0424f, 0.01077f, 0.001353f};
/* The mix to begin with, the layer's mean last: in between for the kinds of routing seen (README.md). */
static const float first_mix[REUSE_N_FEATURES] = {0.1f, 0.1f, 0.1f, 0.2f, 0.2f, 0.15f, 0.15f};
/* How many seen units the first mix weighs, how far back the learning reaches (in sampled visits), and about how many
 * units a pass are sampled: more cost more and hardly teach more. */
static const double prior_units = 500, memory_visits = 2000;
enum { SAMPLED_UNITS = 2048 };

struct reuse {
    uint32_t n_layers, n;
    uint32_t *first;
    float *f[REUSE_N_DECAYS]; /* [unit] */
    uint32_t *counts;         /* [unit] tokens in the visit under way */
    uint32_t *n_used;         /* [layer] the least tokens x units of a visit: what one token uses; 0 = not seen */
    uint32_t *n_visits;       /* [layer] */
    float mix[REUSE_N_FEATURES];
    double normal[REUSE_N_FEATURES][REUSE_N_FEATURES], target[REUSE_N_FEATURES]; /* of the least squares */
    uint32_t n_finished, sample_every;
    float *x, *p; /* room for a layer */
};

void hyp_reuse_free(reuse *r) {
    if (r == NULL) return;
    for (int k = 0; k < REUSE_N_DECAYS; k++)
        free(r->f[k]);
    free(r->first);
    free(r->counts);
    free(r->n_used);
    free(r->n_visits);
    free(r->x);
    free(r->p);
    free(r);
}

reuse *hyp_reuse_new(const uint32_t *first, uint32_t n_layers) {
    reuse *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->n_layers = n_layers;
    r->n = first[n_layers];
    r->first = calloc(n_layers + 1, sizeof *r->first);
    r->counts = calloc(r->n + 1, sizeof *r->counts);
    r->n_used = calloc(n_layers + 1, sizeof *r->n_used);
    r->n_visits = calloc(n_layers + 1, sizeof *r->n_visits);
    uint32_t most = 0;
    for (uint32_t l = 0; l < n_layers; l++)
        most = HYP_MAX(most, first[l + 1] - first[l]);
    r->x = calloc(most + 1, sizeof *r->x);
    r->p = calloc(most + 1, sizeof *r->p);
    r->sample_every = 1 + r->n / SAMPLED_UNITS;
    bool good = r->first != NULL && r->counts != NULL && r->n_used != NULL && r->n_visits != NULL && r->x != NULL &&
                r->p != NULL;
    for (int k = 0; k < REUSE_N_DECAYS; k++)
        good &= (r->f[k] = calloc(r->n + 1, sizeof *r->f[k])) != NULL;
    if (!good) {
        hyp_reuse_free(r);
        return NULL;
    }
    memcpy(r->first, first, (n_layers + 1) * sizeof *first);
    memcpy(r->mix, first_mix, sizeof r->mix);
    return r;
}

void hyp_reuse_count(reuse *r, uint32_t unit, uint32_t n_tokens) {
    r->counts[unit] += n_tokens;
}

/* Add what a visit teaches: features as they were before it (their estimate in r->p), and who was used (r->x). A unit
 * counts the more the less it is used (its variance is p (1 - p)), for eviction chooses among the little used. */
static void learn(reuse *r, uint32_t from, uint32_t n, float mean) {
    float sums[REUSE_N_FEATURES][REUSE_N_FEATURES + 1] = {0};
    for (uint32_t i = 0; i < n; i++) {
        float g[REUSE_N_FEATURES + 1];
        for (int k = 0; k < REUSE_N_DECAYS; k++)
            g[k] = r->f[k][from + i];
        g[REUSE_N_DECAYS] = mean;
        g[REUSE_N_FEATURES] = r->x[i];
        float weight = mean / ((r->p[i] > 0 ? r->p[i] : 0) + 0.5f * mean);
        for (int j = 0; j < REUSE_N_FEATURES; j++) {
            float weighed = weight * g[j];
            for (int k = j; k <= REUSE_N_FEATURES; k++)
                sums[j][k] += weighed * g[k];
        }
    }
    const double keep = 1 - 1 / memory_visits;
    for (int j = 0; j < REUSE_N_FEATURES; j++) {
        for (int k = 0; k < REUSE_N_FEATURES; k++)
            r->normal[j][k] = keep * r->normal[j][k] + (double)sums[HYP_MIN(j, k)][HYP_MAX(j, k)];
        r->target[j] = keep * r->target[j] + (double)sums[j][REUSE_N_FEATURES];
    }
}

/* The mix that fits best, by Cholesky's decomposition of the normal equations, drawn towards the first mix. */
static void solve(reuse *r, float mean) {
    double a[REUSE_N_FEATURES][REUSE_N_FEATURES], x[REUSE_N_FEATURES], ridge = prior_units * (double)(mean * mean);
    for (int j = 0; j < REUSE_N_FEATURES; j++) {
        x[j] = r->target[j] + ridge * (double)first_mix[j];
        for (int k = 0; k < REUSE_N_FEATURES; k++)
            a[j][k] = r->normal[j][k] + (j == k ? ridge : 0);
    }
    for (int j = 0; j < REUSE_N_FEATURES; j++) {
        for (int k = 0; k < j; k++)
            a[j][j] -= a[j][k] * a[j][k];
        if (!(a[j][j] > 0)) return; /* cannot be with a ridge, short of rounding: keep the old mix */
        a[j][j] = sqrt(a[j][j]);
        for (int i = j + 1; i < REUSE_N_FEATURES; i++) {
            for (int k = 0; k < j; k++)
                a[i][j] -= a[i][k] * a[j][k];
            a[i][j] /= a[j][j];
        }
    }
    for (int j = 0; j < REUSE_N_FEATURES; j++) {
        for (int k = 0; k < j; k++)
            x[j] -= a[j][k] * x[k];
        x[j] /= a[j][j];
    }
    for (int j = REUSE_N_FEATURES; j-- > 0;) {
        for (int k = j + 1; k < REUSE_N_FEATURES; k++)
            x[j] -= a[k][j] * x[k];
        x[j] /= a[j][j];
    }
    for (int j = 0; j < REUSE_N_FEATURES; j++)
        r->mix[j] = (float)x[j];
}

/* p = the mix of the features. */
static void estimate(reuse *r, uint32_t from, uint32_t n, float mean) {
    float *restrict p = r->p;
    for (uint32_t i = 0; i < n; i++)
        p[i] = r->mix[REUSE_N_DECAYS] * mean;
    for (int k = 0; k < REUSE_N_DECAYS; k++) {
        const float *restrict f = r->f[k] + from, weight = r->mix[k];
        for (uint32_t i = 0; i < n; i++)
            p[i] += weight * f[i];
    }
}

static void age(reuse *r, uint32_t layer, uint32_t from, uint32_t n, float tokens) {
    float young = 1 / (float)(++r->n_visits[layer] + 8); /* a young average is a plain one, over a short prior */
    for (int k = 0; k < REUSE_N_DECAYS; k++) {
        float rate = HYP_MAX(tokens > 1 ? 1 - powf(1 - rates[k], tokens) : rates[k], young);
        float *restrict f = r->f[k] + from;
        const float *restrict x = r->x;
        for (uint32_t i = 0; i < n; i++)
            f[i] += rate * (x[i] - f[i]);
    }
}

bool hyp_reuse_finish_visit(reuse *r, uint32_t layer, float *ret_p) {
    uint32_t from = r->first[layer], n = r->first[layer + 1] - from, *counts = r->counts + from;
    uint64_t sum = 0;
    uint32_t most = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += counts[i];
        most = HYP_MAX(most, counts[i]);
    }
    if (sum == 0) return false;
    if (r->n_used[layer] == 0 || sum < r->n_used[layer]) r->n_used[layer] = (uint32_t)HYP_MIN(sum, UINT32_MAX);
    /* Nobody says how many tokens the batch has: what one token uses is the smallest visit seen. */
    float tokens = HYP_MAX((float)most, (float)sum / (float)r->n_used[layer]), mean = (float)sum / tokens / (float)n;
    for (uint32_t i = 0; i < n; i++)
        r->x[i] = (float)counts[i] / tokens;
    /* Learned from single tokens alone: in a batch nearly every unit is used, and which token used which is not known.
     */
    if (tokens <= 1 && n > 1 && r->n_finished++ % r->sample_every == 0) {
        estimate(r, from, n, mean);
        learn(r, from, n, mean);
        solve(r, mean);
    }
    age(r, layer, from, n, tokens);
    estimate(r, from, n, mean);
    for (uint32_t i = 0; i < n; i++)
        ret_p[i] = r->p[i] > 0 ? HYP_MIN(r->p[i], 1) : 0;
    memset(counts, 0, n * sizeof *counts);
    return true;
}

void hyp_reuse_prime(reuse *r, uint32_t unit, float weight) {
    for (int k = 0; k < REUSE_N_DECAYS; k++)
        r->f[k][unit] = HYP_MIN(weight, 1.0f);
}

float hyp_reuse_estimate(const reuse *r, uint32_t unit) {
    float p = 0;
    for (int k = 0; k < REUSE_N_DECAYS; k++)
        p += r->mix[k] * r->f[k][unit];
    return p;
}
