/* run.c - `hypura run`: one prompt, one streamed answer. How it is reported is run_report.c. */
#include "base/mem.h"
#include "base/text.h"
#include "bench/bench_prompt.h"
#include "cli/command.h"
#include "cli/faults.h"
#include "cli/interactive.h"
#include "cli/interrupt.h"
#include "cli/local.h"
#include "cli/machine.h"
#include "cli/progress.h"
#include "cli/run_report.h"
#include "cli/save.h"
#include "cli/status.h"
#include "cli/supervise.h"
#include "cli/terminal.h"
#include "cli/transcript.h"
#include "cli/word_wrap.h"

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

static bool on_text(void *user, const char *text, size_t n, bool thinking) {
    (void)thinking; /* the answer is shown as the model wrote it */
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

/* The first `n` tokens of a text that is the same everywhere, for measurements. */
static int make_fixed_prompt(const hyp_engine *engine, size_t n, hyp_token **ret, size_t *ret_n, hyp_err *err) {
    /* A word is a token at least, save where a tokenizer merges words. */
    for (size_t words = n; words <= 8 * n; words *= 2) {
        hyp_str text HYP_CLEANUP(hyp_str_free) = {0};
        hyp_bench_prompt_append(words, &text);
        if (text.failed) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a prompt of %zu tokens", n);
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

static void free_conversation(hyp_conversation **c) {
    hyp_conversation_free(*c);
}

/* A text to be continued; NULL is --prompt-tokens. */
static int make_raw_job(const hyp_args *args, hyp_engine *engine, const char *prompt, hyp_job **ret, hyp_err *err) {
    hyp_job *job = hyp_job_new(HYP_JOB_GENERATE, NULL, hyp_engine_model(engine)->name);
    int r = HYP_OK;
    if (job == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    job->raw = true;
    job->truncate = job->shift = false;
    job->prompt = strdup(prompt != NULL ? prompt : "");
    if (job->prompt == NULL) r = hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (r == HYP_OK && prompt == NULL)
        r = make_fixed_prompt(engine, (size_t)args->prompt_tokens, &job->context, &job->n_context, err);
    if (r == HYP_OK)
        *ret = job;
    else
        hyp_job_unref(job);
    return r;
}

/* What --chat asks: the messages of --messages, the prompt after them, under the system message. */
static int make_conversation(const hyp_args *args, const char *prompt, hyp_conversation **ret, hyp_err *err) {
    HYP_CLEANUP(free_conversation) hyp_conversation *c = NULL;
    if (args->messages != NULL) {
        int r = hyp_transcript_load(args->messages, &c, err);
        if (r != HYP_OK) return r;
    } else if ((c = hyp_conversation_new()) == NULL)
        return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (args->system != NULL && hyp_conversation_set_system(c, args->system, err) != HYP_OK) return HYP_ENOMEM;
    if (prompt != NULL && hyp_conversation_add(c, "user", prompt, err) != HYP_OK) return HYP_ENOMEM;
    *ret = HYP_TAKE(c);
    return HYP_OK;
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
    if (r == HYP_OK && !args->quiet && !hyp_mode_is_resident(hyp_engine_get_info(*ret)->mode))
        fprintf(stderr, "mode %s: %s\n", hyp_mode_name(hyp_engine_get_info(*ret)->mode),
                hyp_engine_get_info(*ret)->reason);
    return r;
}

static void tell_mode_change(const hyp_engine *engine, hyp_mode before) {
    const hyp_engine_info *info = hyp_engine_get_info(engine);
    if (info->mode != before) fprintf(stderr, "mode %s from here on: %s\n", hyp_mode_name(info->mode), info->reason);
}

static int report(const hyp_args *args, hyp_engine *engine, const hyp_local_result *result, const hyp_str *text,
                  hyp_err *err) {
    if (result->n_dropped > 0 && !args->quiet)
        fprintf(stderr, "note: the %zu oldest messages do not fit the context and are left out\n", result->n_dropped);
    if (args->stats)
        hyp_run_report_text(engine, result, stderr);
    else if (!args->json && !args->quiet)
        hyp_run_report_closing(engine, result, stderr);
    return args->json ? hyp_run_report_json(engine, result, text, args->logits_digest, stdout, err) : HYP_OK;
}

/* Answer `job`, stream the text, report. Returns an exit status, or what failed. */
static int answer(const hyp_args *args, hyp_local *local, hyp_job *job, hyp_err *err) {
    output out = {.json = args->json, .wordwrap = !args->no_wordwrap};
    hyp_local_result result;
    hyp_mode mode = hyp_engine_get_info(local->engine)->mode;
    const hyp_local_options options = {.sampling = args->sampling,
                                       .max_tokens = args->max_tokens,
                                       .stops = args->stop.items,
                                       .n_stops = args->stop.n,
                                       .ignore_end = args->ignore_eos};
    job->digest = args->logits_digest;
    int r = hyp_local_set_options(job, &options, err);
    if (r != HYP_OK) return r;
    hyp_terminal_use_utf8();
    hyp_status_start(&out.status, local->engine, args->quiet);
    r = hyp_local_answer(local, job, on_text, &out, &result, err);
    if (end_text(&out, r == HYP_OK ? err : NULL) != HYP_OK && r == HYP_OK) r = HYP_EIO;
    if (!args->quiet) tell_mode_change(local->engine, mode);
    if (r == HYP_OK) r = report(args, local->engine, &result, &out.text, err);
    hyp_str_free(&out.text);
    if (r != HYP_OK) return r;
    return result.stop == HYP_STOP_INTERRUPTED && hyp_interrupt_seen() ? HYP_EXIT_INTERRUPTED : HYP_EXIT_OK;
}

/* One question, one answer: with --chat inside the model's template, else the prompt as it is. */
static int answer_once(const hyp_args *args, hyp_engine *engine, const char *prompt, hyp_err *err) {
    HYP_CLEANUP(hyp_local_close) hyp_local local = {0};
    HYP_CLEANUP(free_conversation) hyp_conversation *said = NULL;
    hyp_job *job = NULL;
    int r = hyp_local_open(engine, &local, err);
    if (r == HYP_OK && !args->chat) {
        r = make_raw_job(args, engine, prompt, &job, err);
        if (r == HYP_OK) r = answer(args, &local, job, err);
        hyp_job_unref(job);
        return r;
    }
    if (r == HYP_OK) r = make_conversation(args, prompt, &said, err);
    if (r == HYP_OK) r = hyp_local_check(&local, said, err);
    if (r == HYP_OK && (job = hyp_local_chat(&local, said)) == NULL) r = hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (r != HYP_OK) return r;
    if (hyp_session_warning(local.session) != NULL && !args->quiet)
        fprintf(stderr, "note: %s\n", hyp_session_warning(local.session));
    job->verbatim = true;
    r = answer(args, &local, job, err);
    hyp_local_end_chat(job);
    return r;
}

/* What is to be answered: --prompt, else what is piped in. Neither, on a terminal or with --interactive, is a chat:
 * `*ret` stays NULL. The caller frees `*ret_piped`. */
static int find_prompt(const hyp_args *args, const char **ret, char **ret_piped, hyp_err *err) {
    *ret = args->prompt;
    if (args->interactive || args->prompt != NULL || args->prompt_tokens > 0) return HYP_OK;
    if (args->chat && args->messages != NULL) return HYP_OK; /* the last of them is the question */
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
    if (args->chat && args->prompt_tokens > 0)
        return hyp_err_set(err, HYP_EINVAL, "--prompt-tokens goes without --chat: it is no message");
    if (args->chat || (prompt == NULL && args->prompt_tokens == 0)) return HYP_OK;
    if (args->system != NULL)
        return hyp_err_set(err, HYP_EINVAL, "--system needs --chat: a plain prompt has no system message");
    if (args->messages != NULL)
        return hyp_err_set(err, HYP_EINVAL, "--messages needs --chat: a plain prompt has no messages before it");
    return HYP_OK;
}

/* A chat in the terminal: nothing is to be answered now. */
static bool is_chat(const hyp_args *args, const char *prompt) {
    return prompt == NULL && args->prompt_tokens == 0 && (!args->chat || args->messages == NULL || args->interactive);
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
    if (is_chat(args, prompt))
        r = hyp_interactive(args, args->model != NULL ? args->model : args->words[0], engine, err);
    else
        r = answer_once(args, engine, prompt, err);
    if (hyp_engine_end_trace(engine, err) != HYP_OK) return HYP_EXIT_FAILED;
    return r < 0 ? HYP_EXIT_FAILED : r;
}
