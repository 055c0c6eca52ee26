#include "pager/reuse.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

/* Decay a visit: half-lives of 1, 4, 16, 64 and 512 visits. */
static const float rates[REUSE_N_DECAYS] = {0.5f, 0.159f, 0.0424f, 0.01077f, 0.001353f};
static const float mix[REUSE_N_DECAYS] = {0.05f, 0.15f, 0.25f, 0.25f, 0.2f};
static const float mix_mean = 0.1f;

struct reuse {
    uint32_t n_layers, n;
    uint32_t *first;
    float *f[REUSE_N_DECAYS]; /* [unit] */
    uint32_t *counts;         /* [unit] tokens in the visit under way */
    uint32_t *n_used;         /* [layer] the least tokens x units of a visit: what one token uses; 0 = not seen */
    uint32_t *n_visits;       /* [layer] */
    float *mean;              /* [layer] uses a visit, a unit */
};

void reuse_free(reuse *r) {
    if (r == NULL) return;
    for (int k = 0; k < REUSE_N_DECAYS; k++)
        free(r->f[k]);
    free(r->first);
    free(r->counts);
    free(r->n_used);
    free(r->n_visits);
    free(r->mean);
    free(r);
}

reuse *reuse_new(const uint32_t *first, uint32_t n_layers) {
    reuse *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->n_layers = n_layers;
    r->n = first[n_layers];
    r->first = calloc(n_layers + 1, sizeof *r->first);
    r->counts = calloc(r->n + 1, sizeof *r->counts);
    r->n_used = calloc(n_layers + 1, sizeof *r->n_used);
    r->n_visits = calloc(n_layers + 1, sizeof *r->n_visits);
    r->mean = calloc(n_layers + 1, sizeof *r->mean);
    bool good = r->first != NULL && r->counts != NULL && r->n_used != NULL && r->n_visits != NULL && r->mean != NULL;
    for (int k = 0; k < REUSE_N_DECAYS; k++)
        good &= (r->f[k] = calloc(r->n + 1, sizeof *r->f[k])) != NULL;
    if (!good) {
        reuse_free(r);
        return NULL;
    }
    memcpy(r->first, first, (n_layers + 1) * sizeof *first);
    return r;
}

void reuse_count(reuse *r, uint32_t unit, uint32_t n_tokens) {
    r->counts[unit] += n_tokens;
}

bool reuse_finish_visit(reuse *r, uint32_t layer, float *ret_p) {
    uint32_t from = r->first[layer], n = r->first[layer + 1] - from, *counts = r->counts + from;
    uint64_t sum = 0;
    uint32_t most = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += counts[i], most = HYP_MAX(most, counts[i]);
    if (sum == 0) return false;
    if (r->n_used[layer] == 0 || sum < r->n_used[layer]) r->n_used[layer] = (uint32_t)HYP_MIN(sum, UINT32_MAX);
    /* Nobody says how many tokens the batch has: what one token uses is the smallest visit seen. */
    float tokens = HYP_MAX((float)most, (float)sum / (float)r->n_used[layer]);
    float seen = (float)++r->n_visits[layer];
    r->mean[layer] = (float)sum / tokens / (float)n;
    float rate[REUSE_N_DECAYS];
    for (int k = 0; k < REUSE_N_DECAYS; k++) {
        rate[k] = tokens > 1 ? 1 - powf(1 - rates[k], tokens) : rates[k];
        rate[k] = HYP_MAX(rate[k], 1 / (seen + 8)); /* a young average is a plain one, over a short prior */
    }
    for (uint32_t i = 0; i < n; i++) {
        float x = (float)counts[i] / tokens, p = mix_mean * r->mean[layer];
        for (int k = 0; k < REUSE_N_DECAYS; k++) {
            float *f = &r->f[k][from + i];
            *f += rate[k] * (x - *f);
            p += mix[k] * *f;
        }
        ret_p[i] = p;
        counts[i] = 0;
    }
    return true;
}

void reuse_prime(reuse *r, uint32_t unit, float weight) {
    for (int k = 0; k < REUSE_N_DECAYS; k++)
        r->f[k][unit] = HYP_MIN(weight, 1.0f);
}

float reuse_estimate(const reuse *r, uint32_t unit) {
    float p = 0;
    for (int k = 0; k < REUSE_N_DECAYS; k++)
        p += mix[k] * r->f[k][unit];
    return p;
}
