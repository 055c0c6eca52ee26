#include "session/prompt.h"

#include "base/log.h"
#include "base/mem.h"
#include "session/prompt_priv.h"
#include "session/tokens_priv.h"

#include <string.h>

static int build_chat(const hyp_job *job, const hyp_prompt_env *env, hyp_limits limits, hyp_prompt *p, hyp_str *text,
                      hyp_err *err) {
    hyp_renderer r;
    int code = hyp_renderer_open(&r, job, env, err);
    if (code == HYP_OK) code = hyp_renderer_try(&r, p, text, err);
    if (code == HYP_OK) code = hyp_fit_chat(&r, limits, p, text, err);
    if (code == HYP_OK) code = hyp_renderer_note_stable(&r, text, p, err);
    if (code == HYP_OK) code = hyp_prompt_constrain(p, &r, text, err);
    hyp_renderer_close(&r);
    return code;
}

static int append_text(hyp_prompt *p, const hyp_prompt_env *env, const char *text, bool add_special, hyp_token before,
                       hyp_err *err) {
    HYP_AUTOFREE hyp_token *tokens = NULL;
    size_t n = 0;
    int code = text[0] == '\0' && !add_special
                   ? HYP_OK
                   : env->ops->tokenize(env->model, text, strlen(text), add_special, true, &tokens, &n, err);
    if (code != HYP_OK) return code;
    hyp_token *more = realloc(p->tokens, (p->n + n + 2) * sizeof *more);
    if (more == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    p->tokens = more;
    if (before >= 0) p->tokens[p->n++] = before;
    if (n > 0) memcpy(p->tokens + p->n, tokens, n * sizeof *tokens);
    p->n += n;
    return HYP_OK;
}

/* Text to be continued, or a gap to be filled between `prompt` and `suffix`. */
static int build_raw(const hyp_job *job, const hyp_prompt_env *env, hyp_limits limits, hyp_prompt *p, hyp_err *err) {
    const hyp_special_tokens *t = &env->info->special;
    int code;
    if (job->suffix != NULL) {
        if (t->fim_pre < 0 || t->fim_suf < 0 || t->fim_mid < 0)
            return hyp_err_set(err, HYP_EINVAL, "%s does not support insert", job->model);
        if (t->add_bos && t->bos >= 0)
            code = append_text(p, env, "", false, t->bos, err);
        else
            code = HYP_OK;
        if (code == HYP_OK) code = append_text(p, env, job->prompt, false, t->fim_pre, err);
        if (code == HYP_OK) code = append_text(p, env, job->suffix, false, t->fim_suf, err);
        if (code == HYP_OK) code = append_text(p, env, "", false, t->fim_mid, err);
    } else {
        code = append_text(p, env, job->prompt, job->n_context == 0, -1, err);
        if (code == HYP_OK) code = hyp_prompt_prepend_context(job, p, err);
    }
    return code == HYP_OK ? hyp_fit_raw(job, limits, p, err) : code;
}

/* Room for an answer: what is asked for, at most an eighth of the context. What is only counted has no limit. */
static hyp_limits limits_of(const hyp_job *job, size_t n_ctx) {
    size_t reserve = n_ctx / 8;
    if (job->kind == HYP_JOB_COUNT) return (hyp_limits){SIZE_MAX, SIZE_MAX};
    if (job->params.num_predict > 0) reserve = HYP_MIN(reserve, (size_t)job->params.num_predict);
    return (hyp_limits){.wanted = n_ctx - HYP_MAX(reserve, 1), .n_ctx = n_ctx};
}

static int check_tokens(const hyp_prompt *p, int32_t n_vocab, hyp_err *err) {
    for (size_t i = 0; i < p->n; i++) /* `context` comes from the client */
        if (p->tokens[i] < 0 || p->tokens[i] >= n_vocab)
            return hyp_err_set(err, HYP_EINVAL, "invalid token %d in context", p->tokens[i]);
    if (p->n > 0) return HYP_OK;
    (void)hyp_err_set(err, HYP_EINVAL, "the prompt is empty");
    hyp_err_hint(err, "give some text");
    return HYP_EINVAL;
}

/* The only place where a prompt's words reach a log: asked for by session:trace. `text` may be NULL. */
static void trace(const hyp_job *job, const hyp_prompt *p, const char *text) {
    if (!HYP_LOG_ON(SESSION, TRACE)) return;
    hyp_str tokens = {0};
    hyp_tokens_write(p->tokens, p->n, &tokens);
    const hyp_log_field fields[] = {hyp_log_text("model", job->model), hyp_log_whole("tokens", tokens.data),
                                    hyp_log_whole("text", text)};
    hyp_log_event(HYP_LOG_SESSION, HYP_LOG_TRACE, "prompt", fields, HYP_ARRAY_LEN(fields));
    hyp_str_free(&tokens);
}

int hyp_prompt_build(const hyp_job *job, const hyp_prompt_env *env, hyp_prompt **ret, int *ret_status, hyp_err *err) {
    hyp_prompt *p = calloc(1, sizeof *p);
    hyp_limits limits = limits_of(job, env->n_ctx);
    hyp_str text = {0};
    int code = p == NULL                   ? hyp_err_set(err, HYP_ENOMEM, "out of memory")
               : job->conversation != NULL ? build_chat(job, env, limits, p, &text, err)
                                           : build_raw(job, env, limits, p, err);
    if (code == HYP_OK) code = check_tokens(p, env->info->n_vocab, err);
    if (code == HYP_OK) {
        trace(job, p, text.data);
        p->sampling = (hyp_sampling){job->params.sampling, p->grammar, p->triggers, p->n_triggers};
        *ret = HYP_TAKE(p);
    } else {
        bool refused = code == HYP_ETOOLONG || code == HYP_EINVAL || code == HYP_EFORMAT || code == HYP_ELIMIT ||
                       code == HYP_EUNSUPPORTED;
        *ret_status = refused ? 400 : 500;
    }
    hyp_prompt_free(p);
    hyp_str_free(&text);
    return code;
}

void hyp_prompt_free(hyp_prompt *p) {
    if (p == NULL) return;
    free(p->tokens);
    free(p->media);
    free(p->grammar);
    yyjson_doc_free(p->own_tools);
    free(p->tail);
    free(p);
}
