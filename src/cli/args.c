#include "cli/args.h"

#include "base/mem.h"
#include "bench/replay.h"
#include "io/io.h"
#include "pager/policy.h"

#include <limits.h>

#define AT(field) offsetof(hyp_args, field)
#define RUN HYP_COMMAND_RUN
#define INSPECT HYP_COMMAND_INSPECT
#define REPLAY HYP_COMMAND_REPLAY
#define SERVE HYP_COMMAND_SERVE
#define CLIENT (HYP_COMMAND_PS | HYP_COMMAND_STOP)
#define ENGINE (RUN | SERVE)
#define ESTIMATE HYP_COMMAND_ESTIMATE
#define PROFILE HYP_COMMAND_PROFILE
#define PLAN (INSPECT | ESTIMATE)
#define MODEL_COMMANDS (RUN | INSPECT | ESTIMATE)
#define IOBENCH HYP_COMMAND_IOBENCH
#define BENCH HYP_COMMAND_BENCH
#define OPTIMIZE HYP_COMMAND_OPTIMIZE
/* Whoever runs a model. `bench` hands them on to hypura's side; what both sides have in common it must know itself. */
#define TUNING (ENGINE | BENCH | HYP_HANDED_ON)
#define ALL UINT64_MAX

/* Rows of the sampling parameters that are options: base/sampling.h says which. */
#define METAVAR_REAL "X"
#define METAVAR_INT "N"
#define METAVAR_INT64 "N"
#define SAMPLING_OPTION(field, kind, least, most, request_most, llama_cpp, ollama, openai, name, aliases, help)        \
    {name, aliases, HYP_OPTION_##kind, AT(sampling.field), least, most, METAVAR_##kind, #llama_cpp, help, RUN},
#define NO_OPTION(...)

/* An option that means something else to another command has a row for each meaning; how it is spelled and what it
 * holds stands here, once. */
#define RAM_OPTION "ram", NULL, HYP_OPTION_SIZE, AT(wishes.ram_bytes), 0, 0, "SIZE", NULL
#define VRAM_OPTION "vram", NULL, HYP_OPTION_SIZE, AT(wishes.vram_bytes), 0, 0, "SIZE", NULL
#define DEVICE_OPTION "device", NULL, HYP_OPTION_LIST, AT(device), 0, 0, "NAME", NULL
#define DISK_RATE_OPTION "disk-rate", NULL, HYP_OPTION_SIZE, AT(disk_rate_bytes), 0, 0, "SIZE", NULL
#define CONTEXT_OPTION "context", "-c --ctx-size", HYP_OPTION_INT, AT(wishes.context_tokens), 8, 16777216, "N"
#define FORCE_OPTION "force", "-f", HYP_OPTION_FLAG, AT(force), 0, 0, NULL, NULL
#define TRACE_OPTION "trace", NULL, HYP_OPTION_STRING, AT(trace), 0, 0, "FILE", NULL
#define SVG_OPTION "svg", NULL, HYP_OPTION_STRING, AT(svg), 0, 0, "FILE", NULL
#define PROMPT_TOKENS_OPTION(least) "prompt-tokens", NULL, HYP_OPTION_INT, AT(prompt_tokens), least, 16777216, "N"
#define MAX_TOKENS_OPTION(least, most) "max-tokens", "-n --n-predict", HYP_OPTION_INT, AT(max_tokens), least, most, "N"
#define OUT_OPTION(metavar) "out", "-o", HYP_OPTION_STRING, AT(out), 0, 0, metavar, NULL

static const hyp_option rows[] = {
    /* name, aliases, kind, field, min, max, metavar, default, help, commands */
    {"model", "-m", HYP_OPTION_STRING, AT(model), 0, 0, "FILE", NULL,
     "the GGUF file, instead of naming it as an argument",
     MODEL_COMMANDS | SERVE | BENCH | OPTIMIZE | HYP_COMMAND_STOP},
    {"prompt", "-p", HYP_OPTION_STRING, AT(prompt), 0, 0, "TEXT", NULL, "what to answer or continue", RUN},
    {PROMPT_TOKENS_OPTION(0), "0", "a prompt of N tokens of a fixed text, for measurements, instead of --prompt", RUN},
    {"chat", NULL, HYP_OPTION_FLAG, AT(chat), 0, 0, NULL, NULL, "wrap the prompt in the model's chat template", RUN},
    {"interactive", "-i", HYP_OPTION_FLAG, AT(interactive), 0, 0, NULL, NULL,
     "chat in the terminal, as without --prompt on one", RUN},
    {"system", NULL, HYP_OPTION_STRING, AT(system), 0, 0, "TEXT", NULL,
     "system message of a chat, as with --chat or without --prompt", RUN},
    {"messages", NULL, HYP_OPTION_STRING, AT(messages), 0, 0, "FILE", NULL,
     "conversation to go on with in a chat: what /save wrote, or the body of a request to /api/chat", RUN},
    {MAX_TOKENS_OPTION(-1, INT_MAX), "512", "stop after this many tokens; -1 means no limit but the context's", RUN},
    {CONTEXT_OPTION, "4096", "context length in tokens", ENGINE | PLAN | OPTIMIZE},
    {"threads", "-t", HYP_OPTION_INT, AT(engine.threads), 0, 1024, "N", "0", "compute threads; 0 means one a core",
     ENGINE | BENCH | PLAN | PROFILE},
    {"batch", "-b --batch-size", HYP_OPTION_INT, AT(wishes.batch_tokens), 1, 65536, "N", "512",
     "tokens evaluated together in prefill", ENGINE | BENCH | PLAN},
    /* clang-format off: each of these ends with its own comma */
    HYP_SAMPLING_ROWS(SAMPLING_OPTION, NO_OPTION)
    /* clang-format on */
    {"stop", "-r --reverse-prompt", HYP_OPTION_LIST, AT(stop), 0, 0, "TEXT", NULL,
     "stop before this text; may be given several times", RUN},
    {"ignore-eos", NULL, HYP_OPTION_FLAG, AT(ignore_eos), 0, 0, NULL, NULL, "go on after the model's end token", RUN},
    {RAM_OPTION, "memory for weights, cache, KV cache and buffers; without it, what is free now less a headroom",
     ENGINE | BENCH | PLAN | OPTIMIZE},
    {"mode", NULL, HYP_OPTION_ENUM, AT(wishes.mode), 0, 0, "MODE", "auto",
     "how to run the model; auto decides by what fits", ENGINE | BENCH | PLAN},
    {VRAM_OPTION, "at most this much memory of each device", ENGINE | BENCH},
    {VRAM_OPTION, "plan for devices with this much memory each; where there is none, for a modest GPU", PLAN},
    {DEVICE_OPTION,
     "use this device; none uses none; NAME:MEMORY[:BYTES_PER_SECOND[:KIND]] stands for one that is not there, of the "
     "kind gpu, unified or remote; may be given several times",
     PLAN},
    {DEVICE_OPTION,
     "use this device; none uses none; may be given several times; without it every GPU is used that helps",
     ENGINE | BENCH},
    {"rpc", NULL, HYP_OPTION_LIST, AT(rpc), 0, 0, "HOST:PORT", NULL,
     "use the memory of this machine too, which runs ggml-rpc-server; several are separated by commas",
     ENGINE | BENCH | PLAN},
    {"mirror", NULL, HYP_OPTION_LIST, AT(mirror), 0, 0, "PATH", NULL,
     "a copy of the model on another disk, or the folder that holds it: streamed weights are read from both; may be "
     "given "
     "several times",
     TUNING},
    {PROMPT_TOKENS_OPTION(1), "512", "length of the prompt to predict for", PLAN},
    {DISK_RATE_OPTION, "plan for a disk that reads this much a second", PLAN},
    {"cpu-rate", NULL, HYP_OPTION_SIZE, AT(cpu_rate_bytes), 0, 0, "SIZE", NULL,
     "plan for a processor that works through this much of weights a second", PLAN},
    {SVG_OPTION, "draw the placement into this file", PLAN},
    {"no-plan", NULL, HYP_OPTION_FLAG, AT(no_plan), 0, 0, NULL, NULL, "only what the model is made of", INSPECT},
    {FORCE_OPTION, "measure again", PROFILE},
    {"path", NULL, HYP_OPTION_STRING, AT(path), 0, 0, "FILE", NULL, "measure the disk that holds this file", PROFILE},
    {"policy", NULL, HYP_OPTION_ENUM, AT(engine.policy), 0, 0, "POLICY", "hypura", "which cached experts to give up",
     TUNING},
    {"no-prefetch", NULL, HYP_OPTION_FLAG, AT(engine.no_prefetch), 0, 0, NULL, NULL,
     "read experts only when they are needed", TUNING},
    {"no-memory", NULL, HYP_OPTION_FLAG, AT(engine.no_memory), 0, 0, NULL, NULL,
     "neither use nor keep what was learnt about the model's routing", ENGINE},
    {TRACE_OPTION, "record the routing of experts for hypura replay; only in mode experts", RUN},
    {"io", NULL, HYP_OPTION_ENUM, AT(engine.io.backend), 0, 0, "IO", "auto", "how streamed weights are read",
     TUNING | OPTIMIZE},
    {"sidecar", NULL, HYP_OPTION_STRING, AT(engine.sidecar_path), 0, 0, "FILE", NULL,
     "the packed copy of the model that hypura optimize has made; without it one is looked for", ENGINE | PLAN},
    {"no-sidecar", NULL, HYP_OPTION_FLAG, AT(engine.no_sidecar), 0, 0, NULL, NULL,
     "read the model's own file even where a packed copy is found", ENGINE},
    {OUT_OPTION("FILE"),
     "where to write; a folder or a file; without it beside the model, or in the cache folder where that is not "
     "possible",
     OPTIMIZE},
    {"in-gguf", NULL, HYP_OPTION_FLAG, AT(in_gguf), 0, 0, NULL, NULL,
     "write a whole GGUF file instead, aligned to pages, that any llama.cpp reads", OPTIMIZE},
    {"dry-run", NULL, HYP_OPTION_FLAG, AT(dry_run), 0, 0, NULL, NULL, "only say what it would take and gain", OPTIMIZE},
    {FORCE_OPTION, "write even what cannot make reading faster", OPTIMIZE},
    {TRACE_OPTION, "put experts side by side that this record of hypura run --trace uses together", OPTIMIZE},
    {"io-faults", NULL, HYP_OPTION_STRING, AT(io_faults), 0, 0, "SPEC", NULL,
     "for tests: make every Nth read fail or slow, as in fail=100,delay=3,us=500", RUN | OPTIMIZE},
    {"io-depth", NULL, HYP_OPTION_INT, AT(engine.io.depth), 0, 256, "N", "0",
     "reads in flight; 0 means the measured default", TUNING},
    {"no-wordwrap", "--nowordwrap", HYP_OPTION_FLAG, AT(no_wordwrap), 0, 0, NULL, NULL,
     "on a terminal: break long lines where it does, not between words", RUN},
    {"stats", NULL, HYP_OPTION_FLAG, AT(stats), 0, 0, NULL, NULL, "print speed, cache and disk figures at the end",
     RUN},
    {"logits-digest", NULL, HYP_OPTION_FLAG, AT(logits_digest), 0, 0, NULL, NULL,
     "with --json: a digest over every logit of every output token", RUN},
    {"no-repack", NULL, HYP_OPTION_FLAG, AT(wishes.no_repack), 0, 0, NULL, NULL,
     "keep the file's weight layout in memory (slower; comparable digests)", ENGINE | BENCH | PLAN},
    {"tensors", NULL, HYP_OPTION_FLAG, AT(tensors), 0, 0, NULL, NULL, "list every tensor", INSPECT},
    {RAM_OPTION, "memory for the model", REPLAY},
    {DISK_RATE_OPTION, "what the disk reads in a second, in pieces of an expert's size", REPLAY},
    {"compute-time", NULL, HYP_OPTION_REAL, AT(compute_time_ms), 0, 1e6, "MS", "0",
     "what a token takes to compute when nothing has to be read; 0 looks at the disk alone", REPLAY},
    {"policy", NULL, HYP_OPTION_ENUM, AT(replay_policy), 0, 0, "REPLAY_POLICY", "all",
     "what to evict; belady knows the future and is the bound", REPLAY},
    {"prefetch", NULL, HYP_OPTION_CHOICE, AT(prefetch), 0, 0, "on|off", "on",
     "read what was predicted while the disk would be idle", REPLAY},
    {"read-gb", NULL, HYP_OPTION_REAL, AT(read_gb), 0.001, 1000, "X", "1",
     "read at most this many GB for each number; 0.3 s each are the other limit", IOBENCH},
    {"baseline", NULL, HYP_OPTION_FLAG, AT(baseline), 0, 0, NULL, NULL, "measure plain llama.cpp mmap alone", BENCH},
    {FORCE_OPTION, "run plain mmap of a model too large for it; in a memory control group where one can be made",
     BENCH},
    {"runs", NULL, HYP_OPTION_INT, AT(runs), 1, 1000, "N", "3", "runs of each side", BENCH},
    {PROMPT_TOKENS_OPTION(1), "512", "length of the prompt", BENCH},
    {MAX_TOKENS_OPTION(1, 16777216), "128", "length of the answer", BENCH},
    {CONTEXT_OPTION, "2048", "context length in tokens", BENCH},
    {"cache", NULL, HYP_OPTION_CHOICE, AT(cache), 0, 0, "cold|warm", "cold",
     "cold drops the model from the page cache before every run; warm runs each side once before", BENCH},
    {OUT_OPTION("DIR"), "save the result as JSON in this folder", BENCH},
    {SVG_OPTION, "draw a chart into this file", IOBENCH | BENCH},
    {"json", NULL, HYP_OPTION_FLAG, AT(json), 0, 0, NULL, NULL, "print one JSON object instead of text",
     RUN | PLAN | PROFILE | REPLAY | HYP_COMMAND_LIST | HYP_COMMAND_PS | IOBENCH | BENCH | OPTIMIZE},
    {"quiet", "-q", HYP_OPTION_FLAG, AT(quiet), 0, 0, NULL, NULL, "no progress and no notes, only the result",
     RUN | SERVE | ESTIMATE | PROFILE | BENCH | OPTIMIZE},
    {"log-level", NULL, HYP_OPTION_STRING, AT(log_level), 0, 0, "SPEC", NULL,
     "what to log: LEVEL or CATEGORY:LEVEL, separated by commas, as in info,pager:debug; levels are off, error, warn, "
     "info, debug, trace; categories io, pager, plan, stream, session, http, llama; without it HYPURA_LOG says",
     ENGINE},
    {"log-file", NULL, HYP_OPTION_STRING, AT(log_file), 0, 0, "FILE", NULL,
     "append the log to this file instead of standard error", ENGINE},
    {"log-format", NULL, HYP_OPTION_CHOICE, AT(log_format), 0, 0, "text|json", "text",
     "lines for people, or a JSON object each", ENGINE},
    {"host", NULL, HYP_OPTION_STRING, AT(host), 0, 0, "ADDRESS", NULL,
     "address of the server; without it OLLAMA_HOST's, else 127.0.0.1", SERVE | CLIENT},
    {"port", NULL, HYP_OPTION_STRING, AT(port), 0, 0, "N", NULL,
     "port of the server; 0 listens on a free one; without it OLLAMA_HOST's, else 8080", SERVE | CLIENT},
    {"api-key", NULL, HYP_OPTION_STRING, AT(api_key), 0, 0, "KEY", NULL,
     "key that requests must carry; HYPURA_API_KEY keeps it out of sight of other users", SERVE | CLIENT},
    {"parallel", NULL, HYP_OPTION_INT, AT(parallel), 1, 64, "N", "4", "requests answered together in one batch", SERVE},
    {"parallel", NULL, HYP_OPTION_INT, AT(parallel), 1, 64, "N", "1",
     "plan for this many sequences, as serve --parallel answers them", PLAN},
    {"max-queue", NULL, HYP_OPTION_INT, AT(max_queue), 1, 100000, "N", "512", "requests that may wait beyond these",
     SERVE},
    {"keep-alive", NULL, HYP_OPTION_STRING, AT(keep_alive), 0, 0, "TIME", "5m",
     "unload a model after this time without requests; -1 means never", SERVE},
    {"help", "-h", HYP_OPTION_FLAG, AT(help), 0, 0, NULL, NULL, "show this help", ALL},
};

/* The words of enums, from the functions that name them. */
static const char *mode_word(int i) {
    return i < HYP_N_MODES ? hyp_mode_name((hyp_mode)i) : NULL;
}
static const char *policy_word(int i) {
    return i < HYP_N_POLICIES ? hyp_policy_name((hyp_policy_kind)i) : NULL;
}
static const char *io_word(int i) {
    return i <= HYP_IO_PLAIN ? hyp_io_backend_name((hyp_io_backend)i) : NULL;
}
static const char *replay_policy_word(int i) {
    if (i == HYP_REPLAY_N_POLICIES) return "all";
    return i < HYP_REPLAY_N_POLICIES ? hyp_replay_policy_name(i) : NULL;
}

static const hyp_option_enum enums[] = {
    {"MODE", mode_word}, {"POLICY", policy_word}, {"IO", io_word}, {"REPLAY_POLICY", replay_policy_word}};

const hyp_options hyp_args_table = {rows, HYP_ARRAY_LEN(rows), enums, HYP_ARRAY_LEN(enums)};
