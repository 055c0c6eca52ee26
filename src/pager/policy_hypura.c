/* policy_hypura.c - our own kind: evict what has the least chance of use for the room it will take until then.
 *
 * p is the chance that a unit is used at the next visit of its layer (reuse_priv.h), d in (0, 1] how much of a cycle
 * lies before that visit (1 for the layer just computed), and q the going price of a frame: the p of what is being
 * evicted, that is, the hits that a frame brings a cycle if it is given to the next best. To keep a unit until its next
 * visit is worth p - q d. (Gains after that visit were tried as a further term; they change nothing: README.md.) Within
 * a layer, worth rises with p alone, and p changes only when the layer is visited. So each layer keeps its evictable
 * units sorted by p, with a bitmap of those that have ceased to be; a victim is the least of the layers' first ones.
 *
 * With uniform routing all p are nearly alike, and d decides: what the layer just computed has just read is evicted
 * first, and the rest stays: below one cycle, a fixed subset is resident, where LRU hits nothing. */
#include "pager/policy_priv.h"
#include "pager/reuse_priv.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

/* A prefetched unit is a guess for the visit to come: it is kept as if that guess were right as often as those before
 * it were. That is not the precision of the predictions, for what is easy to predict is resident already: with
 * predictions right to 0.68 it was 0.45 in a large cache and 0.8 in a small one (docs/policies.md). */
static const float first_guess_p = 0.5f, guess_rate = 0.02f;

enum { SORT_FEW = 40 }; /* by measurement */
#define NO_PLACE UINT32_MAX

typedef struct layer_rank {
    uint32_t first, n; /* its slots */
    uint32_t n_evictable;
    uint32_t *order;     /* [place] slot, by rising p */
    uint64_t *evictable; /* bit = place in the order */
    bool stale;          /* p changed, or a unit became evictable that has no place */
} layer_rank;

typedef struct hypura_state {
    size_t n;
    uint32_t n_layers, current;
    bool entered, priced;
    bool counting; /* units of the current layer were touched, and its estimates do not know it yet */
    float price;
    float guess_p; /* how often a prefetched unit is used at the next visit */
    layer_rank *layers;
    uint32_t *slot_of, *unit_of; /* slots are units sorted by layer */
    uint32_t *layer_of, *place;  /* [slot] */
    bool *evictable;             /* [slot] */
    bool *guessed;               /* [slot] prefetched, and its layer not visited since */
    uint32_t *touched;           /* [slot] number of the visit that touched it last */
    uint32_t *visit;             /* [layer] */
    float *p;                    /* [slot] what it is ranked by */
    float *estimate;             /* room for one layer */
    uint32_t *sort_order;        /* the same */
    uint32_t *sort_keys;
    uint64_t *words;
    uint32_t *orders;
    reuse *reuse;
} hypura_state;

static void hypura_free(void *state) {
    hypura_state *s = state;
    if (s == NULL) return;
    free(s->layers);
    free(s->slot_of);
    free(s->unit_of);
    free(s->layer_of);
    free(s->place);
    free(s->evictable);
    free(s->guessed);
    free(s->touched);
    free(s->visit);
    free(s->p);
    free(s->estimate);
    free(s->sort_order);
    free(s->sort_keys);
    free(s->words);
    free(s->orders);
    hyp_reuse_free(s->reuse);
    free(s);
}

/* Number the slots: layer by layer, units in their own order within. */
static void number_slots(hypura_state *s, const hyp_policy_unit *units) {
    for (size_t i = 0; i < s->n; i++)
        s->layers[units[i].layer].n++;
    uint32_t at = 0, word = 0;
    for (uint32_t l = 0; l < s->n_layers; l++) {
        layer_rank *layer = &s->layers[l];
        layer->first = at;
        layer->evictable = s->words + word;
        layer->order = s->orders + at;
        word += (layer->n + 63) / 64;
        at += layer->n;
        layer->n = 0;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        layer_rank *layer = &s->layers[units[i].layer];
        uint32_t slot = layer->first + layer->n;
        s->slot_of[i] = slot;
        s->unit_of[slot] = i;
        s->layer_of[slot] = units[i].layer;
        s->place[slot] = NO_PLACE;
        layer->n++;
    }
}

static bool make_reuse(hypura_state *s) {
    HYP_AUTOFREE uint32_t *first = calloc(s->n_layers + 1, sizeof *first);
    if (first == NULL) return false;
    for (uint32_t l = 0; l < s->n_layers; l++)
        first[l] = s->layers[l].first;
    first[s->n_layers] = (uint32_t)s->n;
    s->reuse = hyp_reuse_new(first, s->n_layers);
    return s->reuse != NULL;
}

static void *hypura_new(const hyp_policy_unit *units, size_t n, uint32_t n_layers) {
    hypura_state *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->n = n;
    s->n_layers = n_layers;
    s->layers = calloc(n_layers + 1, sizeof *s->layers);
    s->slot_of = calloc(n + 1, sizeof *s->slot_of);
    s->unit_of = calloc(n + 1, sizeof *s->unit_of);
    s->layer_of = calloc(n + 1, sizeof *s->layer_of);
    s->place = calloc(n + 1, sizeof *s->place);
    s->evictable = calloc(n + 1, sizeof *s->evictable);
    s->guessed = calloc(n + 1, sizeof *s->guessed);
    s->guess_p = first_guess_p;
    s->touched = calloc(n + 1, sizeof *s->touched);
    s->visit = calloc(n_layers + 1, sizeof *s->visit);
    s->p = calloc(n + 1, sizeof *s->p);
    s->estimate = calloc(n + 1, sizeof *s->estimate);
    s->sort_order = calloc(n + 1, sizeof *s->sort_order);
    s->sort_keys = calloc(n + 1, sizeof *s->sort_keys);
    s->words = calloc(n / 64 + n_layers + 1, sizeof *s->words);
    s->orders = calloc(n + 1, sizeof *s->orders);
    if (s->layers == NULL || s->slot_of == NULL || s->unit_of == NULL || s->layer_of == NULL || s->place == NULL ||
        s->evictable == NULL || s->guessed == NULL || s->touched == NULL || s->visit == NULL || s->p == NULL ||
        s->estimate == NULL || s->sort_order == NULL || s->sort_keys == NULL || s->words == NULL || s->orders == NULL)
        goto fail;
    number_slots(s, units);
    if (make_reuse(s)) return s;
fail:
    hypura_free(s);
    return NULL;
}

/* A sortable key of 16 bits, 11 of them mantissa, for p in [2^-20, 1]. */
static uint32_t sort_key(float p) {
    uint32_t bits, least;
    const float smallest = 0x1p-20f;
    p = HYP_MAX(p, smallest);
    memcpy(&bits, &p, sizeof bits);
    memcpy(&least, &smallest, sizeof least);
    return (bits - least) >> 12;
}

/* Sort `order` by key: a few by insertion, more by two stable counting passes of a byte each. */
static void sort_order(hypura_state *s, uint32_t *order, uint32_t n) {
    uint32_t *from = order, *to = s->sort_order, *keys = s->sort_keys;
    if (n <= SORT_FEW) {
        for (uint32_t i = 0; i < n; i++) {
            uint32_t slot = order[i], key = sort_key(s->p[slot]), at = i;
            for (; at > 0 && keys[at - 1] > key; at--) {
                order[at] = order[at - 1];
                keys[at] = keys[at - 1];
            }
            order[at] = slot;
            keys[at] = key;
        }
        return;
    }
    for (uint32_t shift = 0; shift < 16; shift += 8) {
        uint32_t count[257] = {0};
        for (uint32_t i = 0; i < n; i++) {
            keys[i] = sort_key(s->p[from[i]]) >> shift & 0xff;
            count[keys[i] + 1]++;
        }
        for (uint32_t b = 0; b < 256; b++)
            count[b + 1] += count[b];
        for (uint32_t i = 0; i < n; i++)
            to[count[keys[i]]++] = from[i];
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
}

/* Make a layer's order anew, of the units that are evictable now: the others come back by the next sorting. */
static void sort_layer(hypura_state *s, layer_rank *layer) {
    uint32_t n = 0;
    for (uint32_t slot = layer->first; slot < layer->first + layer->n; slot++) {
        s->place[slot] = NO_PLACE;
        if (s->evictable[slot]) layer->order[n++] = slot;
    }
    sort_order(s, layer->order, n);
    memset(layer->evictable, 0, (layer->n + 63) / 64 * sizeof *layer->evictable);
    for (uint32_t i = 0; i < n; i++) {
        s->place[layer->order[i]] = i;
        layer->evictable[i / 64] |= UINT64_C(1) << i % 64;
    }
    layer->stale = false;
}

/* Learn who was used in the current layer: when it is left, and already when it asks for room, for those it did not use
 * are then the first to go. */
static void finish_visit(hypura_state *s) {
    uint32_t l = s->current;
    layer_rank *layer = &s->layers[l];
    if (!s->counting || !hyp_reuse_finish_visit(s->reuse, l, s->estimate)) return;
    s->counting = false;
    for (uint32_t slot = layer->first; slot < layer->first + layer->n; slot++) {
        if (!s->guessed[slot]) continue;
        s->guessed[slot] = false;
        s->guess_p += guess_rate * ((s->touched[slot] == s->visit[l] ? 1.0f : 0.0f) - s->guess_p);
    }
    memcpy(s->p + layer->first, s->estimate, layer->n * sizeof *s->p);
    layer->stale = true;
}

static void hypura_enter_layer(void *state, uint32_t layer) {
    hypura_state *s = state;
    finish_visit(s);
    s->entered = true;
    s->current = layer;
    s->visit[layer]++;
}

static void hypura_touch(void *state, uint32_t unit, uint32_t n_tokens) {
    hypura_state *s = state;
    uint32_t slot = s->slot_of[unit];
    hyp_reuse_count(s->reuse, slot, n_tokens);
    s->touched[slot] = s->visit[s->layer_of[slot]];
    s->counting |= s->layer_of[slot] == s->current;
}

static void hypura_arrived(void *state, uint32_t unit) {
    hypura_state *s = state;
    uint32_t slot = s->slot_of[unit], l = s->layer_of[slot];
    /* Before the first pass this is the warm-up, which the primed history ranks. */
    if (!s->entered || (l == s->current && s->touched[slot] == s->visit[l])) return;
    s->guessed[slot] = true;
    if (s->p[slot] >= s->guess_p) return;
    s->p[slot] = s->guess_p; /* until its layer's visit is over */
    s->layers[l].stale = true;
}

static void hypura_set_evictable(void *state, uint32_t unit, bool evictable) {
    hypura_state *s = state;
    uint32_t slot = s->slot_of[unit], place = s->place[slot];
    layer_rank *layer = &s->layers[s->layer_of[slot]];
    s->evictable[slot] = evictable;
    layer->n_evictable += evictable ? 1 : UINT32_MAX;
    if (place == NO_PLACE)
        layer->stale |= evictable;
    else if (evictable)
        layer->evictable[place / 64] |= UINT64_C(1) << place % 64;
    else
        layer->evictable[place / 64] &= ~(UINT64_C(1) << place % 64);
}

static void hypura_prime(void *state, uint32_t unit, float weight) {
    hypura_state *s = state;
    uint32_t slot = s->slot_of[unit];
    hyp_reuse_prime(s->reuse, slot, weight);
    s->p[slot] = hyp_reuse_estimate(s->reuse, slot);
    s->layers[s->layer_of[slot]].stale = true;
}

/* How much of a cycle lies before the next visit of `layer`, within (0, 1]. */
static float distance(const hypura_state *s, uint32_t layer) {
    uint32_t ahead = layer > s->current ? layer - s->current : layer + s->n_layers - s->current;
    return (float)ahead / (float)s->n_layers;
}

static float worth_of(const hypura_state *s, uint32_t layer, float p) {
    return p - s->price * distance(s, layer);
}

/* The evictable slot of least p of a layer that has one. */
static uint32_t first_evictable(hypura_state *s, layer_rank *layer) {
    if (layer->stale) sort_layer(s, layer);
    uint32_t w = 0;
    while (layer->evictable[w] == 0)
        w++;
    return layer->order[w * 64 + (uint32_t)__builtin_ctzll(layer->evictable[w])];
}

/* The slot of least worth, or UINT32_MAX. */
static uint32_t least_worth(hypura_state *s) {
    uint32_t best = UINT32_MAX;
    float least = INFINITY;
    for (uint32_t l = 0; l < s->n_layers; l++) {
        if (s->layers[l].n_evictable == 0) continue;
        uint32_t slot = first_evictable(s, &s->layers[l]);
        float worth = worth_of(s, l, s->p[slot]);
        if (worth >= least) continue;
        least = worth;
        best = slot;
    }
    return best;
}

static uint32_t hypura_victim(void *state) {
    hypura_state *s = state;
    finish_visit(s);
    uint32_t best = least_worth(s);
    if (best == UINT32_MAX) return UINT32_MAX;
    if (!s->priced) { /* the first victim sets the price by which it has to be chosen */
        s->priced = true;
        s->price = s->p[best];
        best = least_worth(s);
    }
    s->price += 0.01f * (s->p[best] - s->price);
    return s->unit_of[best];
}

static bool hypura_worth(const void *state, uint32_t unit, uint32_t victim) {
    const hypura_state *s = state;
    uint32_t a = s->slot_of[unit], b = s->slot_of[victim];
    return worth_of(s, s->layer_of[a], fmaxf(s->p[a], s->guess_p)) > worth_of(s, s->layer_of[b], s->p[b]);
}

const policy_ops hyp_policy_hypura_ops = {
    "hypura",       hypura_new,           hypura_free,  hypura_enter_layer, hypura_touch,
    hypura_arrived, hypura_set_evictable, hypura_prime, hypura_victim,      hypura_worth,
};
