/* completion.h - shell completions from the tables of commands and options. */
#pragma once
#include <stdbool.h>

/* Print the completion script of `shell` ("bash", "zsh", "fish") to standard output. False: there is none for it. */
bool hyp_completion_print(const char *shell);
