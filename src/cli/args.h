/* args.h - every option's value, and the table that fills it. A command reads the fields it takes (args.c says which).
 *
 * What configures a plan or an engine is written straight into the struct that the plan or the engine takes: such an
 * option is a row in args.c and a field there, and nothing hands it on. */
#pragma once
#include "base/options.h"
#include "base/sampling.h"
#include "engine/engine.h"
#include "plan/plan.h"

enum {
    HYP_COMMAND_RUN = 1 << 0,
    HYP_COMMAND_INSPECT = 1 << 1,
    HYP_COMMAND_ESTIMATE = 1 << 2,
    HYP_COMMAND_PROFILE = 1 << 3,
    HYP_COMMAND_BENCH = 1 << 4,
    HYP_COMMAND_IOBENCH = 1 << 5,
    HYP_COMMAND_OPTIMIZE = 1 << 6,
    HYP_COMMAND_SERVE = 1 << 7,
    HYP_COMMAND_LIST = 1 << 8,
    HYP_COMMAND_PS = 1 << 9,
    HYP_COMMAND_STOP = 1 << 10,
    HYP_COMMAND_REPLAY = 1 << 11,
    HYP_COMMAND_VERSION = 1 << 12,
    HYP_COMMAND_HELP = 1 << 13,
    /* No command: what `bench` hands on to the runs that it compares with plain llama.cpp, and need not know. */
    HYP_HANDED_ON = 1 << 14,
};

typedef struct hyp_args {
    const char *model, *prompt;
    int prompt_tokens, max_tokens;
    hyp_plan_request wishes;  /* what options say of it; hyp_machine_request() adds the rest */
    hyp_engine_config engine; /* likewise; hyp_machine_engine_config() */
    hyp_sampling_params sampling;
    hyp_option_list stop;
    const char *system, *messages, *io_faults, *trace;
    int replay_policy; /* as hyp_replay_config has it; HYP_REPLAY_N_POLICIES: all */
    hyp_option_list device, rpc, mirror;
    const char *svg, *path;
    bool force, no_plan;
    bool chat, interactive, ignore_eos, json, logits_digest, no_wordwrap, stats, tensors, quiet, help;
    uint64_t disk_rate_bytes, cpu_rate_bytes; /* 0: not given */
    double compute_time_ms;
    const char *prefetch;
    const char *log_level, *log_file, *log_format;
    const char *host, *port, *api_key, *keep_alive;
    int parallel, max_queue;
    double read_gb; /* iobench */
    int runs;       /* bench */
    bool baseline;
    const char *cache, *out;
    bool in_gguf, dry_run; /* optimize */
    const char *words[4];  /* what is not an option */
    size_t n_words;
} hyp_args;

extern const hyp_options hyp_args_table;
