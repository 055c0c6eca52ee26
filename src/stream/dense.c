/* dense.c - a dense model's FFN layers: as many as fit are pinned, spread evenly; the others go through a ring. */
#include "stream/stream_priv.h"

#include "base/mem.h"

#include <string.h>

/* Places in the ring: one layer computes while the next is read. More would only pin fewer layers. */
enum { RING_SLOTS = 2 };

static uint64_t unit_frame_bytes(const hyp_stream *s, const hyp_unit *unit, uint64_t page) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < unit->n_extents; i++) {
        const hyp_extent *e = &s->units.extents[unit->first_extent + i];
        bytes += (e->offset + e->bytes + page - 1) / page * page - e->offset / page * page;
    }
    return bytes;
}

/* Which layers stay: sets `always` in the units before the pager is built. */
static int dense_open(hyp_stream *s, const hyp_stream_config *config, hyp_err *err) {
    uint32_t n = (uint32_t)s->units.n_streamed;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    HYP_AUTOFREE uint64_t *bytes = calloc(n, sizeof *bytes);
    HYP_AUTOFREE bool *pinned = calloc(n, sizeof *pinned);
    s->dense.place = malloc(sizeof *s->dense.place * n);
    if (bytes == NULL || pinned == NULL || s->dense.place == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for %u layers", n);
    for (uint32_t i = 0; i < n; i++)
        bytes[i] = unit_frame_bytes(s, &s->units.units[i], page);
    uint64_t room = config->budget_bytes > s->units.always_bytes ? config->budget_bytes - s->units.always_bytes : 0;
    uint64_t all = 0;
    for (uint32_t i = 0; i < n; i++)
        all += bytes[i];
    uint32_t n_pinned = 0;
    if (all <= room)
        memset(pinned, true, n); /* everything fits: nothing to stream */
    else
        (void)hyp_ring_fit(bytes, n, room, RING_SLOTS, pinned,
                           &n_pinned); /* too little even for a slot: the pager says so */
    for (uint32_t i = 0; i < n; i++) {
        s->units.units[i].always = pinned[i];
        s->dense.place[i] = pinned[i] ? (uint32_t)STREAM_NO_LAYER : s->dense.n_streamed++;
    }
    return HYP_OK;
}

static void dense_close(hyp_stream *s) {
    hyp_ring_free(s->dense.ring);
    hyp_names_free(&s->dense.pre_nodes);
    free(s->dense.place);
}

static int dense_start(hyp_stream *s, hyp_err *err) {
    if (s->dense.n_streamed == 0) return HYP_OK;
    HYP_AUTOFREE uint32_t *units = malloc(sizeof *units * s->dense.n_streamed);
    if (units == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the ring");
    for (uint32_t i = 0; i < s->units.n_streamed; i++)
        if (s->dense.place[i] != STREAM_NO_LAYER) units[s->dense.place[i]] = i;
    int r = hyp_ring_new(s->pager, units, s->dense.n_streamed, &s->dense.ring, err);
    if (r == HYP_OK) hyp_ring_start(s->dense.ring);
    return r;
}

/* A new graph: the last node of the one before does not stand before this one's first. */
static void dense_begin(hyp_stream *s) {
    s->dense.last_name[0] = '\0';
}

static void enter(hyp_stream *s, uint32_t layer, uint32_t n_tokens) {
    hyp_err failure = HYP_ERR_NONE;
    s->layer = layer;
    s->parts_passed = 0;
    s->parts_all = (uint8_t)((1u << s->units.units[layer].n_extents) - 1);
    if (hyp_ring_step(s->dense.ring, s->dense.place[layer], n_tokens, &failure) != HYP_OK) stream_fail(s, &failure);
}

static bool dense_before(hyp_stream *s, const struct ggml_tensor *node, const hyp_unit_ref *ref) {
    bool stop = false;
    if (ref != NULL && s->dense.place[ref->layer] != STREAM_NO_LAYER) {
        hyp_err failure = HYP_ERR_NONE;
        uint8_t mask = (uint8_t)(1u << ref->part);
        if (s->layer != ref->layer) {
            /* Next time stop before this node, so that attention computes while the layer is read. */
            hyp_names_put(&s->dense.pre_nodes, s->dense.last_name, 1);
            enter(s, ref->layer, (uint32_t)node->ne[1]);
        }
        if (hyp_pager_wait(s->pager, ref->first_unit, mask, &failure) != HYP_OK) stream_fail(s, &failure);
        s->parts_passed |= mask;
        uint8_t later = s->parts_all & (uint8_t)~s->parts_passed;
        /* After the last part stop, to give the layer's frames back as soon as it has been computed. */
        stop = later == 0 || !hyp_pager_ready(s->pager, ref->first_unit, later);
    } else {
        stop = hyp_names_get(&s->dense.pre_nodes, node->name) != HYP_NAMES_NONE;
    }
    memcpy(s->dense.last_name, node->name, sizeof s->dense.last_name);
    return stop;
}

static void dense_after(hyp_stream *s, const struct ggml_tensor *node) {
    (void)node;
    if (s->dense.ring == NULL || s->layer == STREAM_NO_LAYER || s->parts_passed == 0) return;
    hyp_ring_pass(s->dense.ring, s->parts_passed);
    if (s->parts_passed == s->parts_all) s->layer = STREAM_NO_LAYER;
}

/* The ring always reads ahead. Nothing is predicted, so there is no accuracy to report. */
static void dense_get_stats(const hyp_stream *s, hyp_stream_stats *ret) {
    (void)s;
    ret->whole_units = false;
    ret->prefetch_on = true;
    ret->recall = ret->precision = 0;
}

/* No `end`: the ring keeps what it has read ahead for the next token. */
const stream_ops stream_dense_ops = {
    .open = dense_open,
    .close = dense_close,
    .start = dense_start,
    .begin = dense_begin,
    .before = dense_before,
    .after = dense_after,
    .get_stats = dense_get_stats,
};
