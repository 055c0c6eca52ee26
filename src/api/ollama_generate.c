/* ollama_generate.c - POST /api/generate. */
#include "api/ollama_priv.h"
#include "base/mem.h"
#include "registry/gotemplate.h"

#include <string.h>

static void chunk(gen *g, const hyp_event *event, hyp_str *out) {
    if (event->kind != HYP_EVENT_DELTA) return;
    hyp_json j = {out, false};
    hyp_ollama_begin_line(g, &j);
    hyp_ollama_put_text(&j, "response", event->content, event->thinking);
    hyp_json_kv_bool(&j, "done", false);
    hyp_ollama_end_line(g, &j, event, false);
}

static void done(gen *g, const hyp_event *event, hyp_str *out) {
    hyp_json j = {out, false};
    hyp_ollama_begin_line(g, &j);
    hyp_ollama_put_gathered(&j, "response", g);
    hyp_ollama_put_done(&j, event);
    hyp_ollama_end_line(g, &j, g->kept, true);
}

static const gen_ops ops = {
    .chunk = chunk, .end = done, .whole = done, .stream_type = NDJSON, .plain_type = API_JSON, .style = STYLE_OLLAMA};

static bool read_context(api *a, hyp_job *job) {
    yyjson_val *context = hyp_field_array(&a->f, "context"), *item;
    size_t i, n;
    if (a->err.code != 0) return hyp_api_fail(a);
    if (yyjson_arr_size(context) == 0) return true;
    job->context = calloc(yyjson_arr_size(context), sizeof *job->context);
    if (job->context == NULL) return hyp_api_error(a, 500, "out of memory");
    yyjson_arr_foreach(context, i, n, item) {
        if (!yyjson_is_int(item) || yyjson_get_sint(item) < 0 || yyjson_get_sint(item) > INT32_MAX)
            return hyp_api_error(a, 400,
                                 "json: cannot unmarshal %s into Go struct field GenerateRequest.context of type int",
                                 hyp_json_kind(item));
        job->context[job->n_context++] = (int32_t)yyjson_get_sint(item);
    }
    return true;
}

/* `template`: Ollama's own templates are Go's, ours are Jinja; a template in either language is understood. */
static bool apply_template(api *a, hyp_job *job, const char *text, const char *system, const char *prompt) {
    if (hyp_gotemplate_is_jinja(text))
        return hyp_conversation_set_template(job->conversation, text, &a->err) == HYP_OK || hyp_api_fail(a);
    hyp_str out = {0};
    hyp_gotemplate_values values = {.system = system, .prompt = prompt, .suffix = "", .response = ""};
    if (hyp_gotemplate_render(text, &values, &out, &a->err) != HYP_OK || out.failed) {
        hyp_str_free(&out);
        return hyp_api_fail(a);
    }
    job->prompt = out.data != NULL ? out.data : strdup("");
    hyp_conversation_free(job->conversation);
    job->conversation = NULL;
    return job->prompt != NULL || hyp_api_error(a, 500, "out of memory");
}

static bool fill_chat(api *a, hyp_job *job, const char *prompt) {
    const hyp_entry *entry = a->entry;
    const char *asked = hyp_field_str(&a->f, "system", ""), *template = hyp_field_str(&a->f, "template", "");
    const char *system = asked[0] != '\0' ? asked : entry->system;
    hyp_conversation *c = job->conversation = hyp_conversation_new();
    if (c == NULL) return hyp_api_error(a, 500, "out of memory");
    if (!read_context(a, job)) return false;
    /* A context holds the system message already. */
    if (system != NULL && (job->n_context == 0 || asked[0] != '\0') &&
        hyp_conversation_add(c, "system", system, &a->err) != HYP_OK)
        return hyp_api_fail(a);
    if (hyp_conversation_add(c, "user", prompt, &a->err) != HYP_OK) return hyp_api_fail(a);
    if (!hyp_api_read_think(a, c)) return false;
    if (hyp_conversation_set_format(c, hyp_field(&a->f, "format"), &a->err) != HYP_OK)
        return hyp_api_error(a, 500, "%s", a->err.message);
    if (template[0] == '\0' && entry->template_text != NULL) template = entry->template_text;
    return template[0] == '\0' || apply_template(a, job, template, system != NULL ? system : "", prompt);
}

static bool fill(api *a, hyp_job *job, const char *prompt) {
    hyp_fields *f = &a->f;
    job->raw = hyp_field_bool(f, "raw", false);
    const char *suffix = hyp_field_str(f, "suffix", "");
    if (a->err.code != 0) return hyp_api_fail(a);
    if (!hyp_api_read_limits(a, job)) return false;
    if (yyjson_arr_size(hyp_field_array(f, "images")) > 0)
        return hyp_api_error(a, 400, "\"%s\" does not support images", a->model);
    if (suffix[0] != '\0') {
        if ((a->entry->summary.capabilities & HYP_CAN_INSERT) == 0)
            return hyp_api_error(a, 400, "%s does not support insert", a->entry->display);
        job->suffix = strdup(suffix);
    }
    if (job->raw || job->suffix != NULL) {
        job->prompt = strdup(prompt);
        return job->prompt != NULL || hyp_api_error(a, 500, "out of memory");
    }
    return fill_chat(a, job, prompt);
}

static bool handle(api *a) {
    hyp_fields *f = &a->f;
    const char *prompt = hyp_field_str(f, "prompt", "");
    bool stream = hyp_field_bool(f, "stream", true), raw = hyp_field_bool(f, "raw", false);
    if (a->err.code != 0) return hyp_api_fail(a);
    if (!hyp_api_find_model(a)) return false;
    hyp_job *job = hyp_api_new_job(a, HYP_JOB_GENERATE);
    if (job == NULL) return false;
    bool empty = prompt[0] == '\0' && hyp_field_str(f, "suffix", "")[0] == '\0';
    bool extras = hyp_field_str(f, "template", "")[0] != '\0' || hyp_field_str(f, "system", "")[0] != '\0' ||
                  yyjson_arr_size(hyp_field(f, "context")) > 0;
    if (empty && hyp_ollama_wants_unload(a, job))
        job->kind = HYP_JOB_UNLOAD;
    else if (raw && extras) {
        hyp_job_unref(job);
        return hyp_api_error(a, 400, "raw mode does not support template, system, or context");
    } else if ((a->entry->summary.capabilities & HYP_CAN_COMPLETE) == 0 && !empty) {
        hyp_job_unref(job);
        return hyp_api_error(a, 400, "\"%s\" does not support generate", a->model);
    } else if (empty)
        job->kind = HYP_JOB_LOAD;
    else if (!fill(a, job, prompt)) {
        hyp_job_unref(job);
        return false;
    }
    return hyp_gen_start(a, job, &ops, stream && job->kind == HYP_JOB_GENERATE);
}

static void ollama_generate(hyp_request *r, void *server) {
    hyp_api_handle(r, server, "GenerateRequest", handle);
}

const hyp_route hyp_ollama_generate_routes[] = {
    {"POST", "/api/generate", ollama_generate, false},
    {0},
};
