/* openai_completions.c - POST /v1/completions: raw text to be continued, or a gap to be filled. */
#include "api/openai_priv.h"
#include "base/mem.h"

#include <string.h>

static void put_choice(hyp_json *j, const char *text, size_t n, const hyp_event *logprobs, bool all,
                       const char *reason) {
    hyp_json_key(j, "choices");
    hyp_json_open(j, '[');
    hyp_json_open(j, '{');
    hyp_json_key(j, "text");
    hyp_json_strn(j, text, n);
    hyp_json_kv_int(j, "index", 0);
    hyp_openai_put_logprobs(j, logprobs, all);
    hyp_json_kv_str(j, "finish_reason", reason);
    hyp_json_close(j, '}');
    hyp_json_close(j, ']');
}

static void chunk(gen *g, const hyp_event *event, hyp_str *out) {
    if (event->kind != HYP_EVENT_DELTA || event->content == NULL) return;
    hyp_openai_begin_data(out);
    hyp_json j = {out, false};
    hyp_openai_put_head(&j, g, "text_completion");
    put_choice(&j, event->content, strlen(event->content), event, false, NULL);
    hyp_json_close(&j, '}');
    hyp_openai_end_data(out);
}

static void done(gen *g, const hyp_event *event, hyp_str *out) {
    if (g->stream) hyp_openai_begin_data(out);
    hyp_json j = {out, false};
    hyp_openai_put_head(&j, g, "text_completion");
    put_choice(&j, g->content.length > 0 ? g->content.data : "", g->content.length, g->kept, true,
               strcmp(event->reason, "length") == 0 ? "length" : "stop");
    if (!g->stream) hyp_openai_put_usage(&j, &event->stats);
    hyp_json_close(&j, '}');
    if (!g->stream) return;
    hyp_openai_end_data(out);
    hyp_openai_finish_stream(g, event, "text_completion", out);
}

static const gen_ops ops = {.chunk = chunk,
                            .end = done,
                            .whole = done,
                            .stream_type = EVENT_STREAM,
                            .plain_type = V1_JSON,
                            .style = STYLE_OPENAI};

/* A string, or a list of exactly one. */
static const char *read_prompt(api *a) {
    yyjson_val *prompt = hyp_field(&a->f, "prompt");
    if (yyjson_is_arr(prompt) && yyjson_arr_size(prompt) == 1) prompt = yyjson_arr_get_first(prompt);
    if (prompt == NULL) {
        hyp_api_error(a, 400, "prompt is required");
        return NULL;
    }
    if (!yyjson_is_str(prompt)) {
        hyp_api_error(a, 400, "prompt must be a string");
        return NULL;
    }
    return yyjson_get_str(prompt);
}

static bool fill(api *a, gen *g) {
    hyp_job *job = g->job;
    const char *prompt = read_prompt(a);
    if (prompt == NULL) return false;
    const char *suffix = hyp_field_str(&a->f, "suffix", "");
    yyjson_val *logprobs = hyp_field(&a->f, "logprobs");
    g->include_usage = hyp_openai_wants_usage(a);
    if (a->err.code != 0) return hyp_api_fail(a);
    if ((a->entry->summary.capabilities & HYP_CAN_COMPLETE) == 0)
        return hyp_api_error(a, 400, "\"%s\" does not support generate", a->model);
    if (suffix[0] != '\0' && (a->entry->summary.capabilities & HYP_CAN_INSERT) == 0)
        return hyp_api_error(a, 400, "%s does not support insert", a->entry->display);
    job->raw = true;
    job->prompt = strdup(prompt);
    job->suffix = suffix[0] != '\0' ? strdup(suffix) : NULL;
    job->logprobs = yyjson_is_num(logprobs) || yyjson_get_bool(logprobs);
    job->top_logprobs = yyjson_is_int(logprobs) ? (int)HYP_MIN(HYP_MAX(yyjson_get_sint(logprobs), 0), 20) : 0;
    if (job->prompt == NULL) return hyp_api_error(a, 500, "out of memory");
    if (prompt[0] == '\0' && job->suffix == NULL) return hyp_api_error(a, 400, "prompt is empty");
    return hyp_openai_read_sampling(a, job);
}

static void openai_completions(hyp_request *r, void *server) {
    static const gen_route route = {"CompletionRequest", "cmpl-", HYP_JOB_GENERATE, fill, &ops};
    hyp_gen_handle(r, server, &route);
}

const hyp_route hyp_openai_completions_routes[] = {
    {"POST", "/v1/completions", openai_completions, false},
    {0},
};
