/* layout.c - which pages of a model stand where in its sidecar. */
#include "sidecar/sidecar.h"

#include "base/mem.h"
#include "base/platform.h"
#include "plan/plan.h"
#include "sidecar/sidecar_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

void hyp_sidecar_free(hyp_sidecar *s) {
    if (s == NULL) return;
    free(s->files);
    free(s->runs);
    free(s->unit_of);
    free(s);
}

/* Down needs what gate and up made. */
static int use_order(const char *name) {
    return strstr(name, "down") != NULL ? 2 : strstr(name, "up") != NULL && strstr(name, "gate") == NULL ? 1 : 0;
}

/* The streamed tensors of a layer; false when there are none, or they are not cut alike. */
static bool gather(const hyp_model *model, hyp_mode mode, int layer, hyp_sidecar_layer *ret) {
    *ret = (hyp_sidecar_layer){.model_layer = layer};
    for (int order = 0; order <= 2; order++)
        for (size_t i = 0; i < model->n_tensors && ret->n_tensors < HYP_UNIT_MAX_EXTENTS; i++) {
            const hyp_tensor *t = &model->tensors[i];
            if (t->layer == layer && t->bytes > 0 && hyp_plan_is_streamed(t, mode) && use_order(t->name) == order)
                ret->tensors[ret->n_tensors++] = i;
        }
    if (ret->n_tensors == 0) return false;
    uint32_t n = model->tensors[ret->tensors[0]].n_experts;
    ret->n_experts = mode == HYP_MODE_EXPERTS ? HYP_MAX(n, 1u) : 1;
    for (uint32_t i = 0; i < ret->n_tensors; i++)
        if (model->tensors[ret->tensors[i]].n_experts != n) return false;
    return true;
}

int hyp_sidecar_layers(const hyp_model *model, hyp_sidecar_layer **ret, uint32_t *ret_n, hyp_err *err) {
    HYP_AUTOFREE hyp_sidecar_layer *layers = calloc(model->n_layers + 1u, sizeof *layers);
    if (layers == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for %u layers", model->n_layers);
    const hyp_mode mode = model->n_experts > 0 ? HYP_MODE_EXPERTS : HYP_MODE_FFN;
    uint32_t n = 0;
    for (int layer = 0; layer < (int)model->n_layers; layer++)
        if (gather(model, mode, layer, &layers[n])) n++;
    if (n == 0) return hyp_err_set(err, HYP_EUNSUPPORTED, "%s has nothing that could be packed", model->path);
    *ret = HYP_TAKE(layers);
    *ret_n = n;
    return HYP_OK;
}

int sidecar_examine(const char *path, hyp_sidecar_file *ret, hyp_err *err) {
    struct stat st;
    if (stat(path, &st) != 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot examine %s", path);
    const struct timespec t = hyp_platform_mtime(&st);
    *ret = (hyp_sidecar_file){(uint64_t)st.st_size, (int64_t)t.tv_sec * 1000000000 + t.tv_nsec};
    return HYP_OK;
}

uint64_t sidecar_run_bytes(const hyp_packed_run *run, uint32_t page) {
    uint64_t first = run->extent.offset / page, end = (run->extent.offset + run->extent.bytes + page - 1) / page;
    return (end - first) * page;
}

/* One expert of a layer: its slice of every tensor. */
static void add_unit(hyp_sidecar *s, const hyp_model *model, const hyp_sidecar_layer *layer, uint32_t expert) {
    for (uint32_t i = 0; i < layer->n_tensors; i++) {
        const hyp_tensor *t = &model->tensors[layer->tensors[i]];
        uint64_t bytes = t->bytes / layer->n_experts;
        hyp_packed_run *run = &s->runs[s->n_runs];
        *run = (hyp_packed_run){.extent = {t->file, t->offset + expert * bytes, bytes}, .at = s->bytes};
        s->unit_of[s->n_runs++] = s->n_units;
        s->bytes += sidecar_run_bytes(run, s->page_bytes);
    }
    s->n_units++;
}

static int fill(hyp_sidecar *s, const hyp_model *model, const hyp_sidecar_ranking *ranking,
                const hyp_sidecar_layer *layers, uint32_t n_layers, hyp_err *err) {
    uint64_t n_runs = 0;
    for (uint32_t i = 0; i < n_layers; i++)
        n_runs += (uint64_t)layers[i].n_experts * layers[i].n_tensors;
    if (n_runs > SIDECAR_MAX_RUNS) return hyp_err_set(err, HYP_ELIMIT, "%s has too many experts", model->path);
    s->files = calloc(model->n_files, sizeof *s->files);
    s->runs = calloc(n_runs, sizeof *s->runs);
    s->unit_of = calloc(n_runs, sizeof *s->unit_of);
    if (s->files == NULL || s->runs == NULL || s->unit_of == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the layout of %llu runs", (unsigned long long)n_runs);
    s->n_files = (uint32_t)model->n_files;
    for (size_t i = 0; i < model->n_files; i++) {
        int r = sidecar_examine(model->files[i].path, &s->files[i], err);
        if (r != HYP_OK) return r;
    }
    s->data_offset = s->bytes = sidecar_head_bytes(s->n_files, (uint32_t)n_runs, s->page_bytes);
    for (uint32_t i = 0; i < n_layers; i++)
        for (uint32_t e = 0; e < layers[i].n_experts; e++)
            add_unit(s, model, &layers[i], ranking != NULL ? ranking->experts[i][e] : e);
    return HYP_OK;
}

int hyp_sidecar_layout(const hyp_model *model, const hyp_sidecar_ranking *ranking, uint32_t page_bytes,
                       hyp_sidecar **ret, hyp_err *err) {
    HYP_AUTOFREE hyp_sidecar_layer *layers = NULL;
    uint32_t n_layers = 0;
    int r = hyp_sidecar_layers(model, &layers, &n_layers, err);
    if (r != HYP_OK) return r;
    if (ranking != NULL && ranking->n_layers != n_layers)
        return hyp_err_set(err, HYP_EINVAL, "an order of %u layers for %u", ranking->n_layers, n_layers);
    hyp_sidecar *s = calloc(1, sizeof *s);
    if (s == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a layout");
    s->page_bytes = page_bytes;
    s->order = ranking != NULL ? ranking->order : HYP_SIDECAR_BY_NUMBER;
    snprintf(s->digest, sizeof s->digest, "%s", model->digest);
    r = fill(s, model, ranking, layers, n_layers, err);
    if (r == HYP_OK)
        *ret = s;
    else
        hyp_sidecar_free(s);
    return r;
}
