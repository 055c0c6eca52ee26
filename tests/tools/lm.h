/* lm.h - plain libllama for tests: no code of the product, to compare with what the product computes. */
#pragma once
#include <llama.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lm_params {
    const char *model;
    int context, ubatch, threads;
    bool extra_bufts; /* let libllama repack weights, as it does by default */
    ggml_backend_sched_eval_callback callback;
    void *callback_arg;
} lm_params;

typedef struct lm_session {
    struct llama_model *model;
    struct llama_context *context;
    const struct llama_vocab *vocab;
    int n_vocab;
} lm_session;

/* Load with mmap on the CPU alone. False after a message on stderr. Free with lm_close(). */
bool lm_open(const lm_params *params, lm_session *ret);
void lm_close(lm_session *lm);

/* Tokenise `text` (special tokens parsed; a begin token added if the model wants one), or parse "1,2,3". The caller
 * frees the result; NULL after a message on stderr. */
llama_token *lm_tokens_of_text(const lm_session *lm, const char *text, int *ret_n);
llama_token *lm_tokens_of_list(const lm_session *lm, const char *list, int *ret_n);

/* Evaluate `n` tokens after what was evaluated before; the logits of the last one follow from lm_logits(). */
bool lm_eval(lm_session *lm, llama_token *tokens, int n);
const float *lm_logits(lm_session *lm);

/* The text of a token, control tokens included, into `buf`; returns its length. */
int lm_piece(const lm_session *lm, llama_token token, char *buf, int buf_size);

/* A number from the command line, or exit with a message. */
int lm_number(const char *option, const char *text);
