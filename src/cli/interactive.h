/* interactive.h - a chat in the terminal, as users of `ollama run` know it. */
#pragma once
#include "cli/args.h"

typedef struct hyp_engine hyp_engine; /* engine/engine.h */

/* Read messages and commands from standard input and answer them until /bye or the end of the input. Owns SIGINT
 * meanwhile. `name` is how the model was called. Returns an HYP_EXIT_...; errors of one answer are printed and the chat
 * goes on. Errors: HYP_ENOMEM, HYP_EIO (nothing can be written). */
HYP_NODISCARD int hyp_interactive(const hyp_args *args, const char *name, hyp_engine *engine, hyp_err *err);
