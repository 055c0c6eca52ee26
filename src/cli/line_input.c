#include "cli/line_input.h"

#include "base/mem.h"
#include "cli/terminal.h"

#include <histedit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HISTORY_LINES = 1000 };
static const char quotes[] = "\"\"\"";

struct hyp_line_input {
    EditLine *editor; /* NULL when standard input is no terminal */
    History *history;
    char *history_path;
    bool keep_history, within_quotes, canceled;
    char *line; /* of getline() */
    size_t line_room;
};

static char *show_prompt(EditLine *editor) {
    static char first[] = ">>> ", more[] = "... ";
    hyp_line_input *in = NULL;
    el_get(editor, EL_CLIENTDATA, &in);
    return in != NULL && in->within_quotes ? more : first;
}

static unsigned char on_cancel(EditLine *editor, int key) {
    (void)key;
    hyp_line_input *in = NULL;
    el_get(editor, EL_CLIENTDATA, &in);
    if (in != NULL) in->canceled = true;
    return CC_NEWLINE;
}

static int open_editor(hyp_line_input *in, hyp_err *err) {
    hyp_terminal_use_utf8(); /* libedit decodes what is typed by the locale */
    in->editor = el_init("hypura", stdin, stdout, stderr);
    in->history = history_init();
    if (in->editor == NULL || in->history == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory for the line editor");
    HistEvent event;
    history(in->history, &event, H_SETSIZE, HISTORY_LINES);
    history(in->history, &event, H_SETUNIQUE, 1);
    if (in->history_path != NULL) history(in->history, &event, H_LOAD, in->history_path);
    el_set(in->editor, EL_CLIENTDATA, in);
    el_set(in->editor, EL_PROMPT, show_prompt);
    el_set(in->editor, EL_EDITOR, "emacs");
    el_set(in->editor, EL_HIST, history, in->history);
    el_set(in->editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(in->editor, NULL);
    /* Ctrl-C is a key while a line is edited, a signal while an answer is written. */
    el_set(in->editor, EL_ADDFN, "hypura-cancel", "throw the line away", on_cancel);
    el_set(in->editor, EL_BIND, "^C", "hypura-cancel", NULL);
    el_set(in->editor, EL_SETTY, "-d", "-isig", NULL);
    el_set(in->editor, EL_SIGNAL, 1); /* a signal that ends the program puts the terminal in order first */
    return HYP_OK;
}

int hyp_line_input_open(const char *history_path, hyp_line_input **ret, hyp_err *err) {
    hyp_line_input *in = calloc(1, sizeof *in);
    if (in == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the line editor");
    in->keep_history = true;
    if (history_path != NULL) in->history_path = strdup(history_path);
    int r = isatty(STDIN_FILENO) ? open_editor(in, err) : HYP_OK;
    if (r != HYP_OK) {
        hyp_line_input_close(in);
        return r;
    }
    *ret = in;
    return HYP_OK;
}

void hyp_line_input_close(hyp_line_input *in) {
    if (in == NULL) return;
    if (in->editor != NULL) el_end(in->editor);
    if (in->history != NULL) history_end(in->history);
    free(in->history_path);
    free(in->line);
    free(in);
}

void hyp_line_input_keep_history(hyp_line_input *in, bool keep) {
    in->keep_history = keep;
}

static void remember(hyp_line_input *in, const char *line) {
    if (in->history == NULL || !in->keep_history || line[strspn(line, " \t\r\n")] == '\0') return;
    HistEvent event;
    history(in->history, &event, H_ENTER, line);
    if (in->history_path != NULL) history(in->history, &event, H_SAVE, in->history_path);
}

/* One line without its end, valid until the next call. NULL at the end of the input. */
static const char *read_line(hyp_line_input *in, size_t *ret_n) {
    const char *line;
    size_t n;
    in->canceled = false;
    if (in->editor != NULL) {
        int count = 0;
        line = el_gets(in->editor, &count);
        if (in->canceled) {
            fputs("\n", stdout);
            *ret_n = 0;
            return "";
        }
        if (line == NULL || count <= 0) {
            fputs("\n", stdout); /* Ctrl-D leaves the cursor behind the prompt */
            return NULL;
        }
        n = (size_t)count;
        remember(in, line);
    } else {
        ssize_t got = getline(&in->line, &in->line_room, stdin);
        if (got <= 0) return NULL;
        line = in->line;
        n = (size_t)got;
    }
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    *ret_n = n;
    return line;
}

/* Where three quotes begin a text of several lines: at the line's start, or in "/set system". */
static const char *find_opening(const char *line, size_t n) {
    static const char set_system[] = "/set system ";
    const size_t n_set = sizeof set_system - 1;
    if (n >= sizeof quotes - 1 && memcmp(line, quotes, sizeof quotes - 1) == 0) return line;
    if (n < n_set || memcmp(line, set_system, n_set) != 0) return NULL;
    return memmem(line, n, quotes, sizeof quotes - 1);
}

hyp_line_end hyp_line_input_read(hyp_line_input *in, hyp_str *ret, bool *ret_quoted) {
    const size_t n_quotes = sizeof quotes - 1;
    ret->length = 0;
    in->within_quotes = false;
    *ret_quoted = false;
    for (bool first = true;; first = false) {
        size_t n;
        const char *line = read_line(in, &n);
        bool canceled = in->canceled;
        if (line == NULL && ret->length == 0) in->within_quotes = false;
        if (line == NULL || canceled) return canceled ? HYP_LINE_CANCELED : HYP_LINE_END;
        if (first) hyp_str_append(ret, "", 0);
        const char *opening = first ? find_opening(line, n) : NULL;
        if (opening != NULL) {
            in->within_quotes = true;
            *ret_quoted = opening == line;
            hyp_str_append(ret, line, (size_t)(opening - line));
            n -= (size_t)(opening - line) + n_quotes;
            line = opening + n_quotes;
            if (n == 0) continue;
        }
        if (!in->within_quotes) {
            hyp_str_append(ret, line, n);
            return HYP_LINE_READ;
        }
        bool ends = n >= n_quotes && memcmp(line + n - n_quotes, quotes, n_quotes) == 0;
        hyp_str_append(ret, line, ends ? n - n_quotes : n);
        if (ends) return HYP_LINE_READ;
        hyp_str_append(ret, "\n", 1);
    }
}
