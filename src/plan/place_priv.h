/* place_priv.h - shared by the files that place; not for others. */
#pragma once
#include "plan/place.h"

/* Arrays for `n` layers, everything on the CPU and the SSD. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_placement_new(size_t n, hyp_placement *ret, hyp_err *err);
HYP_NODISCARD int hyp_placement_copy(const hyp_placement *from, hyp_placement *ret, hyp_err *err);

/* Reads a token that reading all of the layer's bulk would cost. */
double hyp_place_touched(const hyp_place_layer *layer);

/* Set bulk_ram of `placement` from its site and bulk_site: everything if it fits, else what saves most reads a byte
 * first. With `only_divisible`, the dense FFNs in RAM stay as they are. Returns false when RAM cannot hold what must be
 * there. */
bool hyp_place_fill_ram(const hyp_place_problem *problem, hyp_placement *placement, bool only_divisible);
