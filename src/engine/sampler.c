#include "engine/sampler.h"

#include "base/mem.h"
#include "engine/argmax_priv.h"
#include "engine/engine_priv.h"
#include "engine/lazy_priv.h"
#include "engine/runtime.h"

#include <math.h>

struct hyp_sampler {
    struct llama_sampler *chain;     /* penalties, truncation, temperature, choice */
    struct llama_sampler *grammar;   /* NULL when unconstrained */
    hyp_lazy *lazy;                  /* waits for the grammar to begin, or NULL */
    struct llama_sampler *penalties; /* part of the chain, or NULL: the only one that looks back at the prompt */
    llama_token_data *candidates;    /* n_vocab, reused */
    int32_t n_vocab;
    bool greedy; /* nothing but the likeliest token is asked for: no candidates are laid out */
};

static void add(struct llama_sampler *chain, struct llama_sampler *s) {
    llama_sampler_chain_add(chain, s);
}

/* llama.cpp's order: penalties, top-k, typical, top-p, min-p, temperature, then the draw. */
static void build_chain(hyp_sampler *s, const hyp_engine *e, const hyp_sampling_params *p) {
    int last_n = p->repeat_last_n < 0 ? (int)e->info.context_tokens : p->repeat_last_n;
    bool penalised = last_n > 0 && (p->repeat_penalty != 1 || p->presence_penalty != 0 || p->frequency_penalty != 0);
    if (penalised) {
        s->penalties = llama_sampler_init_penalties(s->n_vocab, last_n, (float)p->repeat_penalty,
                                                    (float)p->frequency_penalty, (float)p->presence_penalty);
        add(s->chain, s->penalties);
    }
    if (p->temperature <= 0) {
        s->greedy = !penalised && s->grammar == NULL;
        add(s->chain, llama_sampler_init_greedy());
        return;
    }
    if (p->top_k > 0) add(s->chain, llama_sampler_init_top_k(p->top_k));
    if (p->typical_p < 1) add(s->chain, llama_sampler_init_typical((float)p->typical_p, 1));
    if (p->top_p < 1) add(s->chain, llama_sampler_init_top_p((float)p->top_p, 1));
    if (p->min_p > 0) add(s->chain, llama_sampler_init_min_p((float)p->min_p, 1));
    add(s->chain, llama_sampler_init_temp((float)p->temperature));
    add(s->chain, llama_sampler_init_dist(p->seed < 0 ? LLAMA_DEFAULT_SEED : (uint32_t)p->seed));
}

static int add_grammar(hyp_sampler *s, const hyp_engine *e, const hyp_sampling *p, hyp_err *err) {
    if (p->grammar == NULL) return HYP_OK;
    hyp_runtime_clear_error();
    struct llama_sampler *grammar = llama_sampler_init_grammar(e->vocab, p->grammar, "root");
    if (grammar == NULL) return hyp_engine_err(err, HYP_EFORMAT, "the grammar cannot be used");
    if (p->n_triggers == 0) {
        s->grammar = grammar;
        return HYP_OK;
    }
    llama_sampler_free(grammar); /* it was only to be tried */
    return hyp_lazy_new(p->grammar, p->triggers, p->n_triggers, &s->lazy, err);
}

int hyp_sampler_new(const hyp_engine *e, const hyp_sampling *sampling, hyp_sampler **ret, hyp_err *err) {
    hyp_sampler *s = calloc(1, sizeof *s);
    if (s == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the sampler");
    s->n_vocab = e->info.n_vocab;
    s->candidates = malloc(sizeof *s->candidates * (size_t)s->n_vocab);
    s->chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    int r = s->candidates != NULL && s->chain != NULL ? add_grammar(s, e, sampling, err)
                                                      : hyp_err_set(err, HYP_ENOMEM, "out of memory for the sampler");
    if (r != HYP_OK) {
        hyp_sampler_free(s);
        return r;
    }
    build_chain(s, e, &sampling->params);
    *ret = s;
    return HYP_OK;
}

void hyp_sampler_free(hyp_sampler *s) {
    if (s == NULL) return;
    if (s->chain != NULL) llama_sampler_free(s->chain);
    if (s->grammar != NULL) llama_sampler_free(s->grammar);
    hyp_lazy_free(s->lazy);
    free(s->candidates);
    free(s);
}

static llama_token_data_array candidates_of(hyp_sampler *s, const float *logits) {
    for (int32_t i = 0; i < s->n_vocab; i++)
        s->candidates[i] = (llama_token_data){i, logits[i], 0};
    return (llama_token_data_array){s->candidates, (size_t)s->n_vocab, -1, false};
}

/* The grammar is slow over a whole vocabulary, so the chain draws first and the grammar only checks that one token; if
 * it refuses, the draw is repeated over what the grammar allows. This is what llama.cpp's own tools do. */
static hyp_token draw(hyp_sampler *s, const float *logits) {
    llama_token_data_array all = candidates_of(s, logits);
    llama_sampler_apply(s->chain, &all);
    hyp_token token = all.data[all.selected].id;
    if (s->grammar == NULL || hyp_lazy_allows(s->grammar, token)) return token;
    all = candidates_of(s, logits);
    llama_sampler_apply(s->grammar, &all);
    /* With nothing to choose from the chain would choose all the same, and libllama ends the process when a grammar is
     * told of a token that it does not allow. */
    size_t allowed = 0;
    while (allowed < all.size && all.data[allowed].logit == -INFINITY)
        allowed++;
    if (allowed == all.size) return HYP_EENGINE;
    llama_sampler_apply(s->chain, &all);
    return all.data[all.selected].id;
}

hyp_token hyp_sampler_sample(hyp_sampler *s, hyp_engine *e, int32_t index) {
    const float *logits = hyp_engine_logits(e, index);
    if (logits == NULL) return HYP_EENGINE;
    bool argmax = s->greedy && s->grammar == NULL;
    hyp_token token = argmax ? hyp_argmax(logits, s->n_vocab) : draw(s, logits);
    if (token < 0) return token;
    bool over = false;
    if (s->grammar != NULL)
        llama_sampler_accept(s->grammar, token);
    else if (s->lazy != NULL)
        s->grammar = hyp_lazy_feed(s->lazy, e->vocab, token, &over);
    if (over) {
        hyp_lazy_free(s->lazy);
        s->lazy = NULL;
    }
    if (!argmax) llama_sampler_accept(s->chain, token);
    return token;
}

void hyp_sampler_accept_prompt(hyp_sampler *s, hyp_token token) {
    if (s->penalties != NULL) llama_sampler_accept(s->penalties, token);
}
