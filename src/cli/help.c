/* help.c - `hypura help`: for people, and with a hidden word as man pages and shell completions (completion.c) for the
 * build. */
#include "base/mem.h"
#include "cli/command.h"
#include "cli/completion.h"
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
    int width = hyp_terminal_width();
    if (command->details != NULL) {
        putchar('\n');
        hyp_options_print_text(command->details, width, stdout);
    }
    puts("\noptions:");
    hyp_options_print_help(&hyp_args_table, command->bit, width, stdout);
    printf("\nexample:\n  %s\n", command->example);
}

static void print_man_text(const char *text) {
    hyp_options_print_roff(text, stdout);
    putchar('\n');
}

static void print_man(const hyp_command *command) {
    if (command == NULL) {
        printf(
            ".TH hypura 1 \"\" \"hypura %s\" \"User Commands\"\n.SH NAME\nhypura \\- run language models larger than "
            "memory\n.SH SYNOPSIS\n.B hypura\n.I COMMAND\n[OPTION...]\n.SH COMMANDS\n",
            HYP_VERSION);
        for (size_t i = 0; i < hyp_n_commands; i++)
            printf(".TP\n.BR hypura\\-%s (1)\n%s.\n", hyp_commands[i].name, hyp_commands[i].summary);
        return;
    }
    printf(".TH hypura\\-%s 1 \"\" \"hypura %s\" \"User Commands\"\n.SH NAME\nhypura\\-%s \\- %s\n", command->name,
           HYP_VERSION, command->name, command->summary);
    printf(".SH SYNOPSIS\n.B hypura %s\n", command->name);
    print_man_text(command->synopsis);
    if (command->details != NULL) {
        puts(".SH DESCRIPTION");
        print_man_text(command->details);
    }
    puts(".SH OPTIONS");
    hyp_options_print_man(&hyp_args_table, command->bit, stdout);
    puts(".SH EXAMPLES\n.nf");
    print_man_text(command->example);
    puts(".fi\n.SH SEE ALSO\n.BR hypura (1)");
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
    else if (hyp_command_find(topic) != NULL)
        print_command(hyp_command_find(topic));
    else if (strcmp(topic, "completion") != 0 || !hyp_completion_print(second)) {
        return hyp_command_unknown(topic, err);
    }
    return HYP_EXIT_OK;
}
