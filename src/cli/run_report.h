/* run_report.h - what `run` tells of a generation. */
#pragma once
#include "base/text.h"
#include "cli/local.h"

/* Print the JSON object of docs/json.md on one line. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_run_report_json(hyp_engine *engine, const hyp_local_result *result, const hyp_str *text,
                                      bool with_digest, FILE *out, hyp_err *err);

/* One line: speeds as they were measured, and what the cost model says of this very run. Nothing when no token was
 * decoded. */
void hyp_run_report_closing(hyp_engine *engine, const hyp_local_result *result, FILE *out);

/* Print all of it for a person, a few lines, the closing one among them. */
void hyp_run_report_text(hyp_engine *engine, const hyp_local_result *result, FILE *out);
