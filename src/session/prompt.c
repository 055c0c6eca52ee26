#include "session/prompt.h"

#include "base/mem.h"
#include "base/times.h"
#include "chat/grammar.h"

#include <string.h>

enum { PIECE_BYTES = 256, TAIL_BYTES = 512 };

/* What is common to rendering the same conversation several times. */
typedef struct renderer {
    const hyp_job *job;
    const prompt_env *env;
    const hyp_template *template;
    hyp_template *own_template; /* the request's, to be freed */
    yyjson_doc *tools;
    char bos[PIECE_BYTES], eos[PIECE_BYTES];
    bool *dropped;
} renderer;

static void special_text(const renderer *r, hyp_token token, char buf[PIECE_BYTES]) {
    int n = token >= 0 ? r->env->ops->piece(r->env->model, token, true, buf, PIECE_BYTES - 1) : 0;
    buf[n > 0 ? n : 0] = '\0';
}

/* Tools that the model is to see. */
static bool offers_tools(const renderer *r) {
    const char *choice = r->job->conversation->tool_choice;
    return r->tools != NULL && (choice == NULL || strcmp(choice, "none") != 0);
}

static int renderer_open(renderer *r, const hyp_job *job, const prompt_env *env, hyp_err *err) {
    const hyp_conversation *c = job->conversation;
    *r = (renderer){.job = job, .env = env, .template = env->template};
    special_text(r, env->info->special.bos, r->bos);
    special_text(r, env->info->special.eos, r->eos);
    r->dropped = calloc(c->n + 1, sizeof *r->dropped);
    if (r->dropped == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (c->tools != NULL) {
        int code = hyp_json_parse(c->tools, strlen(c->tools), &r->tools, err);
        if (code != HYP_OK) return code;
        if (env->tool_template != NULL && offers_tools(r)) r->template = env->tool_template;
    }
    if (c->template_text == NULL) return HYP_OK;
    int code = hyp_template_compile(c->template_text, strlen(c->template_text), NULL, &r->own_template, err);
    r->template = r->own_template;
    return code;
}

static void renderer_close(renderer *r) {
    hyp_template_free(r->own_template);
    yyjson_doc_free(r->tools);
    free(r->dropped);
}

static int render(const renderer *r, bool generation_prompt, hyp_str *ret, hyp_err *err) {
    const hyp_conversation *c = r->job->conversation;
    hyp_str text = {0};
    yyjson_doc *messages = NULL;
    hyp_conversation_write(c, r->dropped, &text);
    int code = text.failed ? hyp_err_set(err, HYP_ENOMEM, "out of memory")
                           : hyp_json_parse(text.data, text.length, &messages, err);
    if (code == HYP_OK) {
        hyp_chat_request request = {.messages = yyjson_doc_get_root(messages),
                                    .tools = offers_tools(r) ? yyjson_doc_get_root(r->tools) : NULL,
                                    .bos_token = r->bos,
                                    .eos_token = r->eos,
                                    .reasoning_effort = c->effort,
                                    .think = c->think,
                                    .add_generation_prompt = generation_prompt,
                                    .now_unix_s = hyp_wall_ns() / 1000000000};
        code = hyp_template_render(r->template, &request, ret, err);
    }
    yyjson_doc_free(messages);
    hyp_str_free(&text);
    return code;
}

/* Templates mostly write the beginning-of-text token themselves; then the tokeniser must not add another. */
static int tokenize_rendered(const renderer *r, const hyp_str *text, hyp_token **ret, size_t *ret_n, hyp_err *err) {
    size_t n_bos = strlen(r->bos);
    bool has_bos = n_bos > 0 && text->length >= n_bos && memcmp(text->data, r->bos, n_bos) == 0;
    bool add = !has_bos && r->job->n_context == 0;
    return r->env->ops->tokenize(r->env->model, text->length > 0 ? text->data : "", text->length, add, true, ret, ret_n,
                                 err);
}

/* The last complete render's generation prompt may open the answer ("<think>\n"): the part after the last role header
 * is what the output parser must know. */
static int note_stable(const renderer *r, const hyp_str *full, answer_plan *p, hyp_err *err) {
    hyp_str bare = {0};
    int code = render(r, false, &bare, err);
    if (code != HYP_OK) { /* some templates insist on a generation prompt: then nothing is known to be stable */
        *err = HYP_ERR_NONE;
        hyp_str_free(&bare);
        return HYP_OK;
    }
    size_t same = 0;
    while (same < bare.length && same < full->length && bare.data[same] == full->data[same])
        same++;
    bare.length = same;
    HYP_AUTOFREE hyp_token *tokens = NULL;
    size_t n = 0;
    if (same > 0) code = tokenize_rendered(r, &bare, &tokens, &n, err);
    size_t offset = r->job->n_context;
    for (size_t i = 0; code == HYP_OK && i < n && offset + i < p->n && p->tokens[offset + i] == tokens[i]; i++)
        p->n_stable = offset + i + 1;
    hyp_str_free(&bare);
    return code;
}

static int too_long(hyp_err *err) {
    return hyp_err_set(err, HYP_EINVAL,
                       "the prompt is longer than the context length currently available to the model");
}

/* Keep the beginning (num_keep tokens) and as much of the end as fits. */
static void cut_middle(answer_plan *p, size_t limit, int64_t num_keep) {
    if (p->n <= limit) return;
    size_t keep = num_keep < 0 ? limit / 2 : HYP_MIN((size_t)num_keep, limit / 2), tail = limit - keep;
    memmove(p->tokens + keep, p->tokens + p->n - tail, tail * sizeof *p->tokens);
    p->n = limit;
    p->n_stable = 0;
}

static int prepend_context(const hyp_job *job, answer_plan *p, hyp_err *err) {
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

/* Render, tokenise, put the context before. Replaces what `p` and `text` held. */
static int attempt(const renderer *r, answer_plan *p, hyp_str *text, hyp_err *err) {
    hyp_str_free(text);
    free(p->tokens);
    p->tokens = NULL;
    int code = render(r, true, text, err);
    if (code == HYP_OK) code = tokenize_rendered(r, text, &p->tokens, &p->n, err);
    if (code == HYP_OK) code = prepend_context(r->job, p, err);
    return code;
}

/* Mark the `n` oldest messages that may be dropped; the results of dropped calls go with them. Returns how many were.
 */
static size_t mark_dropped(const renderer *r, size_t n) {
    const hyp_conversation *c = r->job->conversation;
    size_t marked = 0;
    memset(r->dropped, 0, c->n * sizeof *r->dropped);
    for (size_t i; marked < n && (i = hyp_conversation_next_droppable(c, r->dropped)) != SIZE_MAX;) {
        r->dropped[i] = true;
        marked++;
        while (i + 2 < c->n && strcmp(c->messages[i + 1].role, "tool") == 0)
            r->dropped[++i] = true;
    }
    return marked;
}

/* Find the fewest of the oldest messages without which the prompt fits: bisection, since every try renders and
 * tokenises. On return `p` is the last try; it may still be too long when nothing more can be dropped. */
static int drop_oldest(const renderer *r, size_t limit, answer_plan *p, hyp_str *text, hyp_err *err) {
    size_t too_few = 0, enough = mark_dropped(r, SIZE_MAX), tried = SIZE_MAX;
    int code = attempt(r, p, text, err);
    if (code != HYP_OK || p->n > limit) return code;
    while (code == HYP_OK && enough - too_few > 1) {
        size_t middle = too_few + (enough - too_few) / 2;
        mark_dropped(r, middle);
        code = attempt(r, p, text, err);
        if (code == HYP_OK && p->n > limit)
            too_few = middle;
        else
            enough = middle;
        tried = middle;
    }
    if (code != HYP_OK || tried == enough) return code;
    mark_dropped(r, enough);
    return attempt(r, p, text, err);
}

/* The grammar of the answer begins behind the reasoning. False when there is none. */
static bool after_reasoning(hyp_think_format format, hyp_trigger *ret) {
    hyp_answer_trigger end;
    if (!hyp_think_answer_trigger(format, &end)) return false;
    *ret = (hyp_trigger){.word = end.word, .lead = end.lead};
    return true;
}

/* The request's format binds the text after the reasoning. */
static int constrain_text(answer_plan *p, const hyp_conversation *c, hyp_err *err) {
    p->grammar = strdup(c->grammar);
    if (p->grammar == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (c->think != HYP_THINK_OFF || hyp_output_prompt_thinks(p->format.think, p->tail))
        p->n_triggers = after_reasoning(p->format.think, &p->triggers[0]);
    return HYP_OK;
}

/* A choice by name leaves one tool to call, though the prompt shows them all. */
static int keep_tool(answer_plan *p, const char *name, hyp_err *err) {
    yyjson_val *tool;
    size_t i, n;
    yyjson_arr_foreach(yyjson_doc_get_root(p->tools), i, n, tool) {
        if (!yyjson_equals_str(yyjson_obj_get(yyjson_obj_get(tool, "function"), "name"), name)) continue;
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        yyjson_mut_val *list = yyjson_mut_arr(doc);
        yyjson_mut_doc_set_root(doc, list);
        yyjson_doc *only =
            yyjson_mut_arr_append(list, yyjson_val_mut_copy(doc, tool)) ? yyjson_mut_doc_imut_copy(doc, NULL) : NULL;
        yyjson_mut_doc_free(doc);
        if (only == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
        yyjson_doc_free(p->tools);
        p->tools = only;
        return HYP_OK;
    }
    return HYP_OK; /* the codec has refused unknown names */
}

/* Calls are bound to the tools' schemas from their first character on, where the format has a grammar. Where the model
 * must call it may still think before, unless the request says that it shall not. */
static int constrain_calls(answer_plan *p, const hyp_conversation *c, const char *template_text, hyp_err *err) {
    bool required = c->tool_choice != NULL && strcmp(c->tool_choice, "auto") != 0;
    bool named = required && strcmp(c->tool_choice, "required") != 0;
    unsigned flags = (required ? HYP_CALLS_REQUIRED : 0u) | (named || c->one_call ? HYP_CALLS_ONE : 0u) |
                     (c->think == HYP_THINK_OFF ? HYP_CALLS_AT_ONCE : 0u);
    hyp_tool_grammar grammar = {0};
    hyp_err why = HYP_ERR_NONE;
    int code = named ? keep_tool(p, c->tool_choice, err) : HYP_OK;
    if (code != HYP_OK) return code;
    code = hyp_grammar_for_tools(p->format.tools, template_text, yyjson_doc_get_root(p->tools), flags, &grammar, &why);
    if (code == HYP_ENOMEM) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (code != HYP_OK) return HYP_OK; /* then calls are only read, not bound */
    p->grammar = HYP_TAKE(grammar.gbnf);
    for (size_t i = 0; i < grammar.n_triggers; i++)
        p->triggers[p->n_triggers++] =
            (hyp_trigger){.word = grammar.triggers[i].word, .at_start = grammar.triggers[i].at_start};
    bool thinks = c->think == HYP_THINK_ON || hyp_output_prompt_thinks(p->format.think, p->tail);
    if (required && thinks && p->format.tools != HYP_TOOLS_HARMONY)
        p->n_triggers = after_reasoning(p->format.think, &p->triggers[0]);
    hyp_tool_grammar_clear(&grammar);
    return HYP_OK;
}

/* How the answer is bound while it is written, and taken apart after. */
static int plan_answer(answer_plan *p, renderer *r, const hyp_str *text, hyp_err *err) {
    const hyp_conversation *c = r->job->conversation;
    const char *template_text = hyp_template_text(r->template);
    size_t n = HYP_MIN(text->length, (size_t)TAIL_BYTES);
    p->format = hyp_output_format_detect(template_text);
    bool wants_tools = offers_tools(r);
    if (wants_tools) p->tools = HYP_TAKE(r->tools);
    if (!wants_tools && p->format.tools != HYP_TOOLS_HARMONY) p->format.tools = HYP_TOOLS_NONE;
    p->tail = strndup(text->length > 0 ? text->data + text->length - n : "", n);
    if (p->tail == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    if (c->grammar != NULL) return constrain_text(p, c, err);
    return wants_tools ? constrain_calls(p, c, template_text, err) : HYP_OK;
}

static int build_chat(const hyp_job *job, const prompt_env *env, size_t limit, answer_plan *p, hyp_err *err) {
    renderer r;
    hyp_str text = {0};
    int code = renderer_open(&r, job, env, err);
    if (code == HYP_OK) code = attempt(&r, p, &text, err);
    if (code == HYP_OK && p->n > limit) code = job->truncate ? drop_oldest(&r, limit, p, &text, err) : too_long(err);
    if (code == HYP_OK && p->n > limit) {
        if (!job->shift)
            code = too_long(err);
        else
            cut_middle(p, limit, job->params.num_keep);
    }
    if (code == HYP_OK) code = note_stable(&r, &text, p, err);
    if (code == HYP_OK) code = plan_answer(p, &r, &text, err);
    hyp_str_free(&text);
    renderer_close(&r);
    return code;
}

static int append_text(answer_plan *p, const prompt_env *env, const char *text, bool add_special, hyp_token before,
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
static int build_raw(const hyp_job *job, const prompt_env *env, size_t limit, answer_plan *p, hyp_err *err) {
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
        if (code == HYP_OK) code = prepend_context(job, p, err);
    }
    if (code != HYP_OK || p->n <= limit) return code;
    if (!job->truncate || !job->shift) return too_long(err);
    cut_middle(p, limit, job->params.num_keep);
    return HYP_OK;
}

int prompt_build(const hyp_job *job, const prompt_env *env, answer_plan *ret, int *ret_status, hyp_err *err) {
    answer_plan p = {0};
    size_t n_ctx = env->n_ctx;
    /* Room for an answer: what is asked for, at most an eighth of the context. */
    size_t reserve = n_ctx / 8;
    if (job->params.num_predict > 0) reserve = HYP_MIN(reserve, (size_t)job->params.num_predict);
    size_t limit = job->kind == HYP_JOB_COUNT ? SIZE_MAX : n_ctx - HYP_MAX(reserve, 1);
    int code = job->conversation != NULL ? build_chat(job, env, limit, &p, err) : build_raw(job, env, limit, &p, err);
    for (size_t i = 0; code == HYP_OK && i < p.n; i++) /* `context` comes from the client */
        if (p.tokens[i] < 0 || p.tokens[i] >= env->info->n_vocab)
            code = hyp_err_set(err, HYP_EINVAL, "invalid token %d in context", p.tokens[i]);
    if (code == HYP_OK && p.n == 0) code = hyp_err_set(err, HYP_EINVAL, "the prompt is empty");
    if (code == HYP_OK) {
        *ret = p;
        ret->sampling = (hyp_sampling){job->params.sampling, ret->grammar, ret->triggers, ret->n_triggers};
        return HYP_OK;
    }
    *ret_status =
        code == HYP_EINVAL || code == HYP_EFORMAT || code == HYP_ELIMIT || code == HYP_EUNSUPPORTED ? 400 : 500;
    prompt_free(&p);
    return code;
}

void prompt_free(answer_plan *p) {
    if (p == NULL) return;
    free(p->tokens);
    free(p->grammar);
    yyjson_doc_free(p->tools);
    free(p->tail);
    *p = (answer_plan){0};
}
