#include "base/options.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>

enum { NAME_MAX_LEN = 64, VALUES_MAX_LEN = 128, HELP_COLUMN = 34 };

static bool takes(const hyp_option *row, uint64_t command) {
    return (row->commands & command) != 0;
}

/* Does `spelled` (of length n, with its dashes) name this row? */
static bool matches(const hyp_option *row, const char *spelled, size_t n) {
    if (n > 2 && memcmp(spelled, "--", 2) == 0 && strlen(row->name) == n - 2 &&
        memcmp(row->name, spelled + 2, n - 2) == 0)
        return true;
    for (const char *a = row->aliases; a != NULL && *a != '\0';) {
        size_t len = strcspn(a, " ");
        if (len == n && memcmp(a, spelled, n) == 0) return true;
        a += len + strspn(a + len, " ");
    }
    return false;
}

static bool is_choice(const char *words, const char *value) {
    size_t n = strlen(value);
    for (const char *w = words; *w != '\0';) {
        size_t len = strcspn(w, "|");
        if (len == n && memcmp(w, value, n) == 0) return true;
        w += len + (w[len] == '|');
    }
    return false;
}

/* Enums are as wide as an int, which is how they are written and read here. */
static_assert(sizeof(hyp_option_kind) == sizeof(int), "an enum is no int");

/* The words of an ENUM row. A table that does not know them is the programmer's mistake. */
static const hyp_option_enum *enum_of(const hyp_options *table, const hyp_option *row) {
    size_t i = 0;
    while (i < table->n_enums && strcmp(table->enums[i].name, row->metavar) != 0)
        i++;
    assert(i < table->n_enums);
    return &table->enums[i];
}

const char *hyp_options_metavar(const hyp_options *table, const hyp_option *row, char *buf, size_t size) {
    if (row->kind != HYP_OPTION_ENUM) return row->metavar;
    const hyp_option_enum *of = enum_of(table, row);
    int used = 0;
    buf[0] = '\0';
    for (int i = 0; of->word(i) != NULL && (size_t)used < size; i++)
        used += snprintf(buf + used, size - (size_t)used, "%s%s", i > 0 ? "|" : "", of->word(i));
    return buf;
}

static int store_choice(const hyp_options *table, const hyp_option *row, const char *value, void *field, hyp_err *err) {
    char words[VALUES_MAX_LEN];
    if (row->kind == HYP_OPTION_CHOICE && is_choice(row->metavar, value)) {
        *(const char **)field = value;
        return HYP_OK;
    }
    const hyp_option_enum *of = row->kind == HYP_OPTION_ENUM ? enum_of(table, row) : NULL;
    for (int i = 0; of != NULL && of->word(i) != NULL; i++)
        if (strcmp(of->word(i), value) == 0) {
            *(int *)field = i;
            return HYP_OK;
        }
    return hyp_err_set(err, HYP_EINVAL, "--%s must be one of %s, not \"%s\"", row->name,
                       hyp_options_metavar(table, row, words, sizeof words), value);
}

static int parse_number(const hyp_option *row, const char *value, double *ret, hyp_err *err) {
    char *end;
    errno = 0;
    double number = strtod(value, &end);
    bool whole = row->kind != HYP_OPTION_REAL;
    if (end == value || *end != '\0' || !isfinite(number) || (whole && number != floor(number)))
        return hyp_err_set(err, HYP_EINVAL, "--%s needs %s, not \"%s\"", row->name,
                           whole ? "a whole number" : "a number", value);
    if (number < row->min || number > row->max)
        return hyp_err_set(err, HYP_EINVAL, "--%s must be between %.10g and %.10g, not %s", row->name, row->min,
                           row->max, value);
    *ret = number;
    return HYP_OK;
}

static int store(const hyp_options *table, const hyp_option *row, const char *value, void *values, hyp_err *err) {
    void *field = (char *)values + row->offset;
    double number = 0;
    switch (row->kind) {
    case HYP_OPTION_FLAG: *(bool *)field = true; return HYP_OK;
    case HYP_OPTION_STRING: *(const char **)field = value; return HYP_OK;
    case HYP_OPTION_SIZE:
        if (hyp_text_parse_size(value, (uint64_t *)field) == HYP_OK && *(uint64_t *)field > 0) return HYP_OK;
        return hyp_err_set(err, HYP_EINVAL, "--%s needs a size such as 8G or 512M, not \"%s\"", row->name, value);
    case HYP_OPTION_CHOICE:
    case HYP_OPTION_ENUM: return store_choice(table, row, value, field, err);
    case HYP_OPTION_LIST: {
        hyp_option_list *list = field;
        if (list->n == HYP_OPTION_LIST_MAX)
            return hyp_err_set(err, HYP_EINVAL, "--%s was given more than %d times", row->name, HYP_OPTION_LIST_MAX);
        list->items[list->n++] = value;
        return HYP_OK;
    }
    case HYP_OPTION_INT:
    case HYP_OPTION_INT64:
    case HYP_OPTION_REAL: {
        int r = parse_number(row, value, &number, err);
        if (r != HYP_OK) return r;
        if (row->kind == HYP_OPTION_INT)
            *(int *)field = (int)number;
        else if (row->kind == HYP_OPTION_INT64)
            *(int64_t *)field = (int64_t)number;
        else
            *(double *)field = number;
        return HYP_OK;
    }
    }
    return HYP_EINVAL;
}

void hyp_options_set_defaults(const hyp_options *table, uint64_t command, void *values) {
    for (size_t i = 0; i < table->n; i++) {
        const hyp_option *row = &table->rows[i];
        if (!takes(row, command) || row->default_text == NULL) continue;
        int r = store(table, row, row->default_text, values, NULL);
        assert(r == HYP_OK);
        (void)r;
    }
}

static int edit_distance(const char *a, const char *b) {
    size_t n = strlen(b);
    int row[NAME_MAX_LEN];
    if (n + 1 > NAME_MAX_LEN) return INT_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            int substitute = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = HYP_MIN(HYP_MIN(row[j], row[j - 1]) + 1, substitute);
        }
    }
    return row[n];
}

const char *hyp_options_nearest(const char *text, const char *const *words, size_t n) {
    const char *best = NULL;
    int best_distance = 3; /* three edits or more is another word */
    for (size_t i = 0; i < n; i++) {
        int distance = edit_distance(text, words[i]);
        if (distance < best_distance) {
            best = words[i];
            best_distance = distance;
        }
    }
    return best;
}

static int unknown_option(const hyp_options *table, uint64_t command, const char *arg, hyp_err *err) {
    const char *names[256];
    size_t n = 0;
    for (size_t i = 0; i < table->n && n < HYP_ARRAY_LEN(names); i++)
        if (takes(&table->rows[i], command)) names[n++] = table->rows[i].name;
    const char *near = arg[0] == '-' && arg[1] == '-' ? hyp_options_nearest(arg + 2, names, n) : NULL;
    hyp_err_set(err, HYP_EINVAL, "unknown option %s", arg);
    if (near != NULL) hyp_err_hint(err, "did you mean --%s?", near);
    return HYP_EINVAL;
}

int hyp_options_parse(const hyp_options *table, uint64_t command, int argc, char **argv, void *values,
                      const char **ret_words, size_t max_words, size_t *ret_n_words, hyp_err *err) {
    bool only_words = false;
    size_t n_words = 0;
    for (int i = 0; i < argc; i++) {
        char *arg = argv[i];
        if (only_words || arg[0] != '-' || arg[1] == '\0') {
            if (n_words == max_words) return hyp_err_set(err, HYP_EINVAL, "unexpected argument \"%s\"", arg);
            ret_words[n_words++] = arg;
            continue;
        }
        if (strcmp(arg, "--") == 0) {
            only_words = true;
            continue;
        }
        size_t n = strncmp(arg, "--", 2) == 0 ? strcspn(arg, "=") : strlen(arg);
        const hyp_option *row = NULL;
        for (size_t j = 0; j < table->n && row == NULL; j++)
            if (takes(&table->rows[j], command) && matches(&table->rows[j], arg, n)) row = &table->rows[j];
        if (row == NULL) return unknown_option(table, command, arg, err);
        const char *value = arg[n] == '=' ? arg + n + 1 : NULL;
        if (row->kind == HYP_OPTION_FLAG && value != NULL)
            return hyp_err_set(err, HYP_EINVAL, "--%s takes no value", row->name);
        if (row->kind != HYP_OPTION_FLAG && value == NULL) {
            if (i + 1 >= argc) return hyp_err_set(err, HYP_EINVAL, "--%s needs a value", row->name);
            value = argv[++i];
        }
        int r = store(table, row, value, values, err);
        if (r != HYP_OK) return r;
    }
    *ret_n_words = n_words;
    return HYP_OK;
}

/* --- writing --- */

static void write_words(const hyp_option *row, const char *value, hyp_str *out) {
    hyp_str_printf(out, "--%s", row->name);
    hyp_str_append(out, "", 1);
    if (value != NULL) hyp_str_append(out, value, strlen(value) + 1);
}

static void write_option(const hyp_options *table, const hyp_option *row, const void *field, hyp_str *out) {
    char number[32];
    const hyp_option_list *list = field;
    switch (row->kind) {
    case HYP_OPTION_FLAG:
        if (*(const bool *)field) write_words(row, NULL, out);
        return;
    case HYP_OPTION_STRING:
    case HYP_OPTION_CHOICE:
        if (*(const char *const *)field != NULL) write_words(row, *(const char *const *)field, out);
        return;
    case HYP_OPTION_ENUM: write_words(row, enum_of(table, row)->word(*(const int *)field), out); return;
    case HYP_OPTION_LIST:
        for (size_t i = 0; i < list->n; i++)
            write_words(row, list->items[i], out);
        return;
    case HYP_OPTION_SIZE:
        if (*(const uint64_t *)field == 0) return;
        snprintf(number, sizeof number, "%llu", (unsigned long long)*(const uint64_t *)field);
        break;
    case HYP_OPTION_INT: snprintf(number, sizeof number, "%d", *(const int *)field); break;
    case HYP_OPTION_INT64: snprintf(number, sizeof number, "%lld", (long long)*(const int64_t *)field); break;
    case HYP_OPTION_REAL: snprintf(number, sizeof number, "%.17g", *(const double *)field); break;
    }
    write_words(row, number, out);
}

void hyp_options_write(const hyp_options *table, uint64_t command, const void *values, hyp_str *out) {
    for (size_t i = 0; i < table->n; i++)
        if (takes(&table->rows[i], command))
            write_option(table, &table->rows[i], (const char *)values + table->rows[i].offset, out);
}

/* --- help --- */

static void spell(const hyp_options *table, const hyp_option *row, char *buf, size_t size) {
    char values[VALUES_MAX_LEN];
    snprintf(buf, size, "%s%s--%s%s%s", row->aliases != NULL ? row->aliases : "", row->aliases != NULL ? " " : "",
             row->name, row->kind == HYP_OPTION_FLAG ? "" : " ",
             row->kind == HYP_OPTION_FLAG ? "" : hyp_options_metavar(table, row, values, sizeof values));
}

/* Print `text` from the current column on, breaking at blanks and indenting further lines to `column`. */
static void wrap(const char *text, int at, int column, int width, FILE *out) {
    for (const char *word = text; *word != '\0';) {
        int len = (int)strcspn(word, " ");
        if (at > column && at + 1 + len > width) {
            fprintf(out, "\n%*s", column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", len, word);
        at += len;
        word += len + (int)strspn(word + len, " ");
    }
    fputc('\n', out);
}

void hyp_options_print_help(const hyp_options *table, uint64_t command, int width, FILE *out) {
    for (size_t i = 0; i < table->n; i++) {
        const hyp_option *row = &table->rows[i];
        if (!takes(row, command)) continue;
        char left[160], help[400];
        spell(table, row, left, sizeof left);
        int n = fprintf(out, "  %s", left);
        if (n + 2 > HELP_COLUMN)
            fprintf(out, "\n%*s", HELP_COLUMN, "");
        else
            fprintf(out, "%*s", HELP_COLUMN - n, "");
        snprintf(help, sizeof help, "%s%s%s%s", row->help, row->default_text != NULL ? " (default " : "",
                 row->default_text != NULL ? row->default_text : "", row->default_text != NULL ? ")" : "");
        wrap(help, HELP_COLUMN, HELP_COLUMN, width, out);
    }
}

void hyp_options_print_text(const char *text, int width, FILE *out) {
    wrap(text, 0, 0, width, out);
}

void hyp_options_print_roff(const char *text, FILE *out) {
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\\')
            fputs("\\e", out);
        else if (*c == '-')
            fputs("\\-", out);
        else
            fputc(*c, out);
    }
}

void hyp_options_print_man(const hyp_options *table, uint64_t command, FILE *out) {
    for (size_t i = 0; i < table->n; i++) {
        const hyp_option *row = &table->rows[i];
        if (!takes(row, command)) continue;
        char left[160];
        spell(table, row, left, sizeof left);
        fputs(".TP\n.B ", out);
        hyp_options_print_roff(left, out);
        fputc('\n', out);
        hyp_options_print_roff(row->help, out);
        if (row->default_text != NULL) {
            fputs(" (default ", out);
            hyp_options_print_roff(row->default_text, out);
            fputc(')', out);
        }
        fputs(".\n", out);
    }
}

void hyp_options_print_words(const hyp_options *table, uint64_t command, FILE *out) {
    bool first = true;
    for (size_t i = 0; i < table->n; i++) {
        const hyp_option *row = &table->rows[i];
        if (!takes(row, command)) continue;
        fprintf(out, "%s--%s%s%s", first ? "" : " ", row->name, row->aliases != NULL ? " " : "",
                row->aliases != NULL ? row->aliases : "");
        first = false;
    }
}
