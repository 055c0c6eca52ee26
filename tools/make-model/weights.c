#include "weights.h"
#include "base/mem.h"
#include "rng.h"
#include "router.h"

#include <math.h>
#include <string.h>

enum { MAX_POOLS = 64 };

/* A stream of quantised random blocks; `n_rows_bytes` beyond the last start keep every run inside. */
typedef struct pool {
    enum ggml_type type;
    float scale;
    uint8_t *bytes;
    int64_t n_blocks;
} pool;

struct hyp_make_weights {
    const hyp_make_shape *shape;
    const hyp_make_plan *plan;
    uint64_t seed;
    pool pools[MAX_POOLS];
    size_t n_pools, next_pool;
    float *row;  /* one row of floats, of the widest tensor */
    float *ones; /* an importance matrix that finds every column equally important */
    int64_t widest;
    hyp_make_router router; /* of `router_layer` */
    int router_layer;
};

int hyp_make_weights_new(const hyp_make_shape *shape, const hyp_make_plan *plan, hyp_make_weights **ret, hyp_err *err) {
    hyp_make_weights *w = calloc(1, sizeof *w);
    if (w == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for weights");
    w->shape = shape;
    w->plan = plan;
    w->seed = hyp_make_mix((uint64_t)shape->seed);
    w->router_layer = -1;
    w->widest = 256;
    for (size_t i = 0; i < plan->n; i++)
        w->widest = HYP_MAX(w->widest, plan->tensors[i].ne[0]);
    w->row = malloc((size_t)w->widest * sizeof *w->row);
    w->ones = malloc((size_t)w->widest * sizeof *w->ones);
    if (w->row == NULL || w->ones == NULL) {
        hyp_make_weights_free(w);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for rows of %lld elements", (long long)w->widest);
    }
    for (int64_t i = 0; i < w->widest; i++)
        w->ones[i] = 1;
    *ret = w;
    return HYP_OK;
}

void hyp_make_weights_free(hyp_make_weights *w) {
    if (w == NULL) return;
    for (size_t i = 0; i < w->n_pools; i++)
        free(w->pools[i].bytes);
    free(w->row);
    free(w->ones);
    free(w->router.bias);
    free(w);
    ggml_quantize_free();
}

/* Quantise `n` elements (a whole number of blocks, at most the widest row) of w->row. */
static int quantise(hyp_make_weights *w, enum ggml_type type, int64_t n, void *dst, hyp_err *err) {
    size_t expected = ggml_row_size(type, n);
    if (ggml_quantize_chunk(type, w->row, dst, 0, 1, n, ggml_quantize_requires_imatrix(type) ? w->ones : NULL) ==
        expected)
        return HYP_OK;
    return hyp_err_set(err, HYP_EENGINE, "ggml could not quantise to %s", ggml_type_name(type));
}

static float quiet_scale(const hyp_make_tensor *t) {
    return t->quiet.from < t->quiet.to ? t->scale * HYP_MAKE_QUIET : t->scale;
}

/* How many elements the plan has of this type and scale: a pool need not be larger. */
static int64_t elements_of(const hyp_make_plan *plan, enum ggml_type type, float scale) {
    int64_t n = 0;
    for (size_t i = 0; i < plan->n; i++)
        if (plan->tensors[i].type == type &&
            (plan->tensors[i].scale == scale || quiet_scale(&plan->tensors[i]) == scale))
            n += plan->tensors[i].ne[0] * plan->tensors[i].n_rows;
    return n;
}

/* The stream for rows of `t` at `scale`: an existing one, or a new one in place of the oldest. */
static int pool_for(hyp_make_weights *w, const hyp_make_tensor *t, float scale, const pool **ret, hyp_err *err) {
    for (size_t i = 0; i < w->n_pools; i++)
        if (w->pools[i].type == t->type && w->pools[i].scale == scale) {
            *ret = &w->pools[i];
            return HYP_OK;
        }
    /* From a quarter million elements for tiny models, which are then made at once, to four million, which are 16,384
     * starts of 256-element blocks: enough that two rows of an expert seldom agree. At least 64 starts in any case. */
    const int64_t block = ggml_blck_size(t->type), total = elements_of(w->plan, t->type, scale);
    int64_t n = HYP_MAX(HYP_MIN(total, 1 << 18), HYP_MIN(total / 64, 1 << 22));
    n = HYP_MAX(n, 2 * t->ne[0] + 64 * block);
    const int64_t chunk = w->widest / block * block, n_chunks = (n + chunk - 1) / chunk;
    pool p = {.type = t->type, .scale = scale, .n_blocks = n_chunks * chunk / block};
    const size_t chunk_bytes = ggml_row_size(t->type, chunk);
    p.bytes = malloc(chunk_bytes * (size_t)n_chunks);
    if (p.bytes == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a pool of %lld weights", (long long)n);
    uint64_t state = w->seed ^ hyp_make_mix(0x706f6f6cull + (uint64_t)t->type);
    for (int64_t c = 0; c < n_chunks; c++) {
        for (int64_t i = 0; i < chunk; i++)
            w->row[i] = hyp_make_normal(&state) * scale;
        int r = quantise(w, t->type, chunk, p.bytes + chunk_bytes * (size_t)c, err);
        if (r != HYP_OK) {
            free(p.bytes);
            return r;
        }
    }
    size_t slot = w->n_pools < MAX_POOLS ? w->n_pools++ : w->next_pool++ % MAX_POOLS;
    free(w->pools[slot].bytes);
    w->pools[slot] = p;
    *ret = &w->pools[slot];
    return HYP_OK;
}

static bool within(const hyp_make_rows *rows, int64_t row) {
    return row >= rows->from && row < rows->to;
}

static bool first_row(const hyp_make_first *first, int64_t row) {
    if (!first->set || row < first->from || row >= first->to) return false;
    const int64_t e = (row - first->from) % first->head - first->offset;
    return e >= 0 && e < first->length && e % first->half >= first->skip;
}

/* Element `i` of a freshly drawn row: what the pool cannot give. */
static float element(const hyp_make_weights *w, const hyp_make_tensor *t, int64_t i, uint64_t *state) {
    const hyp_make_shape *shape = w->shape;
    float x = hyp_make_normal(state) * t->scale;
    if (t->fill == HYP_MAKE_FILL_EMBED) {
        if (i == 0) return shape->constant * t->scale;
        if (i >= shape->context_from) return 0;
    } else if (i == 0 && t->first.set) {
        return t->first.value;
    }
    return x;
}

/* Replace elements [from, to) of a row, whole blocks, by freshly drawn ones. */
static int redraw(hyp_make_weights *w, const hyp_make_tensor *t, uint64_t hash, int64_t from, int64_t to, uint8_t *dst,
                  hyp_err *err) {
    uint64_t state = hyp_make_mix(hash ^ 0x66726573ull);
    for (int64_t i = from; i < to; i++)
        w->row[i - from] = element(w, t, i, &state);
    return quantise(w, t->type, to - from, dst + ggml_row_size(t->type, from), err);
}

/* A row of normal numbers: a run of the pool, with the block of element 0 redrawn where that element is prescribed or
 * the row must be like no other. */
static int normal_row(hyp_make_weights *w, const hyp_make_tensor *t, int64_t row, uint64_t hash, uint8_t *dst,
                      hyp_err *err) {
    const pool *p = NULL;
    const bool quiet = within(&t->quiet, row % t->ne[1]) != t->quiet_others;
    int r = pool_for(w, t, quiet ? quiet_scale(t) : t->scale, &p, err);
    if (r != HYP_OK) return r;
    const int64_t block = ggml_blck_size(t->type), starts = p->n_blocks - t->ne[0] / block + 1;
    const size_t start = (size_t)(hash % (uint64_t)starts);
    memcpy(dst, p->bytes + start * ggml_type_size(t->type), (size_t)t->row_bytes);
    if (t->fill == HYP_MAKE_FILL_EMBED) {
        const int64_t whole = (w->shape->context_from + block - 1) / block * block;
        const int64_t mixed = w->shape->context_from / block * block;
        r = redraw(w, t, hash, 0, block, dst, err);
        if (r == HYP_OK && mixed != whole) r = redraw(w, t, hash, mixed, whole, dst, err);
        /* A block of zero bytes is a block of zeros in every ggml type: its scale is zero. */
        if (whole < t->ne[0])
            memset(dst + ggml_row_size(t->type, whole), 0, (size_t)t->row_bytes - ggml_row_size(t->type, whole));
        return r;
    }
    /* Rows of the output matrix are all different: two equal ones would be two tokens that always tie. */
    const bool alone = t->layer < 0 || first_row(&t->first, row % t->ne[1]);
    return alone ? redraw(w, t, hash, 0, block, dst, err) : HYP_OK;
}

static int router_row(hyp_make_weights *w, const hyp_make_tensor *t, int64_t row, uint64_t hash, uint8_t *dst,
                      hyp_err *err) {
    const hyp_make_shape *shape = w->shape;
    if (w->router_layer != t->layer) {
        hyp_make_router router;
        int r = hyp_make_router_new(shape, t->layer, &router, err);
        if (r != HYP_OK) return r;
        free(w->router.bias);
        w->router = router;
        w->router_layer = t->layer;
    }
    uint64_t state = hash;
    for (int64_t i = 0; i < t->ne[0]; i++)
        w->row[i] = hyp_make_normal(&state) *
                    (float)(i < shape->context_from ? w->router.token_scale : w->router.context_scale);
    w->row[0] = w->router.bias[row];
    return quantise(w, t->type, t->ne[0], dst, err);
}

static int fresh_row(hyp_make_weights *w, const hyp_make_tensor *t, uint64_t hash, uint8_t *dst, hyp_err *err) {
    uint64_t state = hash;
    for (int64_t i = 0; i < t->ne[0]; i++) {
        if (t->fill == HYP_MAKE_FILL_CONSTANT)
            w->row[i] = t->scale;
        else if (t->fill == HYP_MAKE_FILL_DECAY)
            w->row[i] = -(float)exp(2 * hyp_make_uniform(&state) - 1);
        else
            w->row[i] = hyp_make_normal(&state) * t->scale;
    }
    return quantise(w, t->type, t->ne[0], dst, err);
}

int hyp_make_weights_rows(hyp_make_weights *w, const hyp_make_tensor *t, int64_t row, int64_t n_rows, void *dst,
                          hyp_err *err) {
    const uint64_t seed = w->seed ^ hyp_make_hash_text(t->name);
    uint8_t *out = dst;
    for (int64_t i = row; i < row + n_rows; i++, out += t->row_bytes) {
        const uint64_t hash = hyp_make_mix(seed + (uint64_t)i * 0x9e3779b97f4a7c15ull);
        const int64_t in_matrix = i % t->ne[1];
        int r = HYP_OK;
        if (within(&t->zero, in_matrix))
            memset(out, 0, (size_t)t->row_bytes);
        else if (t->fill == HYP_MAKE_FILL_ROUTER)
            r = router_row(w, t, i, hash, out, err);
        else if (t->n_dims > 1)
            r = normal_row(w, t, i, hash, out, err);
        else
            r = fresh_row(w, t, hash, out, err);
        if (r != HYP_OK) return r;
    }
    return HYP_OK;
}
