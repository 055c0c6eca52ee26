/* iobench_svg.c - two charts in one self-contained SVG: rate over request size, a line for each depth, and one for each
 * way of reading. Both share the axes. Colours are Okabe and Ito's, which people with colour-blindness can tell apart;
 * every line is also named beside its end. */
#include "base/mem.h"
#include "base/svg.h"
#include "bench/iobench.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 900, PANEL = 400, LEFT = 70, RIGHT = 250, TOP = 64, BOTTOM = 48, MAX_LINES = 12, MAX_ON_LINE = 24 };
enum { LABEL_GAP = 15 };

typedef struct line {
    char name[96];
    struct {
        uint32_t size;
        double rate;
    } at[MAX_ON_LINE];
    size_t n;
} line;

typedef struct chart {
    const char *title;
    double top; /* of the panel, in the picture */
    double max_rate;
    uint32_t min_size, max_size;
    line lines[MAX_LINES];
    size_t n_lines;
    uint32_t mark_size; /* a ring around this point, 0: none */
    double mark_rate;
} chart;

/* --- collecting --- */

static line *line_called(chart *c, const char *name) {
    for (size_t i = 0; i < c->n_lines; i++)
        if (strcmp(c->lines[i].name, name) == 0) return &c->lines[i];
    if (c->n_lines == MAX_LINES) return NULL;
    line *l = &c->lines[c->n_lines++];
    snprintf(l->name, sizeof l->name, "%s", name);
    return l;
}

static void add(chart *c, const char *name, const hyp_probe_point *p) {
    line *l = line_called(c, name);
    if (l == NULL || l->n == MAX_ON_LINE) return;
    size_t i = l->n++; /* sizes ascend, so that the line runs from left to right */
    for (; i > 0 && l->at[i - 1].size > p->size_bytes; i--)
        l->at[i] = l->at[i - 1];
    l->at[i].size = p->size_bytes;
    l->at[i].rate = p->bytes_per_s;
    c->max_rate = HYP_MAX(c->max_rate, p->bytes_per_s);
    c->min_size = c->min_size == 0 ? p->size_bytes : HYP_MIN(c->min_size, p->size_bytes);
    c->max_size = HYP_MAX(c->max_size, p->size_bytes);
}

static void collect_depths(const hyp_probe_result *r, chart *c) {
    for (size_t i = 0; i < r->n_points; i++) {
        const hyp_probe_point *p = &r->points[i];
        if (p->backend != r->backend || p->cache != HYP_PROBE_DIRECT || !p->random || p->expert) continue;
        char name[32];
        snprintf(name, sizeof name, "%u in flight", p->depth);
        add(c, name, p);
    }
    c->mark_size = r->chunk_bytes;
    c->mark_rate = r->bytes_per_s;
}

/* The warm page cache is memory, several times faster than any drive: on the same axis it would flatten the rest. */
static void collect_ways(const hyp_probe_result *r, chart *c) {
    for (size_t i = 0; i < r->n_points; i++) {
        const hyp_probe_point *p = &r->points[i];
        bool one_at_a_time = p->backend == HYP_IO_PLAIN;
        if (p->expert || p->cache == HYP_PROBE_WARM || p->depth != (one_at_a_time ? 1 : 16)) continue;
        char name[96], series[80];
        hyp_iobench_series_name(hyp_iobench_series_of(p), series, sizeof series);
        snprintf(name, sizeof name, "%s", series);
        add(c, name, p);
    }
}

/* --- drawing --- */

static double x_of(const chart *c, uint32_t size) {
    double span = log2((double)c->max_size / c->min_size);
    return LEFT + (span <= 0 ? 0.5 : log2((double)size / c->min_size) / span) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const chart *c, double rate) {
    return c->top + PANEL - BOTTOM - rate / c->max_rate * (PANEL - TOP - BOTTOM);
}

/* A round step that gives about five grid lines. */
static double grid_step(double max) {
    double step = pow(10, floor(log10(max / 5)));
    double ratio = max / 5 / step;
    return step * (ratio < 1.5 ? 1 : ratio < 3.5 ? 2 : ratio < 7.5 ? 5 : 10);
}

static void draw_axes(const chart *c, hyp_str *out) {
    char text[64];
    hyp_svg_text(LEFT, c->top + 30, "font-size=\"16\" font-weight=\"bold\"", c->title, out);
    hyp_svg_text(LEFT, c->top + 50, "fill=\"#555\"", "MB/s over the size of a request", out);
    double step = grid_step(c->max_rate);
    int n_steps = (int)(c->max_rate / step);
    for (int i = 0; i <= n_steps; i++) {
        double rate = i * step, y = y_of(c, rate);
        hyp_str_printf(out, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", LEFT, y,
                       WIDTH - RIGHT, y);
        snprintf(text, sizeof text, "%.0f", rate / 1e6);
        hyp_svg_text(LEFT - 8, y + 4, "text-anchor=\"end\" fill=\"#555\"", text, out);
    }
    for (uint64_t size = c->min_size; size <= c->max_size; size *= 2)
        hyp_svg_text(x_of(c, (uint32_t)size), c->top + PANEL - BOTTOM + 20, "text-anchor=\"middle\" fill=\"#555\"",
                     hyp_iobench_size_name(size, text, sizeof text), out);
}

static double end_y(const chart *c, size_t i) {
    return y_of(c, c->lines[i].at[c->lines[i].n - 1].rate);
}

/* Names stand in the margin, as high as their lines end, pushed apart where they would overlap: from the top line down.
 */
static void place_names(const chart *c, double *ret_y) {
    size_t order[MAX_LINES];
    for (size_t i = 0; i < c->n_lines; i++) {
        size_t j = i;
        for (; j > 0 && end_y(c, order[j - 1]) > end_y(c, i); j--)
            order[j] = order[j - 1];
        order[j] = i;
    }
    double lowest = -1e9;
    for (size_t i = 0; i < c->n_lines; i++)
        lowest = ret_y[order[i]] = HYP_MAX(end_y(c, order[i]), lowest + LABEL_GAP);
}

static void draw_lines(const chart *c, hyp_str *out) {
    double name_y[MAX_LINES];
    place_names(c, name_y);
    for (size_t i = 0; i < c->n_lines; i++) {
        const line *l = &c->lines[i];
        const char *colour = hyp_svg_colours[i % HYP_SVG_N_COLOURS];
        hyp_str_printf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s points=\"", colour,
                       i < HYP_SVG_N_COLOURS ? "" : " stroke-dasharray=\"5 3\"");
        for (size_t j = 0; j < l->n; j++)
            hyp_str_printf(out, "%.1f,%.1f ", x_of(c, l->at[j].size), y_of(c, l->at[j].rate));
        hyp_str_puts(out, "\"/>\n");
        for (size_t j = 0; j < l->n; j++)
            hyp_str_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"/>\n", x_of(c, l->at[j].size),
                           y_of(c, l->at[j].rate), colour);
        char attributes[64];
        snprintf(attributes, sizeof attributes, "fill=\"%s\"", colour);
        hyp_svg_text(WIDTH - RIGHT + 10, name_y[i] + 4, attributes, l->name, out);
    }
    if (c->mark_size == 0) return;
    hyp_str_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"8\" fill=\"none\" stroke=\"#000\" stroke-width=\"2\"/>\n",
                   x_of(c, c->mark_size), y_of(c, c->mark_rate));
    hyp_svg_text(x_of(c, c->mark_size), y_of(c, c->mark_rate) + 26,
                 "text-anchor=\"middle\" stroke=\"#fff\" stroke-width=\"4\" paint-order=\"stroke\"", "recommended",
                 out);
}

static void draw(const chart *c, hyp_str *out) {
    if (c->n_lines == 0) return;
    draw_axes(c, out);
    draw_lines(c, out);
}

void hyp_iobench_write_svg(const hyp_iobench *bench, hyp_str *out) {
    const hyp_probe_result *r = &bench->probe;
    char title[128];
    snprintf(title, sizeof title, "Scattered direct reads, %s", hyp_io_backend_name(r->backend));
    chart depths = {.title = title};
    chart ways = {.title = "Ways of reading, 16 in flight (plain: 1)", .top = PANEL};
    collect_depths(r, &depths);
    collect_ways(r, &ways);
    depths.max_rate = ways.max_rate = 1.05 * HYP_MAX(HYP_MAX(depths.max_rate, ways.max_rate), 1);
    hyp_svg_begin(WIDTH, 2 * PANEL, out);
    draw(&depths, out);
    draw(&ways, out);
    hyp_svg_end(out);
}
