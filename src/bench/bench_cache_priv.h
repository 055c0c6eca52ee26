/* bench_cache_priv.h - the page cache of one model. */
#pragma once
#include "gguf/model.h"

/* Drop the page cache of the model's files, and of nothing else: the next read comes from the drive. Pages that another
 * process maps stay. Errors: HYP_EIO. */
HYP_NODISCARD int hyp_bench_cache_drop(const hyp_model *model, hyp_err *err);

/* The share of the model's files that the page cache holds, 0 to 1; negative where the system does not report it to
 * those who may not write the file. */
double hyp_bench_cache_share(const hyp_model *model);
