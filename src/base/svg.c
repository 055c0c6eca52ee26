#include "base/svg.h"

const char *const hyp_svg_colours[HYP_SVG_N_COLOURS] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                        "#e69f00", "#56b4e9", "#555555"};

void hyp_svg_begin(int width, int height, hyp_str *out) {
    hyp_str_printf(out,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
                   "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" "
                   "fill=\"#fff\"/>\n",
                   width, height, width, height);
}

void hyp_svg_end(hyp_str *out) {
    hyp_str_puts(out, "</svg>\n");
}

void hyp_svg_rect(double x, double y, double width, double height, const char *colour, hyp_str *out) {
    hyp_str_printf(out, "<rect x=\"%.6g\" y=\"%.6g\" width=\"%.6g\" height=\"%.6g\" fill=\"%s\"/>\n", x, y, width,
                   height, colour);
}

static void escape(const char *text, hyp_str *out) {
    for (const char *t = text; *t != '\0'; t++) {
        if (*t == '&')
            hyp_str_puts(out, "&amp;");
        else if (*t == '<')
            hyp_str_puts(out, "&lt;");
        else if (*t == '>' && t - text >= 2 && t[-1] == ']' && t[-2] == ']')
            hyp_str_puts(out, "&gt;"); /* XML forbids "]]>" in text, and no other '>' */
        else if ((unsigned char)*t >= 0x20 && *t != 0x7f)
            hyp_str_append(out, t, 1);
    }
}

void hyp_svg_text(double x, double y, const char *attributes, const char *text, hyp_str *out) {
    hyp_str_printf(out, "<text x=\"%.1f\" y=\"%.1f\"%s%s>", x, y, *attributes != '\0' ? " " : "", attributes);
    escape(text, out);
    hyp_str_puts(out, "</text>\n");
}
