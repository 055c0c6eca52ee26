#include "engine/lazy_priv.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TAIL_BYTES = 2048, TAIL_TOKENS = 256, PIECE_BYTES = 512 };

struct hyp_lazy {
    char *grammar;
    hyp_trigger *triggers; /* their strings are owned */
    size_t n_triggers;
    /* The end of the answer: its text, and where each of its tokens begins in it. */
    char tail[TAIL_BYTES];
    size_t n_tail;
    struct {
        llama_token id;
        size_t at;
    } recent[TAIL_TOKENS];
    size_t n_recent;
    bool started; /* something other than white space has been forgotten already */
};

static int copy_trigger(const hyp_trigger *from, hyp_trigger *to, hyp_err *err) {
    size_t n = strlen(from->word);
    if (n == 0 || n > HYP_TRIGGER_MAX) return hyp_err_set(err, HYP_EINVAL, "a trigger of %zu bytes", n);
    *to = (hyp_trigger){
        .word = strdup(from->word), .lead = from->lead != NULL ? strdup(from->lead) : NULL, .at_start = from->at_start};
    bool whole = to->word != NULL && (to->lead != NULL) == (from->lead != NULL);
    return whole ? HYP_OK : hyp_err_set(err, HYP_ENOMEM, "out of memory for the sampler");
}

int hyp_lazy_new(const char *grammar, const hyp_trigger *triggers, size_t n, hyp_lazy **ret, hyp_err *err) {
    hyp_lazy *l = calloc(1, sizeof *l);
    if (l == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the sampler");
    l->grammar = strdup(grammar);
    l->triggers = calloc(n + 1, sizeof *l->triggers);
    int r = l->grammar != NULL && l->triggers != NULL ? HYP_OK
                                                      : hyp_err_set(err, HYP_ENOMEM, "out of memory for the sampler");
    for (size_t i = 0; i < n && r == HYP_OK; i++)
        r = copy_trigger(&triggers[i], &l->triggers[l->n_triggers++], err);
    if (r == HYP_OK)
        *ret = l;
    else
        hyp_lazy_free(l);
    return r;
}

void hyp_lazy_free(hyp_lazy *l) {
    if (l == NULL) return;
    for (size_t i = 0; i < l->n_triggers; i++) {
        free((char *)l->triggers[i].word);
        free((char *)l->triggers[i].lead);
    }
    free(l->triggers);
    free(l->grammar);
    free(l);
}

static bool is_blank(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s[i] != ' ' && s[i] != '\n' && s[i] != '\t' && s[i] != '\r') return false;
    return true;
}

/* Forget the oldest tokens, all but those that a word may have begun in. */
static void forget(hyp_lazy *l, size_t keep_bytes) {
    size_t first = 0;
    while (first < l->n_recent && l->n_tail - l->recent[first].at > keep_bytes)
        first++;
    size_t cut = first < l->n_recent ? l->recent[first].at : l->n_tail;
    l->started = l->started || !is_blank(l->tail, cut);
    memmove(l->tail, l->tail + cut, l->n_tail - cut);
    l->n_tail -= cut;
    l->n_recent -= first;
    memmove(l->recent, l->recent + first, l->n_recent * sizeof *l->recent);
    for (size_t i = 0; i < l->n_recent; i++)
        l->recent[i].at -= cut;
}

/* The first trigger in the tail from `from` on: where its word begins, or SIZE_MAX. */
static size_t find(const hyp_lazy *l, size_t from, const hyp_trigger **ret) {
    for (size_t at = from; at < l->n_tail; at++)
        for (size_t i = 0; i < l->n_triggers; i++) {
            const hyp_trigger *t = &l->triggers[i];
            size_t n = strlen(t->word);
            if (n > l->n_tail - at || memcmp(l->tail + at, t->word, n) != 0) continue;
            if (t->at_start && (l->started || !is_blank(l->tail, at))) continue;
            *ret = t;
            return at;
        }
    return SIZE_MAX;
}

/* The grammar, with what the first of its tokens holds before it as a literal. NULL when that is not text: a token may
 * hold a part of a character, a literal cannot. */
static struct llama_sampler *begin(const hyp_lazy *l, const struct llama_vocab *vocab, const char *before, size_t n,
                                   const char *lead) {
    hyp_str text = {0};
    hyp_str_printf(&text, "%s\nbound-root ::= \"", l->grammar);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)before[i];
        if (c == '"' || c == '\\')
            hyp_str_printf(&text, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            hyp_str_printf(&text, "\\x%02X", c);
        else
            hyp_str_append(&text, before + i, 1);
    }
    hyp_str_printf(&text, "\" %s root\n", lead != NULL ? lead : "");
    struct llama_sampler *s = NULL;
    if (!text.failed && hyp_utf8_is_valid(before, n)) s = llama_sampler_init_grammar(vocab, text.data, "bound-root");
    hyp_str_free(&text);
    return s;
}

bool hyp_lazy_allows(struct llama_sampler *grammar, llama_token token) {
    llama_token_data one = {token, 1, 0};
    llama_token_data_array single = {&one, 1, -1, false};
    llama_sampler_apply(grammar, &single);
    return one.logit > -INFINITY;
}

static struct llama_sampler *bind(const hyp_lazy *l, const struct llama_vocab *vocab, const hyp_trigger *t, size_t at) {
    size_t start = t->lead != NULL ? at + strlen(t->word) : at, first = l->n_recent;
    if (start < l->n_tail)
        while (first > 0 && (first == l->n_recent || l->recent[first].at > start))
            first--;
    size_t from = first < l->n_recent ? l->recent[first].at : start;
    struct llama_sampler *grammar = begin(l, vocab, l->tail + from, start - from, t->lead);
    for (size_t i = first; i < l->n_recent && grammar != NULL; i++) {
        if (hyp_lazy_allows(grammar, l->recent[i].id)) {
            llama_sampler_accept(grammar, l->recent[i].id);
            continue;
        }
        llama_sampler_free(grammar);
        grammar = NULL;
    }
    return grammar;
}

struct llama_sampler *hyp_lazy_feed(hyp_lazy *l, const struct llama_vocab *vocab, llama_token token, bool *ret_over) {
    char piece[PIECE_BYTES];
    *ret_over = false;
    int n = llama_token_to_piece(vocab, token, piece, sizeof piece, 0, true);
    if (n <= 0) return NULL;
    if (l->n_tail + (size_t)n > TAIL_BYTES || l->n_recent == TAIL_TOKENS) forget(l, HYP_TRIGGER_MAX + PIECE_BYTES);
    if (l->n_recent == TAIL_TOKENS) forget(l, HYP_TRIGGER_MAX); /* hardly more than a byte each */
    size_t from = l->n_tail > HYP_TRIGGER_MAX ? l->n_tail - HYP_TRIGGER_MAX : 0;
    l->recent[l->n_recent].id = token;
    l->recent[l->n_recent++].at = l->n_tail;
    memcpy(l->tail + l->n_tail, piece, (size_t)n);
    l->n_tail += (size_t)n;
    const hyp_trigger *t = NULL;
    size_t at = find(l, from, &t);
    if (at == SIZE_MAX) return NULL;
    *ret_over = true;
    return bind(l, vocab, t, at);
}
