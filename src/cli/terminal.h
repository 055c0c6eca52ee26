/* terminal.h - what is known of the terminal the user looks at. */
#pragma once

/* Columns to print to: the terminal's on standard output, else $COLUMNS, else 100. At least 60. */
int hyp_terminal_width(void);
