/* plan_svg.c - the placement as a drawing: a column a layer, attention above, FFN or experts below, coloured by tier.
 */
#include "base/mem.h"
#include "base/svg.h"
#include "base/text.h"
#include "cli/plan_view.h"
#include "cli/save.h"

enum { LEFT = 90, TOP = 70, ROW = 60, LEGEND = 150 };

static const char *const device_colours[] = {"#8e63ce", "#c2559d", "#5566cc", "#3aa6a6"};
static const char ram_colour[] = "#3b8f4f", ssd_colour[] = "#d98b2b", page_colour[] = "#9aa0a6";

static const char *site_colour(uint8_t site) {
    return site == 0 ? ram_colour : device_colours[(site - 1) % HYP_ARRAY_LEN(device_colours)];
}

static void draw_layer(hyp_str *s, const hyp_plan *plan, uint32_t l, double width) {
    double x = LEFT + l * width, inner = width * 0.85, bulk = TOP + ROW + 8;
    bool mapped = hyp_mode_is_mapped(plan->mode);
    hyp_svg_rect(x, TOP, inner, ROW, mapped ? page_colour : site_colour(plan->layer_site[l]), s);
    if (l == plan->n_layers) return; /* the output head has no FFN */
    if (mapped || plan->bulk_site[l] > 0) {
        hyp_svg_rect(x, bulk, inner, ROW, mapped ? page_colour : site_colour(plan->bulk_site[l]), s);
        return;
    }
    double share = (double)plan->bulk_resident[l];
    hyp_svg_rect(x, bulk, inner, ROW * (1 - share), ssd_colour, s);
    hyp_svg_rect(x, bulk + ROW * (1 - share), inner, ROW * share, ram_colour, s);
}

static void draw_legend(hyp_str *s, const hyp_machine *machine, const hyp_plan *plan, double y) {
    const char *names[3 + HYP_HARDWARE_MAX_DEVICES] = {"RAM", "SSD", "page cache"};
    const char *colours[3 + HYP_HARDWARE_MAX_DEVICES] = {ram_colour, ssd_colour, page_colour};
    size_t n = 3;
    for (size_t d = 0; d < plan->n_devices; d++, n++) {
        names[n] = machine->hardware.devices[d].name;
        colours[n] = site_colour((uint8_t)(d + 1));
    }
    for (size_t i = 0; i < n; i++) {
        hyp_svg_rect(LEFT + (double)i * LEGEND, y, 14, 14, colours[i], s);
        hyp_svg_text(LEFT + (double)i * LEGEND + 20, y + 12, "", names[i], s);
    }
}

int hyp_plan_view_svg(const char *path, const hyp_model *model, const hyp_machine *machine, const hyp_plan *plan,
                      hyp_err *err) {
    hyp_str s = {0};
    char text[320];
    size_t n_legend = 3 + plan->n_devices;
    double layer = HYP_MAX(6.0, 900.0 / (plan->n_layers + 1)), width = LEFT + layer * (plan->n_layers + 1) + 20;
    width = HYP_MAX(width, (double)(LEFT + n_legend * LEGEND));
    hyp_str_printf(&s,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f 260\" font-family=\"sans-serif\" "
                   "font-size=\"13\">\n"
                   "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
                   width);
    snprintf(text, sizeof text, "%s: mode %s, %.3g tok/s predicted", model->name, hyp_mode_name(plan->mode),
             plan->prediction.decode_tok_per_s);
    hyp_svg_text(LEFT, 24, "", text, &s);
    hyp_svg_text(LEFT, 44, "", plan->reason, &s);
    hyp_svg_text(10, TOP + ROW / 2.0, "", "attention", &s);
    hyp_svg_text(10, TOP + ROW * 1.5 + 8, "", model->n_experts > 0 ? "experts" : "FFN", &s);
    for (uint32_t l = 0; l <= plan->n_layers; l++)
        draw_layer(&s, plan, l, layer);
    draw_legend(&s, machine, plan, TOP + 2 * ROW + 30);
    hyp_svg_end(&s);
    int r = hyp_save_text(path, &s, err);
    hyp_str_free(&s);
    return r;
}
