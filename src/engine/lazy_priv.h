/* lazy_priv.h - a grammar that begins to bind in the middle of an answer, where one of some words appears.
 *
 * libllama has lazy grammars of its own, which this replaces for two reasons: they match a regular expression against
 * all of the answer at every token (minutes of computing for an answer of a thousand tokens), and they end the process
 * when the token that completes the word goes on in a way that the grammar does not allow. Here words are searched for
 * in the last few tokens only, and an answer that does not begin as the grammar wants stays unbound.
 *
 * One thread at a time. */
#pragma once
#include "base/err.h"
#include "engine/sampling.h"

#include <llama.h>

typedef struct hyp_lazy hyp_lazy;

/* Wait for `triggers` (copied) to begin `grammar`, GBNF with a "root" rule (copied).
 * Errors: HYP_EINVAL (a word is empty or too long), HYP_ENOMEM. The grammar is not looked at. */
HYP_NODISCARD int hyp_lazy_new(const char *grammar, const hyp_trigger *triggers, size_t n, hyp_lazy **ret,
                               hyp_err *err);
/* Accepts NULL. */
void hyp_lazy_free(hyp_lazy *lazy);

/* The answer's next token. Returns a grammar sampler that has already seen the tokens of the word, owned by the caller,
 * once the word is complete; NULL before. `*ret_over` becomes true when nothing can come any more: the grammar began,
 * or the word went on in a way that it does not allow (then NULL is returned). */
struct llama_sampler *hyp_lazy_feed(hyp_lazy *lazy, const struct llama_vocab *vocab, llama_token token, bool *ret_over);

/* Does `grammar` let `token` follow? */
bool hyp_lazy_allows(struct llama_sampler *grammar, llama_token token);
