/* command.h - the commands: one file each, one row each in the table of command.c. */
#pragma once
#include "cli/args.h"

/* The exit status of a command; the last after SIGINT and SIGTERM alike, when the command has ended in order. */
enum { HYP_EXIT_OK = 0, HYP_EXIT_FAILED = 1, HYP_EXIT_USAGE = 2, HYP_EXIT_INTERRUPTED = 130 };

typedef struct hyp_command {
    uint64_t bit; /* HYP_COMMAND_... */
    const char *name;
    const char *synopsis;                           /* what follows "hypura NAME" */
    const char *summary;                            /* one sentence without full stop */
    const char *details;                            /* paragraphs for help and man page, or NULL */
    const char *example;                            /* a whole command line */
    int (*run)(const hyp_args *args, hyp_err *err); /* returns an HYP_EXIT_...; non-zero with `err` filled is printed */
} hyp_command;

extern const hyp_command hyp_commands[];
extern const size_t hyp_n_commands;

/* The command called `name`, or NULL. */
const hyp_command *hyp_command_find(const char *name);

/* Set the error that there is no command `name`, with the nearest one as the hint. Returns HYP_EXIT_USAGE. */
int hyp_command_unknown(const char *name, hyp_err *err);

int hyp_command_run(const hyp_args *args, hyp_err *err);
int hyp_command_inspect(const hyp_args *args, hyp_err *err);
int hyp_command_replay(const hyp_args *args, hyp_err *err);
int hyp_command_serve(const hyp_args *args, hyp_err *err);
int hyp_command_list(const hyp_args *args, hyp_err *err);
int hyp_command_ps(const hyp_args *args, hyp_err *err);
int hyp_command_stop(const hyp_args *args, hyp_err *err);
int hyp_command_bench(const hyp_args *args, hyp_err *err);
int hyp_command_iobench(const hyp_args *args, hyp_err *err);
int hyp_command_estimate(const hyp_args *args, hyp_err *err);
int hyp_command_optimize(const hyp_args *args, hyp_err *err);
int hyp_command_profile(const hyp_args *args, hyp_err *err);
int hyp_command_version(const hyp_args *args, hyp_err *err);
int hyp_command_help(const hyp_args *args, hyp_err *err);

/* The model's path: --model, else the first word; what is no file may be a model's name among what other tools keep on
 * this machine. Valid until the next call. Errors: HYP_EINVAL when neither was given. */
HYP_NODISCARD int hyp_command_model_path(const hyp_args *args, const char **ret_path, hyp_err *err);
