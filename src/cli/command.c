#include "cli/command.h"

#include "base/mem.h"
#include "registry/registry.h"

#include <limits.h>
#include <string.h>

const hyp_command hyp_commands[] = {
    {HYP_COMMAND_RUN, "run", "MODEL [--prompt TEXT] [OPTION...]", "generate text with a model, or chat with it",
     "Loads the GGUF file, answers or continues the prompt, and streams the text to standard output. Notes and "
     "progress "
     "go to standard error. Ctrl-C stops the answer and still prints what --json asks for. Without --prompt, what is "
     "piped "
     "in is the prompt; on a terminal a chat begins, in which /? lists the commands.",
     "hypura run models/smollm2-135m-instruct-q4_1.gguf --chat --prompt \"Why is the sky blue?\"", hyp_command_run},
    {HYP_COMMAND_INSPECT, "inspect", "MODEL [--tensors] [--json]", "show what a model is made of and how it would run",
     "Reads only the GGUF header, so a file much larger than memory takes well under a second.",
     "hypura inspect models/smollm2-135m-instruct-q4_1.gguf", hyp_command_inspect},
    {HYP_COMMAND_SERVE, "serve", "[MODEL_OR_FOLDER] [OPTION...]",
     "serve models over the Ollama, OpenAI and Anthropic APIs",
     "Serves a GGUF file, all that lie in a folder, or, without either, every model that other tools keep on this "
     "machine. "
     "Models are loaded when they are asked for and unloaded when nobody does. It listens on this machine alone unless "
     "--host "
     "says otherwise; then give it a key.",
     "hypura serve ~/models --context 16384 --parallel 4", hyp_command_serve},
    {HYP_COMMAND_LIST, "list", "[FOLDER] [--json]", "list the models that can be run by name",
     "Finds GGUF files in the folder, or what Ollama, llama.cpp, LM Studio and the Hugging Face cache keep on this "
     "machine. "
     "Nothing is copied.",
     "hypura list", hyp_command_list},
    {HYP_COMMAND_PS, "ps", "[OPTION...]", "show what a running server has loaded", NULL, "hypura ps", hyp_command_ps},
    {HYP_COMMAND_STOP, "stop", "MODEL [OPTION...]", "make a running server unload a model", NULL,
     "hypura stop llama3.2", hyp_command_stop},
    {HYP_COMMAND_ESTIMATE, "estimate", "MODEL [OPTION...]", "say whether a model will run, and how fast",
     "Reads the GGUF header and the machine's profile, which it measures the first time. With --ram, --vram, --device, "
     "--disk-rate and --cpu-rate it answers for a machine that is not there. Nothing is loaded.",
     "hypura estimate models/smollm2-135m-instruct-q4_1.gguf --ram 8G", hyp_command_estimate},
    {HYP_COMMAND_PROFILE, "profile", "[MODEL] [--force] [--json]", "measure what this machine can do",
     "Measures, in a few seconds, how fast the processor and every device work through weights, and how fast the disk "
     "of "
     "the named file is read. The result is kept in the user's cache folder until the hardware changes.",
     "hypura profile models/smollm2-135m-instruct-q4_1.gguf", hyp_command_profile},
    {HYP_COMMAND_OPTIMIZE, "optimize", "MODEL [-o FILE] [--trace FILE] [--dry-run] [OPTION...]",
     "write a copy of a model's experts that is faster to read",
     "In a GGUF file the matrices of one expert stand far apart. The packed copy (a sidecar, MODEL.packed) holds the "
     "same "
     "pages side by side, so that an expert comes with one read instead of two or three; it takes about as much room "
     "as "
     "the experts do. It is bound to the model, checked after writing and again when it is read, and used "
     "automatically by "
     "run and serve; the model stays as it is. Stopped in any way, the same command goes on where it was. With "
     "--in-gguf a "
     "whole GGUF file is written instead.",
     "hypura optimize models/mixtral-8x7b-q4_k_m.gguf --dry-run", hyp_command_optimize},
    {HYP_COMMAND_REPLAY, "replay", "TRACE --ram SIZE --disk-rate SIZE [OPTION...]",
     "simulate caches of experts on a recorded trace",
     "Replays a trace of expert routing (hypura run MODEL --mode experts --trace FILE) against eviction policies and a "
     "simulated disk: hit rates by bytes, bytes read for a token, tokens a second as far as the disk decides. What "
     "every token touches is "
     "taken "
     "off --ram first. Belady's policy knows the future; with experts of several sizes it is an approximation of the "
     "optimum.",
     "hypura replay routing.trace --ram 16G --disk-rate 3G --policy all", hyp_command_replay},
    {HYP_COMMAND_BENCH, "bench", "MODEL [--runs N] [--ram SIZE] [--out DIR] [OPTION...]",
     "measure a model against plain llama.cpp",
     "Runs the model in turns as hypura would and as plain llama.cpp does, which maps the file and leaves the rest to "
     "the "
     "kernel: the same program, libraries, prompt and number of tokens, each run a process of its own. Prints a "
     "Markdown "
     "table of medians and spreads, and whether the outputs are identical. With --ram both share a memory control "
     "group of "
     "a little more than that, where one can be made. A model beyond the machine's memory less 4 GiB runs with plain "
     "mmap "
     "only in such a group.",
     "hypura bench models/mixtral-8x7b-q4_k_m.gguf --ram 12G --runs 5 --out results --svg mixtral.svg",
     hyp_command_bench},
    {HYP_COMMAND_IOBENCH, "iobench", "FILE [--read-gb X] [--json] [--svg FILE]",
     "measure how fast a file's drive is for the engine",
     "Reads the file in every way the engine knows, from 64 KiB to 16 MiB at a time and with 1 to 32 reads in flight, "
     "and "
     "recommends the settings that suit the drive. Takes about a minute. Nothing is written; of the page cache only "
     "this "
     "file's part is dropped. Numbers are of direct reads, past the page cache, unless the table says cold or warm. "
     "Choose "
     "a file much larger than the drive's own cache: a model. With a mixture of experts, reads of its expert's size "
     "are "
     "measured too.",
     "hypura iobench models/mixtral-8x7b-q4_k_m.gguf --svg drive.svg", hyp_command_iobench},
    {HYP_COMMAND_VERSION, "version", "", "print the versions of hypura and of the libraries it runs on", NULL,
     "hypura version", hyp_command_version},
    {HYP_COMMAND_HELP, "help", "[COMMAND]", "explain a command", NULL, "hypura help run", hyp_command_help},
};
const size_t hyp_n_commands = HYP_ARRAY_LEN(hyp_commands);

const hyp_command *hyp_command_find(const char *name) {
    for (size_t i = 0; i < hyp_n_commands; i++)
        if (strcmp(hyp_commands[i].name, name) == 0) return &hyp_commands[i];
    return NULL;
}

int hyp_command_unknown(const char *name, hyp_err *err) {
    const char *names[64];
    for (size_t i = 0; i < hyp_n_commands; i++)
        names[i] = hyp_commands[i].name;
    const char *near = hyp_options_nearest(name, names, hyp_n_commands);
    hyp_err_set(err, HYP_EINVAL, "there is no command \"%s\"", name);
    if (near != NULL)
        hyp_err_hint(err, "did you mean \"hypura %s\"?", near);
    else
        hyp_err_hint(err, "\"hypura help\" lists the commands");
    return HYP_EXIT_USAGE;
}

int hyp_command_model_path(const hyp_args *args, const char **ret_path, hyp_err *err) {
    const char *path = args->model != NULL ? args->model : args->n_words > 0 ? args->words[0] : NULL;
    if (path == NULL) {
        hyp_err_set(err, HYP_EINVAL, "no model was named");
        hyp_err_hint(err, "name a GGUF file, for instance: hypura run model.gguf --prompt \"Hello\"");
        return HYP_EINVAL;
    }
    size_t used = args->model == NULL;
    if (args->n_words > used) return hyp_err_set(err, HYP_EINVAL, "unexpected argument \"%s\"", args->words[used]);
    /* What is no file may be the name of a model that another tool keeps on this machine. */
    static char named[PATH_MAX];
    HYP_AUTOFREE char *found = NULL;
    hyp_err ignored = HYP_ERR_NONE;
    *ret_path = path;
    if (access(path, F_OK) == 0 || hyp_registry_resolve(path, &found, &ignored) != HYP_OK) return HYP_OK;
    if (snprintf(named, sizeof named, "%s", found) < (int)sizeof named) *ret_path = named;
    return HYP_OK;
}
