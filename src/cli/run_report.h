/* run_report.h - what `run` tells of a generation. */
#pragma once
#include "base/text.h"
#include "engine/generate.h"

/* Print the JSON object of docs/json.md on one line. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_run_report_json(hyp_engine *engine, size_t n_prompt, const hyp_generate_result *result,
                                      const hyp_str *text, bool with_digest, FILE *out, hyp_err *err);

/* Print the same for a person, a few lines. */
void hyp_run_report_text(hyp_engine *engine, size_t n_prompt, const hyp_generate_result *result, FILE *out);
