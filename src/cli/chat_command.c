#include "cli/chat_command.h"

#include "base/mem.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

static const struct {
    const char *word;
    hyp_chat_verb verb;
} verbs[] = {
    {"/set", HYP_CHAT_SET},   {"/show", HYP_CHAT_SHOW}, {"/clear", HYP_CHAT_CLEAR},
    {"/save", HYP_CHAT_SAVE}, {"/load", HYP_CHAT_LOAD}, {"/?", HYP_CHAT_HELP},
    {"/help", HYP_CHAT_HELP}, {"/bye", HYP_CHAT_BYE},   {"/exit", HYP_CHAT_BYE},
};

static const char *skip_blanks(const char *s) {
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

hyp_chat_verb hyp_chat_parse(const char *line, const char **ret_rest) {
    const char *start = skip_blanks(line);
    *ret_rest = start;
    if (*start == '\0') return HYP_CHAT_NOTHING;
    if (*start != '/') return HYP_CHAT_SAY;
    size_t n = strcspn(start, " \t\r\n");
    for (size_t i = 0; i < HYP_ARRAY_LEN(verbs); i++)
        if (strlen(verbs[i].word) == n && memcmp(start, verbs[i].word, n) == 0) {
            *ret_rest = skip_blanks(start + n);
            return verbs[i].verb;
        }
    for (size_t i = 1; i < n; i++)
        if (!isalpha((unsigned char)start[i])) return HYP_CHAT_SAY;
    return n > 1 ? HYP_CHAT_UNKNOWN : HYP_CHAT_SAY;
}

void hyp_chat_settings_free(hyp_chat_settings *s) {
    for (size_t i = 0; i < s->n_stops; i++)
        free(s->stops[i]);
    s->n_stops = 0;
}

/* The one parameter of a chat that is not the sampler's. Its offset is not used. */
static const hyp_sampling_row num_predict = {
    .name = "num_predict", .kind = HYP_SAMPLING_INT, .least = -1, .most = INT_MAX};

static int set_number(hyp_chat_settings *s, const hyp_sampling_row *row, const char *value, hyp_str *out,
                      hyp_err *err) {
    char *end;
    double number = strtod(value, &end), least = row->least, most = row->most;
    bool real = row->kind == HYP_SAMPLING_REAL;
    bool whole = real || (number >= -1e15 && number <= 1e15 && number == (double)(int64_t)number);
    /* Written so that a NaN is refused too. */
    if (end == value || *skip_blanks(end) != '\0' || !(number >= least && number <= most) || !whole) {
        hyp_err_set(err, HYP_EINVAL, "%s cannot be \"%s\"", row->name, value);
        hyp_err_hint(err, "%s from %g to %g", real ? "a number" : "a whole number", least, most);
        return HYP_EINVAL;
    }
    if (row == &num_predict)
        s->max_tokens = (int)number;
    else
        hyp_sampling_set(&s->sampling, row, number);
    hyp_str_printf(out, "Set parameter '%s' to '%.10g'\n", row->name, number);
    return HYP_OK;
}

/* Ollama's rule: a stop word is added to those that are there. Without one they are all removed. */
static int set_stop(hyp_chat_settings *s, const char *value, hyp_str *out, hyp_err *err) {
    if (value[0] == '\0') {
        hyp_chat_settings_free(s);
        hyp_str_puts(out, "Removed the stop words\n");
        return HYP_OK;
    }
    if (s->n_stops == HYP_CHAT_MAX_STOPS)
        return hyp_err_set(err, HYP_EINVAL, "there are %d stop words already", HYP_CHAT_MAX_STOPS);
    char *copy = strdup(value);
    if (copy == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a stop word");
    s->stops[s->n_stops++] = copy;
    hyp_str_printf(out, "Set parameter 'stop' to '%s'\n", value);
    return HYP_OK;
}

static int set_parameter(hyp_chat_settings *s, const char *name, size_t n, const char *value, hyp_str *out,
                         hyp_err *err) {
    if (n == 4 && memcmp(name, "stop", 4) == 0) return set_stop(s, value, out, err);
    const hyp_sampling_row *row = hyp_sampling_find(name, n);
    if (row == NULL && n == 11 && memcmp(name, "num_predict", 11) == 0) row = &num_predict;
    if (row != NULL) return set_number(s, row, value, out, err);
    if (n == 7 && memcmp(name, "num_ctx", 7) == 0) {
        hyp_err_set(err, HYP_EINVAL, "the context's length is fixed when the model is loaded");
        hyp_err_hint(err, "start again with --context N");
        return HYP_EINVAL;
    }
    hyp_err_set(err, HYP_EINVAL, "there is nothing to set called \"%.*s\"", (int)HYP_MIN(n, (size_t)60), name);
    hyp_err_hint(err, "\"/? set\" lists what can be set");
    return HYP_EINVAL;
}

static int set_think(hyp_chat_settings *s, const char *level, hyp_str *out, hyp_err *err) {
    static const char *const levels[] = {"low", "medium", "high"};
    const char *effort = NULL;
    for (size_t i = 0; i < HYP_ARRAY_LEN(levels); i++)
        if (strcmp(level, levels[i]) == 0) effort = levels[i];
    if (effort == NULL && level[0] != '\0') {
        hyp_err_set(err, HYP_EINVAL, "there is no thinking called \"%s\"", level);
        hyp_err_hint(err, "/set think, or low, medium, high after it; /set nothink");
        return HYP_EINVAL;
    }
    s->think = HYP_THINK_ON;
    s->effort = effort;
    hyp_str_puts(out, "Set 'think' mode\n");
    return HYP_OK;
}

int hyp_chat_set(hyp_chat_settings *s, const char *text, hyp_str *out, hyp_err *err) {
    size_t n = strcspn(text, " \t");
    HYP_AUTOFREE char *name = strndup(text, n);
    HYP_AUTOFREE char *rest = strdup(skip_blanks(text + n));
    if (name == NULL || rest == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a setting");
    for (size_t end = strlen(rest); end > 0 && isspace((unsigned char)rest[end - 1]); end--)
        rest[end - 1] = '\0';
    if (strcmp(name, "think") == 0) return set_think(s, rest, out, err);
    if (strcmp(name, "nothink") == 0) {
        s->think = HYP_THINK_OFF;
        s->effort = NULL;
        hyp_str_puts(out, "Set 'nothink' mode\n");
        return HYP_OK;
    }
    if (strcmp(name, "verbose") == 0 || strcmp(name, "quiet") == 0) {
        s->verbose = name[0] == 'v';
        hyp_str_printf(out, "Set '%s' mode\n", name);
        return HYP_OK;
    }
    const char *parameter = rest, *value = rest;
    if (strcmp(name, "parameter") == 0) {
        size_t width = strcspn(rest, " \t");
        value = skip_blanks(rest + width);
        return set_parameter(s, parameter, width, value, out, err);
    }
    return set_parameter(s, name, n, value, out, err);
}

void hyp_chat_show_parameters(const hyp_chat_settings *s, hyp_str *out) {
    for (size_t i = 0; i < hyp_sampling_n_rows; i++)
        hyp_str_printf(out, "  %-18s %.10g\n", hyp_sampling_rows[i].name,
                       hyp_sampling_get(&s->sampling, &hyp_sampling_rows[i]));
    hyp_str_printf(out, "  %-18s %d\n", num_predict.name, s->max_tokens);
    for (size_t i = 0; i < s->n_stops; i++)
        hyp_str_printf(out, "  %-18s %s\n", "stop", s->stops[i]);
}
