/* tables.c - the plan's units in the form that the pager takes: a list of extents, and units that are runs of it. */
#include "stream/stream_priv.h"

#include "base/mem.h"

_Static_assert((int)HYP_UNITS_MAX_PARTS == (int)HYP_UNIT_MAX_EXTENTS, "a part is an extent");

static void add_unit(stream_tables *t, const hyp_units_range *parts, uint32_t n, uint32_t layer, bool always) {
    t->units[t->n_units++] =
        (hyp_unit){.first_extent = (uint32_t)t->n_extents, .n_extents = n, .layer = layer, .always = always};
    for (uint32_t p = 0; p < n; p++)
        t->extents[t->n_extents++] = (hyp_extent){parts[p].file, parts[p].offset, parts[p].bytes};
}

int hyp_stream_tables_make(const hyp_model *model, const hyp_units *units, stream_tables *ret, hyp_err *err) {
    size_t n_extents = units->n_always, n_units = units->n_always + units->n_units;
    for (uint32_t l = 0; l < units->n_layers; l++)
        n_extents += (size_t)units->layers[l].n_units * units->layers[l].n_parts;
    stream_tables t = {.extents = calloc(n_extents, sizeof *t.extents), .units = calloc(n_units, sizeof *t.units)};
    if (t.extents == NULL || t.units == NULL) {
        hyp_stream_tables_free(&t);
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the tables of %zu units", n_units);
    }
    /* The units first, so that the pager's numbers are the plan's. */
    for (uint32_t l = 0; l < units->n_layers; l++) {
        const hyp_units_layer *layer = &units->layers[l];
        for (uint32_t i = 0; i < layer->n_units; i++) {
            hyp_units_range parts[HYP_UNITS_MAX_PARTS];
            for (uint32_t p = 0; p < layer->n_parts; p++)
                parts[p] = hyp_units_slice(model, layer, i, p);
            add_unit(&t, parts, layer->n_parts, l, false);
        }
    }
    for (size_t i = 0; i < units->n_always; i++)
        add_unit(&t, &units->always[i], 1, 0, true);
    *ret = t;
    return HYP_OK;
}

void hyp_stream_tables_free(stream_tables *t) {
    free(t->extents);
    free(t->units);
    *t = (stream_tables){0};
}
