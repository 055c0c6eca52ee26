/* options.h - one table of options from which parsing, help, man pages and completion come.
 *
 * A table row names an option once: how it is spelled, what it holds, its bounds, its default, which commands take it.
 * Values are written straight into the caller's struct at `offset`, with the C type that the kind prescribes. */
#pragma once
#include "base/err.h"
#include "base/text.h"

typedef enum hyp_option_kind {
    HYP_OPTION_FLAG,   /* bool; takes no value */
    HYP_OPTION_INT,    /* int, within [min, max]; unsigned where no bound is negative */
    HYP_OPTION_INT64,  /* int64_t, within [min, max] */
    HYP_OPTION_REAL,   /* double, within [min, max] */
    HYP_OPTION_SIZE,   /* uint64_t bytes ("8G"); never 0, which stands for an option that was not given */
    HYP_OPTION_STRING, /* const char *, owned by argv */
    HYP_OPTION_CHOICE, /* const char *, one of `metavar`'s words ("on|off") */
    HYP_OPTION_ENUM,   /* an enum, by one of the words of the hyp_option_enum that `metavar` names */
    HYP_OPTION_LIST,   /* hyp_option_list; may be given several times */
} hyp_option_kind;

enum { HYP_OPTION_LIST_MAX = 16 };
typedef struct hyp_option_list {
    const char *items[HYP_OPTION_LIST_MAX];
    size_t n;
} hyp_option_list;

typedef struct hyp_option {
    const char *name;    /* long name without dashes */
    const char *aliases; /* other spellings with their dashes, separated by blanks: "-n --n-predict" */
    hyp_option_kind kind;
    size_t offset;            /* of the field in the values struct */
    double min, max;          /* bounds of INT, INT64 and REAL */
    const char *metavar;      /* the value's name in help; a choice's words; an enum's name */
    const char *default_text; /* parsed as if the user had typed it; NULL leaves the field zeroed */
    const char *help;         /* one sentence without full stop */
    uint64_t commands;        /* bit set of the commands that take it */
} hyp_option;

/* The words of an enum, from whoever gives its numbers their names. */
typedef struct hyp_option_enum {
    const char *name;                /* by which the rows of a table call it */
    const char *(*word)(int number); /* of 0, 1, ...; NULL behind the last */
} hyp_option_enum;

typedef struct hyp_options {
    const hyp_option *rows;
    size_t n;
    const hyp_option_enum *enums; /* NULL: none of the rows holds one */
    size_t n_enums;
} hyp_options;

/* Write every default of the options that `command` (one bit) takes into `values`. Defaults are the programmer's: a bad
 * one asserts. */
void hyp_options_set_defaults(const hyp_options *table, uint64_t command, void *values);

/* Parse argv[0..argc) into `values`. "--name value", "--name=value", "-n value" and "--" are understood; what is not an
 * option goes to `ret_words` (at most `max_words`). Strings stay owned by argv.
 * Errors: HYP_EINVAL with the offending argument, the nearest option's name as the hint. */
HYP_NODISCARD int hyp_options_parse(const hyp_options *table, uint64_t command, int argc, char **argv, void *values,
                                    const char **ret_words, size_t max_words, size_t *ret_n_words, hyp_err *err);

/* The value's name in help, or the words that can be chosen, with '|' between them. In `buf` where they are an enum's.
 */
const char *hyp_options_metavar(const hyp_options *table, const hyp_option *row, char *buf, size_t size);

/* Append what would be typed for what `values` holds of the options that `command` takes, as words that each end in a
 * zero byte: "--name", then the value. What was not given and has no default is left out. */
void hyp_options_write(const hyp_options *table, uint64_t command, const void *values, hyp_str *out);

/* Print the option rows of `command` as an aligned help text, at most `width` columns wide. */
void hyp_options_print_help(const hyp_options *table, uint64_t command, int width, FILE *out);

/* Print a paragraph, broken between words, at most `width` columns wide. */
void hyp_options_print_text(const char *text, int width, FILE *out);

/* Print `text` so that roff shows it as it is. It must not begin with a full stop or a quote. */
void hyp_options_print_roff(const char *text, FILE *out);

/* Print them as roff ".TP" entries for a man page. */
void hyp_options_print_man(const hyp_options *table, uint64_t command, FILE *out);

/* Print every spelling ("--name", "-n") that `command` takes, separated by blanks, for shell completion. */
void hyp_options_print_words(const hyp_options *table, uint64_t command, FILE *out);

/* The word of `words[0..n)` nearest to `text` by edit distance, or NULL when none is near. */
const char *hyp_options_nearest(const char *text, const char *const *words, size_t n);
