#include "registry/gotemplate.h"

#include <string.h>

enum { MAX_DEPTH = 32 };

static const char blanks[] = " \t\r\n";

bool hyp_gotemplate_is_jinja(const char *text) {
    return strstr(text, "{%") != NULL || strstr(text, "messages") != NULL;
}

static const char *value_of(const hyp_gotemplate_values *v, const char *name, size_t n) {
    const struct {
        const char *name, *value;
    } rows[] = {{".System", v->system},
                {".Prompt", v->prompt},
                {".Suffix", v->suffix},
                {".Response", v->response},
                {".First", "true"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0) return rows[i].value;
    return NULL;
}

typedef struct state {
    bool shown[MAX_DEPTH + 1]; /* is text at this depth of ifs shown? */
    bool taken[MAX_DEPTH + 1]; /* was a branch taken? */
    size_t depth;
    bool over; /* the model's turn has come */
} state;

static int unknown(const char *action, size_t n, hyp_err *err) {
    return hyp_err_set(err, HYP_EFORMAT, "template: \"%.*s\" is not supported", (int)(n < 60 ? n : 60), action);
}

static int run(state *s, const char *action, size_t n, const hyp_gotemplate_values *values, hyp_str *out,
               hyp_err *err) {
    bool shown = s->shown[s->depth];
    if (n >= 2 && memcmp(action, "/*", 2) == 0) return HYP_OK;
    if (n > 3 && memcmp(action, "if ", 3) == 0) {
        const char *value = value_of(values, action + 3, n - 3);
        if (value == NULL || s->depth == MAX_DEPTH) return unknown(action, n, err);
        s->depth++;
        s->taken[s->depth] = value[0] != '\0';
        s->shown[s->depth] = shown && value[0] != '\0';
        return HYP_OK;
    }
    if (n == 4 && memcmp(action, "else", 4) == 0 && s->depth > 0) {
        s->shown[s->depth] = s->shown[s->depth - 1] && !s->taken[s->depth];
        return HYP_OK;
    }
    if (n == 3 && memcmp(action, "end", 3) == 0 && s->depth > 0) {
        s->depth--;
        return HYP_OK;
    }
    const char *value = value_of(values, action, n);
    if (value == NULL) return unknown(action, n, err);
    if (shown && strncmp(action, ".Response", n) == 0)
        s->over = true;
    else if (shown)
        hyp_str_puts(out, value);
    return HYP_OK;
}

int hyp_gotemplate_render(const char *text, const hyp_gotemplate_values *values, hyp_str *out, hyp_err *err) {
    state s = {.shown = {true}};
    bool trim = false;
    for (const char *p = text; *p != '\0' && !s.over;) {
        if (trim) p += strspn(p, blanks);
        trim = false;
        const char *open = strstr(p, "{{");
        size_t n = open != NULL ? (size_t)(open - p) : strlen(p);
        bool trim_before = open != NULL && open[2] == '-' && open[3] != '\0' && strchr(blanks, open[3]) != NULL;
        size_t kept = n;
        while (trim_before && kept > 0 && strchr(blanks, p[kept - 1]) != NULL)
            kept--;
        if (s.shown[s.depth]) hyp_str_append(out, p, kept);
        if (open == NULL) break;
        const char *from = open + 2 + trim_before, *close = strstr(from, "}}");
        if (close == NULL) return hyp_err_set(err, HYP_EFORMAT, "template: an action is not closed");
        const char *to = close;
        if (to - from >= 2 && to[-1] == '-' && strchr(blanks, to[-2]) != NULL) {
            trim = true;
            to--;
        }
        while (from < to && strchr(blanks, *from) != NULL)
            from++;
        while (to > from && strchr(blanks, to[-1]) != NULL)
            to--;
        int r = run(&s, from, (size_t)(to - from), values, out, err);
        if (r != HYP_OK) return r;
        p = close + 2;
    }
    return s.over || s.depth == 0 ? HYP_OK : hyp_err_set(err, HYP_EFORMAT, "template: an if is not ended");
}
