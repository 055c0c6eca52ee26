/* vocab.c - tokens, text and templates: libllama's vocabulary behind our names. */
#include "engine/engine_priv.h"

#include "base/mem.h"

#include <limits.h>
#include <string.h>

static int refuse(const hyp_engine *e, const char *what, hyp_err *err) {
    hyp_err_set(err, HYP_EFORMAT, "%s cannot be used with text: %s", e->model->path, what);
    hyp_err_hint(err, "download the model again, or convert it again with its tokenizer's files beside it");
    return HYP_EFORMAT;
}

/* libllama gives some tokenizers the usual number where the file names none, whether there are so many tokens or not.
 */
static bool is_missing(const hyp_engine *e, llama_token token) {
    return token < 0 || token >= llama_vocab_n_tokens(e->vocab);
}

int hyp_engine_check_vocab(const hyp_engine *e, hyp_err *err) {
    const bool pair = llama_vocab_type(e->vocab) == LLAMA_VOCAB_TYPE_WPM; /* always between two special tokens */
    if (llama_vocab_type(e->vocab) == LLAMA_VOCAB_TYPE_NONE) return refuse(e, "it has no tokenizer", err);
    if ((pair || llama_vocab_get_add_bos(e->vocab)) && is_missing(e, llama_vocab_bos(e->vocab)))
        return refuse(e, "every text is to begin with a token that its vocabulary does not have", err);
    if ((llama_vocab_get_add_eos(e->vocab) && is_missing(e, llama_vocab_eos(e->vocab))) ||
        (pair && is_missing(e, llama_vocab_sep(e->vocab))))
        return refuse(e, "every text is to end with a token that its vocabulary does not have", err);
    return HYP_OK;
}

int hyp_engine_tokenize(const hyp_engine *e, const char *text, size_t n, bool add_special, bool parse_special,
                        hyp_token **ret, size_t *ret_n, hyp_err *err) {
    if (n > INT32_MAX / 2) return hyp_err_set(err, HYP_ELIMIT, "a text of %zu bytes is too long", n);
    /* A token covers at least a byte, two special ones may be added. */
    int32_t room = (int32_t)n + 8;
    hyp_token *tokens = malloc(sizeof *tokens * (size_t)room);
    if (tokens == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for %zu tokens", n);
    int32_t got = llama_tokenize(e->vocab, text, (int32_t)n, tokens, room, add_special, parse_special);
    if (got < 0 && got > INT32_MIN) {
        room = -got;
        hyp_token *more = realloc(tokens, sizeof *tokens * (size_t)room);
        if (more != NULL) {
            tokens = more;
            got = llama_tokenize(e->vocab, text, (int32_t)n, tokens, room, add_special, parse_special);
        }
    }
    if (got < 0) {
        free(tokens);
        return hyp_err_set(err, HYP_EENGINE, "llama.cpp could not tokenise the text");
    }
    *ret = tokens;
    *ret_n = (size_t)got;
    return HYP_OK;
}

int hyp_engine_piece(const hyp_engine *e, hyp_token token, bool special, char *buf, size_t size) {
    return llama_token_to_piece(e->vocab, token, buf, (int32_t)HYP_MIN(size, (size_t)INT32_MAX), 0, special);
}

bool hyp_engine_is_eog(const hyp_engine *e, hyp_token token) {
    return llama_vocab_is_eog(e->vocab, token);
}

void hyp_engine_get_special(const hyp_engine *e, hyp_special_tokens *ret) {
    *ret = (hyp_special_tokens){
        .bos = llama_vocab_bos(e->vocab),
        .eos = llama_vocab_eos(e->vocab),
        .eot = llama_vocab_eot(e->vocab),
        .fim_pre = llama_vocab_fim_pre(e->vocab),
        .fim_suf = llama_vocab_fim_suf(e->vocab),
        .fim_mid = llama_vocab_fim_mid(e->vocab),
        .add_bos = llama_vocab_get_add_bos(e->vocab),
        .add_eos = llama_vocab_get_add_eos(e->vocab),
    };
}

const char *hyp_engine_chat_template(const hyp_engine *e) {
    return llama_model_chat_template(e->llama, NULL);
}

int hyp_engine_apply_builtin_template(const hyp_engine *e, const char *text, const hyp_chat_turn *turns, size_t n,
                                      char **ret, bool *ret_fallback, hyp_err *err) {
    HYP_AUTOFREE struct llama_chat_message *messages = calloc(n + 1, sizeof *messages);
    size_t room = 256;
    for (size_t i = 0; messages != NULL && i < n; i++) {
        messages[i] = (struct llama_chat_message){turns[i].role, turns[i].content};
        room += 2 * (strlen(turns[i].role) + strlen(turns[i].content));
    }
    if (messages == NULL || room > INT32_MAX) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the chat");
    if (text == NULL) text = hyp_engine_chat_template(e);
    *ret_fallback = text == NULL;
    for (;;) {
        char *buf = malloc(room + 1);
        if (buf == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the chat");
        int32_t len = llama_chat_apply_template(*ret_fallback ? "chatml" : text, messages, n, true, buf, (int32_t)room);
        if (len >= 0 && (size_t)len <= room) {
            buf[len] = '\0';
            *ret = buf;
            return HYP_OK;
        }
        free(buf);
        if (len >= 0)
            room = (size_t)len;
        else if (!*ret_fallback)
            *ret_fallback = true; /* a template libllama does not know */
        else
            return hyp_err_set(err, HYP_EENGINE, "llama.cpp could not render the chat");
    }
}
