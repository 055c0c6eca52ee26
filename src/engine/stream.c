#include "engine/stream.h"

#include "base/mem.h"
#include "engine/names.h"

#include <ggml-backend.h>
#include <ggml.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NO_LAYER = UINT32_MAX, DENSE_STOP = UINT32_MAX - 1 };

struct hyp_stream {
    const hyp_model *model;
    hyp_mode mode;
    hyp_units units;
    hyp_pager *pager;
    bool prefetch;

    hyp_names weights;   /* weight name -> index of the tensor in the model, for streamed ones */
    hyp_names id_nodes;  /* name of a node of chosen ids -> streamed layer */
    hyp_names pre_nodes; /* name of the node before a dense layer's first matrix -> DENSE_STOP */
    char last_name[GGML_MAX_NAME]; /* the node asked about just before */

    hyp_unit_ref *layers; /* n_layers: any tensor's reference, for the layer's units */

    uint32_t layer;           /* the streamed layer whose units are demanded, or NO_LAYER */
    uint8_t parts_all, parts_passed; /* of that layer's units: their parts, and those whose node has been asked about */
    uint32_t *demand;         /* units demanded in `layer` */
    uint32_t *demand_tokens;  /* parallel: tokens that use each */
    size_t n_demand;
    uint32_t *slot_of_expert; /* scratch: expert -> index in `demand` + 1 */
    uint32_t max_experts;
    int32_t *ids; /* scratch: chosen ids of a batch */
    size_t ids_room;

    hyp_err failure; /* of this decode */
};

/* --- set-up --- */

static int make_pager(hyp_stream *s, const hyp_stream_config *config, hyp_err *err) {
    HYP_AUTOFREE hyp_pager_file *files = calloc(config->model->n_files, sizeof *files);
    if (files == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for the pager");
    for (size_t i = 0; i < config->model->n_files; i++) {
        files[i] = (hyp_pager_file){config->model->files[i].path, config->bases[i], config->model->files[i].bytes};
        if (files[i].base == NULL) {
            hyp_err_set(err, HYP_EUNSUPPORTED, "llama.cpp did not map %s where it can be seen, so it cannot be streamed", files[i].path);
            hyp_err_hint(err, "use --mode mmap");
            return HYP_EUNSUPPORTED;
        }
    }
    hyp_pager_config pager = {
        .files = files,
        .n_files = config->model->n_files,
        .extents = s->units.extents,
        .n_extents = s->units.n_extents,
        .units = s->units.units,
        .n_units = s->units.n_units,
        .n_layers = s->units.n_layers,
        .budget_bytes = config->budget_bytes,
        .policy = config->policy,
        .io = config->io,
    };
    return hyp_pager_open(&pager, &s->pager, err);
}

static int make_tables(hyp_stream *s, hyp_err *err) {
    s->max_experts = 1;
    for (size_t i = 0; i < s->model->n_tensors; i++) {
        if (s->units.tensors[i].layer == HYP_NOT_STREAMED) continue;
        s->max_experts = HYP_MAX(s->max_experts, s->units.tensors[i].n_units);
        if (!hyp_names_put(&s->weights, s->model->tensors[i].name, (uint32_t)i)) return hyp_err_set(err, HYP_ENOMEM, "no memory");
    }
    s->layers = calloc(s->units.n_layers, sizeof *s->layers);
    if (s->layers == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory");
    for (size_t i = 0; i < s->model->n_tensors; i++)
        if (s->units.tensors[i].layer != HYP_NOT_STREAMED) s->layers[s->units.tensors[i].layer] = s->units.tensors[i];
    s->demand = calloc(s->max_experts, sizeof *s->demand);
    s->demand_tokens = calloc(s->max_experts, sizeof *s->demand_tokens);
    s->slot_of_expert = calloc(s->max_experts, sizeof *s->slot_of_expert);
    bool made = s->demand != NULL && s->demand_tokens != NULL && s->slot_of_expert != NULL;
    return made ? HYP_OK : hyp_err_set(err, HYP_ENOMEM, "no memory for the tables of %u experts", s->max_experts);
}

int hyp_stream_new(const hyp_stream_config *config, hyp_stream **ret, hyp_err *err) {
    hyp_stream *s = calloc(1, sizeof *s);
    if (s == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory to stream");
    s->model = config->model;
    s->mode = config->mode;
    s->prefetch = config->prefetch;
    s->layer = NO_LAYER;
    int r = hyp_units_make(config->model, config->mode, (uint64_t)sysconf(_SC_PAGESIZE), &s->units, err);
    if (r == HYP_OK) r = make_tables(s, err);
    if (r == HYP_OK) r = make_pager(s, config, err);
    if (r != HYP_OK) {
        hyp_stream_free(s);
        return r;
    }
    *ret = s;
    return HYP_OK;
}

void hyp_stream_free(hyp_stream *s) {
    if (s == NULL) return;
    hyp_pager_close(s->pager);
    hyp_units_free(&s->units);
    hyp_names_free(&s->weights);
    hyp_names_free(&s->id_nodes);
    hyp_names_free(&s->pre_nodes);
    free(s->layers);
    free(s->demand);
    free(s->demand_tokens);
    free(s->slot_of_expert);
    free(s->ids);
    free(s);
}

/* --- dense: a cycle of layers through few frames --- */

static uint32_t dense_next(const hyp_stream *s, uint32_t unit) {
    return (uint32_t)((unit + 1) % s->units.n_streamed);
}

/* Read ahead in the order of the layers, across the end of the token, as far as there are free frames. */
static void dense_look_ahead(hyp_stream *s, uint32_t unit) {
    for (uint32_t next = dense_next(s, unit); next != unit; next = dense_next(s, next))
        if (!hyp_pager_prefetch(s->pager, next)) return;
}

int hyp_stream_load(hyp_stream *s, bool (*progress)(uint64_t, uint64_t, void *), void *user, hyp_err *err) {
    int r = hyp_pager_load_always(s->pager, progress, user, err);
    if (r == HYP_OK && s->mode == HYP_MODE_FFN) dense_look_ahead(s, (uint32_t)s->units.n_streamed - 1);
    return r;
}

/* --- the callback --- */

static void fail(hyp_stream *s, const hyp_err *failure) {
    if (s->failure.code == 0) s->failure = *failure;
}

/* The model's tensor behind a node's weight, through views, or NULL when it is not streamed. */
static const hyp_unit_ref *streamed_weight(const hyp_stream *s, const struct ggml_tensor *w) {
    while (w != NULL && w->view_src != NULL) w = w->view_src;
    if (w == NULL || w->op != GGML_OP_NONE) return NULL;
    uint32_t index = hyp_names_get(&s->weights, w->name);
    return index != HYP_NAMES_NONE ? &s->units.tensors[index] : NULL;
}

static void demand(hyp_stream *s, uint32_t layer) {
    hyp_err failure = HYP_ERR_NONE;
    hyp_pager_release(s->pager, NULL, SIZE_MAX);
    s->layer = layer;
    s->parts_passed = 0;
    s->parts_all = (uint8_t)((1u << s->units.units[s->demand[0]].n_extents) - 1);
    if (hyp_pager_demand(s->pager, layer, s->demand, s->demand_tokens, s->n_demand, &failure) != HYP_OK) fail(s, &failure);
}

static void wait_part(hyp_stream *s, uint8_t mask) {
    hyp_err failure = HYP_ERR_NONE;
    for (size_t i = 0; i < s->n_demand; i++)
        if (hyp_pager_wait(s->pager, s->demand[i], mask, &failure) != HYP_OK) {
            fail(s, &failure);
            return;
        }
}

static bool all_ready(hyp_stream *s, uint8_t mask) {
    for (size_t i = 0; i < s->n_demand; i++)
        if (!hyp_pager_ready(s->pager, s->demand[i], mask)) return false;
    return true;
}

/* A node over streamed weights is about to run: have its part there. Stop after it if another part is still being read, so
 * that this one computes meanwhile. */
static bool before_expert_matrix(hyp_stream *s, const struct ggml_tensor *node, const hyp_unit_ref *ref) {
    if (node->src[2] != NULL && hyp_names_get(&s->id_nodes, node->src[2]->name) == HYP_NAMES_NONE)
        hyp_names_put(&s->id_nodes, node->src[2]->name, ref->layer);
    if (ref->layer != s->layer) return false; /* the choice was not seen: this graph is new and faults */
    uint8_t mask = (uint8_t)(1u << ref->part);
    wait_part(s, mask);
    s->parts_passed |= mask;
    uint8_t later = s->parts_all & (uint8_t)~s->parts_passed;
    return later != 0 && !all_ready(s, later);
}

static bool before_dense_matrix(hyp_stream *s, const hyp_unit_ref *ref) {
    uint8_t mask = (uint8_t)(1u << ref->part);
    if (s->layer != ref->layer) {
        hyp_names_put(&s->pre_nodes, s->last_name, DENSE_STOP);
        s->demand[0] = ref->first_unit;
        s->demand_tokens[0] = 1;
        s->n_demand = 1;
        demand(s, ref->layer);
        dense_look_ahead(s, ref->first_unit);
    }
    wait_part(s, mask);
    s->parts_passed |= mask;
    uint8_t later = s->parts_all & (uint8_t)~s->parts_passed;
    /* The last part: stop, to give the layer's frames back as soon as it has been computed. */
    return later == 0 || !all_ready(s, later);
}

static bool looks_like_ids(const struct ggml_tensor *node) {
    return node->type == GGML_TYPE_I32 && strncmp(node->name, "ffn_moe_topk", 12) == 0;
}

static bool wants(hyp_stream *s, const struct ggml_tensor *node) {
    if (s->failure.code != 0) return true; /* to be stopped at the first opportunity */
    bool stop = false;
    const hyp_unit_ref *ref = NULL;
    if (node->op == GGML_OP_MUL_MAT_ID || node->op == GGML_OP_MUL_MAT) ref = streamed_weight(s, node->src[0]);
    if (ref != NULL) stop = s->mode == HYP_MODE_EXPERTS ? before_expert_matrix(s, node, ref) : before_dense_matrix(s, ref);
    else if (s->mode == HYP_MODE_FFN) stop = hyp_names_get(&s->pre_nodes, node->name) != HYP_NAMES_NONE;
    else if (node->type == GGML_TYPE_I32) stop = looks_like_ids(node) || hyp_names_get(&s->id_nodes, node->name) != HYP_NAMES_NONE;
    if (s->mode == HYP_MODE_FFN) memcpy(s->last_name, node->name, sizeof s->last_name);
    return stop;
}

/* Which streamed layer does this node of ids choose for? By what was learnt, else by the number in its name. */
static uint32_t layer_of_ids(const hyp_stream *s, const struct ggml_tensor *node) {
    uint32_t layer = hyp_names_get(&s->id_nodes, node->name);
    if (layer != HYP_NAMES_NONE) return layer;
    const char *dash = strrchr(node->name, '-');
    if (dash == NULL) return NO_LAYER;
    int number = atoi(dash + 1);
    for (uint32_t i = 0; i < s->units.n_layers; i++)
        if (s->units.model_layers[i] == number) return i;
    return NO_LAYER;
}

/* Copy the chosen ids, [n_used, n_tokens] with a row stride of its own, out of whatever memory they are in. */
static size_t fetch_ids(hyp_stream *s, const struct ggml_tensor *node) {
    size_t n_used = (size_t)node->ne[0], n = n_used * (size_t)node->ne[1];
    if (n > s->ids_room) {
        int32_t *more = realloc(s->ids, n * sizeof *more);
        if (more == NULL) return 0;
        s->ids = more;
        s->ids_room = n;
    }
    for (size_t row = 0; row < (size_t)node->ne[1]; row++)
        ggml_backend_tensor_get(node, s->ids + row * n_used, row * node->nb[1], n_used * sizeof *s->ids);
    return n;
}

static void route(hyp_stream *s, const struct ggml_tensor *node) {
    uint32_t layer = layer_of_ids(s, node);
    if (layer == NO_LAYER) return;
    const hyp_unit_ref *ref = &s->layers[layer];
    size_t n = fetch_ids(s, node);
    s->n_demand = 0;
    for (size_t i = 0; i < n; i++) {
        if ((uint32_t)s->ids[i] >= ref->n_units) continue;
        uint32_t *slot = &s->slot_of_expert[s->ids[i]];
        if (*slot == 0) {
            s->demand[s->n_demand] = ref->first_unit + (uint32_t)s->ids[i];
            s->demand_tokens[s->n_demand] = 0;
            *slot = (uint32_t)++s->n_demand;
        }
        s->demand_tokens[*slot - 1]++;
    }
    for (size_t i = 0; i < s->n_demand; i++) s->slot_of_expert[s->demand[i] - ref->first_unit] = 0;
    if (s->n_demand > 0) demand(s, layer);
}

static bool computed(hyp_stream *s, const struct ggml_tensor *node) {
    if (s->mode == HYP_MODE_EXPERTS && node->type == GGML_TYPE_I32) route(s, node);
    if (s->mode == HYP_MODE_FFN && s->layer != NO_LAYER && s->parts_passed == s->parts_all && node->op == GGML_OP_MUL_MAT) {
        hyp_pager_release(s->pager, NULL, SIZE_MAX);
        hyp_pager_drop(s->pager, s->demand[0]);
        dense_look_ahead(s, s->demand[0]);
        s->layer = NO_LAYER;
    }
    return s->failure.code == 0;
}

bool hyp_stream_on_node(struct ggml_tensor *node, bool ask, void *user) {
    hyp_stream *s = user;
    return ask ? wants(s, node) : computed(s, node);
}

void hyp_stream_begin(hyp_stream *s) {
    s->failure = HYP_ERR_NONE;
    s->layer = NO_LAYER;
    s->last_name[0] = '\0';
}

int hyp_stream_end(hyp_stream *s, hyp_err *err) {
    hyp_pager_release(s->pager, NULL, SIZE_MAX);
    s->layer = NO_LAYER;
    if (s->failure.code != 0 && err != NULL && err->code == 0) *err = s->failure;
    return s->failure.code;
}

bool hyp_stream_failed(const hyp_stream *s) {
    return s->failure.code != 0;
}

const hyp_units *hyp_stream_units(const hyp_stream *s) {
    return &s->units;
}

void hyp_stream_get_stats(const hyp_stream *s, hyp_pager_stats *ret) {
    hyp_pager_get_stats(s->pager, ret);
}
