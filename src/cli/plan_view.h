/* plan_view.h - a plan for people's eyes, as JSON, and as a drawing. */
#pragma once
#include "cli/machine.h"
#include "plan/plan.h"

#include <yyjson.h>

/* The mode, bytes by tier and role, a picture of layers by tiers, the predicted speed; to standard output. */
void hyp_plan_view_print(const hyp_model *model, const hyp_machine *machine, const hyp_plan *plan, int width);

/* "generation 1.9 tok/s, limited by the disk" and its companions: the lines that estimate prints too. */
void hyp_plan_view_speed(const hyp_machine *machine, const hyp_plan *plan);

/* A rate or a time with three digits, never with an exponent. Returns `buf`. */
const char *hyp_plan_view_number(double value, char *buf, size_t size);

/* Add the member "placement" to `object`: where each layer of `model` lies, and the output head with what belongs to no
 * layer last. What `estimate` plans and what `run` executed are written by this. Returns false without memory. */
bool hyp_plan_view_placement_json(yyjson_mut_doc *doc, yyjson_mut_val *object, const hyp_model *model,
                                  const hyp_plan *plan);

/* Add the member "plan" to `object`. The strings stay the plan's. Returns false without memory. */
bool hyp_plan_view_json(yyjson_mut_doc *doc, yyjson_mut_val *object, const hyp_machine *machine, const hyp_plan *plan);

/* Draw layers by tiers into a stand-alone SVG file. Errors: HYP_EIO, HYP_ENOMEM. */
HYP_NODISCARD int hyp_plan_view_svg(const char *path, const hyp_model *model, const hyp_machine *machine,
                                    const hyp_plan *plan, hyp_err *err);
