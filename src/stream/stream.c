/* stream.c - the callback: which nodes matter, and what stops a decode. */
#include "stream/stream_priv.h"

#include "base/mem.h"
#include "plan/plan.h"
#include "sidecar/sidecar.h"

#include <stdlib.h>
#include <string.h>

/* A packed copy of this model, if there is one: then `ret` says what stands where in it. The caller frees `*ret_runs`.
 */
static int find_sidecar(hyp_stream *s, const hyp_stream_config *config, hyp_pager_packed *ret,
                        hyp_packed_run **ret_runs, hyp_err *err) {
    if (config->no_sidecar) return HYP_OK;
    HYP_AUTOFREE hyp_sidecar_look *look = malloc(sizeof *look);
    if (look == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory looking for a sidecar");
    hyp_sidecar_find(config->model, config->sidecar_path, look);
    if (look->state == HYP_SIDECAR_PRESENT) {
        s->sidecar_path = strdup(look->path);
        *ret_runs = hyp_sidecar_sorted_runs(look->sidecar);
        *ret = (hyp_pager_packed){.path = s->sidecar_path, .runs = *ret_runs, .n_runs = look->sidecar->n_runs};
    } else if (look->state == HYP_SIDECAR_STALE || look->state == HYP_SIDECAR_CORRUPT) {
        hyp_err_set(&s->sidecar_why, look->why.code, "%s: %s", look->path, look->why.message);
    }
    /* A copy that merely happened to be looked for may be missing; one that was named may not. */
    bool missing = config->sidecar_path != NULL && look->state <= HYP_SIDECAR_PARTIAL;
    bool made = look->state != HYP_SIDECAR_PRESENT || (s->sidecar_path != NULL && *ret_runs != NULL);
    hyp_sidecar_look_done(look);
    if (missing) {
        hyp_err_set(err, HYP_ENOTFOUND, "there is no sidecar at %s", config->sidecar_path);
        hyp_err_hint(err, "make one with: hypura optimize %s --out FILE", config->model->path);
        return HYP_ENOTFOUND;
    }
    return made ? HYP_OK : hyp_err_set(err, HYP_ENOMEM, "out of memory for a sidecar's tables");
}

static int make_pager(hyp_stream *s, const hyp_stream_config *config, uint64_t *ret_least_bytes, hyp_err *err) {
    HYP_AUTOFREE hyp_pager_file *files = calloc(config->model->n_files, sizeof *files);
    if (files == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the pager");
    for (size_t i = 0; i < config->model->n_files; i++) {
        files[i] = (hyp_pager_file){config->model->files[i].path, config->bases[i], config->model->files[i].bytes};
        if (files[i].base == NULL) {
            hyp_err_set(err, HYP_EUNSUPPORTED,
                        "llama.cpp did not map %s where it can be seen, so it cannot be streamed", files[i].path);
            hyp_err_hint(err, "use --mode mmap");
            return HYP_EUNSUPPORTED;
        }
    }
    hyp_pager_config pager = {
        .files = files,
        .n_files = config->model->n_files,
        .extents = s->tables.extents,
        .n_extents = s->tables.n_extents,
        .units = s->tables.units,
        .n_units = s->tables.n_units,
        .n_layers = s->units->n_layers,
        .budget_bytes = config->budget_bytes - s->routers_bytes,
        .policy = config->policy,
        .io = config->io,
    };
    uint64_t always = 0, largest = 0;
    hyp_pager_packed packed = {0};
    HYP_AUTOFREE hyp_packed_run *runs = NULL;
    int r = hyp_pager_measure(&pager, &always, &largest, err);
    *ret_least_bytes = always + largest;
    /* The look-ahead is a convenience: not where a frame would be missing for it. */
    if (r == HYP_OK && s->routers_bytes > 0 && pager.budget_bytes < *ret_least_bytes) {
        s->routers_bytes = 0;
        pager.budget_bytes = config->budget_bytes;
    }
    if (r == HYP_OK) r = find_sidecar(s, config, &packed, &runs, err);
    if (packed.path != NULL) pager.packed = &packed;
    return r == HYP_OK ? hyp_pager_open(&pager, &s->pager, err) : r;
}

static int learn_names(hyp_stream *s, hyp_err *err) {
    for (size_t i = 0; i < s->model->n_tensors; i++)
        if (s->units->tensors[i].layer != HYP_UNITS_NONE &&
            !hyp_names_put(&s->weights, s->model->tensors[i].name, (uint32_t)i))
            return hyp_err_set(err, HYP_ENOMEM, "out of memory for the names of streamed weights");
    return HYP_OK;
}

/* The plan may have put all that could stream on devices. */
static int check_streams(const hyp_plan *plan, hyp_err *err) {
    if (plan->units.n_units > 0) return HYP_OK;
    hyp_err_set(err, HYP_EUNSUPPORTED, "this model has no %s to stream", hyp_mode_streamed(plan->mode));
    hyp_err_hint(err, "use --mode %s", hyp_mode_name(hyp_mode_routes(plan->mode) ? HYP_MODE_FFN : HYP_MODE_EXPERTS));
    return HYP_EUNSUPPORTED;
}

int hyp_stream_new(const hyp_stream_config *config, hyp_stream **ret, uint64_t *ret_least_bytes, hyp_err *err) {
    hyp_stream *s = calloc(1, sizeof *s);
    if (s == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory streaming");
    s->model = config->model;
    s->units = &config->plan->units;
    s->ops = hyp_mode_routes(config->plan->mode) ? &hyp_stream_experts_ops : &hyp_stream_dense_ops;
    s->prefetch = config->prefetch;
    s->no_memory = config->no_memory;
    s->trace_path = config->trace_path;
    s->layer = STREAM_NO_LAYER;
    int r = check_streams(config->plan, err);
    if (r == HYP_OK) r = hyp_stream_tables_make(s->model, s->units, &s->tables, err);
    if (r == HYP_OK) r = learn_names(s, err);
    if (r == HYP_OK) r = s->ops->open(s, config, err);
    if (r == HYP_OK) r = make_pager(s, config, ret_least_bytes, err);
    if (r != HYP_OK) {
        hyp_stream_free(s);
        return r;
    }
    *ret = s;
    return HYP_OK;
}

void hyp_stream_free(hyp_stream *s) {
    if (s == NULL) return;
    s->ops->close(s); /* before the pager: the ring refers to it */
    hyp_pager_close(s->pager);
    hyp_stream_tables_free(&s->tables);
    hyp_names_free(&s->weights);
    free(s->sidecar_path);
    free(s);
}

int hyp_stream_load(hyp_stream *s, bool (*progress)(uint64_t, uint64_t, void *), void *user, hyp_err *err) {
    int r = hyp_pager_load_always(s->pager, progress, user, err);
    if (r != HYP_OK) return r;
    return s->ops->start(s, err);
}

void hyp_stream_fail(hyp_stream *s, const hyp_err *failure) {
    if (s->failure.code == 0) s->failure = *failure;
}

/* The reference of the streamed weight that a node multiplies with, through views, or NULL. */
static const hyp_units_ref *streamed_weight(const hyp_stream *s, const struct ggml_tensor *node) {
    if (node->op != GGML_OP_MUL_MAT_ID && node->op != GGML_OP_MUL_MAT) return NULL;
    const struct ggml_tensor *w = node->src[0];
    /* A weight may be multiplied with through a view of it: names are those of whole tensors. */
    while (w != NULL && w->view_src != NULL)
        w = w->view_src;
    if (w == NULL || w->op != GGML_OP_NONE) return NULL;
    uint32_t index = hyp_names_get(&s->weights, w->name);
    return index != HYP_NAMES_NONE ? &s->units->tensors[index] : NULL;
}

bool hyp_stream_on_node(struct ggml_tensor *node, bool ask, void *user) {
    hyp_stream *s = user;
    /* After a failure stop at the first opportunity: what follows computes with weights that are not there. "true" to a
     * question stops the graph after this node, "false" to the call that follows ends it. */
    if (s->failure.code != 0) return ask;
    if (ask) return s->ops->before(s, node, streamed_weight(s, node));
    s->ops->after(s, node);
    return s->failure.code == 0;
}

void hyp_stream_begin(hyp_stream *s) {
    s->failure = HYP_ERR_NONE; /* the last pass's was handed out by hyp_stream_end(); each may succeed on its own */
    s->layer = STREAM_NO_LAYER;
    if (s->ops->begin != NULL) s->ops->begin(s);
}

int hyp_stream_end(hyp_stream *s, double seconds, uint32_t n_tokens, hyp_err *err) {
    if (s->ops->end != NULL) s->ops->end(s, seconds, n_tokens);
    s->layer = STREAM_NO_LAYER;
    return hyp_err_pass(err, &s->failure);
}

bool hyp_stream_failed(const hyp_stream *s) {
    return s->failure.code != 0;
}

bool hyp_stream_uses_sidecar(const hyp_stream *s, const char **ret_path, const hyp_err **ret_why) {
    const hyp_err *why = NULL;
    bool used = s->sidecar_path != NULL && hyp_pager_packed_in_use(s->pager, &why);
    if (ret_path != NULL) *ret_path = used ? s->sidecar_path : NULL;
    if (ret_why != NULL) *ret_why = why != NULL ? why : s->sidecar_why.code != 0 ? &s->sidecar_why : NULL;
    return used;
}

void hyp_stream_get_stats(const hyp_stream *s, hyp_stream_stats *ret) {
    hyp_pager_get_stats(s->pager, &ret->pager);
    s->ops->get_stats(s, ret);
}

void hyp_stream_leave_primary(hyp_stream *s, int sys_errno) {
    hyp_pager_leave_primary(s->pager, sys_errno);
}

double hyp_stream_measure_faults(const hyp_stream *s, uint64_t max_bytes, double max_s) {
    return hyp_pager_measure_faults(s->pager, max_bytes, max_s);
}
