#include "lm.h"

#include <errno.h>
#include <ggml-backend.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void log_errors(enum ggml_log_level level, const char *text, void *arg) {
    (void)arg;
    if (level >= GGML_LOG_LEVEL_ERROR && level != GGML_LOG_LEVEL_CONT) fputs(text, stderr);
}

bool lm_open(const lm_params *params, lm_session *ret) {
    llama_log_set(log_errors, NULL);
    if (LM_BACKENDS_DIR[0] != '\0')
        ggml_backend_load_all_from_path(LM_BACKENDS_DIR);
    else
        ggml_backend_load_all();
    llama_backend_init();
    struct llama_model_params mp = llama_model_default_params();
    ggml_backend_dev_t none[] = {NULL};
    mp.devices = none;
    mp.n_gpu_layers = 0;
    mp.load_mode = LLAMA_LOAD_MODE_MMAP;
    mp.use_extra_bufts = params->extra_bufts;
    *ret = (lm_session){.model = llama_model_load_from_file(params->model, mp)};
    if (ret->model == NULL) return fprintf(stderr, "libllama cannot load %s\n", params->model), false;
    struct llama_context_params cp = llama_context_default_params();
    cp.n_ctx = (uint32_t)params->context;
    cp.n_batch = cp.n_ubatch = (uint32_t)params->ubatch;
    cp.n_threads = cp.n_threads_batch = params->threads;
    cp.offload_kqv = cp.op_offload = false;
    cp.cb_eval = params->callback;
    cp.cb_eval_user_data = params->callback_arg;
    ret->context = llama_init_from_model(ret->model, cp);
    if (ret->context == NULL) {
        fprintf(stderr, "libllama cannot make a context for %s\n", params->model);
        lm_close(ret);
        return false;
    }
    ret->vocab = llama_model_get_vocab(ret->model);
    ret->n_vocab = llama_vocab_n_tokens(ret->vocab);
    return true;
}

void lm_close(lm_session *lm) {
    if (lm->context != NULL) llama_free(lm->context);
    if (lm->model != NULL) llama_model_free(lm->model);
    llama_backend_free();
}

llama_token *lm_tokens_of_text(const lm_session *lm, const char *text, int *ret_n) {
    const int length = (int)strlen(text), most = length + 8;
    llama_token *tokens = malloc((size_t)most * sizeof *tokens);
    if (tokens == NULL) return fprintf(stderr, "out of memory\n"), NULL;
    *ret_n = llama_tokenize(lm->vocab, text, length, tokens, most, true, true);
    if (*ret_n > 0) return tokens;
    fprintf(stderr, "the prompt has no tokens\n");
    free(tokens);
    return NULL;
}

llama_token *lm_tokens_of_list(const lm_session *lm, const char *list, int *ret_n) {
    llama_token *tokens = malloc((strlen(list) / 2 + 1) * sizeof *tokens);
    if (tokens == NULL) return fprintf(stderr, "out of memory\n"), NULL;
    int n = 0;
    for (const char *at = list;; at++) {
        char *end;
        errno = 0;
        long id = strtol(at, &end, 10);
        if (end == at || errno != 0 || id < 0 || id >= lm->n_vocab || (*end != ',' && *end != '\0')) {
            fprintf(stderr, "not a list of tokens below %d: %s\n", lm->n_vocab, list);
            free(tokens);
            return NULL;
        }
        tokens[n++] = (llama_token)id;
        if (*end == '\0') break;
        at = end;
    }
    *ret_n = n;
    return tokens;
}

bool lm_eval(lm_session *lm, llama_token *tokens, int n) {
    const int most = (int)llama_n_batch(lm->context);
    for (int done = 0; done < n;) {
        const int now = n - done < most ? n - done : most;
        const int r = llama_decode(lm->context, llama_batch_get_one(tokens + done, now));
        if (r != 0) return fprintf(stderr, "llama_decode failed with %d\n", r), false;
        done += now;
    }
    return true;
}

const float *lm_logits(lm_session *lm) {
    return llama_get_logits_ith(lm->context, -1);
}

int lm_piece(const lm_session *lm, llama_token token, char *buf, int buf_size) {
    const int n = llama_token_to_piece(lm->vocab, token, buf, buf_size, 0, true);
    return n < 0 ? 0 : n;
}

int lm_number(const char *option, const char *text) {
    char *end;
    errno = 0;
    const long value = text == NULL ? -1 : strtol(text, &end, 10);
    if (text == NULL || end == text || *end != '\0' || errno != 0 || value < 0 || value > 1 << 30) {
        fprintf(stderr, "%s needs a number\n", option);
        exit(2);
    }
    return (int)value;
}
