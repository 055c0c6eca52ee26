/* faults.h - `--io-faults`: make reads fail, short or slow on purpose, to test what happens then. */
#pragma once
#include "io/io.h"

/* Parse "fail=N,short=N,truncate=N,delay=N,us=N,random,seed=N,class=demand|prefetch" (every Nth read). Errors: HYP_EINVAL. */
HYP_NODISCARD int hyp_faults_parse(const char *text, hyp_io_faults *ret, hyp_err *err);
