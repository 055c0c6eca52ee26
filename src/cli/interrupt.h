/* interrupt.h - Ctrl-C stops the answer, a second one the program. */
#pragma once
#include "engine/engine.h"

/* From now on the first SIGINT or SIGTERM interrupts `engine` (NULL: only noted), the next ends the process. */
void hyp_interrupt_watch(hyp_engine *engine);

/* Has one come? */
bool hyp_interrupt_seen(void);
