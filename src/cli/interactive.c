#include "cli/interactive.h"

#include "base/mem.h"
#include "base/paths.h"
#include "cli/chat_command.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/line_input.h"
#include "cli/local.h"
#include "cli/run_report.h"
#include "cli/status.h"
#include "cli/terminal.h"
#include "cli/transcript.h"
#include "cli/word_wrap.h"
#include "gguf/model.h"

#include <string.h>

typedef struct chat {
    hyp_engine *engine;
    const char *name;
    hyp_local local;
    hyp_chat_settings settings;
    hyp_conversation *said;
    hyp_line_input *input;
    bool quiet, dim; /* dim: the terminal shows reasoning fainter */
    bool wordwrap;
    size_t n_forgotten;
} chat;

/* --- an answer --- */

typedef struct screen {
    const chat *chat;
    bool thinking, wrote;
    hyp_str content, reasoning; /* all of it, for the conversation */
    hyp_word_wrap wrap;
    hyp_status status;
} screen;

static void set_thinking(screen *s, bool thinking) {
    if (s->thinking == thinking) return;
    s->thinking = thinking;
    hyp_word_wrap_end(&s->wrap, stdout);
    if (s->chat->dim)
        fputs(thinking ? "\033[2m" : "\033[0m\n\n", stdout);
    else
        fputs(thinking ? "Thinking...\n" : "\n...done thinking.\n\n", stdout);
}

static bool on_text(void *user, const char *bytes, size_t n, bool thinking) {
    screen *s = user;
    hyp_str *all = thinking ? &s->reasoning : &s->content;
    hyp_status_token(&s->status);
    hyp_str_append(all, bytes, n);
    if (all->failed) return false;
    /* Blank lines around the reasoning are the template's, not the answer's. */
    while (n > 0 && (!s->wrote || s->thinking != thinking) && (*bytes == '\n' || *bytes == ' ')) {
        bytes++;
        n--;
    }
    if (n == 0) return true;
    set_thinking(s, thinking);
    s->wrote = true;
    hyp_word_wrap_set_columns(&s->wrap, s->chat->wordwrap ? hyp_terminal_wrap_columns() : 0);
    hyp_word_wrap_write(&s->wrap, bytes, n, stdout);
    fflush(stdout);
    hyp_terminal_set_within_line(bytes[n - 1] != '\n');
    return true;
}

static void tell_end(chat *c, const hyp_local_result *result) {
    if (c->quiet) return;
    if (result->n_dropped > c->n_forgotten)
        printf("(the context is full: the %zu oldest messages are forgotten)\n", result->n_dropped);
    c->n_forgotten = result->n_dropped;
    if (result->stop == HYP_STOP_INTERRUPTED) puts("(stopped)");
    if (result->stop == HYP_STOP_LENGTH)
        printf("(stopped after %zu tokens; \"/set num_predict -1\" lifts the limit)\n", result->n_output);
}

/* Let the model answer what has been said. */
static int generate(chat *c, screen *s, hyp_local_result *ret, hyp_err *err) {
    const hyp_chat_settings *set = &c->settings;
    const hyp_local_options options = {.sampling = set->sampling,
                                       .max_tokens = set->max_tokens,
                                       .stops = (const char *const *)set->stops,
                                       .n_stops = set->n_stops,
                                       .ignore_end = set->ignore_eog};
    c->said->think = set->think;
    c->said->effort = set->effort;
    hyp_job *job = hyp_local_chat(&c->local, c->said);
    int r = job != NULL ? hyp_local_set_options(job, &options, err) : hyp_err_set(err, HYP_ENOMEM, "out of memory");
    hyp_interrupt_chat(c->engine);
    if (r == HYP_OK) r = hyp_local_answer(&c->local, job, on_text, s, ret, err);
    hyp_interrupt_chat(NULL);
    hyp_engine_clear_interrupt(c->engine);
    hyp_local_end_chat(job);
    if (r == HYP_OK && (s->content.failed || s->reasoning.failed)) r = hyp_err_set(err, HYP_ENOMEM, "out of memory");
    return r;
}

/* Keep the answer. A message without one would stand beside the next, which many templates refuse: it is taken back. */
static int remember(chat *c, const screen *s, int r, hyp_err *err) {
    bool spoke = s->content.length > 0 || s->reasoning.length > 0;
    if (r == HYP_OK && spoke)
        return hyp_conversation_add_answer(c->said, s->content.length > 0 ? s->content.data : "",
                                           s->reasoning.length > 0 ? s->reasoning.data : NULL, err);
    hyp_conversation_cut(c->said, c->said->n - 1);
    return r;
}

/* The model's turn. A failure is told and takes the user's message back. */
static void answer(chat *c) {
    screen s = {.chat = c};
    hyp_local_result result = {0};
    hyp_err err = HYP_ERR_NONE;
    hyp_status_start(&s.status, c->engine, c->quiet);
    int r = generate(c, &s, &result, &err);
    r = remember(c, &s, r, &err);
    hyp_status_end(&s.status);
    hyp_word_wrap_end(&s.wrap, stdout);
    hyp_terminal_set_within_line(false);
    if (s.thinking && c->dim) fputs("\033[0m", stdout);
    if (s.wrote) fputs("\n", stdout);
    if (r == HYP_OK)
        tell_end(c, &result);
    else
        hyp_err_print(&err, stderr);
    if (r == HYP_OK && c->settings.verbose) hyp_run_report_text(c->engine, &result, stderr);
    fputs("\n", stdout);
    hyp_str_free(&s.content);
    hyp_str_free(&s.reasoning);
}

/* --- commands --- */

/* The sampling parameters behind what /set is called with, in lines of at most 90 columns. */
static void help_parameters(void) {
    const int column = 29, width = 90;
    int at = printf("  /set parameter NAME VALUE  ");
    for (size_t i = 0; i < hyp_sampling_n_rows; i++) {
        const char *name = hyp_sampling_rows[i].name;
        bool fits = at + 1 + (int)strlen(name) + 1 <= width;
        if (!fits) at = printf("\n%*s", column, "") - 1;
        at += printf("%s%s,", fits && i > 0 ? " " : "", name);
    }
    putchar('\n');
}

static void help(const char *topic) {
    if (strcmp(topic, "set") == 0) {
        help_parameters();
        fputs("                             num_predict (-1: no limit), stop (may be set several times)\n"
              "  /set NAME VALUE            the same\n"
              "  /set system TEXT           the system message; without TEXT there is none\n"
              "  /set think [LEVEL]         let the model reason: low, medium, high where it knows levels\n"
              "  /set nothink               answer at once\n"
              "  /set verbose, /set quiet   figures after each answer, or none\n"
              "  /set history, nohistory    remember what is typed, or not\n"
              "  /set wordwrap, nowordwrap  break long lines between words, or where the terminal does\n",
              stdout);
    } else if (strcmp(topic, "show") == 0)
        fputs("  /show info                 the model and how it runs\n"
              "  /show parameters           the settings\n"
              "  /show system               the system message\n"
              "  /show template             the chat template\n"
              "  /show messages             the conversation so far\n",
              stdout);
    else
        fputs("  /set               change a setting (\"/? set\" lists them)\n"
              "  /show              show the model, settings, template, conversation (\"/? show\")\n"
              "  /clear             begin the conversation anew\n"
              "  /save FILE         save the conversation\n"
              "  /load FILE         go on with a saved one\n"
              "  /bye               leave (Ctrl-D too)\n"
              "  /?, /help          this help\n"
              "  \"\"\"                begin a message of several lines; \"\"\" ends it\n"
              "  Ctrl-C             stop the answer\n",
              stdout);
}

static void tell(const char *text) {
    fputs(text, stdout);
    if (text[0] != '\0' && text[strlen(text) - 1] != '\n') fputs("\n", stdout);
}

static void show_info(const chat *c) {
    const hyp_engine_info *info = hyp_engine_get_info(c->engine);
    const hyp_model *model = hyp_engine_model(c->engine);
    printf("  model              %s\n", c->name);
    printf("  architecture       %s\n", model->arch);
    printf("  mode               %s (%s)\n", hyp_mode_name(info->mode), info->reason);
    printf("  context            %u tokens, %d in use\n", info->context_tokens, hyp_engine_seq_length(c->engine, 0));
    printf("  threads            %d\n", info->threads);
    printf("  messages           %zu\n", c->said->n);
}

static void show(const chat *c, const char *what) {
    HYP_CLEANUP(hyp_str_free) hyp_str text = {0};
    bool all = what[0] == '\0';
    if (all || strcmp(what, "info") == 0) show_info(c);
    if (all || strcmp(what, "parameters") == 0) {
        hyp_chat_show_parameters(&c->settings, &text);
        tell(text.data);
    } else if (strcmp(what, "system") == 0) {
        const char *system = hyp_conversation_system(c->said);
        tell(system != NULL ? system : "No system message was specified for this model.");
    } else if (strcmp(what, "template") == 0) {
        tell(hyp_session_template(c->local.session));
    } else if (strcmp(what, "messages") == 0) {
        for (size_t i = 0; i < c->said->n; i++)
            printf("%s: %s\n", c->said->messages[i].role, c->said->messages[i].content);
    } else if (strcmp(what, "info") != 0) {
        printf("there is nothing to show called \"%s\"\n", what);
        help("show");
    }
}

static int set(chat *c, const char *what, hyp_err *err) {
    HYP_CLEANUP(hyp_str_free) hyp_str told = {0};
    static const char system[] = "system";
    size_t n = sizeof system - 1;
    if (what[0] == '\0') {
        help("set");
        return HYP_OK;
    }
    if (strncmp(what, system, n) == 0 && (what[n] == '\0' || what[n] == ' ')) {
        const char *text = what + n + strspn(what + n, " \t");
        int r = hyp_conversation_set_system(c->said, text, err);
        if (r == HYP_OK) tell(text[0] != '\0' ? "Set system message." : "Removed system message.");
        return r;
    }
    if (strcmp(what, "history") == 0 || strcmp(what, "nohistory") == 0) {
        hyp_line_input_keep_history(c->input, what[0] == 'h');
        tell(what[0] == 'h' ? "Set 'history' mode" : "Set 'nohistory' mode");
        return HYP_OK;
    }
    if (strcmp(what, "wordwrap") == 0 || strcmp(what, "nowordwrap") == 0) {
        c->wordwrap = what[0] == 'w';
        tell(c->wordwrap ? "Set 'wordwrap' mode" : "Set 'nowordwrap' mode");
        return HYP_OK;
    }
    int r = hyp_chat_set(&c->settings, what, &told, err);
    if (r == HYP_OK && told.data != NULL) tell(told.data);
    return r;
}

static int clear(chat *c, hyp_err *err) {
    const char *system = hyp_conversation_system(c->said);
    (void)err;
    hyp_conversation_cut(c->said, system != NULL);
    c->n_forgotten = 0;
    tell("Cleared session context");
    return HYP_OK;
}

static int need_file(const char *path, const char *command, hyp_err *err) {
    if (path[0] != '\0') return HYP_OK;
    hyp_err_set(err, HYP_EINVAL, "%s needs a file's name", command);
    hyp_err_hint(err, "for instance: %s chat.json", command);
    return HYP_EINVAL;
}

static int save(chat *c, const char *path, hyp_err *err) {
    int r = need_file(path, "/save", err);
    if (r == HYP_OK) r = hyp_transcript_save(c->said, c->name, path, err);
    if (r == HYP_OK) printf("Saved %zu messages in %s\n", c->said->n, path);
    return r;
}

static int load(chat *c, const char *path, hyp_err *err) {
    hyp_conversation *loaded = NULL;
    int r = need_file(path, "/load", err);
    if (r == HYP_OK) r = hyp_transcript_load(path, &loaded, err);
    if (r == HYP_OK) r = hyp_local_check(&c->local, loaded, err);
    if (r != HYP_OK) {
        hyp_conversation_free(loaded);
        return r;
    }
    hyp_conversation_free(c->said);
    c->said = loaded;
    c->n_forgotten = 0;
    printf("Loaded %zu messages from %s\n", c->said->n, path);
    return HYP_OK;
}

/* Carry out one line. Returns false when the chat is over. */
static bool obey(chat *c, char *line, bool quoted) {
    const char *rest = line;
    hyp_err err = HYP_ERR_NONE;
    int r = HYP_OK;
    hyp_chat_verb verb = quoted ? HYP_CHAT_SAY : hyp_chat_parse(line, &rest);
    if (verb != HYP_CHAT_SAY) /* an argument ends with its last letter */
        for (size_t n = strlen(line); n > 0 && strchr(" \t\r\n", line[n - 1]) != NULL;)
            line[--n] = '\0';
    switch (verb) {
    case HYP_CHAT_NOTHING: break;
    case HYP_CHAT_SAY:
        r = hyp_conversation_add(c->said, "user", line, &err);
        if (r == HYP_OK) answer(c);
        break;
    case HYP_CHAT_SET: r = set(c, rest, &err); break;
    case HYP_CHAT_SHOW: show(c, rest); break;
    case HYP_CHAT_CLEAR: r = clear(c, &err); break;
    case HYP_CHAT_SAVE: r = save(c, rest, &err); break;
    case HYP_CHAT_LOAD: r = load(c, rest, &err); break;
    case HYP_CHAT_HELP: help(rest[0] == '/' ? rest + 1 : rest); break;
    case HYP_CHAT_BYE: return false;
    case HYP_CHAT_UNKNOWN: printf("Unknown command '%s'. Type /? for help\n", rest); break;
    }
    fflush(stdout);
    if (r != HYP_OK) hyp_err_print(&err, stderr);
    return true;
}

static int loop(chat *c) {
    hyp_str line = {0};
    for (;;) {
        bool quoted = false;
        hyp_line_end end = hyp_line_input_read(c->input, &line, &quoted);
        if (end == HYP_LINE_END || line.failed) break;
        if (end == HYP_LINE_CANCELED) {
            puts("Use Ctrl-D or /bye to exit.");
            continue;
        }
        if (!obey(c, line.data, quoted)) break;
    }
    bool failed = line.failed;
    hyp_str_free(&line);
    return failed ? HYP_ENOMEM : HYP_OK;
}

static int chat_open(chat *c, const hyp_args *args, hyp_err *err) {
    char history[4096 + 32];
    int r = hyp_local_open(c->engine, &c->local, err);
    if (r == HYP_OK && args->messages != NULL)
        r = hyp_transcript_load(args->messages, &c->said, err);
    else if (r == HYP_OK && (c->said = hyp_conversation_new()) == NULL)
        r = hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (r == HYP_OK) r = hyp_local_check(&c->local, c->said, err);
    if (r != HYP_OK) return r;
    const char *warning = hyp_session_warning(c->local.session);
    if (warning != NULL && !args->quiet) fprintf(stderr, "note: %s\n", warning);
    for (size_t i = 0; r == HYP_OK && i < args->stop.n; i++) {
        c->settings.stops[i] = strdup(args->stop.items[i]);
        if (c->settings.stops[i] == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a stop word");
        c->settings.n_stops++;
    }
    if (args->system != NULL) r = hyp_conversation_set_system(c->said, args->system, err);
    if (r != HYP_OK) return r;
    hyp_err ignored = HYP_ERR_NONE;
    bool remembered = hyp_paths_cache_dir(history, 4096, &ignored) == HYP_OK;
    if (remembered) strcat(history, "/chat-history");
    return hyp_line_input_open(remembered ? history : NULL, &c->input, err);
}

int hyp_interactive(const hyp_args *args, const char *name, hyp_engine *engine, hyp_err *err) {
    bool on_terminal = isatty(STDOUT_FILENO);
    chat c = {
        .engine = engine,
        .name = name,
        .settings = {.sampling = args->sampling,
                     .max_tokens = args->max_tokens,
                     .verbose = args->stats,
                     .ignore_eog = args->ignore_eos},
        .quiet = args->quiet,
        .dim = on_terminal && getenv("NO_COLOR") == NULL,
        .wordwrap = !args->no_wordwrap,
    };
    hyp_terminal_use_utf8();
    hyp_interrupt_chat(NULL);
    int r = chat_open(&c, args, err);
    if (r == HYP_OK) {
        if (on_terminal && !args->quiet) puts("Type a message, /? for help, /bye to leave.");
        fflush(stdout);
        r = loop(&c);
    }
    hyp_line_input_close(c.input);
    hyp_conversation_free(c.said);
    hyp_chat_settings_free(&c.settings);
    hyp_local_close(&c.local);
    return r == HYP_OK ? HYP_EXIT_OK : HYP_EXIT_FAILED;
}
