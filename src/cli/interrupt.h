/* interrupt.h - Ctrl-C stops the answer, a second one the program. */
#pragma once
#include <stdbool.h>

typedef struct hyp_engine hyp_engine; /* engine/engine.h */

/* From now on the first SIGINT or SIGTERM interrupts `engine` (NULL: only noted), the next ends the process. */
void hyp_interrupt_watch(hyp_engine *engine);

/* Has one come? */
bool hyp_interrupt_seen(void);

/* For a chat: SIGINT interrupts what `answering` computes, and only a third one during the same answer ends the
 * process; between answers (NULL) it is ignored. SIGTERM ends the process. What came before is forgotten. */
void hyp_interrupt_chat(hyp_engine *answering);
