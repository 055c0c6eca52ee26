/* experts.c - a mixture of experts: the router's choice is demanded as soon as it is made, the next layer's is
 * predicted.
 *
 * A layer in order: its router's input is noted (experts_before), its chosen ids have been computed (route: demand,
 * then predict), each matrix is about to run (before_matrix: wait for that part), and has run (experts_after).
 *
 * The node of chosen ids is learnt from the MUL_MAT_ID that takes it as src[2]; before the first graph its usual name
 * serves. Predicting never changes a result: it only moves reads forward. */
#include "stream/routers_priv.h"
#include "stream/stream_priv.h"

#include "base/mem.h"

#include <ggml-backend.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Router inputs of a wide batch that are looked at: further ones add little, and cost a matrix product each. */
enum { MAX_LOOKAHEAD_ROWS = 16 };

/* The routers' copy may take this share of the frames' budget: beyond it the cache is worth more. */
enum { ROUTERS_SHARE = 24 };

/* Units that warming up reads ahead at a time. */
enum { WARM_UNITS = 4 };

/* A token that waits for a greater share of its time than one part in so many is bound by the disk. */
enum { DISK_BOUND_SHARE = 4 };

/* The pager's number of an expert of a streamed layer. */
static uint32_t unit_of(const hyp_stream *s, uint32_t layer, uint32_t expert) {
    return s->units->layers[layer].first_unit + expert;
}

/* What the look-ahead's copy of the routers will take out of the budget; 0 when it is not worth it. */
static uint64_t routers_bytes(const hyp_stream *s, uint64_t budget_bytes) {
    uint64_t bytes = hyp_routers_bytes(s->model, s->units);
    return bytes <= budget_bytes / ROUTERS_SHARE ? bytes : 0;
}

static int experts_open(hyp_stream *s, const hyp_stream_config *config, hyp_err *err) {
    stream_experts *x = &s->experts;
    if (s->prefetch) s->routers_bytes = routers_bytes(s, config->budget_bytes);
    x->max_experts = 1;
    for (uint32_t i = 0; i < s->units->n_layers; i++)
        x->max_experts = HYP_MAX(x->max_experts, s->units->layers[i].n_units);
    x->demand = calloc(x->max_experts, sizeof *x->demand);
    x->demand_tokens = calloc(x->max_experts, sizeof *x->demand_tokens);
    x->demand_experts = calloc(x->max_experts, sizeof *x->demand_experts);
    x->slot_of_expert = calloc(x->max_experts, sizeof *x->slot_of_expert);
    x->predicted = calloc(x->max_experts, sizeof *x->predicted);
    x->further = calloc(x->max_experts, sizeof *x->further);
    x->inputs = calloc(s->units->n_layers, sizeof(struct ggml_tensor *));
    x->predicted_layer = STREAM_NO_LAYER;
    hyp_gate_init(&x->gate);
    /* Whole experts first where the profile expects them to be faster: the trials then confirm it or turn it off. */
    if (config->short_reads_cost)
        hyp_gate_assume(&x->whole, true);
    else
        hyp_gate_init(&x->whole);
    bool made = x->demand != NULL && x->demand_tokens != NULL && x->demand_experts != NULL &&
                x->slot_of_expert != NULL && x->predicted != NULL && x->further != NULL && x->inputs != NULL;
    return made ? HYP_OK : hyp_err_set(err, HYP_ENOMEM, "out of memory for the tables of %u experts", x->max_experts);
}

static void remember(const hyp_stream *s) {
    char path[PATH_MAX];
    if (s->experts.coact == NULL || hyp_coact_path(s->model->digest, path, sizeof path, NULL) != HYP_OK) return;
    /* What cannot be saved is learnt again the next time. */
    (void)!hyp_coact_save(s->experts.coact, path, NULL);
}

int hyp_stream_end_trace(hyp_stream *s, hyp_err *err) {
    return hyp_trace_close(HYP_TAKE(s->experts.trace), err);
}

static void experts_close(hyp_stream *s) {
    stream_experts *x = &s->experts;
    if (!s->no_memory) remember(s);
    (void)!hyp_trace_close(x->trace, NULL);
    hyp_coact_free(x->coact);
    hyp_lookahead_free(x->lookahead);
    hyp_names_free(&x->id_nodes);
    hyp_names_free(&x->routers);
    free(x->demand);
    free(x->demand_tokens);
    free(x->demand_experts);
    free(x->slot_of_expert);
    free(x->predicted);
    free(x->further);
    free(x->inputs);
    free(x->ids);
    free(x->rows);
    free(x->warm);
}

/* --- what earlier runs have learnt --- */

static int load_statistics(hyp_stream *s, hyp_err *err) {
    stream_experts *x = &s->experts;
    HYP_AUTOFREE uint32_t *n_experts = calloc(s->units->n_layers, sizeof *n_experts);
    x->warm = calloc(s->units->n_units, sizeof *x->warm);
    if (n_experts == NULL || x->warm == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for routing statistics");
    for (uint32_t i = 0; i < s->units->n_layers; i++)
        n_experts[i] = s->units->layers[i].n_units;
    hyp_coact_shape shape = {s->model->digest, s->units->n_layers, n_experts};
    char path[PATH_MAX];
    /* A file of another shape (other layers were on devices) is begun anew by hyp_coact_load(), not an error. */
    if (s->no_memory || hyp_coact_path(s->model->digest, path, sizeof path, NULL) != HYP_OK)
        return hyp_coact_new(&shape, &x->coact, err);
    int r = hyp_coact_load(path, &shape, &x->coact, NULL, err);
    if (r != HYP_OK) return r;
    x->n_warm = hyp_coact_warm_list(x->coact, x->warm, s->units->n_units);
    for (size_t i = 0; i < x->n_warm; i++)
        hyp_pager_prime(s->pager, unit_of(s, x->warm[i].layer, x->warm[i].expert), x->warm[i].frequency);
    return HYP_OK;
}

/* Fill free frames with what earlier runs used most, behind everything else. A few at a time: it is called at every
 * layer, and reads that are queued already would stand before the next layer's predictions. */
static void warm_up(hyp_stream *s) {
    stream_experts *x = &s->experts;
    for (int i = 0; i < WARM_UNITS && x->next_warm < x->n_warm; i++) {
        const hyp_coact_unit *w = &x->warm[x->next_warm];
        if (hyp_pager_prefetch_free(s->pager, unit_of(s, w->layer, w->expert), HYP_PART_ALL) == 0)
            x->next_warm = x->n_warm; /* no free frame is left: from here on the cache is full */
        else
            x->next_warm++;
    }
}

static int start_trace(hyp_stream *s, hyp_err *err) {
    if (s->trace_path == NULL) return HYP_OK;
    hyp_trace_info info = {
        .n_layers = s->units->n_layers, .n_used = s->model->n_experts_used, .always_bytes = s->units->always_bytes};
    snprintf(info.digest, sizeof info.digest, "%s", s->model->digest);
    snprintf(info.name, sizeof info.name, "%s", s->model->name);
    HYP_AUTOFREE hyp_trace_layer *layers = calloc(info.n_layers, sizeof *layers);
    if (layers == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the trace");
    for (uint32_t i = 0; i < info.n_layers; i++)
        layers[i] = (hyp_trace_layer){(uint32_t)s->units->layers[i].model_layer, s->units->layers[i].n_units,
                                      hyp_pager_unit_bytes(s->pager, unit_of(s, i, 0))};
    info.layers = layers;
    return hyp_trace_create(s->trace_path, &info, &s->experts.trace, err);
}

static int experts_start(hyp_stream *s, hyp_err *err) {
    int r = load_statistics(s, err);
    if (r == HYP_OK && s->prefetch && s->routers_bytes > 0)
        r = hyp_routers_load(s->model, s->units, &s->experts.routers, &s->experts.lookahead, err);
    if (r == HYP_OK) r = start_trace(s, err);
    if (r == HYP_OK && s->prefetch) warm_up(s);
    return r;
}

/* --- predicting --- */

/* Copy some of the router's inputs, [n_embd, n_tokens], evenly spread over the batch. Returns the rows copied. */
static uint32_t fetch_inputs(stream_experts *x, const struct ggml_tensor *input, uint32_t n_tokens) {
    /* The buffer still holds it: the experts of this layer, which have not run, multiply with the same input. */
    if (input == NULL || input->type != GGML_TYPE_F32 || input->ne[1] != n_tokens) return 0;
    uint32_t rows = HYP_MIN(n_tokens, (uint32_t)MAX_LOOKAHEAD_ROWS);
    size_t row_bytes = (size_t)input->ne[0] * sizeof(float), room = rows * (size_t)input->ne[0];
    if (room > x->rows_room) {
        float *more = realloc(x->rows, room * sizeof *more);
        if (more == NULL) return 0;
        x->rows = more;
        x->rows_room = room;
    }
    for (uint32_t i = 0; i < rows; i++)
        ggml_backend_tensor_get(input, x->rows + i * (size_t)input->ne[0],
                                (size_t)(i * (uint64_t)n_tokens / rows) * input->nb[1], row_bytes);
    return rows;
}

/* A prediction costs a matrix product in which the other threads wait: only where it can lead to a read, or is
 * recorded. */
static bool is_worth_predicting(const hyp_stream *s, uint32_t layer) {
    const stream_experts *x = &s->experts;
    if (layer >= s->units->n_layers) return false;
    if (x->trace != NULL) return true;
    /* The gate's trials time single tokens; batches always prefetch. */
    return (x->n_tokens > 1 || hyp_gate_on(&x->gate)) && !hyp_pager_layer_held(s->pager, layer);
}

/* The `m` experts that `next` will probably choose: what its router makes of the inputs of `layer`'s. 0: it cannot
 * tell. */
static uint32_t ask_router(stream_experts *x, uint32_t layer, uint32_t next, uint32_t m, uint32_t *ret) {
    const struct ggml_tensor *input = x->inputs[layer];
    if (x->lookahead == NULL || !hyp_lookahead_has(x->lookahead, next)) return 0;
    uint32_t rows = fetch_inputs(x, input, x->n_tokens);
    if (rows == 0) return 0;
    return hyp_lookahead_predict(x->lookahead, next, x->rows, (size_t)input->ne[0], rows, m, ret, NULL);
}

/* Name the experts that the layer after `layer` will probably choose. */
static void predict_next(hyp_stream *s, uint32_t layer) {
    stream_experts *x = &s->experts;
    uint32_t next = layer + 1;
    x->n_predicted = 0;
    x->predicted_layer = STREAM_NO_LAYER;
    if (!is_worth_predicting(s, next)) return;
    x->predicted_layer = next;
    /* A batch will probably use as many experts there as here. */
    uint32_t m = x->n_tokens == 1 ? s->model->n_experts_used : (uint32_t)x->n_demand;
    m = HYP_MIN(m, s->units->layers[next].n_units);
    x->n_predicted = ask_router(x, layer, next, m, x->predicted);
    /* No router of a known form, or no memory for its copy: what followed these experts in the past. */
    if (x->n_predicted == 0)
        x->n_predicted = hyp_coact_followers(x->coact, next, x->demand_experts, x->n_demand, m, x->predicted, NULL);
    if (x->trace != NULL) hyp_trace_predicted(x->trace, next, x->predicted, x->n_predicted);
}

static void prefetch_predicted(hyp_stream *s) {
    stream_experts *x = &s->experts;
    if (x->n_tokens == 1 && !hyp_gate_on(&x->gate)) return;
    for (uint32_t i = 0; i < x->n_predicted; i++)
        if (!hyp_pager_prefetch(s->pager, unit_of(s, x->predicted_layer, x->predicted[i]))) return;
    warm_up(s);
}

/* For a single token, where the disk is what tokens wait for: when nothing of the next layer has to be read, it would
 * stand idle while this layer computes. So the layer after it is predicted too, by its router and the same inputs: less
 * surely, but into time that nobody else wants. (Where computing is the limit, the prediction itself cost 2 %.) */
static void prefetch_further(hyp_stream *s, uint32_t layer) {
    stream_experts *x = &s->experts;
    const uint32_t further = layer + 2;
    if (x->n_tokens != 1 || !x->disk_bound || further >= s->units->n_layers || !hyp_gate_on(&x->gate)) return;
    if (hyp_pager_layer_held(s->pager, further)) return;
    uint32_t m = HYP_MIN(s->model->n_experts_used, s->units->layers[further].n_units);
    m = ask_router(x, layer, further, m, x->further);
    for (uint32_t i = 0; i < m; i++)
        if (!hyp_pager_prefetch(s->pager, unit_of(s, further, x->further[i]))) return;
}

/* --- the choice --- */

/* Copy the chosen ids, [n_used, n_tokens] with a row stride of its own, out of whatever memory they are in. */
static size_t fetch_ids(stream_experts *x, const struct ggml_tensor *node) {
    size_t n_used = (size_t)node->ne[0], n = n_used * (size_t)node->ne[1];
    if (n > x->ids_room) {
        int32_t *more = realloc(x->ids, n * sizeof *more);
        if (more == NULL) return 0;
        x->ids = more;
        x->ids_room = n;
    }
    for (size_t row = 0; row < (size_t)node->ne[1]; row++)
        ggml_backend_tensor_get(node, x->ids + row * n_used, row * node->nb[1], n_used * sizeof *x->ids);
    return n;
}

/* Which streamed layer does this node of ids choose for? By what was learnt, else by the number in its name. */
static uint32_t layer_of_ids(const hyp_stream *s, const struct ggml_tensor *node) {
    uint32_t layer = hyp_names_get(&s->experts.id_nodes, node->name);
    if (layer != HYP_NAMES_NONE) return layer;
    /* The first graph: "ffn_moe_topk-7" is layer 7. A wrong guess would only read what is not needed. */
    const char *dash = strrchr(node->name, '-');
    if (dash == NULL) return STREAM_NO_LAYER;
    long number = strtol(dash + 1, NULL, 10);
    for (uint32_t i = 0; i < s->units->n_layers; i++)
        if (s->units->layers[i].model_layer == number) return i;
    return STREAM_NO_LAYER;
}

/* The distinct experts among `n` ids, with the number of tokens that use each. */
static void collect_demand(stream_experts *x, const hyp_units_layer *layer, size_t n) {
    x->n_demand = 0;
    for (size_t i = 0; i < n; i++) {
        if ((uint32_t)x->ids[i] >= layer->n_units) continue; /* whatever the graph holds: no index beyond the layer */
        uint32_t *slot = &x->slot_of_expert[x->ids[i]];
        if (*slot == 0) {
            x->demand_experts[x->n_demand] = (uint32_t)x->ids[i];
            x->demand[x->n_demand] = layer->first_unit + (uint32_t)x->ids[i];
            x->demand_tokens[x->n_demand] = 0;
            *slot = (uint32_t)++x->n_demand;
        }
        x->demand_tokens[*slot - 1]++;
    }
    /* Only the entries that were used are cleared: a model may have 512 experts, a token uses 10. */
    for (size_t i = 0; i < x->n_demand; i++)
        x->slot_of_expert[x->demand_experts[i]] = 0;
}

static void learn(hyp_stream *s, uint32_t layer) {
    stream_experts *x = &s->experts;
    if (x->n_tokens == 1 && x->predicted_layer == layer && layer > 0)
        hyp_accuracy_add(&x->accuracy, x->predicted, x->n_predicted, x->demand_experts, x->n_demand);
    hyp_coact_observe(x->coact, layer, x->n_tokens, x->demand_experts, x->demand_tokens, x->n_demand);
    if (x->trace != NULL)
        hyp_trace_used(x->trace, layer, x->n_tokens, x->demand_experts, x->demand_tokens, x->n_demand);
}

/* The ids of a layer have been computed: its experts are demanded first, all else follows behind their reads. */
static void route(hyp_stream *s, const struct ggml_tensor *node) {
    stream_experts *x = &s->experts;
    uint32_t layer = layer_of_ids(s, node);
    if (layer == STREAM_NO_LAYER) return;
    x->n_tokens = (uint32_t)node->ne[1];
    size_t n = fetch_ids(x, node);
    collect_demand(x, &s->units->layers[layer], n);
    if (x->n_demand == 0) return;
    hyp_err failure = HYP_ERR_NONE;
    /* The layer before has been computed, for this node depends on it: its frames may go to this one. */
    hyp_pager_release(s->pager, NULL, SIZE_MAX);
    s->layer = layer;
    s->parts_passed = 0;
    s->parts_all = (uint8_t)((1u << s->units->layers[layer].n_parts) - 1);
    /* Batches do not take part in the trial; they follow its last verdict. */
    hyp_pager_read_whole(s->pager, x->n_tokens == 1 ? hyp_gate_on(&x->whole) : x->whole.verdict);
    if (hyp_pager_demand(s->pager, layer, x->demand, x->demand_tokens, x->n_demand, &failure) != HYP_OK)
        hyp_stream_fail(s, &failure);
    learn(s, layer);
    if (!s->prefetch) return;
    /* Prefetches that have not started were for this layer, whose choice is known now, or guesses at later ones that
     * better guesses replace: neither may stand before the next layer's. */
    hyp_pager_cancel_prefetches(s->pager);
    predict_next(s, layer);
    size_t reading = hyp_pager_n_reading(s->pager);
    prefetch_predicted(s);
    /* Nothing had to be read for the next layer. */
    if (hyp_pager_n_reading(s->pager) == reading) prefetch_further(s, layer);
}

/* One trial at a time: a token's time tells of one thing. */
static void report(hyp_stream *s, double seconds) {
    stream_experts *x = &s->experts;
    double stalled_s = hyp_pager_stall_s(s->pager);
    x->disk_bound = stalled_s - x->stalled_s > seconds / DISK_BOUND_SHARE;
    x->stalled_s = stalled_s;
    /* While one gate tries both ways, the other keeps its verdict and is told nothing. */
    const bool prefetching = s->prefetch && x->gate.trying, packed = hyp_pager_packed_in_use(s->pager, NULL);
    if (packed && !prefetching) hyp_gate_report(&x->whole, seconds);
    if (prefetching || !packed || !x->whole.trying) hyp_gate_report(&x->gate, seconds);
}

/* The pins of the last layer go; a single token's time, unless it failed, is what the trials compare. */
static void experts_end(hyp_stream *s, double seconds, uint32_t n_tokens) {
    hyp_pager_release(s->pager, NULL, SIZE_MAX);
    if (n_tokens == 1 && s->failure.code == 0) report(s, seconds);
}

/* --- the callback --- */

static bool all_ready(hyp_stream *s, uint8_t mask) {
    for (size_t i = 0; i < s->experts.n_demand; i++)
        if (!hyp_pager_ready(s->pager, s->experts.demand[i], mask)) return false;
    return true;
}

/* Ids chosen on a device reach the experts as the scheduler's copy, named "BACKEND#NAME#N". Writes NAME, or `name`
 * itself. */
static const char *name_before_copy(const char *name, char ret[GGML_MAX_NAME]) {
    const char *first = strchr(name, '#'), *last = strrchr(name, '#');
    if (first == NULL || last == first)
        snprintf(ret, GGML_MAX_NAME, "%s", name);
    else
        snprintf(ret, GGML_MAX_NAME, "%.*s", (int)(last - first - 1), first + 1);
    return ret;
}

/* A node over streamed weights is about to run: have its part there. Stop after it if another part is still being read,
 * so that this one computes meanwhile. */
static bool before_matrix(hyp_stream *s, const struct ggml_tensor *node, const hyp_units_ref *ref) {
    stream_experts *x = &s->experts;
    char ids[GGML_MAX_NAME];
    /* Learn which node holds this layer's ids, for the graphs to come. */
    if (node->src[2] != NULL &&
        hyp_names_get(&x->id_nodes, name_before_copy(node->src[2]->name, ids)) == HYP_NAMES_NONE)
        hyp_names_put(&x->id_nodes, ids, ref->layer);
    if (ref->layer != s->layer) return false; /* the choice was not seen: this graph is new and faults */
    uint8_t mask = (uint8_t)(1u << ref->part);
    for (size_t i = 0; i < x->n_demand; i++) {
        hyp_err failure = HYP_ERR_NONE;
        if (hyp_pager_wait(s->pager, x->demand[i], mask, &failure) == HYP_OK) continue;
        hyp_stream_fail(s, &failure);
        return true;
    }
    s->parts_passed |= mask;
    uint8_t later = s->parts_all & (uint8_t)~s->parts_passed;
    return later != 0 && !all_ready(s, later);
}

static bool looks_like_ids(const struct ggml_tensor *node) {
    return node->type == GGML_TYPE_I32 && strncmp(node->name, "ffn_moe_topk", 12) == 0;
}

static bool experts_before(hyp_stream *s, const struct ggml_tensor *node, const hyp_units_ref *ref) {
    stream_experts *x = &s->experts;
    if (ref != NULL) return before_matrix(s, node, ref);
    if (node->op == GGML_OP_MUL_MAT && x->lookahead != NULL) {
        uint32_t layer = hyp_names_get(&x->routers, node->src[0]->name);
        if (layer != HYP_NAMES_NONE) x->inputs[layer] = node->src[1];
        return false;
    }
    return node->type == GGML_TYPE_I32 &&
           (looks_like_ids(node) || hyp_names_get(&x->id_nodes, node->name) != HYP_NAMES_NONE);
}

static void experts_after(hyp_stream *s, const struct ggml_tensor *node) {
    if (node->type == GGML_TYPE_I32) route(s, node);
    /* A layer wider than the cache: what has been computed makes room for what has found no frame. */
    else if (s->layer != STREAM_NO_LAYER)
        hyp_pager_pass(s->pager, s->experts.demand, s->experts.n_demand, s->parts_passed);
}

static void experts_get_stats(const hyp_stream *s, hyp_stream_stats *ret) {
    const stream_experts *x = &s->experts;
    ret->whole_units = x->whole.verdict;
    ret->prefetch_on = x->lookahead != NULL && hyp_gate_on(&x->gate);
    ret->recall = hyp_accuracy_recall(&x->accuracy);
    ret->precision = hyp_accuracy_precision(&x->accuracy);
}

const stream_ops hyp_stream_experts_ops = {
    .open = experts_open,
    .close = experts_close,
    .start = experts_start,
    .before = experts_before,
    .after = experts_after,
    .end = experts_end,
    .get_stats = experts_get_stats,
};
