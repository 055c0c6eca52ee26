/* faults.h - `--io-faults`: make reads fail, short or slow on purpose, to test what happens then. */
#pragma once
#include "base/err.h"
#include "io/types.h"

enum { HYP_FAULTS_MAX = 4 };

/* Rules that hold together; `items[0]` is what the io layer is given. They point at each other: not to be copied. */
typedef struct hyp_faults {
    hyp_io_faults items[HYP_FAULTS_MAX];
} hyp_faults;

/* Parse rules separated by ';', each
 * "fail=N,short=N,truncate=N,delay=N,us=N,random,seed=N,class=demand|prefetch,die=N,rate=SIZE,
 * source=primary|mirror|any" (every Nth read; die: all from the Nth on; rate: bytes a second; mirror: every mirror).
 * Errors: HYP_EINVAL. */
HYP_NODISCARD int hyp_faults_parse(const char *text, hyp_faults *ret, hyp_err *err);
