/* svg.h - what all drawings share: the frame, rectangles, escaped text, colours that people with colour-blindness can
 * tell apart. Everything appends to `out`, which fails as in text.h. */
#pragma once
#include "base/text.h"

enum { HYP_SVG_N_COLOURS = 7 };
extern const char *const hyp_svg_colours[HYP_SVG_N_COLOURS]; /* Okabe and Ito's */

/* Begin and end a picture of `width` x `height` on white. */
void hyp_svg_begin(int width, int height, hyp_str *out);
void hyp_svg_end(hyp_str *out);

/* A filled rectangle whose upper left corner is (x, y); coordinates keep six digits. */
void hyp_svg_rect(double x, double y, double width, double height, const char *colour, hyp_str *out);

/* A text at (x, y) with further attributes ("" for none), which are written as they are; `text`, which must be UTF-8,
 * is escaped, and its control characters are left out. */
void hyp_svg_text(double x, double y, const char *attributes, const char *text, hyp_str *out);
