/* route-stats.c - how a mixture of experts routes: popularity, stickiness, and what the look-ahead would have guessed.
 *
 *   route-stats MODEL [--random 256 | --prompt TEXT] [--seed 1] [--ubatch 64] [--threads 2]
 *
 * Evaluates that many random tokens (or the prompt) with plain libllama and prints one JSON object, each number a mean
 * over the layers of experts:
 *   top_share     share of all choices that fell on the most popular expert
 *   top_quarter   the same for the most popular quarter of the experts
 *   effective     exp(entropy) of the popularity: how many equally popular experts would be as diverse
 *   zipf          slope of log popularity over log rank, among experts chosen by 1 % to 90 % of the tokens
 *   overlap       share of a token's experts that the token before it had chosen in the same layer
 *   independent   what overlap would be if tokens drew their experts independently with that popularity
 *   lookahead     share of a layer's experts that its router finds in the previous layer's router input */
#include "lm.h"

#include <ggml-backend.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 512 };

typedef struct layer {
    const struct ggml_tensor *router;
    float *weights;   /* of the router, [n_expert][n_embd] */
    uint32_t *chosen; /* how often each expert was */
    int32_t *last;    /* the last token's experts */
    int32_t *guess;   /* per token of the batch, from the previous layer */
    int n_guess;      /* tokens guessed for */
    long n_tokens, overlap, pairs, hits, guesses;
} layer;

typedef struct recorder {
    layer layers[MAX_LAYERS];
    int n_expert, n_used, n_embd;
    bool failed;
} recorder;

static int layer_of(const char *name) {
    const char *dash = strrchr(name, '-');
    const int n = dash == NULL ? -1 : atoi(dash + 1);
    return n >= 0 && n < MAX_LAYERS ? n : -1;
}

static void *get(const struct ggml_tensor *t, size_t offset, size_t bytes) {
    void *data = malloc(bytes);
    if (data != NULL) ggml_backend_tensor_get(t, data, offset, bytes);
    return data;
}

/* The router of a layer, as floats, learned when its logits are first seen. */
static bool learn_router(recorder *r, layer *l, const struct ggml_tensor *router) {
    if (l->router != NULL) return true;
    r->n_embd = (int)router->ne[0];
    r->n_expert = (int)router->ne[1];
    const int64_t n = ggml_nelements(router);
    void *raw = get(router, 0, ggml_nbytes(router));
    l->weights = malloc((size_t)n * sizeof(float));
    l->chosen = calloc((size_t)r->n_expert, sizeof *l->chosen);
    l->last = calloc((size_t)r->n_expert, sizeof *l->last);
    if (raw == NULL || l->weights == NULL || l->chosen == NULL || l->last == NULL) return free(raw), false;
    if (router->type == GGML_TYPE_F32)
        memcpy(l->weights, raw, (size_t)n * sizeof(float));
    else
        ggml_get_type_traits(router->type)->to_float(raw, l->weights, n);
    free(raw);
    l->router = router;
    return true;
}

/* The `n_used` best experts of `next` for the router input `x`, as a first guess at its choice. */
static void guess_token(const recorder *r, const layer *next, const float *x, float *score, int32_t *ret) {
    for (int e = 0; e < r->n_expert; e++) {
        double sum = 0;
        for (int i = 0; i < r->n_embd; i++)
            sum += (double)x[i] * next->weights[(size_t)e * r->n_embd + i];
        score[e] = (float)sum;
    }
    for (int k = 0; k < r->n_used; k++) {
        int best = 0;
        for (int e = 1; e < r->n_expert; e++)
            if (score[e] > score[best]) best = e;
        ret[k] = best;
        score[best] = -INFINITY;
    }
}

static bool see_router_input(recorder *r, int at, const struct ggml_tensor *logits) {
    if (!learn_router(r, &r->layers[at], logits->src[0])) return false;
    layer *next = at + 1 < MAX_LAYERS ? &r->layers[at + 1] : NULL;
    if (next == NULL || next->router == NULL || r->n_used == 0) return true;
    const struct ggml_tensor *x = logits->src[1];
    const int n = (int)x->ne[1];
    float *input = get(x, 0, ggml_nbytes(x)), *score = calloc((size_t)r->n_expert, sizeof *score);
    free(next->guess);
    next->guess = malloc((size_t)n * r->n_used * sizeof *next->guess);
    next->n_guess = n;
    const bool ok = input != NULL && score != NULL && next->guess != NULL;
    for (int t = 0; t < n && ok; t++)
        guess_token(r, next, input + (size_t)t * r->n_embd, score, next->guess + (size_t)t * r->n_used);
    free(input);
    free(score);
    return ok;
}

static int common(const int32_t *a, const int32_t *b, int n) {
    int count = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            count += a[i] == b[j];
    return count;
}

static bool see_choice(recorder *r, int at, const struct ggml_tensor *ids) {
    layer *l = &r->layers[at];
    const int k = r->n_used = (int)ids->ne[0], n = (int)ids->ne[1];
    if (l->chosen == NULL) return true;
    int32_t *row = malloc((size_t)k * sizeof *row);
    if (row == NULL) return false;
    for (int t = 0; t < n; t++) {
        ggml_backend_tensor_get(ids, row, (size_t)t * ids->nb[1], (size_t)k * sizeof *row);
        for (int i = 0; i < k; i++)
            l->chosen[row[i]]++;
        if (l->n_tokens++ > 0) {
            l->overlap += common(row, l->last, k);
            l->pairs += k;
        }
        if (l->guess != NULL && l->n_guess == n) {
            l->hits += common(row, l->guess + (size_t)t * k, k);
            l->guesses += k;
        }
        memcpy(l->last, row, (size_t)k * sizeof *row);
    }
    free(row);
    return true;
}

static bool callback(struct ggml_tensor *t, bool ask, void *arg) {
    recorder *r = arg;
    const bool logits = strncmp(t->name, "ffn_moe_logits-", 15) == 0 && t->op == GGML_OP_MUL_MAT;
    const bool choice = t->op == GGML_OP_MUL_MAT_ID && strstr(t->src[0]->name, "ffn_gate_") != NULL;
    if (ask) return logits || choice;
    const int at = layer_of(t->name);
    if (at >= 0 && logits && !see_router_input(r, at, t)) r->failed = true;
    if (at >= 0 && choice && !see_choice(r, at, t->src[2])) r->failed = true;
    return !r->failed;
}

static int descending(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

typedef struct stats {
    double top_share, top_quarter, effective, zipf, overlap, independent, lookahead;
} stats;

static stats layer_stats(const recorder *r, layer *l) {
    const double all = (double)l->n_tokens * r->n_used;
    stats s = {.overlap = (double)l->overlap / (double)l->pairs,
               .lookahead = l->guesses > 0 ? (double)l->hits / (double)l->guesses : NAN};
    qsort(l->chosen, (size_t)r->n_expert, sizeof *l->chosen, descending);
    double entropy = 0, n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (int e = 0; e < r->n_expert; e++) {
        const double share = l->chosen[e] / all, by_token = (double)l->chosen[e] / (double)l->n_tokens;
        if (share > 0) entropy -= share * log(share);
        if (e < (r->n_expert + 3) / 4) s.top_quarter += share;
        s.independent += by_token * by_token / r->n_used;
        if (by_token < 0.01 || by_token > 0.9) continue;
        const double x = log(e + 1), y = log(by_token);
        n++, sx += x, sy += y, sxx += x * x, sxy += x * y;
    }
    s.top_share = l->chosen[0] / all;
    s.effective = exp(entropy);
    s.zipf = n > 2 ? -(n * sxy - sx * sy) / (n * sxx - sx * sx) : NAN;
    return s;
}

static void print_number(const char *name, double sum, int n) {
    if (n > 0)
        printf(",\"%s\":%.4f", name, sum / n);
    else
        printf(",\"%s\":null", name);
}

static bool report(recorder *r) {
    stats sum = {0};
    int n = 0, n_zipf = 0, n_lookahead = 0;
    for (int i = 0; i < MAX_LAYERS; i++) {
        if (r->layers[i].pairs == 0) continue;
        const stats s = layer_stats(r, &r->layers[i]);
        sum.top_share += s.top_share;
        sum.top_quarter += s.top_quarter;
        sum.effective += s.effective;
        sum.overlap += s.overlap;
        sum.independent += s.independent;
        if (!isnan(s.zipf)) sum.zipf += s.zipf, n_zipf++;
        if (!isnan(s.lookahead)) sum.lookahead += s.lookahead, n_lookahead++;
        n++;
    }
    if (n == 0) return fprintf(stderr, "the model routed nothing\n"), false;
    printf("{\"layers\":%d,\"experts\":%d,\"used\":%d", n, r->n_expert, r->n_used);
    print_number("top_share", sum.top_share, n);
    print_number("top_quarter", sum.top_quarter, n);
    print_number("effective", sum.effective, n);
    print_number("zipf", sum.zipf, n_zipf);
    print_number("overlap", sum.overlap, n);
    print_number("independent", sum.independent, n);
    print_number("lookahead", sum.lookahead, n_lookahead);
    puts("}");
    return fflush(stdout) == 0;
}

static llama_token *random_tokens(const lm_session *lm, int n, uint64_t seed) {
    llama_token *tokens = malloc((size_t)n * sizeof *tokens);
    for (int i = 0; i < n && tokens != NULL; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull; /* Knuth's MMIX */
        tokens[i] = (llama_token)((seed >> 33) % (uint64_t)lm->n_vocab);
        if (llama_vocab_is_control(lm->vocab, tokens[i])) tokens[i] = 0;
    }
    return tokens;
}

int main(int argc, char **argv) {
    recorder *r = calloc(1, sizeof *r);
    if (r == NULL) return 1;
    lm_params params = {.ubatch = 64, .threads = 2, .callback = callback, .callback_arg = r};
    const char *text = NULL;
    int n = 256, seed = 1;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (arg[0] != '-')
            params.model = arg;
        else if (strcmp(arg, "--prompt") == 0)
            text = argv[++i];
        else if (strcmp(arg, "--random") == 0)
            n = lm_number(arg, argv[++i]);
        else if (strcmp(arg, "--seed") == 0)
            seed = lm_number(arg, argv[++i]);
        else if (strcmp(arg, "--ubatch") == 0)
            params.ubatch = lm_number(arg, argv[++i]);
        else if (strcmp(arg, "--threads") == 0)
            params.threads = lm_number(arg, argv[++i]);
        else
            return fprintf(stderr, "unknown option %s\n", arg), 2;
    }
    if (params.model == NULL || n < 2)
        return fprintf(stderr, "usage: route-stats MODEL [--random N | --prompt TEXT]\n"), 2;
    params.context = (text != NULL ? (int)strlen(text) : n) + 64;
    lm_session lm;
    if (!lm_open(&params, &lm)) return 1;
    llama_token *tokens = text != NULL ? lm_tokens_of_text(&lm, text, &n) : random_tokens(&lm, n, (uint64_t)seed);
    const bool ok = tokens != NULL && lm_eval(&lm, tokens, n) && !r->failed && report(r);
    lm_close(&lm);
    for (int i = 0; i < MAX_LAYERS; i++) {
        free(r->layers[i].weights);
        free(r->layers[i].chosen);
        free(r->layers[i].last);
        free(r->layers[i].guess);
    }
    free(tokens);
    free(r);
    return ok ? 0 : 1;
}
