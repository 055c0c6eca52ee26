#include "cli/args.h"

#include "base/mem.h"

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
#define ALL UINT64_MAX

static const hyp_option rows[] = {
    /* name, aliases, kind, field, min, max, metavar, default, help, commands */
    {"model", "-m", HYP_OPTION_STRING, AT(model), 0, 0, "FILE", NULL,
     "the GGUF file, instead of naming it as an argument", MODEL_COMMANDS | SERVE | HYP_COMMAND_STOP},
    {"prompt", "-p", HYP_OPTION_STRING, AT(prompt), 0, 0, "TEXT", NULL, "what to answer or continue", RUN},
    {"chat", NULL, HYP_OPTION_FLAG, AT(chat), 0, 0, NULL, NULL, "wrap the prompt in the model's chat template", RUN},
    {"system", NULL, HYP_OPTION_STRING, AT(system), 0, 0, "TEXT", NULL, "system message for --chat", RUN},
    {"max-tokens", "-n --n-predict", HYP_OPTION_INT, AT(max_tokens), 0, INT_MAX, "N", "512",
     "stop after this many tokens", RUN},
    {"context", "-c --ctx-size", HYP_OPTION_INT, AT(context_tokens), 8, 16777216, "N", "4096",
     "context length in tokens", ENGINE | PLAN},
    {"threads", "-t", HYP_OPTION_INT, AT(threads), 0, 1024, "N", "0", "compute threads; 0 means one a core",
     ENGINE | PLAN | PROFILE},
    {"batch", "-b --batch-size", HYP_OPTION_INT, AT(batch_tokens), 1, 65536, "N", "512",
     "tokens evaluated together in prefill", ENGINE | PLAN},
    {"temperature", "--temp", HYP_OPTION_REAL, AT(temperature), 0, 100, "X", "0.8",
     "0 always takes the likeliest token", RUN},
    {"top-k", NULL, HYP_OPTION_INT, AT(top_k), 0, INT_MAX, "N", "40", "sample from the N likeliest tokens; 0 means all",
     RUN},
    {"top-p", NULL, HYP_OPTION_REAL, AT(top_p), 0, 1, "X", "0.95",
     "sample from the likeliest tokens of this joint probability", RUN},
    {"min-p", NULL, HYP_OPTION_REAL, AT(min_p), 0, 1, "X", "0.05",
     "drop tokens below this share of the likeliest one's probability", RUN},
    {"repeat-penalty", NULL, HYP_OPTION_REAL, AT(repeat_penalty), 0.01, 100, "X", "1.0",
     "divide the logits of recent tokens; 1 is off", RUN},
    {"repeat-last-n", NULL, HYP_OPTION_INT, AT(repeat_last_n), -1, INT_MAX, "N", "64",
     "how many tokens are recent; -1 means the context", RUN},
    {"presence-penalty", NULL, HYP_OPTION_REAL, AT(presence_penalty), -100, 100, "X", "0",
     "subtract from the logits of tokens already used", RUN},
    {"frequency-penalty", NULL, HYP_OPTION_REAL, AT(frequency_penalty), -100, 100, "X", "0",
     "subtract from a token's logit for each use", RUN},
    {"seed", "-s", HYP_OPTION_INT, AT(seed), -1, INT_MAX, "N", "-1", "seed of the sampler; -1 draws one", RUN},
    {"stop", "-r --reverse-prompt", HYP_OPTION_LIST, AT(stop), 0, 0, "TEXT", NULL,
     "stop before this text; may be given several times", RUN},
    {"ignore-eos", NULL, HYP_OPTION_FLAG, AT(ignore_eos), 0, 0, NULL, NULL, "go on after the model's end token", RUN},
    {"ram", NULL, HYP_OPTION_SIZE, AT(ram_bytes), 0, 0, "SIZE", NULL,
     "memory for weights, cache, KV cache and buffers; without it, what is free now less a headroom", ENGINE | PLAN},
    {"mode", NULL, HYP_OPTION_CHOICE, AT(mode), 0, 0, "auto|resident|experts|ffn|mmap", "auto",
     "how to run the model; auto decides by what fits", ENGINE | PLAN},
    {"vram", NULL, HYP_OPTION_SIZE, AT(vram_bytes), 0, 0, "SIZE", NULL, "at most this much memory of each device",
     ENGINE | PLAN},
    {"device", NULL, HYP_OPTION_LIST, AT(device), 0, 0, "NAME", NULL,
     "use this device; none uses none; NAME:MEMORY:BYTES_PER_SECOND stands for one that is not there", PLAN},
    {"device", NULL, HYP_OPTION_LIST, AT(device), 0, 0, "NAME", NULL,
     "use this device; none uses none; may be given several times; without it every GPU is used that helps", ENGINE},
    {"rpc", NULL, HYP_OPTION_LIST, AT(rpc), 0, 0, "HOST:PORT", NULL,
     "use the memory of this machine too, which runs ggml-rpc-server; several are separated by commas", ENGINE},
    {"disk-rate", NULL, HYP_OPTION_SIZE, AT(disk_rate_bytes), 0, 0, "SIZE", NULL,
     "plan for a disk that reads this much a second", PLAN},
    {"cpu-rate", NULL, HYP_OPTION_SIZE, AT(cpu_rate_bytes), 0, 0, "SIZE", NULL,
     "plan for a processor that works through this much of weights a second", PLAN},
    {"svg", NULL, HYP_OPTION_STRING, AT(svg), 0, 0, "FILE", NULL, "draw the placement into this file", PLAN},
    {"no-plan", NULL, HYP_OPTION_FLAG, AT(no_plan), 0, 0, NULL, NULL, "only what the model is made of", INSPECT},
    {"force", "-f", HYP_OPTION_FLAG, AT(force), 0, 0, NULL, NULL, "measure again", PROFILE},
    {"path", NULL, HYP_OPTION_STRING, AT(path), 0, 0, "FILE", NULL, "measure the disk that holds this file", PROFILE},
    {"policy", NULL, HYP_OPTION_CHOICE, AT(policy), 0, 0, "hypura|lru|lfu", "hypura", "which cached experts to give up",
     ENGINE},
    {"no-prefetch", NULL, HYP_OPTION_FLAG, AT(no_prefetch), 0, 0, NULL, NULL, "read experts only when they are needed",
     ENGINE},
    {"no-memory", NULL, HYP_OPTION_FLAG, AT(no_memory), 0, 0, NULL, NULL,
     "neither use nor keep what was learnt about the model's routing", ENGINE},
    {"trace", NULL, HYP_OPTION_STRING, AT(trace), 0, 0, "FILE", NULL, "record the routing of experts for hypura replay",
     RUN},
    {"io", NULL, HYP_OPTION_CHOICE, AT(io_backend), 0, 0, "auto|io_uring|threads|plain", "auto",
     "how streamed weights are read", ENGINE},
    {"io-faults", NULL, HYP_OPTION_STRING, AT(io_faults), 0, 0, "SPEC", NULL,
     "for tests: make every Nth read fail or slow, as in fail=100,delay=3,us=500", RUN},
    {"io-depth", NULL, HYP_OPTION_INT, AT(io_depth), 0, 256, "N", "0", "reads in flight; 0 means the measured default",
     ENGINE},
    {"stats", NULL, HYP_OPTION_FLAG, AT(stats), 0, 0, NULL, NULL, "print speed, cache and disk figures at the end",
     RUN},
    {"logits-digest", NULL, HYP_OPTION_FLAG, AT(logits_digest), 0, 0, NULL, NULL,
     "with --json: a digest over every logit of every output token", RUN},
    {"no-repack", NULL, HYP_OPTION_FLAG, AT(no_repack), 0, 0, NULL, NULL,
     "keep the file's weight layout in memory (slower; comparable digests)", ENGINE | PLAN},
    {"tensors", NULL, HYP_OPTION_FLAG, AT(tensors), 0, 0, NULL, NULL, "list every tensor", INSPECT},
    {"ram", NULL, HYP_OPTION_SIZE, AT(ram_bytes), 0, 0, "SIZE", NULL, "memory for the model", REPLAY},
    {"disk-rate", NULL, HYP_OPTION_SIZE, AT(disk_rate_bytes), 0, 0, "SIZE", NULL,
     "what the disk reads in a second, in pieces of an expert's size", REPLAY},
    {"compute-time", NULL, HYP_OPTION_REAL, AT(compute_time_ms), 0, 1e6, "MS", "0",
     "what a token takes to compute when nothing has to be read; 0 looks at the disk alone", REPLAY},
    {"policy", NULL, HYP_OPTION_CHOICE, AT(policy), 0, 0, "hypura|lru|lfu|belady|all", "all",
     "what to evict; belady knows the future and is the bound", REPLAY},
    {"prefetch", NULL, HYP_OPTION_CHOICE, AT(prefetch), 0, 0, "on|off", "on",
     "read what was foretold while the disk would be idle", REPLAY},
    {"read-gb", NULL, HYP_OPTION_REAL, AT(read_gb), 0.001, 1000, "X", "1",
     "read at most this many GB for each number; 0.3 s each are the other limit", IOBENCH},
    {"svg", NULL, HYP_OPTION_STRING, AT(svg), 0, 0, "FILE", NULL, "draw a chart into this file", IOBENCH},
    {"json", NULL, HYP_OPTION_FLAG, AT(json), 0, 0, NULL, NULL, "print one JSON object instead of text",
     RUN | PLAN | PROFILE | REPLAY | HYP_COMMAND_LIST | HYP_COMMAND_PS | IOBENCH},
    {"quiet", "-q", HYP_OPTION_FLAG, AT(quiet), 0, 0, NULL, NULL, "no progress and no notes, only the result",
     RUN | SERVE | ESTIMATE | PROFILE},
    {"host", NULL, HYP_OPTION_STRING, AT(host), 0, 0, "ADDRESS", NULL,
     "address of the server; without it OLLAMA_HOST's, else 127.0.0.1", SERVE | CLIENT},
    {"port", NULL, HYP_OPTION_STRING, AT(port), 0, 0, "N", NULL,
     "port of the server; 0 listens on a free one; without it OLLAMA_HOST's, else 8080", SERVE | CLIENT},
    {"api-key", NULL, HYP_OPTION_STRING, AT(api_key), 0, 0, "KEY", NULL,
     "key that requests must carry; HYPURA_API_KEY keeps it out of sight of other users", SERVE | CLIENT},
    {"parallel", NULL, HYP_OPTION_INT, AT(parallel), 1, 64, "N", "4", "requests answered together in one batch", SERVE},
    {"max-queue", NULL, HYP_OPTION_INT, AT(max_queue), 1, 100000, "N", "512", "requests that may wait beyond these",
     SERVE},
    {"keep-alive", NULL, HYP_OPTION_STRING, AT(keep_alive), 0, 0, "TIME", "5m",
     "unload a model after this time without requests; -1 means never", SERVE},
    {"help", "-h", HYP_OPTION_FLAG, AT(help), 0, 0, NULL, NULL, "show this help", ALL},
};

const hyp_options hyp_args_table = {rows, HYP_ARRAY_LEN(rows)};
