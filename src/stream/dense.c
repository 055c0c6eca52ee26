/* dense.c - a dense model's FFN layers: as many as fit are pinned, spread evenly; the others go through a ring. */
#include "stream/stream_priv.h"

#include "base/log.h"
#include "base/mem.h"
#include "plan/pin.h"
#include "plan/plan.h"

#include <string.h>

/* Which layers stay: sets `always` in the pager's units before it is built. The plan chose them for the frames it
 * expected; what is left of the budget now is known exactly, and is mostly more. So the same function chooses again. */
static int dense_open(hyp_stream *s, const hyp_stream_config *config, hyp_err *err) {
    uint32_t n = s->units->n_layers, n_pinned = 0;
    HYP_AUTOFREE uint64_t *bytes = calloc(n, sizeof *bytes);
    HYP_AUTOFREE bool *pinned = calloc(n, sizeof *pinned);
    s->dense.place = malloc(sizeof *s->dense.place * n);
    if (bytes == NULL || pinned == NULL || s->dense.place == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for %u layers", n);
    for (uint32_t l = 0; l < n; l++)
        bytes[l] = s->units->layers[l].frame_bytes;
    uint64_t always = s->units->always_bytes, room = config->budget_bytes > always ? config->budget_bytes - always : 0;
    /* Too little even for one layer at a time: the pager says so. */
    (void)hyp_pin_fit(bytes, n, room, HYP_PIN_SLOTS, pinned, &n_pinned);
    HYP_LOG(STREAM, INFO, "%u of %u FFN layers stay in RAM, %u were planned", n_pinned, n, config->plan->n_ffn_pinned);
    for (uint32_t l = 0; l < n; l++) {
        /* A dense layer is one unit: their numbers are the same. */
        s->tables.units[l].always = pinned[l];
        s->dense.place[l] = pinned[l] ? (uint32_t)STREAM_NO_LAYER : s->dense.n_streamed++;
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
    for (uint32_t i = 0; i < s->units->n_layers; i++)
        if (s->dense.place[i] != STREAM_NO_LAYER) units[s->dense.place[i]] = i;
    int r = hyp_ring_new(s->pager, units, s->dense.n_streamed, &s->dense.ring, err);
    if (r == HYP_OK) hyp_ring_start(s->dense.ring);
    return r;
}

/* A new graph: the last node of the one before does not stand before this one's first. The ring keeps what it has read
 * ahead: this graph begins where the last one ended in the cycle. */
static void dense_begin(hyp_stream *s) {
    s->dense.last_name[0] = '\0';
}

static void enter(hyp_stream *s, uint32_t layer, uint32_t n_tokens) {
    hyp_err failure = HYP_ERR_NONE;
    s->layer = layer;
    s->parts_passed = 0;
    s->parts_all = (uint8_t)((1u << s->units->layers[layer].n_parts) - 1);
    if (hyp_ring_step(s->dense.ring, s->dense.place[layer], n_tokens, &failure) != HYP_OK) hyp_stream_fail(s, &failure);
}

/* A node that reads a streamed weight waits for its part. Where the graph stops beside that is what keeps the disk and
 * the processors busy at once: before a layer's first matrix and after each matrix whose successor is not there yet,
 * since ggml asks about a whole run of nodes before it computes any of them, and the wait for what comes next would
 * hold up what is ready; and after the last matrix, to give the frames back. */
static bool dense_before(hyp_stream *s, const struct ggml_tensor *node, const hyp_units_ref *ref) {
    bool stop = false;
    if (ref != NULL && s->dense.place[ref->layer] != STREAM_NO_LAYER) {
        hyp_err failure = HYP_ERR_NONE;
        uint8_t mask = (uint8_t)(1u << ref->part);
        if (s->layer != ref->layer) {
            /* Next time stop before this node, so that attention computes while the layer is read. */
            hyp_names_put(&s->dense.pre_nodes, s->dense.last_name, 1);
            enter(s, ref->layer, (uint32_t)node->ne[1]);
        }
        if (hyp_pager_wait(s->pager, s->units->layers[ref->layer].first_unit, mask, &failure) != HYP_OK)
            hyp_stream_fail(s, &failure);
        s->parts_passed |= mask;
        uint8_t later = s->parts_all & (uint8_t)~s->parts_passed;
        /* After the last part stop, to give the layer's frames back as soon as it has been computed. */
        stop = later == 0 || !hyp_pager_ready(s->pager, s->units->layers[ref->layer].first_unit, later);
    } else {
        stop = hyp_names_get(&s->dense.pre_nodes, node->name) != HYP_NAMES_NONE;
    }
    /* The node before a layer's first matrix is only known afterwards: remember every name, learn the right one above.
     */
    memcpy(s->dense.last_name, node->name, sizeof s->dense.last_name);
    return stop;
}

static void dense_after(hyp_stream *s, const struct ggml_tensor *node) {
    (void)node;
    if (s->dense.ring == NULL || s->layer == STREAM_NO_LAYER || s->parts_passed == 0) return;
    /* The node that the graph stopped at has computed with these parts: their frames serve what comes next. */
    hyp_ring_pass(s->dense.ring, s->parts_passed);
    /* Left, so that the next token enters it anew even where it is the only layer that streams. */
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
const stream_ops hyp_stream_dense_ops = {
    .open = dense_open,
    .close = dense_close,
    .start = dense_start,
    .begin = dense_begin,
    .before = dense_before,
    .after = dense_after,
    .get_stats = dense_get_stats,
};
