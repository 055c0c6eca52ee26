#include "synth.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

typedef struct synth {
    const synth_config *c;
    uint64_t random;
    uint32_t topic, n_topics;
    uint32_t *order;    /* [topic][layer][rank] expert */
    double *cumulative; /* [rank] Zipf weights summed up */
    uint32_t *partner;  /* [layer][expert] its partner in the next layer */
    uint32_t *last;     /* [layer][i] experts of the token before */
    uint32_t *now;      /* [layer][i] */
    uint32_t *counts;   /* [layer][expert] of a batch */
} synth;

/* xorshift64* */
static uint64_t next_random(synth *s) {
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return s->random * UINT64_C(0x2545f4914f6cdd1d);
}
static double uniform(synth *s) {
    return (double)(next_random(s) >> 11) * 0x1p-53;
}

static void shuffled(synth *s, uint32_t *ret, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        ret[i] = i;
    for (uint32_t i = n; i-- > 1;) {
        uint32_t j = (uint32_t)(next_random(s) % (i + 1)), swap = ret[i];
        ret[i] = ret[j];
        ret[j] = swap;
    }
}

static uint32_t draw(synth *s, uint32_t layer) {
    uint32_t n = s->c->n_experts, low = 0, high = n - 1;
    double x = uniform(s) * s->cumulative[n - 1];
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (s->cumulative[middle] > x)
            high = middle;
        else
            low = middle + 1;
    }
    return s->order[((size_t)s->topic * s->c->n_layers + layer) * n + low];
}

static bool add(uint32_t *chosen, uint32_t *n, uint32_t expert) {
    for (uint32_t i = 0; i < *n; i++)
        if (chosen[i] == expert) return false;
    chosen[(*n)++] = expert;
    return true;
}

static void route_token(synth *s, bool first) {
    const synth_config *c = s->c;
    if (s->n_topics > 1 && uniform(s) * c->topic_tokens < 1) s->topic = (uint32_t)(next_random(s) % s->n_topics);
    for (uint32_t l = 0; l < c->n_layers; l++) {
        uint32_t *now = s->now + (size_t)l * c->n_used, *last = s->last + (size_t)l * c->n_used, n = 0;
        for (uint32_t i = 0; i < c->n_used && !first; i++)
            if (uniform(s) < c->persistence) add(now, &n, last[i]);
        for (uint32_t i = 0; i < c->n_used && l > 0 && n < c->n_used; i++)
            if (uniform(s) < c->correlation)
                add(now, &n, s->partner[(size_t)(l - 1) * c->n_experts + (now - c->n_used)[i]]);
        while (n < c->n_used)
            add(now, &n, draw(s, l));
    }
    memcpy(s->last, s->now, (size_t)c->n_layers * c->n_used * sizeof *s->now);
}

static bool predict(synth *s, uint32_t layer, uint32_t *ret) {
    const synth_config *c = s->c;
    const uint32_t *now = s->now + (size_t)layer * c->n_used;
    uint32_t n = 0;
    if (c->recall <= 0) return false;
    for (uint32_t i = 0; i < c->n_used; i++)
        if (uniform(s) < c->recall) add(ret, &n, now[i]);
    while (n < c->n_used)
        add(ret, &n, (uint32_t)(next_random(s) % c->n_experts));
    return true;
}

static void synth_free(synth *s) {
    free(s->order);
    free(s->cumulative);
    free(s->partner);
    free(s->last);
    free(s->now);
    free(s->counts);
}

static bool synth_init(synth *s, const synth_config *c) {
    size_t n = (size_t)c->n_layers * c->n_experts;
    *s = (synth){.c = c, .random = c->seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .n_topics = HYP_MAX(c->n_topics, 1)};
    s->order = calloc(n * s->n_topics, sizeof *s->order);
    s->cumulative = calloc(c->n_experts, sizeof *s->cumulative);
    s->partner = calloc(n, sizeof *s->partner);
    s->last = calloc((size_t)c->n_layers * c->n_used, sizeof *s->last);
    s->now = calloc((size_t)c->n_layers * c->n_used, sizeof *s->now);
    s->counts = calloc(n, sizeof *s->counts);
    if (s->order == NULL || s->cumulative == NULL || s->partner == NULL || s->last == NULL || s->now == NULL ||
        s->counts == NULL)
        return false;
    for (uint32_t t = 0; t < s->n_topics * c->n_layers; t++)
        shuffled(s, s->order + (size_t)t * c->n_experts, c->n_experts);
    for (uint32_t l = 0; l < c->n_layers; l++)
        shuffled(s, s->partner + (size_t)l * c->n_experts, c->n_experts);
    double sum = 0;
    for (uint32_t r = 0; r < c->n_experts; r++)
        s->cumulative[r] = sum += pow(r + 1, -c->skew);
    return true;
}

static void write_prefill(synth *s, hyp_trace_writer *w, uint32_t *experts) {
    const synth_config *c = s->c;
    for (uint32_t t = 0; t < c->n_prefill; t++) {
        route_token(s, t == 0);
        for (uint32_t l = 0; l < c->n_layers; l++)
            for (uint32_t i = 0; i < c->n_used; i++)
                s->counts[(size_t)l * c->n_experts + s->now[(size_t)l * c->n_used + i]]++;
    }
    for (uint32_t e = 0; e < c->n_experts; e++)
        experts[e] = e;
    for (uint32_t l = 0; l < c->n_layers && c->n_prefill > 0; l++)
        hyp_trace_used(w, l, c->n_prefill, experts, s->counts + (size_t)l * c->n_experts, c->n_experts);
}

static int write_all(synth *s, const char *path, hyp_err *err) {
    const synth_config *c = s->c;
    HYP_AUTOFREE hyp_trace_layer *layers = calloc(c->n_layers, sizeof *layers);
    HYP_AUTOFREE uint32_t *experts = calloc(c->n_experts, sizeof *experts);
    if (layers == NULL || experts == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the trace %s", path);
    for (uint32_t l = 0; l < c->n_layers; l++)
        layers[l] = (hyp_trace_layer){l, c->n_experts, c->unit_bytes};
    hyp_trace_info info = {.name = "synthetic", .n_layers = c->n_layers, .n_used = c->n_used, .layers = layers};
    hyp_trace_writer *w;
    int r = hyp_trace_create(path, &info, &w, err);
    if (r != HYP_OK) return r;
    write_prefill(s, w, experts);
    for (uint32_t t = 0; t < c->n_tokens; t++) {
        route_token(s, t == 0 && c->n_prefill == 0);
        for (uint32_t l = 0; l < c->n_layers; l++) {
            if (predict(s, l, experts)) hyp_trace_predicted(w, l, experts, c->n_used);
            hyp_trace_used(w, l, 1, s->now + (size_t)l * c->n_used, NULL, c->n_used);
        }
    }
    return hyp_trace_close(w, err);
}

int synth_write(const char *path, const synth_config *c, hyp_err *err) {
    if (c->n_layers == 0 || c->n_experts == 0 || c->n_used == 0 || c->n_used > c->n_experts)
        return hyp_err_set(err, HYP_EINVAL, "a trace needs layers, experts, and no more used than there are");
    synth s;
    int r = synth_init(&s, c) ? write_all(&s, path, err)
                              : hyp_err_set(err, HYP_ENOMEM, "out of memory for the trace %s", path);
    synth_free(&s);
    return r;
}

int synth_make(const synth_config *config, hyp_trace **ret, hyp_err *err) {
    char path[] = "/tmp/hypura-trace-XXXXXX";
    HYP_AUTOCLOSE int fd = mkstemp(path);
    if (fd < 0) return hyp_err_set(err, HYP_EIO, "cannot make a temporary file");
    int r = synth_write(path, config, err);
    if (r == HYP_OK) r = hyp_trace_read(path, ret, err);
    unlink(path);
    return r;
}
