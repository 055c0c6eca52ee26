/* main.c - finds the command, parses its options, prints its failure. */
#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* What is logged: a server's requests unless told otherwise, then what HYPURA_LOG says, then --log-level. */
static int open_log(const hyp_args *args, const hyp_command *command, hyp_err *err) {
    const char *from_env = getenv("HYPURA_LOG");
    bool json = args->log_format != NULL && strcmp(args->log_format, "json") == 0;
    int r = hyp_save_check(args->log_file, err);
    if (r == HYP_OK) r = hyp_log_open(args->log_file, json, err);
    if (r == HYP_OK && command->bit == HYP_COMMAND_SERVE && !args->quiet) r = hyp_log_set_levels("session:info", err);
    if (r == HYP_OK && from_env != NULL) r = hyp_log_set_levels(from_env, err);
    if (r == HYP_OK && args->log_level != NULL) r = hyp_log_set_levels(args->log_level, err);
    return r;
}

static int dispatch(int argc, char **argv, hyp_err *err) {
    hyp_args args = {0};
    if (argc < 2) {
        hyp_command_help(&args, err);
        return HYP_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
    if (strcmp(name, "--version") == 0) name = "version";
    const hyp_command *command = hyp_command_find(name);
    if (command == NULL) return hyp_command_unknown(name, err);
    hyp_sampling_set_defaults(&args.sampling, HYP_SAMPLING_LLAMA_CPP); /* not every parameter is an option */
    hyp_options_set_defaults(&hyp_args_table, command->bit, &args);
    int r = hyp_options_parse(&hyp_args_table, command->bit, argc - 2, argv + 2, &args, args.words,
                              HYP_ARRAY_LEN(args.words), &args.n_words, err);
    if (r != HYP_OK) {
        if (err->hint[0] == '\0') hyp_err_hint(err, "\"hypura help %s\" lists the options", name);
        return HYP_EXIT_USAGE;
    }
    if (hyp_save_check(args.svg, err) != HYP_OK) return HYP_EXIT_FAILED; /* before what takes long */
    if (!args.help && (r = open_log(&args, command, err)) != HYP_OK)
        return r == HYP_EINVAL ? HYP_EXIT_USAGE : HYP_EXIT_FAILED;
    if (!args.help) return command->run(&args, err);
    args.words[0] = command->name;
    args.n_words = 1;
    return hyp_command_help(&args, err);
}

/* A descriptor from 0 to 2 that the caller has closed must not become a model's or a cache's, to which text then goes.
 * What is put in its place cannot be written to. */
static void fill_closed_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0) return;
}

int main(int argc, char **argv) {
    hyp_err err = HYP_ERR_NONE;
    fill_closed_descriptors();
    int status = dispatch(argc, argv, &err);
    errno = 0;
    if ((fflush(stdout) != 0 || ferror(stdout)) && err.code == 0)
        hyp_err_set_sys(&err, HYP_EIO, errno, "cannot write to standard output");
    if (err.code != 0) {
        hyp_err_print(&err, stderr);
        if (status == HYP_EXIT_OK) status = HYP_EXIT_FAILED;
    }
    return status;
}
