/* chat_session.h - a conversation with an engine: the model's template around it, and what its memory still holds.
 *
 * Every turn renders the whole conversation with the model's own template and tokenises it; what the sequence holds and
 * the prompt begins with stays, the rest is cut off and only what is new is evaluated. Where a model's memory cannot be
 * cut (recurrent state, a sliding window), the state at the end of the last prompt is kept and restored. Compute thread
 * only. */
#pragma once
#include "cli/chat_command.h"
#include "cli/transcript.h"
#include "engine/generate.h"

typedef struct hyp_chat_session hyp_chat_session;

/* Make the template of the engine's model ready. The engine outlives the session. `*ret_warning` (may be NULL) is a
 * static text when the model's own template could not be used, else NULL. Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_chat_session_open(hyp_engine *engine, hyp_chat_session **ret, const char **ret_warning,
                                        hyp_err *err);

/* Accepts NULL. */
void hyp_chat_session_free(hyp_chat_session *session);

/* Render the conversation without its `n_dropped` oldest messages, ready for the assistant to speak. Appends the text
 * to `ret_text`; the caller frees `*ret`. Errors: as hyp_template_render() and hyp_engine_tokenize(). */
HYP_NODISCARD int hyp_chat_session_render(const hyp_chat_session *session, const hyp_transcript *said,
                                          const hyp_chat_settings *settings, size_t n_dropped, hyp_str *ret_text,
                                          hyp_token **ret, size_t *ret_n, hyp_err *err);

/* Where the answer goes while it is written. */
typedef struct hyp_chat_sink {
    void *user;
    void (*text)(void *user, const char *bytes, size_t n, bool thinking);
} hyp_chat_sink;

typedef struct hyp_chat_result {
    hyp_generate_result generated; /* tokens is NULL */
    size_t n_prompt, n_evaluated;  /* tokens of the prompt, and those of them that had to be evaluated */
    size_t n_forgotten;            /* messages that no longer fit the context, since the session began */
} hyp_chat_result;

/* Let the model answer, and append the answer to `said`; an interrupted one as far as it came.
 * Errors: those of hyp_chat_session_render() and hyp_generate(); `said` is unchanged then. */
HYP_NODISCARD int hyp_chat_session_answer(hyp_chat_session *session, hyp_transcript *said,
                                          const hyp_chat_settings *settings, const hyp_chat_sink *sink,
                                          hyp_chat_result *ret, hyp_err *err);

/* The conversation begins anew: messages that were forgotten count no more. */
void hyp_chat_session_reset(hyp_chat_session *session);

/* The text of the template in use. Belongs to the session. */
const char *hyp_chat_session_template(const hyp_chat_session *session);
