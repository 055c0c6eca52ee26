/* status.h - the live status of a generation: tokens per second, hit rate, disk rate. On a terminal that shows the text
 * itself it goes into the window's title, elsewhere on one line of standard error that is erased at the end. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct hyp_engine hyp_engine; /* engine/engine.h */

typedef struct hyp_status {
    hyp_engine *engine;
    bool in_title, on_line;
    double start_s, last_s;
    uint64_t n_tokens, last_tokens, last_read;
} hyp_status;

/* Nothing is shown when standard error is no terminal, or with `quiet`. */
void hyp_status_start(hyp_status *status, hyp_engine *engine, bool quiet);

/* One more token came. Redraws at most twice a second. */
void hyp_status_token(hyp_status *status);
void hyp_status_end(hyp_status *status);
