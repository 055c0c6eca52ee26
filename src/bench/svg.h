/* svg.h - what the charts share: the frame, escaped text, colours that people with colour-blindness can tell apart. */
#pragma once
#include "base/text.h"

enum { HYP_SVG_N_COLOURS = 7 };
extern const char *const hyp_svg_colours[HYP_SVG_N_COLOURS]; /* Okabe and Ito's */

/* Begin and end a picture of `width` x `height` on white. */
void hyp_svg_begin(int width, int height, hyp_str *out);
void hyp_svg_end(hyp_str *out);

/* A text at (x, y) with further attributes; `text` is escaped, control characters are left out. */
void hyp_svg_text(double x, double y, const char *attributes, const char *text, hyp_str *out);
