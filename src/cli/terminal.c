#include "cli/terminal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

int hyp_terminal_width(void) {
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    long width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
                 : columns != NULL                                               ? strtol(columns, NULL, 10)
                                                                                 : 0;
    return width < 1 ? 100 : width < 60 ? 60 : width > 1000 ? 1000 : (int)width;
}
