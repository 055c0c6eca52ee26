/* terminal.h - what is known of the terminal the user looks at. */
#pragma once
#include <stdbool.h>

/* Columns to print to: the terminal's on standard output, else $COLUMNS, else 100. At least 60. */
int hyp_terminal_width(void);

/* Columns of the terminal behind the descriptor `fd`; 0 when it is none, or does not say. */
int hyp_terminal_columns(int fd);

/* The same of standard output, where words can be moved to the next line there; 0 also when $TERM names no such
 * terminal. */
int hyp_terminal_wrap_columns(void);

/* What was printed last has not ended its line: hyp_terminal_start_note() does so then. Any thread. */
void hyp_terminal_set_within_line(bool within);

/* Before a note on standard error: on a line of its own, though progress or an answer may stand on the terminal's. */
void hyp_terminal_start_note(void);

/* Show `text` as the line of standard error that the next call replaces: cut to the terminal's width, for a line that
 * wraps would stay behind. "" erases it. Only for a standard error that is a terminal. */
void hyp_terminal_show_line(const char *text);

/* Let the C library decode and measure UTF-8, whatever the environment says; numbers stay as C writes them. */
void hyp_terminal_use_utf8(void);
