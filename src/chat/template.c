#include "chat/template_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chat/family.h"

HYP_DEFINE_CLEANUP(yyjson_mut_doc, yyjson_mut_doc_free)

static bool has(const char *text, size_t n, const char *part) {
    return memmem(text, n, part, strlen(part)) != NULL;
}

bool hyp_template_text_has_tools(const char *text, size_t n) {
    return has(text, n, "tools") || has(text, n, "tool_call");
}

bool hyp_template_text_has_thinking(const char *text, size_t n) {
    return hyp_think_is_known_to(text, n);
}

/* The last resort for a model that has no template. */
static const char chatml[] = "{%- for message in messages -%}\n"
                             "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}\n"
                             "{%- endfor -%}\n"
                             "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}\n";

bool hyp_template_can_think(const hyp_template *tmpl) {
    return tmpl->caps.thinking;
}

const char *hyp_template_text(const hyp_template *tmpl) {
    return tmpl->text;
}

void hyp_template_free(hyp_template *tmpl) {
    if (tmpl == NULL) return;
    hyp_jinja_free(tmpl->jinja);
    free(tmpl->text);
    free(tmpl);
}

static hyp_template *template_new(const char *text, size_t n) {
    hyp_template *tmpl = calloc(1, sizeof *tmpl);
    if (tmpl == NULL || (tmpl->text = malloc(n + 1)) == NULL) {
        free(tmpl);
        return NULL;
    }
    memcpy(tmpl->text, text, n);
    tmpl->text[n] = '\0';
    tmpl->caps.tools = hyp_template_text_has_tools(text, n);
    tmpl->caps.thinking = hyp_template_text_has_thinking(text, n);
    return tmpl;
}

int hyp_template_compile(const char *text, size_t n, const hyp_jinja_limits *limits, hyp_template **ret, hyp_err *err) {
    HYP_CLEANUP(hyp_template_freep) hyp_template *tmpl = template_new(text, n);
    if (tmpl == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    int rc = hyp_jinja_compile(text, n, limits, &tmpl->jinja, err);
    if (rc == HYP_OK) rc = hyp_template_probe(tmpl, err);
    if (rc < 0) return rc;
    *ret = HYP_TAKE(tmpl);
    return HYP_OK;
}

/* --- rendering --- */

static void put(yyjson_mut_doc *doc, yyjson_mut_val *vars, const char *name, yyjson_mut_val *val) {
    yyjson_mut_obj_put(vars, yyjson_mut_str(doc, name), val);
}

static void put_thinking(const hyp_chat_request *request, yyjson_mut_doc *doc, yyjson_mut_val *vars) {
    if (request->reasoning_effort != NULL)
        put(doc, vars, "reasoning_effort", yyjson_mut_strcpy(doc, request->reasoning_effort));
    if (request->think == HYP_THINK_UNSET) return;
    bool on = request->think == HYP_THINK_ON; /* the two names that templates use */
    put(doc, vars, "enable_thinking", yyjson_mut_bool(doc, on));
    put(doc, vars, "thinking", yyjson_mut_bool(doc, on));
}

int hyp_template_render_raw(const hyp_template *tmpl, const hyp_chat_request *request, yyjson_mut_doc *doc,
                            yyjson_mut_val *messages, hyp_str *out, hyp_err *err) {
    yyjson_mut_val *vars = yyjson_mut_obj(doc);
    yyjson_mut_val *tools = hyp_messages_tools(request->tools, doc);
    put(doc, vars, "messages", messages);
    put(doc, vars, "tools", tools != NULL ? tools : yyjson_mut_null(doc));
    put(doc, vars, "documents", yyjson_mut_null(doc));
    put(doc, vars, "add_generation_prompt", yyjson_mut_bool(doc, request->add_generation_prompt));
    put(doc, vars, "bos_token", yyjson_mut_strcpy(doc, request->bos_token != NULL ? request->bos_token : ""));
    put(doc, vars, "eos_token", yyjson_mut_strcpy(doc, request->eos_token != NULL ? request->eos_token : ""));
    put_thinking(request, doc, vars);
    size_t i, max;
    yyjson_val *key, *val;
    if (yyjson_is_obj(request->extra))
        yyjson_obj_foreach(request->extra, i, max, key, val)
            yyjson_mut_obj_put(vars, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, val));
    return hyp_jinja_render(tmpl->jinja, vars, request->now_unix_s, out, err);
}

/* The conversation as plain (role, content) pairs, through the lent built-in templates. */
static int render_builtin(const hyp_template *tmpl, yyjson_mut_val *messages, bool add_generation_prompt, hyp_str *out,
                          hyp_err *err) {
    size_t n = yyjson_mut_arr_size(messages), i, max;
    HYP_AUTOFREE const char **texts = calloc(n * 2 + 1, sizeof *texts);
    if (texts == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    yyjson_mut_val *m;
    yyjson_mut_arr_foreach(messages, i, max, m) {
        const char *content = yyjson_mut_get_str(yyjson_mut_obj_get(m, "content"));
        texts[i] = yyjson_mut_get_str(yyjson_mut_obj_get(m, "role"));
        texts[n + i] = content != NULL ? content : "";
    }
    int rc = tmpl->builtin(tmpl->builtin_arg, tmpl->text, texts, texts + n, n, add_generation_prompt, out);
    return rc >= 0 ? HYP_OK
                   : hyp_err_set(err, HYP_EFORMAT, "the built-in chat template cannot render this conversation");
}

static int render_once(const hyp_template *tmpl, const hyp_chat_request *request, bool join, hyp_str *out,
                       hyp_err *err) {
    HYP_CLEANUP(yyjson_mut_doc_freep) yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *messages;
    if (doc == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    int rc = hyp_messages_normalise(tmpl, request, join, doc, &messages, err);
    if (rc < 0) return rc;
    if (tmpl->jinja == NULL) return render_builtin(tmpl, messages, request->add_generation_prompt, out, err);
    return hyp_template_render_raw(tmpl, request, doc, messages, out, err);
}

static bool has_neighbours_of_one_role(const hyp_chat_request *request) {
    const char *before = "";
    for (size_t i = 0; i < request->n_messages; i++) {
        if (request->left_out != NULL && request->left_out[i]) continue;
        if (strcmp(request->messages[i].role, before) == 0) return true;
        before = request->messages[i].role;
    }
    return false;
}

int hyp_template_render(const hyp_template *tmpl, const hyp_chat_request *request, hyp_str *out, hyp_err *err) {
    hyp_err first = HYP_ERR_NONE;
    int rc = render_once(tmpl, request, false, out, &first);
    if (rc == HYP_EINVAL && has_neighbours_of_one_role(request) &&
        render_once(tmpl, request, true, out, NULL) == HYP_OK)
        return HYP_OK;
    if (rc < 0) hyp_err_pass(err, &first);
    return rc;
}

/* --- fallbacks --- */

/* Does `builtin` know the template? Ask it for a tiny prompt. */
static bool builtin_knows(hyp_builtin_template_fn builtin, void *arg, const char *text) {
    const char *role = "user", *content = "hello";
    hyp_str out = {0};
    bool known = builtin != NULL && text != NULL && builtin(arg, text, &role, &content, 1, true, &out) >= 0;
    hyp_str_free(&out);
    return known;
}

int hyp_template_open(const char *text, hyp_builtin_template_fn builtin, void *arg, hyp_template **ret,
                      const char **ret_warning, hyp_err *err) {
    const char *warning = NULL;
    if (text != NULL && text[0] != '\0') {
        int rc = hyp_template_compile(text, strlen(text), NULL, ret, NULL);
        if (rc == HYP_ENOMEM) return hyp_err_set(err, rc, "out of memory");
        if (rc == HYP_OK) {
            if (ret_warning != NULL) *ret_warning = NULL;
            return HYP_OK;
        }
    }
    if (builtin_knows(builtin, arg, text)) {
        hyp_template *tmpl = template_new(text, strlen(text));
        if (tmpl == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
        tmpl->caps = (hyp_template_caps){.system_role = true};
        tmpl->builtin = builtin;
        tmpl->builtin_arg = arg;
        *ret = tmpl;
        warning = "the model's chat template is not understood: using libllama's built-in one, without tools";
    } else {
        int rc = hyp_template_compile(chatml, sizeof chatml - 1, NULL, ret, err);
        if (rc < 0) return rc;
        warning = text != NULL && text[0] != '\0' ? "the model's chat template is not understood: using ChatML"
                                                  : "the model has no chat template: using ChatML";
    }
    if (ret_warning != NULL) *ret_warning = warning;
    return HYP_OK;
}
