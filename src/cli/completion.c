#include "cli/completion.h"

#include "base/mem.h"
#include "cli/command.h"

#include <string.h>

/* `text` with a backslash before every character of `special`; a single quote as a shell's single-quoted string needs
 * it. */
static void print_escaped(const char *text, const char *special) {
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\'' && strchr(special, '\'') != NULL) {
            fputs("'\\''", stdout);
            continue;
        }
        if (strchr(special, *c) != NULL) putchar('\\');
        putchar(*c);
    }
}

static void print_commands(void) {
    for (size_t i = 0; i < hyp_n_commands; i++)
        printf("%s%s", i > 0 ? " " : "", hyp_commands[i].name);
}

static bool is_choice(const hyp_option *row) {
    return row->kind == HYP_OPTION_CHOICE || row->kind == HYP_OPTION_ENUM;
}

/* A choice's words, separated by blanks. */
static void print_choices(const hyp_option *row) {
    char words[128];
    for (const char *c = hyp_options_metavar(&hyp_args_table, row, words, sizeof words); *c != '\0'; c++)
        putchar(*c == '|' ? ' ' : *c);
}

static bool takes_file(const hyp_option *row) {
    static const char *const names[] = {"FILE", "DIR", "PATH"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(names) && row->metavar != NULL; i++)
        if (strcmp(row->metavar, names[i]) == 0) return true;
    return false;
}

/* Call `print` with every option of `command` in each of its spellings. */
static void each_spelling(const hyp_command *command,
                          void (*print)(const hyp_command *, const hyp_option *, const char *spelled)) {
    for (size_t i = 0; i < hyp_args_table.n; i++) {
        const hyp_option *row = &hyp_args_table.rows[i];
        char spelled[64];
        if ((row->commands & command->bit) == 0) continue;
        snprintf(spelled, sizeof spelled, "--%s", row->name);
        print(command, row, spelled);
        for (const char *a = row->aliases; a != NULL && *a != '\0';) {
            size_t n = strcspn(a, " ");
            snprintf(spelled, sizeof spelled, "%.*s", (int)n, a);
            print(command, row, spelled);
            a += n + strspn(a + n, " ");
        }
    }
}

/* --- bash --- */

static void print_bash_choice(const hyp_command *command, const hyp_option *row, const char *spelled) {
    if (!is_choice(row)) return;
    printf("    *:%s:%s) words=\"", command->name, spelled);
    print_choices(row);
    puts("\" ;;");
}

static void print_bash(void) {
    puts("_hypura() {\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=\n"
         "    case $COMP_CWORD:${COMP_WORDS[1]}:$prev in");
    printf("    1:* | 2:help:*) words=\"");
    print_commands();
    puts("\" ;;");
    for (size_t i = 0; i < hyp_n_commands; i++)
        each_spelling(&hyp_commands[i], print_bash_choice);
    puts("    *)\n        case $cur in\n        -*) ;;\n        *) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
         "        esac\n        case ${COMP_WORDS[1]} in");
    for (size_t i = 0; i < hyp_n_commands; i++) {
        printf("        %s) words=\"", hyp_commands[i].name);
        hyp_options_print_words(&hyp_args_table, hyp_commands[i].bit, stdout);
        puts("\" ;;");
    }
    puts("        esac ;;\n    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\n"
         "complete -o filenames -F _hypura hypura");
}

/* --- zsh --- */

static const char zsh_special[] = "'[]:\\";

static void print_zsh_option(const hyp_command *command, const hyp_option *row, const char *spelled) {
    (void)command;
    printf("            '%s%s[", row->kind == HYP_OPTION_LIST ? "*" : "", spelled);
    print_escaped(row->help, zsh_special);
    putchar(']');
    if (is_choice(row)) {
        printf(":%s:(", row->name);
        print_choices(row);
        putchar(')');
    } else if (row->kind != HYP_OPTION_FLAG) {
        putchar(':');
        print_escaped(row->metavar, zsh_special);
        printf(":%s", takes_file(row) ? "_files" : " ");
    }
    puts("' \\");
}

static void print_zsh(void) {
    puts("#compdef hypura\n_hypura() {\n    local -a commands\n    commands=(");
    for (size_t i = 0; i < hyp_n_commands; i++) {
        printf("        '%s:", hyp_commands[i].name);
        print_escaped(hyp_commands[i].summary, zsh_special);
        puts("'");
    }
    puts("    )\n    if ((CURRENT == 2)) || [[ $words[2] == help ]]; then\n        _describe command commands\n"
         "        return\n    fi\n    shift words\n    ((CURRENT--))\n    case $words[1] in");
    for (size_t i = 0; i < hyp_n_commands; i++) {
        printf("    %s)\n        _arguments \\\n", hyp_commands[i].name);
        each_spelling(&hyp_commands[i], print_zsh_option);
        puts("            '*:file:_files' ;;");
    }
    puts("    esac\n}\n_hypura \"$@\"");
}

/* --- fish --- */

static const char fish_special[] = "\"$\\";

static void print_fish_option(const hyp_command *command, const hyp_option *row, const char *spelled) {
    bool is_long = spelled[1] == '-';
    printf("complete -c hypura -n '__fish_seen_subcommand_from %s' -%c %s", command->name, is_long ? 'l' : 's',
           spelled + 1 + is_long);
    if (is_choice(row)) {
        printf(" -x -a \"");
        print_choices(row);
        putchar('"');
    } else if (row->kind != HYP_OPTION_FLAG) {
        printf(takes_file(row) ? " -r" : " -x");
    }
    printf(" -d \"");
    print_escaped(row->help, fish_special);
    puts("\"");
}

static void print_fish(void) {
    for (size_t i = 0; i < hyp_n_commands; i++) {
        printf("complete -c hypura -n __fish_use_subcommand -f -a %s -d \"", hyp_commands[i].name);
        print_escaped(hyp_commands[i].summary, fish_special);
        puts("\"");
        each_spelling(&hyp_commands[i], print_fish_option);
    }
    printf("complete -c hypura -n '__fish_seen_subcommand_from help' -f -a \"");
    print_commands();
    puts("\"");
}

bool hyp_completion_print(const char *shell) {
    static const struct {
        const char *shell;
        void (*print)(void);
    } printers[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < HYP_ARRAY_LEN(printers); i++)
        if (strcmp(shell, printers[i].shell) == 0) {
            printers[i].print();
            return true;
        }
    return false;
}
