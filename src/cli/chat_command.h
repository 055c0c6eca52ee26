/* chat_command.h - what a line of the terminal chat asks for, and the settings that /set changes. Pure: no engine, no
 * terminal. The words are those that users of Ollama know. */
#pragma once
#include "base/sampling.h"
#include "base/text.h"
#include "chat/template.h"

typedef enum hyp_chat_verb {
    HYP_CHAT_SAY,     /* no command: a message */
    HYP_CHAT_NOTHING, /* an empty line */
    HYP_CHAT_SET,
    HYP_CHAT_SHOW,
    HYP_CHAT_CLEAR,
    HYP_CHAT_SAVE,
    HYP_CHAT_LOAD,
    HYP_CHAT_HELP,
    HYP_CHAT_BYE,
    HYP_CHAT_UNKNOWN
} hyp_chat_verb;

/* What `line` asks for. `*ret_rest` is set to what follows the command's word, without leading blanks; it points into
 * `line`. A path such as "/etc/passwd: what is it?" is a message, since only a lone word can be a command. */
hyp_chat_verb hyp_chat_parse(const char *line, const char **ret_rest);

enum { HYP_CHAT_MAX_STOPS = 16 };

typedef struct hyp_chat_settings {
    hyp_sampling_params sampling;
    int max_tokens; /* < 0: until the context is full */
    char *stops[HYP_CHAT_MAX_STOPS];
    size_t n_stops;
    hyp_think think;
    const char *effort; /* "low", "medium", "high" or NULL; static */
    bool verbose, ignore_eog;
} hyp_chat_settings;

void hyp_chat_settings_free(hyp_chat_settings *s);

/* Carry out "/set TEXT": "parameter NAME VALUE", or "NAME VALUE" alone, "think [low|medium|high]", "nothink",
 * "verbose", "quiet". A line for the user goes into `out`. "system" is not handled here, it belongs to the
 * conversation. Errors: HYP_EINVAL (unknown name, value out of bounds) with a hint, HYP_ENOMEM; the settings are
 * unchanged then. */
HYP_NODISCARD int hyp_chat_set(hyp_chat_settings *s, const char *text, hyp_str *out, hyp_err *err);

/* Append a line "NAME VALUE" for each parameter. */
void hyp_chat_show_parameters(const hyp_chat_settings *s, hyp_str *out);
