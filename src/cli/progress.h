/* progress.h - what a person sees on a terminal while waiting: nothing is printed elsewhere. */
#pragma once
#include "base/err.h"

typedef struct hyp_progress {
    const char *what; /* "loading" */
    bool shown;       /* standard error is a terminal and the user wants notes */
    double start_s, last_s;
} hyp_progress;

void hyp_progress_start(hyp_progress *p, const char *what, bool quiet);

/* Redraw at most ten times a second: bytes, rate, time left. */
void hyp_progress_update(hyp_progress *p, uint64_t done_bytes, uint64_t total_bytes);

/* Erase the line. */
void hyp_progress_end(hyp_progress *p);

/* What is being measured now, of which `share` (0 to 1) is done: for hyp_profile_request.progress. `user` is a bool:
 * whether to show it. The caller erases the line. Returns true: go on. */
bool hyp_progress_show_step(double share, const char *what, void *user);
