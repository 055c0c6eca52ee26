#include "engine/sampler.h"

#include "base/mem.h"
#include "engine/argmax.h"
#include "engine/engine_priv.h"
#include "engine/runtime.h"

#include <math.h>

struct hyp_sampler {
    struct llama_sampler *chain;     /* penalties, truncation, temperature, choice */
    struct llama_sampler *grammar;   /* NULL when unconstrained */
    struct llama_sampler *penalties; /* part of the chain, or NULL: the only one that looks back at the prompt */
    llama_token_data *candidates;    /* n_vocab, reused */
    int32_t n_vocab;
    bool greedy; /* nothing but the likeliest token is asked for: no candidates are laid out */
};

static void add(struct llama_sampler *chain, struct llama_sampler *s) {
    llama_sampler_chain_add(chain, s);
}

/* llama.cpp's order: penalties, top-k, typical, top-p, min-p, temperature, then the draw. */
static void build_chain(hyp_sampler *s, const hyp_engine *e, const hyp_sampling *p) {
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
    if (p->n_grammar_triggers > 0)
        s->grammar = llama_sampler_init_grammar_lazy_patterns(
            e->vocab, p->grammar, "root", (const char **)p->grammar_triggers, p->n_grammar_triggers, NULL, 0);
    else
        s->grammar = llama_sampler_init_grammar(e->vocab, p->grammar, "root");
    return s->grammar != NULL ? HYP_OK : hyp_engine_err(err, HYP_EFORMAT, "the grammar cannot be used");
}

int hyp_sampler_new(const hyp_engine *e, const hyp_sampling *sampling, hyp_sampler **ret, hyp_err *err) {
    hyp_sampler *s = calloc(1, sizeof *s);
    if (s == NULL) return hyp_err_set(err, HYP_ENOMEM, "no memory for the sampler");
    s->n_vocab = e->info.n_vocab;
    s->candidates = malloc(sizeof *s->candidates * (size_t)s->n_vocab);
    s->chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    int r = s->candidates != NULL && s->chain != NULL ? add_grammar(s, e, sampling, err)
                                                      : hyp_err_set(err, HYP_ENOMEM, "no memory for the sampler");
    if (r != HYP_OK) {
        hyp_sampler_free(s);
        return r;
    }
    build_chain(s, e, sampling);
    *ret = s;
    return HYP_OK;
}

void hyp_sampler_free(hyp_sampler *s) {
    if (s == NULL) return;
    if (s->chain != NULL) llama_sampler_free(s->chain);
    if (s->grammar != NULL) llama_sampler_free(s->grammar);
    free(s->candidates);
    free(s);
}

static llama_token_data_array candidates_of(hyp_sampler *s, const float *logits) {
    for (int32_t i = 0; i < s->n_vocab; i++)
        s->candidates[i] = (llama_token_data){i, logits[i], 0};
    return (llama_token_data_array){s->candidates, (size_t)s->n_vocab, -1, false};
}

/* The grammar is slow over a whole vocabulary, so the chain draws first and the grammar only checks that one token; if it
 * refuses, the draw is repeated over what the grammar allows. This is what llama.cpp's own tools do. */
hyp_token hyp_sampler_sample(hyp_sampler *s, hyp_engine *e, int32_t index) {
    const float *logits = hyp_engine_logits(e, index);
    if (logits == NULL) return HYP_EENGINE;
    if (s->greedy) return hyp_argmax(logits, s->n_vocab);
    llama_token_data_array all = candidates_of(s, logits);
    llama_sampler_apply(s->chain, &all);
    hyp_token token = all.data[all.selected].id;
    if (s->grammar != NULL) {
        llama_token_data one = {token, 1, 0};
        llama_token_data_array single = {&one, 1, -1, false};
        llama_sampler_apply(s->grammar, &single);
        if (one.logit == -INFINITY) {
            all = candidates_of(s, logits);
            llama_sampler_apply(s->grammar, &all);
            llama_sampler_apply(s->chain, &all);
            token = all.data[all.selected].id;
        }
        llama_sampler_accept(s->grammar, token);
    }
    llama_sampler_accept(s->chain, token);
    return token;
}

void hyp_sampler_accept_prompt(hyp_sampler *s, hyp_token token) {
    if (s->penalties != NULL) llama_sampler_accept(s->penalties, token);
}
