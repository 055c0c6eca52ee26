/* help.c - `hypura help`: for people, and with a hidden word as man pages and shell completions for the build. */
#include "base/mem.h"
#include "cli/command.h"
#include "cli/terminal.h"

#include <string.h>

static void print_overview(void) {
    puts("hypura runs language models that are larger than the machine's memory.\n\nusage: hypura COMMAND "
         "[OPTION...]\n");
    for (size_t i = 0; i < hyp_n_commands; i++)
        printf("  %-10s %s\n", hyp_commands[i].name, hyp_commands[i].summary);
    puts("\n\"hypura help COMMAND\" explains a command and its options.");
}

static void print_command(const hyp_command *command) {
    printf("usage: hypura %s %s\n\n%s.\n", command->name, command->synopsis, command->summary);
    if (command->details != NULL) printf("\n%s\n", command->details);
    puts("\noptions:");
    hyp_options_print_help(&hyp_args_table, command->bit, hyp_terminal_width(), stdout);
    printf("\nexample:\n  %s\n", command->example);
}

static void print_man(const hyp_command *command) {
    if (command == NULL) {
        printf(
            ".TH HYPURA 1 \"\" \"hypura %s\" \"User Commands\"\n.SH NAME\nhypura \\- run language models larger than "
            "memory\n.SH SYNOPSIS\n.B hypura\n.I COMMAND\n[OPTION...]\n.SH COMMANDS\n",
            HYP_VERSION);
        for (size_t i = 0; i < hyp_n_commands; i++)
            printf(".TP\n.BR hypura\\-%s (1)\n%s.\n", hyp_commands[i].name, hyp_commands[i].summary);
        return;
    }
    printf(".TH HYPURA-%s 1 \"\" \"hypura %s\" \"User Commands\"\n.SH NAME\nhypura\\-%s \\- %s\n", command->name,
           HYP_VERSION, command->name, command->summary);
    printf(".SH SYNOPSIS\n.B hypura %s\n%s\n", command->name, command->synopsis);
    if (command->details != NULL) printf(".SH DESCRIPTION\n%s\n", command->details);
    puts(".SH OPTIONS");
    hyp_options_print_man(&hyp_args_table, command->bit, stdout);
    printf(".SH EXAMPLES\n.nf\n%s\n.fi\n.SH SEE ALSO\n.BR hypura (1)\n", command->example);
}

static void print_bash(void) {
    puts("_hypura() {\n    local cur=${COMP_WORDS[COMP_CWORD]} words=\n    if [ \"$COMP_CWORD\" = 1 ]; then");
    printf("        words=\"");
    for (size_t i = 0; i < hyp_n_commands; i++)
        printf("%s%s", i > 0 ? " " : "", hyp_commands[i].name);
    puts("\"\n    else\n        case ${COMP_WORDS[1]} in");
    for (size_t i = 0; i < hyp_n_commands; i++) {
        printf("        %s) words=\"", hyp_commands[i].name);
        hyp_options_print_words(&hyp_args_table, hyp_commands[i].bit, stdout);
        puts("\" ;;");
    }
    puts("        esac\n    fi\n    case $cur in\n    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
         "    *) if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); else "
         "COMPREPLY=($(compgen "
         "-f -- \"$cur\")); fi ;;\n    esac\n}\ncomplete -o filenames -F _hypura hypura");
}

static void print_fish(void) {
    for (size_t i = 0; i < hyp_n_commands; i++) {
        printf("complete -c hypura -n __fish_use_subcommand -f -a %s -d '%s'\n", hyp_commands[i].name,
               hyp_commands[i].summary);
        for (size_t j = 0; j < hyp_args_table.n; j++) {
            const hyp_option *row = &hyp_args_table.rows[j];
            if ((row->commands & hyp_commands[i].bit) != 0)
                printf("complete -c hypura -n '__fish_seen_subcommand_from %s' -l %s%s\n", hyp_commands[i].name,
                       row->name, row->kind == HYP_OPTION_FLAG ? "" : " -r");
        }
    }
}

static void print_zsh(void) {
    puts("#compdef hypura\nautoload -U +X bashcompinit && bashcompinit");
    print_bash();
}

int hyp_command_help(const hyp_args *args, hyp_err *err) {
    const char *topic = args->n_words > 0 ? args->words[0] : NULL;
    if (topic == NULL) {
        print_overview();
        return HYP_EXIT_OK;
    }
    const char *second = args->n_words > 1 ? args->words[1] : "";
    if (strcmp(topic, "man") == 0)
        print_man(hyp_command_find(second));
    else if (strcmp(topic, "completion") == 0 && strcmp(second, "bash") == 0)
        print_bash();
    else if (strcmp(topic, "completion") == 0 && strcmp(second, "zsh") == 0)
        print_zsh();
    else if (strcmp(topic, "completion") == 0 && strcmp(second, "fish") == 0)
        print_fish();
    else if (hyp_command_find(topic) != NULL)
        print_command(hyp_command_find(topic));
    else {
        hyp_err_set(err, HYP_EINVAL, "there is no command \"%s\"", topic);
        hyp_err_hint(err, "\"hypura help\" lists the commands");
        return HYP_EXIT_USAGE;
    }
    return HYP_EXIT_OK;
}
