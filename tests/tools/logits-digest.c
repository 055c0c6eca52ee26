/* logits-digest.c - greedy text from plain libllama, with a digest over the logits it was chosen from.
 *
 *   logits-digest [-m] MODEL (--tokens 1,2,3 | --prompt TEXT) [-n 8] [--context 4096] [--ubatch 512] [--threads 2]
 *                 [--extra-bufts | --repack] [--ignore-eos] [--json]
 *
 * Prints one JSON object: prompt (token ids), tokens (output ids), text, digest (16 hex digits), finite (no logit is
 * NaN or infinite), margins (by how much each output token's logit leads the next best) and stop ("length" or "stop").
 * The digest is 64-bit FNV-1a over the bits of every logit (4 bytes each, least significant first) of every output
 * token, in order; the token that ends a text (EOS and the like) is not an output token. Exit code 0, 1 after a
 * failure, 2 after a wrong argument. */
#include "lm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

typedef struct result {
    yyjson_mut_doc *json;
    yyjson_mut_val *tokens, *margins;
    char *text;
    size_t n_text;
    uint64_t digest;
    bool finite, stopped;
} result;

static void digest_logits(result *r, const float *logits, int n) {
    uint64_t h = r->digest;
    for (int i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &logits[i], sizeof bits);
        for (int b = 0; b < 4; b++)
            h = (h ^ (bits >> (8 * b) & 0xff)) * 1099511628211ull;
        if (!isfinite(logits[i])) r->finite = false;
    }
    r->digest = h;
}

static llama_token best(const float *logits, int n) {
    int at = 0;
    for (int i = 1; i < n; i++)
        if (logits[i] > logits[at]) at = i;
    return at;
}

static double margin(const float *logits, int n, llama_token chosen) {
    double second = -INFINITY;
    for (int i = 0; i < n; i++)
        if (i != chosen && logits[i] > second) second = logits[i];
    return (double)logits[chosen] - second;
}

static bool generate(lm_session *lm, int n, bool ignore_eos, result *r) {
    for (int i = 0; i < n; i++) {
        const float *logits = lm_logits(lm);
        llama_token token = best(logits, lm->n_vocab);
        if (!ignore_eos && llama_vocab_is_eog(lm->vocab, token)) {
            r->stopped = true;
            break;
        }
        digest_logits(r, logits, lm->n_vocab);
        yyjson_mut_arr_add_int(r->json, r->tokens, token);
        yyjson_mut_arr_add_real(r->json, r->margins, margin(logits, lm->n_vocab, token));
        char *grown = realloc(r->text, r->n_text + 256);
        if (grown == NULL) return false;
        r->text = grown;
        r->n_text += (size_t)lm_piece(lm, token, r->text + r->n_text, 256);
        if (i + 1 < n && !lm_eval(lm, &token, 1)) return false;
    }
    return true;
}

static bool print(result *r, const llama_token *prompt, int n_prompt) {
    yyjson_mut_val *root = yyjson_mut_obj(r->json), *ids = yyjson_mut_arr(r->json);
    yyjson_mut_doc_set_root(r->json, root);
    for (int i = 0; i < n_prompt; i++)
        yyjson_mut_arr_add_int(r->json, ids, prompt[i]);
    char hex[17];
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)r->digest);
    yyjson_mut_obj_add_val(r->json, root, "prompt", ids);
    yyjson_mut_obj_add_val(r->json, root, "tokens", r->tokens);
    yyjson_mut_obj_add_strn(r->json, root, "text", r->text != NULL ? r->text : "", r->n_text);
    yyjson_mut_obj_add_str(r->json, root, "digest", hex);
    yyjson_mut_obj_add_val(r->json, root, "margins", r->margins);
    yyjson_mut_obj_add_bool(r->json, root, "finite", r->finite);
    yyjson_mut_obj_add_str(r->json, root, "stop", r->stopped ? "stop" : "length");
    /* A text cut inside a character is printed as it is. */
    char *line = yyjson_mut_write(r->json, YYJSON_WRITE_ALLOW_INVALID_UNICODE | YYJSON_WRITE_INF_AND_NAN_AS_NULL, NULL);
    if (line == NULL) return false;
    puts(line);
    free(line);
    return fflush(stdout) == 0;
}

static bool run(lm_session *lm, const char *list, const char *text, int n, bool ignore_eos) {
    int n_prompt = 0;
    llama_token *prompt =
        list != NULL ? lm_tokens_of_list(lm, list, &n_prompt) : lm_tokens_of_text(lm, text, &n_prompt);
    if (prompt == NULL) return false;
    result r = {.json = yyjson_mut_doc_new(NULL), .digest = 1469598103934665603ull, .finite = true};
    r.tokens = yyjson_mut_arr(r.json);
    r.margins = yyjson_mut_arr(r.json);
    bool ok = lm_eval(lm, prompt, n_prompt) && generate(lm, n, ignore_eos, &r) && print(&r, prompt, n_prompt);
    yyjson_mut_doc_free(r.json);
    free(r.text);
    free(prompt);
    return ok;
}

int main(int argc, char **argv) {
    lm_params params = {.context = 4096, .ubatch = 512, .threads = 2};
    const char *list = NULL, *text = NULL;
    int n = 8;
    bool ignore_eos = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "--extra-bufts") == 0)
            params.extra_bufts = true;
        else if (strcmp(arg, "--ignore-eos") == 0)
            ignore_eos = true;
        else if (arg[0] != '-')
            params.model = arg;
        else if (strcmp(arg, "--tokens") == 0)
            list = argv[++i];
        else if (strcmp(arg, "--prompt") == 0)
            text = argv[++i];
        else if (strcmp(arg, "-n") == 0)
            n = lm_number(arg, argv[++i]);
        else if (strcmp(arg, "--context") == 0)
            params.context = lm_number(arg, argv[++i]);
        else if (strcmp(arg, "--ubatch") == 0)
            params.ubatch = lm_number(arg, argv[++i]);
        else if (strcmp(arg, "--threads") == 0)
            params.threads = lm_number(arg, argv[++i]);
        else
            return fprintf(stderr, "unknown option %s\n", arg), 2;
    }
    if (params.model == NULL || (list == NULL) == (text == NULL))
        return fprintf(stderr, "usage: logits-digest MODEL (--tokens 1,2,3 | --prompt TEXT) [-n N] [--context N] "
                               "[--ubatch N] [--threads N] [--extra-bufts] [--ignore-eos]\n"),
               2;
    lm_session lm;
    if (!lm_open(&params, &lm)) return 1;
    bool ok = run(&lm, list, text, n, ignore_eos);
    lm_close(&lm);
    return ok ? 0 : 1;
}
