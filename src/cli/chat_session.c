#include "cli/chat_session.h"

#include "base/mem.h"
#include "chat/output.h"

#include <string.h>
#include <time.h>

enum { PIECE_BYTES = 256, SEQ = 0 };

struct hyp_chat_session {
    hyp_engine *engine;
    hyp_template *template;
    char bos[PIECE_BYTES], eos[PIECE_BYTES];
    hyp_output_format format;
    hyp_token *held; /* what the sequence's memory holds */
    size_t n_held;
    size_t n_dropped; /* oldest messages that are left out since the context became too short */
    void *checkpoint; /* of a memory that cannot be cut: the state after the first `checkpoint_n` held tokens */
    size_t checkpoint_bytes, checkpoint_n;
};

static void free_doc(yyjson_doc **doc) {
    yyjson_doc_free(*doc);
}
static void free_str(hyp_str *s) {
    hyp_str_free(s);
}
static void free_output(hyp_output **o) {
    hyp_output_free(*o);
}

/* libllama's own form of a template that src/chat does not understand. It always opens the assistant's turn. */
static int builtin_template(void *arg, const char *text, const char *const *roles, const char *const *contents,
                            size_t n, bool add_generation_prompt, hyp_str *out) {
    (void)add_generation_prompt;
    HYP_AUTOFREE hyp_chat_turn *turns = calloc(n + 1, sizeof *turns);
    HYP_AUTOFREE char *rendered = NULL;
    bool fallback = false;
    hyp_err ignored = HYP_ERR_NONE;
    for (size_t i = 0; turns != NULL && i < n; i++)
        turns[i] = (hyp_chat_turn){roles[i], contents[i]};
    if (turns == NULL ||
        hyp_engine_apply_builtin_template(arg, text, turns, n, &rendered, &fallback, &ignored) != HYP_OK)
        return -1;
    if (fallback) return -1;
    hyp_str_puts(out, rendered);
    return out->failed ? -1 : 0;
}

static void special_text(const hyp_engine *e, hyp_token token, char buf[PIECE_BYTES]) {
    int n = token >= 0 ? hyp_engine_piece(e, token, true, buf, PIECE_BYTES - 1) : 0;
    buf[n > 0 ? n : 0] = '\0';
}

int hyp_chat_session_open(hyp_engine *engine, hyp_chat_session **ret, const char **ret_warning, hyp_err *err) {
    hyp_chat_session *s = calloc(1, sizeof *s);
    if (s == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for the chat");
    s->engine = engine;
    int r =
        hyp_template_open(hyp_engine_chat_template(engine), builtin_template, engine, &s->template, ret_warning, err);
    if (r != HYP_OK) {
        free(s);
        return r;
    }
    hyp_special_tokens special;
    hyp_engine_get_special(engine, &special);
    special_text(engine, special.bos, s->bos);
    special_text(engine, special.eos, s->eos);
    s->format = hyp_output_format_detect(hyp_template_text(s->template));
    /* No tools are offered; but the channels of gpt-oss mark the answer itself. */
    if (s->format.tools != HYP_TOOLS_HARMONY) s->format.tools = HYP_TOOLS_NONE;
    *ret = s;
    return HYP_OK;
}

void hyp_chat_session_free(hyp_chat_session *s) {
    if (s == NULL) return;
    hyp_template_free(s->template);
    free(s->held);
    free(s->checkpoint);
    free(s);
}

void hyp_chat_session_reset(hyp_chat_session *s) {
    s->n_dropped = 0;
}

const char *hyp_chat_session_template(const hyp_chat_session *s) {
    return hyp_template_text(s->template);
}

int hyp_chat_session_render(const hyp_chat_session *s, const hyp_transcript *said, const hyp_chat_settings *settings,
                            size_t n_dropped, hyp_str *ret_text, hyp_token **ret, size_t *ret_n, hyp_err *err) {
    HYP_CLEANUP(free_str) hyp_str json = {0};
    int r = hyp_transcript_write(said, n_dropped, &json, err);
    if (r != HYP_OK) return r;
    HYP_CLEANUP(free_doc) yyjson_doc *doc = yyjson_read(json.data, json.length, 0);
    if (doc == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for the conversation");
    hyp_chat_request request = {
        .messages = yyjson_doc_get_root(doc),
        .bos_token = s->bos,
        .eos_token = s->eos,
        .reasoning_effort = settings->effort,
        .think = settings->think,
        .add_generation_prompt = true,
        .now_unix_s = (int64_t)time(NULL),
    };
    r = hyp_template_render(s->template, &request, ret_text, err);
    if (r != HYP_OK) return r;
    /* Templates mostly write the beginning-of-text token themselves; then the tokeniser must not add another. */
    size_t n_bos = strlen(s->bos);
    bool has_bos = n_bos > 0 && ret_text->length >= n_bos && memcmp(ret_text->data, s->bos, n_bos) == 0;
    return hyp_engine_tokenize(s->engine, ret_text->length > 0 ? ret_text->data : "", ret_text->length, !has_bos, true,
                               ret, ret_n, err);
}

/* How many messages could be left out at most: all but the system message and the last. */
static size_t droppable(const hyp_transcript *said) {
    size_t kept = 1 + (hyp_transcript_system(said) != NULL);
    return said->n > kept ? said->n - kept : 0;
}

/* Render so that there is room for an answer. When the oldest messages have to go, a good part of them goes at once:
 * every time the beginning changes, all the rest has to be evaluated again. */
static int fit(hyp_chat_session *s, const hyp_transcript *said, const hyp_chat_settings *settings, hyp_str *text,
               hyp_token **ret, size_t *ret_n, hyp_err *err) {
    size_t context = hyp_engine_get_info(s->engine)->context_tokens, limit = context - context / 8;
    size_t most = droppable(said);
    s->n_dropped = HYP_MIN(s->n_dropped, most);
    for (;;) {
        int r = hyp_chat_session_render(s, said, settings, s->n_dropped, text, ret, ret_n, err);
        if (r != HYP_OK || *ret_n <= limit || s->n_dropped >= most) return r;
        s->n_dropped = HYP_MIN(s->n_dropped + 2, most);
        limit = context / 2;
        free(*ret);
        *ret = NULL;
        hyp_str_free(text);
    }
}

/* Cut the sequence to what it has in common with the prompt, and tell how much that is. The last token is always
 * evaluated again: its logits are needed. */
static size_t keep_common(hyp_chat_session *s, const hyp_token *prompt, size_t n) {
    size_t same = 0;
    while (same < s->n_held && same + 1 < n && s->held[same] == prompt[same])
        same++;
    if (same < s->n_held && !hyp_engine_seq_truncate(s->engine, SEQ, (int32_t)same)) {
        bool restorable = s->checkpoint != NULL && s->checkpoint_n <= same;
        if (!restorable ||
            hyp_engine_seq_restore(s->engine, SEQ, true, s->checkpoint, s->checkpoint_bytes, NULL) != 0 ||
            hyp_engine_seq_length(s->engine, SEQ) < (int32_t)s->checkpoint_n ||
            !hyp_engine_seq_truncate(s->engine, SEQ, (int32_t)s->checkpoint_n)) {
            hyp_engine_seq_truncate(s->engine, SEQ, 0);
            same = 0;
        } else {
            same = s->checkpoint_n;
        }
    }
    s->n_held = same;
    return same;
}

static void forget(hyp_chat_session *s) {
    hyp_engine_seq_truncate(s->engine, SEQ, 0);
    s->n_held = 0;
    free(s->checkpoint);
    s->checkpoint = NULL;
}

/* Note what the sequence holds after `prompt` and `output`. */
static int note_held(hyp_chat_session *s, const hyp_token *prompt, size_t n, const hyp_token *output, size_t n_output,
                     hyp_err *err) {
    size_t length = (size_t)hyp_engine_seq_length(s->engine, SEQ);
    hyp_token *held = realloc(s->held, (n + n_output + 1) * sizeof *held);
    if (held == NULL) {
        forget(s);
        return hyp_err_set(err, HYP_ENOMEM, "no memory for the conversation");
    }
    s->held = held;
    memcpy(held, prompt, n * sizeof *held);
    if (n_output > 0) memcpy(held + n, output, n_output * sizeof *held);
    s->n_held = HYP_MIN(length, n + n_output);
    return HYP_OK;
}

typedef struct writer {
    const hyp_chat_sink *sink;
    hyp_output *output;
    hyp_str content, thinking;
    int failed;
} writer;

static void on_content(void *arg, const char *bytes, size_t n) {
    writer *w = arg;
    hyp_str_append(&w->content, bytes, n);
    w->sink->text(w->sink->user, bytes, n, false);
}
static void on_thinking(void *arg, const char *bytes, size_t n) {
    writer *w = arg;
    hyp_str_append(&w->thinking, bytes, n);
    w->sink->text(w->sink->user, bytes, n, true);
}
static void on_call(void *arg, const hyp_tool_call *call) {
    /* No tool was offered; what the model made up is shown as it is. */
    on_content(arg, call->name, strlen(call->name));
    on_content(arg, call->arguments, strlen(call->arguments));
}
static bool on_piece(const char *text, size_t n, void *user) {
    writer *w = user;
    hyp_err ignored = HYP_ERR_NONE;
    if (hyp_output_feed(w->output, text, n, &ignored) != HYP_OK) w->failed = HYP_ENOMEM;
    return w->failed == 0;
}

/* Where a memory cannot be cut, stop one token before the prompt's end and keep the state there: the next turn's prompt
 * has this one's beginning. `*done` counts the tokens of the prompt evaluated so far. */
static int make_checkpoint(hyp_chat_session *s, const hyp_token *prompt, size_t n, size_t *done, hyp_err *err) {
    if (!hyp_engine_needs_checkpoints(s->engine) || *done + 1 >= n) return HYP_OK;
    hyp_generate_request request = {.seq = SEQ, .prompt = prompt + *done, .n_prompt = n - 1 - *done};
    hyp_generate_result result;
    int r = hyp_generate(s->engine, &request, &result, err);
    free(result.tokens);
    if (r != HYP_OK || result.stop == HYP_STOP_INTERRUPTED) return r != HYP_OK ? r : HYP_ECANCELED;
    *done = n - 1;
    free(s->checkpoint);
    s->checkpoint = NULL;
    s->checkpoint_n = n - 1;
    return hyp_engine_seq_save(s->engine, SEQ, true, &s->checkpoint, &s->checkpoint_bytes, err);
}

static int generate(hyp_chat_session *s, const hyp_token *prompt, size_t n, const hyp_chat_settings *settings,
                    writer *w, hyp_chat_result *ret, hyp_err *err) {
    size_t done = keep_common(s, prompt, n);
    ret->n_prompt = n;
    ret->n_evaluated = n - done;
    ret->n_forgotten = s->n_dropped;
    int r = make_checkpoint(s, prompt, n, &done, err);
    hyp_generate_result *g = &ret->generated;
    if (r == HYP_OK) {
        hyp_generate_request request = {
            .seq = SEQ,
            .prompt = prompt + done,
            .n_prompt = n - done,
            .max_tokens = settings->max_tokens,
            .stops = (const char *const *)settings->stops,
            .n_stops = settings->n_stops,
            .ignore_eog = settings->ignore_eog,
            .special = s->format.think != HYP_THINK_NONE || s->format.tools != HYP_TOOLS_NONE,
            .sampling.params = settings->sampling,
            .sink = on_piece,
            .sink_user = w,
        };
        r = hyp_generate(s->engine, &request, g, err);
    }
    if (r == HYP_ECANCELED) {
        *g = (hyp_generate_result){.stop = HYP_STOP_INTERRUPTED};
        forget(s);
        return HYP_OK;
    }
    if (r == HYP_OK) r = note_held(s, prompt, n, g->tokens, g->n_output, err);
    free(g->tokens);
    g->tokens = NULL;
    /* What a failure, or an interruption amid a batch, leaves of a state that cannot be cut is not worth trusting. */
    if (r != HYP_OK || (g->stop == HYP_STOP_INTERRUPTED && hyp_engine_needs_checkpoints(s->engine))) forget(s);
    return r;
}

int hyp_chat_session_answer(hyp_chat_session *s, hyp_transcript *said, const hyp_chat_settings *settings,
                            const hyp_chat_sink *sink, hyp_chat_result *ret, hyp_err *err) {
    HYP_CLEANUP(free_str) hyp_str text = {0};
    HYP_AUTOFREE hyp_token *prompt = NULL;
    HYP_CLEANUP(free_output) hyp_output *output = NULL;
    size_t n = 0;
    *ret = (hyp_chat_result){0};
    int r = fit(s, said, settings, &text, &prompt, &n, err);
    if (r != HYP_OK) return r;
    writer w = {.sink = sink};
    hyp_output_sink sorted = {.arg = &w, .content = on_content, .thinking = on_thinking, .call = on_call};
    r = hyp_output_new(s->format, text.data, NULL, sorted, &output, err);
    w.output = output;
    if (r == HYP_OK) r = generate(s, prompt, n, settings, &w, ret, err);
    if (r == HYP_OK) r = hyp_output_finish(output, err);
    if (r == HYP_OK && (w.failed != 0 || w.content.failed || w.thinking.failed))
        r = hyp_err_set(err, HYP_ENOMEM, "no memory for the answer");
    if (r == HYP_OK && (w.content.length > 0 || w.thinking.length > 0))
        r = hyp_transcript_add(said, "assistant", w.content.length > 0 ? w.content.data : "",
                               w.thinking.length > 0 ? w.thinking.data : NULL, err);
    hyp_str_free(&w.content);
    hyp_str_free(&w.thinking);
    return r;
}
