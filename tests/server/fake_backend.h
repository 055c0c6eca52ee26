/* fake_backend.h - an engine that follows a script: the server's wire tests run on it, without a model.
 *
 * Tokens are bytes and a few control tokens. What is answered depends only on the tokens that a sequence holds, so a
 * wrong prefix, a lost token or a mixed-up slot shows as a wrong answer; positions and batches are checked like
 * libllama does. The command is the last user message (or, raw, the text before the last "=>"): say TEXT      answer
 * TEXT; \xHH is a byte, \n a line, {TOKENS} how many tokens the sequence was given count N       answer "1 2 ... N"
 *   forever       never end
 *   slow MS TEXT  answer TEXT, every token taking MS milliseconds
 *   fail          the computation breaks
 * Anything else is answered by itself. */
#pragma once
#include "session/backend.h"

typedef struct fake_options {
    bool needs_checkpoints; /* behave like a recurrent model */
    unsigned load_ms;       /* how long loading takes */
    unsigned decode_us;     /* how long a decode takes */
    unsigned max_batch;     /* 0: 512 */
} fake_options;

extern const hyp_backend_ops fake_backend_ops; /* `self` is a const fake_options * */

/* A scripted model without a file, as open() would give it, with `context_tokens` and one sequence; freed by close().
 */
void fake_new(const fake_options *options, uint32_t context_tokens, void **ret_model, hyp_backend_info *ret_info);

/* How many tokens were decoded since the start, and in how many calls. */
void fake_counters(uint64_t *ret_tokens, uint64_t *ret_calls);
