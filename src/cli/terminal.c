#include "cli/terminal.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

#include <locale.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int hyp_terminal_columns(int fd) {
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

int hyp_terminal_width(void) {
    const char *columns = getenv("COLUMNS");
    long width = hyp_terminal_columns(STDOUT_FILENO);
    if (width == 0 && columns != NULL) width = strtol(columns, NULL, 10);
    return width < 1 ? 100 : width < 60 ? 60 : width > 1000 ? 1000 : (int)width;
}

int hyp_terminal_wrap_columns(void) {
    const char *term = getenv("TERM");
    bool moves = term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
    return moves ? hyp_terminal_columns(STDOUT_FILENO) : 0;
}

static atomic_bool within_line;

void hyp_terminal_set_within_line(bool within) {
    atomic_store(&within_line, within);
}

void hyp_terminal_start_note(void) {
    if (!isatty(STDERR_FILENO)) return;
    bool text = isatty(STDOUT_FILENO) && atomic_exchange(&within_line, false);
    fputs(text ? "\n" : "\r\033[K", stderr);
}

void hyp_terminal_show_line(const char *text) {
    int columns = hyp_terminal_columns(STDERR_FILENO);
    size_t n = strlen(text);
    /* The last column stays free: a cursor behind it stands on the next line in some terminals. */
    if (columns > 0) n = hyp_utf8_whole(text, HYP_MIN(n, (size_t)columns - 1));
    fprintf(stderr, "\r%.*s\033[K", (int)n, text);
    fflush(stderr);
}

void hyp_terminal_use_utf8(void) {
    if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
}
