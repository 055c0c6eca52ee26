/* run.c - `hypura run`: one prompt, one streamed answer. How it is reported is run_report.c. */
#include "base/mem.h"
#include "base/text.h"
#include "bench/bench_prompt.h"
#include "cli/chat_session.h"
#include "cli/command.h"
#include "cli/faults.h"
#include "cli/interactive.h"
#include "cli/interrupt.h"
#include "cli/machine.h"
#include "cli/progress.h"
#include "cli/run_report.h"
#include "cli/save.h"
#include "cli/status.h"
#include "cli/supervise.h"
#include "cli/terminal.h"
#include "cli/word_wrap.h"
#include "engine/generate.h"

#include <errno.h>
#include <string.h>

static void free_model(hyp_model **m) {
    hyp_model_free(*m);
}
static void close_engine(hyp_engine **e) {
    hyp_interrupt_watch(NULL);
    hyp_engine_close(*e);
}

static bool on_load(uint64_t done, uint64_t total, void *user) {
    hyp_progress_update(user, done, total);
    return !hyp_interrupt_seen();
}

typedef struct output {
    bool json, wordwrap; /* json: the text goes into the report instead of the terminal */
    int write_errno;     /* standard output takes no more */
    hyp_str text;
    hyp_word_wrap wrap;
    hyp_status status;
} output;

static void print_text(output *out, const char *text, size_t n) {
    hyp_word_wrap_set_columns(&out->wrap, out->wordwrap ? hyp_terminal_wrap_columns() : 0);
    hyp_word_wrap_write(&out->wrap, text, n, stdout);
    hyp_terminal_set_within_line(text[n - 1] != '\n');
    if (fflush(stdout) != 0 || ferror(stdout)) out->write_errno = errno;
}

static bool on_text(const char *text, size_t n, void *user) {
    output *out = user;
    hyp_status_token(&out->status);
    hyp_str_append(&out->text, text, n);
    if (out->json) return !out->text.failed;
    print_text(out, text, n);
    return out->write_errno == 0;
}

/* The answer's last line ends here: what follows goes to standard error. */
static int end_text(output *out, hyp_err *err) {
    hyp_status_end(&out->status);
    if (!out->json && out->text.length > 0) {
        hyp_word_wrap_end(&out->wrap, stdout);
        putchar('\n');
        if (fflush(stdout) != 0 && out->write_errno == 0) out->write_errno = errno;
    }
    hyp_terminal_set_within_line(false);
    if (out->write_errno == 0) return HYP_OK;
    return hyp_err_set_sys(err, HYP_EIO, out->write_errno, "cannot write to standard output");
}

static hyp_sampling sampling_of(const hyp_args *args) {
    return (hyp_sampling){
        .temperature = args->temperature,
        .top_k = args->top_k,
        .top_p = args->top_p,
        .min_p = args->min_p,
        .typical_p = 1,
        .repeat_penalty = args->repeat_penalty,
        .presence_penalty = args->presence_penalty,
        .frequency_penalty = args->frequency_penalty,
        .repeat_last_n = args->repeat_last_n,
        .seed = args->seed,
    };
}

/* The first `n` tokens of a text that is the same everywhere, for measurements. */
static int make_fixed_prompt(const hyp_engine *engine, size_t n, hyp_token **ret, size_t *ret_n, hyp_err *err) {
    /* A word is a token at least, save where a tokenizer merges words. */
    for (size_t words = n; words <= 8 * n; words *= 2) {
        hyp_str text HYP_CLEANUP(hyp_str_free) = {0};
        hyp_bench_prompt_append(words, &text);
        if (text.failed) return hyp_err_set(err, HYP_ENOMEM, "no memory for a prompt of %zu tokens", n);
        HYP_AUTOFREE hyp_token *tokens = NULL;
        size_t n_tokens = 0;
        int r = hyp_engine_tokenize(engine, text.data, text.length, true, true, &tokens, &n_tokens, err);
        if (r != HYP_OK) return r;
        if (n_tokens < n) continue;
        *ret = HYP_TAKE(tokens);
        *ret_n = n;
        return HYP_OK;
    }
    return hyp_err_set(err, HYP_EENGINE, "the tokenizer makes no prompt of %zu tokens of English words", n);
}

static void close_session(hyp_chat_session **session) {
    hyp_chat_session_free(*session);
}
static void free_transcript(hyp_transcript *said) {
    hyp_transcript_free(said);
}
static void free_text(hyp_str *text) {
    hyp_str_free(text);
}

/* The prompt as the model shall see it: with --chat inside its template; NULL is --prompt-tokens. The caller frees
 * `*ret`. */
static int make_prompt(const hyp_args *args, hyp_engine *engine, const char *prompt, hyp_token **ret, size_t *ret_n,
                       hyp_err *err) {
    if (prompt == NULL) return make_fixed_prompt(engine, (size_t)args->prompt_tokens, ret, ret_n, err);
    if (!args->chat) return hyp_engine_tokenize(engine, prompt, strlen(prompt), true, true, ret, ret_n, err);
    HYP_CLEANUP(close_session) hyp_chat_session *session = NULL;
    HYP_CLEANUP(free_transcript) hyp_transcript said = {0};
    HYP_CLEANUP(free_text) hyp_str text = {0};
    const hyp_chat_settings settings = {0};
    const char *warning = NULL;
    int r = hyp_chat_session_open(engine, &session, &warning, err);
    if (r == HYP_OK && args->system != NULL) r = hyp_transcript_set_system(&said, args->system, err);
    if (r == HYP_OK) r = hyp_transcript_add(&said, "user", prompt, NULL, err);
    if (r == HYP_OK && warning != NULL && !args->quiet) fprintf(stderr, "note: %s\n", warning);
    return r == HYP_OK ? hyp_chat_session_render(session, &said, &settings, 0, &text, ret, ret_n, err) : r;
}

static int open_engine(const hyp_args *args, const hyp_model *model, hyp_setup *ret_setup, hyp_engine **ret,
                       hyp_err *err) {
    hyp_progress progress;
    hyp_faults faults;
    if (args->io_faults != NULL && hyp_faults_parse(args->io_faults, &faults, err) != HYP_OK) return HYP_EINVAL;
    if (hyp_save_check(args->trace, err) != HYP_OK) return HYP_EINVAL;
    hyp_progress_start(&progress, "loading", args->quiet);
    const hyp_setup_options options = hyp_machine_setup(args);
    hyp_engine_config config = hyp_machine_engine_config(args);
    config.model = model;
    config.setup = ret_setup;
    config.trace_path = args->trace;
    config.io.faults = args->io_faults != NULL ? faults.items : NULL;
    config.progress = on_load;
    config.progress_user = &progress;
    int r = hyp_setup_make(&options, model, ret_setup, err);
    if (r == HYP_OK) r = hyp_engine_open(&config, ret, err);
    hyp_progress_end(&progress);
    if (r == HYP_OK && !args->quiet && hyp_engine_get_info(*ret)->mode != HYP_MODE_RESIDENT)
        fprintf(stderr, "mode %s: %s\n", hyp_mode_name(hyp_engine_get_info(*ret)->mode),
                hyp_engine_get_info(*ret)->reason);
    return r;
}

static int answer(const hyp_args *args, hyp_engine *engine, const char *text, hyp_err *err) {
    HYP_AUTOFREE hyp_token *prompt = NULL;
    size_t n_prompt = 0;
    int r = make_prompt(args, engine, text, &prompt, &n_prompt, err);
    if (r != HYP_OK) return r;
    output out = {.json = args->json, .wordwrap = !args->no_wordwrap};
    hyp_generate_request request = {
        .prompt = prompt,
        .n_prompt = n_prompt,
        .max_tokens = args->max_tokens,
        .stops = args->stop.items,
        .n_stops = args->stop.n,
        .ignore_eog = args->ignore_eos,
        .digest = args->logits_digest,
        .sampling = sampling_of(args),
        .sink = on_text,
        .sink_user = &out,
    };
    hyp_generate_result result;
    hyp_mode mode = hyp_engine_get_info(engine)->mode;
    hyp_terminal_use_utf8();
    hyp_status_start(&out.status, engine, args->quiet);
    r = hyp_generate(engine, &request, &result, err);
    if (end_text(&out, r == HYP_OK ? err : NULL) != HYP_OK && r == HYP_OK) r = HYP_EIO;
    if (hyp_engine_get_info(engine)->mode != mode && !args->quiet)
        fprintf(stderr, "mode %s from here on: %s\n", hyp_mode_name(hyp_engine_get_info(engine)->mode),
                hyp_engine_get_info(engine)->reason);
    if (r == HYP_OK && args->stats)
        hyp_run_report_text(engine, n_prompt, &result, stderr);
    else if (r == HYP_OK && !args->json && !args->quiet)
        hyp_run_report_closing(engine, n_prompt, &result, stderr);
    if (r == HYP_OK && args->json)
        r = hyp_run_report_json(engine, n_prompt, &result, &out.text, args->logits_digest, stdout, err);
    free(result.tokens);
    hyp_str_free(&out.text);
    if (r != HYP_OK) return r;
    return result.stop == HYP_STOP_INTERRUPTED && hyp_interrupt_seen() ? HYP_EXIT_INTERRUPTED : HYP_EXIT_OK;
}

/* What is to be answered: --prompt, else what is piped in. Neither, on a terminal or with --interactive, is a chat:
 * `*ret` stays NULL. The caller frees `*ret_piped`. */
static int find_prompt(const hyp_args *args, const char **ret, char **ret_piped, hyp_err *err) {
    *ret = args->prompt;
    if (args->interactive || args->prompt != NULL || args->prompt_tokens > 0) return HYP_OK;
    bool terminal = isatty(STDIN_FILENO);
    if (terminal && isatty(STDOUT_FILENO) && !args->json) return HYP_OK;
    size_t n = 0, room = 0;
    ssize_t got = terminal ? 0 : getdelim(ret_piped, &room, '\0', stdin);
    if (got > 0 && memchr(*ret_piped, '\0', (size_t)got) != NULL)
        return hyp_err_set(err, HYP_EINVAL, "what is piped in is not text: it has a zero byte");
    for (n = got > 0 ? (size_t)got : 0; n > 0 && (*ret_piped)[n - 1] == '\n';)
        (*ret_piped)[--n] = '\0';
    if (n == 0) {
        hyp_err_set(err, HYP_EINVAL, "there is no prompt");
        hyp_err_hint(err, "give one with --prompt \"...\"");
        return HYP_EINVAL;
    }
    *ret = *ret_piped;
    return HYP_OK;
}

/* Options that go only with others. `prompt` is NULL in a chat. */
static int check_options(const hyp_args *args, const char *prompt, hyp_err *err) {
    if (args->logits_digest && !args->json) return hyp_err_set(err, HYP_EINVAL, "--logits-digest needs --json");
    if (args->system == NULL || args->chat || (prompt == NULL && args->prompt_tokens == 0)) return HYP_OK;
    return hyp_err_set(err, HYP_EINVAL, "--system needs --chat: a plain prompt has no system message");
}

static int check_interactive(const hyp_args *args, hyp_err *err) {
    const char *other = args->prompt != NULL ? "--prompt" : args->prompt_tokens > 0 ? "--prompt-tokens" : "--json";
    if (!args->interactive || (args->prompt == NULL && args->prompt_tokens == 0 && !args->json)) return HYP_OK;
    return hyp_err_set(err, HYP_EINVAL, "--interactive goes without %s", other);
}

int hyp_command_run(const hyp_args *args, hyp_err *err) {
    const char *path, *prompt;
    HYP_AUTOFREE char *piped = NULL;
    if (hyp_command_model_path(args, &path, err) != HYP_OK) {
        if (args->n_words > 0) hyp_err_hint(err, "a prompt is given with --prompt \"...\"");
        return HYP_EXIT_USAGE;
    }
    if (check_interactive(args, err) != HYP_OK || find_prompt(args, &prompt, &piped, err) != HYP_OK)
        return HYP_EXIT_USAGE;
    if (check_options(args, prompt, err) != HYP_OK) return HYP_EXIT_USAGE;
    int status = hyp_supervise_if_remote(args, err);
    if (status >= 0) return status;
    HYP_CLEANUP(free_model) hyp_model *model = NULL;
    if (hyp_model_open(path, &model, err) != HYP_OK) return HYP_EXIT_FAILED;
    HYP_CLEANUP(hyp_setup_clear) hyp_setup setup = {0};
    HYP_CLEANUP(close_engine) hyp_engine *engine = NULL;
    hyp_interrupt_watch(NULL);
    int r = open_engine(args, model, &setup, &engine, err);
    if (r != HYP_OK) return r == HYP_ECANCELED ? HYP_EXIT_INTERRUPTED : HYP_EXIT_FAILED;
    hyp_interrupt_watch(engine);
    if (prompt == NULL && args->prompt_tokens == 0) {
        const hyp_sampling sampling = sampling_of(args);
        r = hyp_interactive(args, args->model != NULL ? args->model : args->words[0], engine, &sampling, err);
    } else {
        r = answer(args, engine, prompt, err);
    }
    if (hyp_engine_end_trace(engine, err) != HYP_OK) return HYP_EXIT_FAILED;
    return r < 0 ? HYP_EXIT_FAILED : r;
}
