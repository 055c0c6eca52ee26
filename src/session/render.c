/* render.c - a conversation through the template and the tokeniser. */
#include "base/mem.h"
#include "base/times.h"
#include "session/prompt_priv.h"

#include <string.h>

static void special_text(const hyp_renderer *r, hyp_token token, char buf[HYP_PIECE_BYTES]) {
    int n = token >= 0 ? r->env->ops->piece(r->env->model, token, true, buf, HYP_PIECE_BYTES - 1) : 0;
    buf[n > 0 ? n : 0] = '\0';
}

bool hyp_renderer_offers_tools(const hyp_renderer *r) {
    const char *choice = r->job->conversation->tool_choice;
    return r->job->conversation->tools != NULL && (choice == NULL || strcmp(choice, "none") != 0);
}

int hyp_renderer_open(hyp_renderer *r, const hyp_job *job, const hyp_prompt_env *env, hyp_err *err) {
    const hyp_conversation *c = job->conversation;
    *r = (hyp_renderer){.job = job, .env = env, .template = env->template};
    special_text(r, env->info->special.bos, r->bos);
    special_text(r, env->info->special.eos, r->eos);
    r->dropped = calloc(c->n + 1, sizeof *r->dropped);
    if (r->dropped == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (env->tool_template != NULL && hyp_renderer_offers_tools(r)) r->template = env->tool_template;
    if (c->template_text == NULL) return HYP_OK;
    int code = hyp_template_compile(c->template_text, strlen(c->template_text), NULL, &r->own_template, err);
    r->template = r->own_template;
    return code;
}

void hyp_renderer_close(hyp_renderer *r) {
    hyp_template_free(r->own_template);
    free(r->dropped);
}

static int render(const hyp_renderer *r, bool generation_prompt, hyp_str *ret, hyp_err *err) {
    const hyp_conversation *c = r->job->conversation;
    hyp_chat_request request = {.messages = c->messages,
                                .n_messages = c->n,
                                .left_out = r->dropped,
                                .tools = hyp_renderer_offers_tools(r) ? yyjson_doc_get_root(c->tools) : NULL,
                                .bos_token = r->bos,
                                .eos_token = r->eos,
                                .reasoning_effort = c->effort,
                                .think = c->think,
                                .add_generation_prompt = generation_prompt,
                                .now_unix_s = hyp_wall_ns() / 1000000000};
    return hyp_template_render(r->template, &request, ret, err);
}

/* Templates mostly write the beginning-of-text token themselves; then the tokeniser must not add another. */
static int tokenize_rendered(const hyp_renderer *r, const hyp_str *text, hyp_token **ret, size_t *ret_n, hyp_err *err) {
    size_t n_bos = strlen(r->bos);
    bool has_bos = n_bos > 0 && text->length >= n_bos && memcmp(text->data, r->bos, n_bos) == 0;
    bool add = !has_bos && r->job->n_context == 0;
    return r->env->ops->tokenize(r->env->model, text->length > 0 ? text->data : "", text->length, add, true, ret, ret_n,
                                 err);
}

int hyp_prompt_prepend_context(const hyp_job *job, hyp_prompt *p, hyp_err *err) {
    if (job->n_context == 0) return HYP_OK;
    hyp_token *all = malloc((job->n_context + p->n + 1) * sizeof *all);
    if (all == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    memcpy(all, job->context, job->n_context * sizeof *all);
    if (p->n > 0) memcpy(all + job->n_context, p->tokens, p->n * sizeof *all);
    free(p->tokens);
    p->tokens = all;
    p->n += job->n_context;
    return HYP_OK;
}

int hyp_renderer_try(const hyp_renderer *r, hyp_prompt *p, hyp_str *text, hyp_err *err) {
    hyp_str_free(text);
    free(p->tokens);
    p->tokens = NULL;
    /* A client that is gone wants no more tries. */
    if (atomic_load(&r->job->cancelled)) return hyp_err_set(err, HYP_ECANCELED, "the client is gone");
    int code = render(r, true, text, err);
    if (code == HYP_OK) code = tokenize_rendered(r, text, &p->tokens, &p->n, err);
    if (code == HYP_OK) code = hyp_prompt_prepend_context(r->job, p, err);
    return code;
}

/* The conversation's next turn has the answer where this one has the generation prompt, which need not be how the
 * template shows a finished answer: sure is only what a rendering without it begins with, too. */
int hyp_renderer_note_stable(const hyp_renderer *r, const hyp_str *full, hyp_prompt *p, hyp_err *err) {
    hyp_str bare = {0};
    hyp_err refused = HYP_ERR_NONE; /* some templates insist on a generation prompt: then nothing is known */
    if (render(r, false, &bare, &refused) != HYP_OK) {
        hyp_str_free(&bare);
        return refused.code == HYP_ENOMEM ? hyp_err_pass(err, &refused) : HYP_OK;
    }
    size_t same = 0;
    while (same < bare.length && same < full->length && bare.data[same] == full->data[same])
        same++;
    bare.length = same;
    HYP_AUTOFREE hyp_token *tokens = NULL;
    size_t n = 0, offset = r->job->n_context;
    int code = same > 0 ? tokenize_rendered(r, &bare, &tokens, &n, err) : HYP_OK;
    for (size_t i = 0; code == HYP_OK && i < n && offset + i < p->n && p->tokens[offset + i] == tokens[i]; i++)
        p->n_stable = offset + i + 1;
    hyp_str_free(&bare);
    return code;
}
