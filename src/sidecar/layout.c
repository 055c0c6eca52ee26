/* layout.c - which pages of a model stand where in its sidecar. */
#include "sidecar/sidecar.h"

#include "base/mem.h"
#include "base/platform.h"
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

int hyp_sidecar_units(const hyp_model *model, hyp_units *ret, hyp_err *err) {
    hyp_units units;
    int r = hyp_units_of_model(model, &units, err);
    if (r != HYP_OK) return r;
    if (units.n_layers == 0) {
        hyp_units_free(&units);
        return hyp_err_set(err, HYP_EUNSUPPORTED, "%s has nothing that could be packed", model->path);
    }
    *ret = units;
    return HYP_OK;
}

int hyp_sidecar_examine(const char *path, hyp_sidecar_file *ret, hyp_err *err) {
    struct stat st;
    if (stat(path, &st) != 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot examine %s", path);
    const struct timespec t = hyp_platform_mtime(&st);
    *ret = (hyp_sidecar_file){(uint64_t)st.st_size, (int64_t)t.tv_sec * 1000000000 + t.tv_nsec};
    return HYP_OK;
}

uint64_t hyp_sidecar_run_bytes(const hyp_packed_run *run, uint32_t page) {
    return hyp_units_frame_bytes(run->extent.offset, run->extent.bytes, page);
}

/* One expert of a layer: its slice of every tensor. */
static void add_unit(hyp_sidecar *s, const hyp_model *model, const hyp_units_layer *layer, uint32_t expert) {
    for (uint32_t part = 0; part < layer->n_parts; part++) {
        hyp_units_range slice = hyp_units_slice(model, layer, expert, part);
        hyp_packed_run *run = &s->runs[s->n_runs];
        *run = (hyp_packed_run){.extent = {slice.file, slice.offset, slice.bytes}, .at = s->bytes};
        s->unit_of[s->n_runs++] = s->n_units;
        s->bytes += hyp_sidecar_run_bytes(run, s->page_bytes);
    }
    s->n_units++;
}

static int fill(hyp_sidecar *s, const hyp_model *model, const hyp_sidecar_ranking *ranking, const hyp_units *units,
                hyp_err *err) {
    uint64_t n_runs = 0;
    for (uint32_t i = 0; i < units->n_layers; i++)
        n_runs += (uint64_t)units->layers[i].n_units * units->layers[i].n_parts;
    if (n_runs > SIDECAR_MAX_RUNS) return hyp_err_set(err, HYP_ELIMIT, "%s has too many experts", model->path);
    s->files = calloc(model->n_files, sizeof *s->files);
    s->runs = calloc(n_runs, sizeof *s->runs);
    s->unit_of = calloc(n_runs, sizeof *s->unit_of);
    if (s->files == NULL || s->runs == NULL || s->unit_of == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the layout of %llu runs", (unsigned long long)n_runs);
    s->n_files = (uint32_t)model->n_files;
    for (size_t i = 0; i < model->n_files; i++) {
        int r = hyp_sidecar_examine(model->files[i].path, &s->files[i], err);
        if (r != HYP_OK) return r;
    }
    s->data_offset = s->bytes = hyp_sidecar_head_bytes(s->n_files, (uint32_t)n_runs, s->page_bytes);
    for (uint32_t i = 0; i < units->n_layers; i++)
        for (uint32_t e = 0; e < units->layers[i].n_units; e++)
            add_unit(s, model, &units->layers[i], ranking != NULL ? ranking->experts[i][e] : e);
    return HYP_OK;
}

int hyp_sidecar_layout(const hyp_model *model, const hyp_sidecar_ranking *ranking, uint32_t page_bytes,
                       hyp_sidecar **ret, hyp_err *err) {
    HYP_CLEANUP(hyp_units_free) hyp_units units = {0};
    int r = hyp_sidecar_units(model, &units, err);
    if (r != HYP_OK) return r;
    if (ranking != NULL && ranking->n_layers != units.n_layers)
        return hyp_err_set(err, HYP_EINVAL, "an order of %u layers for %u", ranking->n_layers, units.n_layers);
    hyp_sidecar *s = calloc(1, sizeof *s);
    if (s == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a layout");
    s->page_bytes = page_bytes;
    s->order = ranking != NULL ? ranking->order : HYP_SIDECAR_BY_NUMBER;
    snprintf(s->digest, sizeof s->digest, "%s", model->digest);
    r = fill(s, model, ranking, &units, err);
    if (r == HYP_OK)
        *ret = s;
    else
        hyp_sidecar_free(s);
    return r;
}
