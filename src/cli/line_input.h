/* line_input.h - what the user types: a line editor with history on a terminal (libedit), plain lines elsewhere. */
#pragma once
#include "base/text.h"

typedef struct hyp_line_input hyp_line_input;

/* Read standard input. On a terminal, lines are edited as $EDITOR and ~/.editrc say and remembered in `history_path`
 * (NULL: only while the program runs). Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_line_input_open(const char *history_path, hyp_line_input **ret, hyp_err *err);

/* Accepts NULL. */
void hyp_line_input_close(hyp_line_input *input);

typedef enum hyp_line_end {
    HYP_LINE_READ,
    HYP_LINE_CANCELED, /* Ctrl-C: what was typed is thrown away */
    HYP_LINE_END       /* Ctrl-D on an empty line, or the end of the input */
} hyp_line_end;

/* Read one message into `ret` (replaced): a line, or, begun with three double quotes, all lines until three more; the
 * quotes do not belong to it. `*ret_quoted`: it began with them, so it is no command. "/set system" takes them too. */
hyp_line_end hyp_line_input_read(hyp_line_input *input, hyp_str *ret, bool *ret_quoted);

/* Keep lines in the history from now on, or no more. */
void hyp_line_input_keep_history(hyp_line_input *input, bool keep);
