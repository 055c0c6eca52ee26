/* tokenizer.h - a small valid tokenizer for a synthetic model: byte-level BPE.
 *
 * Tokens 0-255 are the bytes, so that any text tokenizes and every token's text is known; then come the control tokens,
 * the results of a few merges of frequent English letters, and invented words up to the vocabulary's size. */
#pragma once
#include "base/err.h"

struct gguf_context;

enum {
    HYP_MAKE_TOKEN_BOS = 256,
    HYP_MAKE_TOKEN_EOS,
    HYP_MAKE_TOKEN_TURN_START,
    HYP_MAKE_TOKEN_TURN_END,
    HYP_MAKE_TOKEN_MERGES, /* first result of a merge */
    HYP_MAKE_MIN_VOCAB = 320,
};

/* Set every tokenizer.* key for `n_vocab` tokens (at least HYP_MAKE_MIN_VOCAB). Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_make_tokenizer_set(struct gguf_context *gguf, int n_vocab, hyp_err *err);

/* Write the text of token `id` as stored in the file (GPT-2's printable alphabet for bytes) into `buf`. */
void hyp_make_tokenizer_text(int id, char *buf, size_t buf_size);
