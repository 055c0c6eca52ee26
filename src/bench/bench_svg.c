/* bench_svg.c - a comparison as bars: a panel for each figure with a scale of its own, a bar for each side's median,
 * and a whisker from its least to its most. */
#include "base/mem.h"
#include "base/svg.h"
#include "bench/bench.h"

#include <math.h>

enum { WIDTH = 760, LEFT = 150, RIGHT = 170, TOP = 72, BAR = 18, GAP = 5, PANEL_GAP = 16 };

static void write_number(const hyp_bench_figure_info *info, double value, char *buf, size_t size) {
    double v = value * info->scale;
    snprintf(buf, size, "%.*f", info->digits == 0 || v >= 1000 ? 0 : v >= 100 ? 1 : info->digits, v);
}

static double most(const hyp_bench *bench, int figure) {
    double most = 0;
    for (int s = 0; s < HYP_BENCH_N_SIDES; s++)
        if (bench->sides[s].n > 0 && bench->sides[s].figures[figure].max > most)
            most = bench->sides[s].figures[figure].max;
    return most;
}

static void draw_bar(const hyp_bench_spread *s, int figure, int side, double y, double scale, hyp_str *out) {
    const char *colour = hyp_svg_colours[side];
    double middle = y + BAR / 2.0, low = LEFT + s->min * scale, high = LEFT + s->max * scale;
    hyp_svg_rect(LEFT, y, HYP_MAX(s->median * scale, 1.0), BAR, colour, out);
    if (s->max > s->min)
        hyp_str_printf(out,
                       "<path d=\"M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8\" stroke=\"#000\" stroke-width=\"1.5\" "
                       "fill=\"none\"/>\n",
                       low, middle, high, low, middle - 4, high, middle - 4);
    char number[48];
    write_number(&hyp_bench_figures[figure], s->median, number, sizeof number);
    hyp_svg_text(high + 8, middle + 4, "fill=\"#222\"", number, out);
}

/* Draw the panel of `figure` at `y` and return where the next begins. A figure that nobody has, or that is 0 for all,
 * has none. */
static double draw_panel(const hyp_bench *bench, int figure, double y, hyp_str *out) {
    double max = most(bench, figure);
    if (max <= 0) return y;
    double scale = (WIDTH - LEFT - RIGHT) / max;
    hyp_svg_text(LEFT - 10, y + BAR / 2.0 + 4, "text-anchor=\"end\" fill=\"#222\"", hyp_bench_figures[figure].label,
                 out);
    hyp_svg_text(LEFT - 10, y + BAR / 2.0 + 18, "text-anchor=\"end\" fill=\"#888\" font-size=\"10\"",
                 hyp_bench_figures[figure].more_better ? "more is better" : "less is better", out);
    for (int s = 0; s < HYP_BENCH_N_SIDES; s++) {
        const hyp_bench_spread *spread = &bench->sides[s].figures[figure];
        if (bench->sides[s].n == 0 || isnan(spread->median)) continue;
        draw_bar(spread, figure, s, y, scale, out);
        y += BAR + GAP;
    }
    return y + PANEL_GAP;
}

static void draw_head(const hyp_bench_config *c, const hyp_bench *bench, hyp_str *out) {
    char title[256], size[24], name[64];
    snprintf(title, sizeof title, "%.80s, %s, %s page cache", c->model->name,
             hyp_text_format_bytes(c->model->bytes, size, sizeof size), c->warm ? "warm" : "cold");
    /* The file's name may be cut inside a character, or not be UTF-8 at all: a picture must be. */
    for (char *t = title; *t != '\0'; t++)
        if ((unsigned char)*t >= 0x80) *t = '?';
    hyp_svg_text(20, 28, "font-size=\"16\" font-weight=\"bold\"", title, out);
    double x = 20;
    for (int s = 0; s < HYP_BENCH_N_SIDES; s++) {
        if (bench->sides[s].n == 0) continue;
        hyp_svg_rect(x, 40, 12, 12, hyp_svg_colours[s], out);
        hyp_svg_text(x + 18, 50, "fill=\"#222\"", hyp_bench_side_name(bench, s, name, sizeof name), out);
        x += 180;
    }
}

void hyp_bench_write_svg(const hyp_bench_config *config, const hyp_bench *bench, hyp_str *out) {
    HYP_CLEANUP(hyp_str_free) hyp_str body = {0};
    draw_head(config, bench, &body);
    double y = TOP;
    for (int f = 0; f < HYP_BENCH_N_FIGURES; f++)
        y = draw_panel(bench, f, y, &body);
    hyp_svg_begin(WIDTH, (int)y + 8, out);
    hyp_str_append(out, body.data != NULL ? body.data : "", body.length);
    hyp_svg_end(out);
    out->failed = out->failed || body.failed;
}
