/* generation.c - the way of a job's events into a reply, streamed or gathered. */
#include "api/api_priv.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

static void keep(gen *g, hyp_event *event) {
    if (g->kept_last != NULL)
        g->kept_last->next = event;
    else
        g->kept = event;
    g->kept_last = event;
}

static void gather(gen *g, hyp_event *event) {
    if (event->content != NULL) hyp_str_puts(&g->content, event->content);
    if (event->thinking != NULL) hyp_str_puts(&g->thinking, event->thinking);
    if (event->kind == HYP_EVENT_TOOL_CALL || event->kind == HYP_EVENT_EMBEDDING || event->n_logprobs > 0)
        keep(g, event);
    else
        hyp_event_free(event);
}

/* Clients look for Ollama's words where they know them. */
static const char *message_of(const hyp_event *event) {
    if (event->error != NULL && event->error->code == HYP_ETOOLONG)
        return "the prompt is longer than the context length currently available to the model";
    return event->message != NULL ? event->message : "out of memory";
}

static void put_error(gen *g, const hyp_event *event, hyp_reply_head *head, hyp_str *out) {
    const char *message = message_of(event);
    if (!g->started) head->status = event->status; /* later it is sent: the error can only stand in the stream */
    api_style style = g->ops->style;
    bool events = g->started && style != STYLE_OLLAMA; /* within a stream of server-sent events */
    if (!g->started) head->content_type = style != STYLE_OLLAMA ? V1_JSON : API_JSON;
    if (g->started && g->ops->fail != NULL) {
        g->ops->fail(g, event, out);
        return;
    }
    if (events) hyp_str_puts(out, style == STYLE_ANTHROPIC ? "event: error\ndata: " : "data: ");
    hyp_api_put_error(style, event->status, message, out);
    if (g->started) hyp_str_puts(out, events ? "\n\n" : "\n");
}

/* A long prompt on a slow machine, or a long queue: clients give up on a silent server (Node's fetch after 300 s, many
 * proxies after 60), so a stream says something that adds nothing: an empty piece of text, or a comment. The price is
 * that an error which comes later finds the status sent. */
static bool sign_of_life(gen *g, hyp_reply_head *head, hyp_str *out) {
    int64_t now = hyp_mono_ns();
    /* Half the time: the watching thread, which wakes silent requests, has a clock of its own, and being woken a moment
     * too early must not cost a whole turn. */
    if (!g->stream || (double)(now - g->last_sign_ns) < g->server->config.sign_of_life_s * 0.5e9) return false;
    if (!g->started) head->content_type = g->ops->stream_type;
    if (g->ops->style != STYLE_OLLAMA)
        hyp_str_puts(out, ": working\n\n");
    else
        g->ops->chunk(g, &(hyp_event){.kind = HYP_EVENT_DELTA}, out);
    g->started = true;
    g->last_sign_ns = now;
    return true;
}

/* The line that an answered request leaves, once. `why`: how it ended; `stats` NULL: it came to no answer. Never a word
 * of what was asked or answered. */
static void log_end(gen *g, int status, const char *why, const char *error, const hyp_stats *stats) {
    if (g->logged) return;
    g->logged = true;
    if (!HYP_LOG_ON(SESSION, INFO)) return;
    double total_s = (double)(hyp_mono_ns() - g->job->created_ns) * 1e-9;
    hyp_log_field fields[10] = {hyp_log_text("route", hyp_request_path(g->request)),
                                hyp_log_text("model", g->job->model), hyp_log_int("status", status),
                                hyp_log_text("end", why), hyp_log_real("total_s", total_s)};
    size_t n = 5;
    if (error != NULL) fields[n++] = hyp_log_text("error", error);
    if (stats != NULL) {
        fields[n++] = hyp_log_int("prompt_tokens", stats->n_prompt);
        fields[n++] = hyp_log_int("reused_tokens", stats->n_cached);
        fields[n++] = hyp_log_int("output_tokens", stats->n_eval);
    }
    if (stats != NULL && stats->n_eval > 0) {
        /* The answer's clock starts with its first token. */
        fields[n++] = hyp_log_real("first_token_s", (double)(stats->total_ns - stats->eval_ns) * 1e-9);
        fields[n++] = hyp_log_real("tok_per_s", (double)stats->n_eval / ((double)HYP_MAX(stats->eval_ns, 1) * 1e-9));
    }
    hyp_log_event(HYP_LOG_SESSION, HYP_LOG_INFO, "request", fields, n);
}

/* DONE or ERROR: the rest of the reply, and the line in the log. */
static void finish(gen *g, const hyp_event *event, hyp_reply_head *head, hyp_str *out) {
    if (event->kind == HYP_EVENT_ERROR) {
        log_end(g, event->status, event->status == 499 ? "cancelled" : "error", event->message, NULL);
        put_error(g, event, head, out);
        return;
    }
    log_end(g, 200, event->reason, NULL, &event->stats);
    if (g->stream)
        g->ops->end(g, event, out);
    else
        g->ops->whole(g, event, out);
}

static hyp_pull pull(void *source, hyp_reply_head *head, hyp_str *out) {
    gen *g = source;
    for (;;) {
        hyp_event *event = hyp_job_take(g->job);
        if (event == NULL) return sign_of_life(g, head, out) ? HYP_PULL_MORE : HYP_PULL_WAIT;
        if (!g->started) head->content_type = g->stream ? g->ops->stream_type : g->ops->plain_type;
        if (event->kind == HYP_EVENT_DONE || event->kind == HYP_EVENT_ERROR) {
            finish(g, event, head, out);
            hyp_event_free(event);
            if (g->content.failed || g->thinking.failed) out->failed = true;
            return HYP_PULL_END;
        }
        if (event->kind == HYP_EVENT_BEGIN || event->kind == HYP_EVENT_PROMPT) {
            if (event->kind == HYP_EVENT_BEGIN) g->begun = event->stats;
            hyp_event_free(event);
            continue;
        }
        g->n_calls += event->kind == HYP_EVENT_TOOL_CALL;
        if (!g->stream) {
            gather(g, event);
            continue;
        }
        g->ops->chunk(g, event, out);
        hyp_event_free(event);
        if (out->length == 0) continue; /* not every protocol has something to say of every event */
        g->started = g->spoke = true;
        g->last_sign_ns = hyp_mono_ns();
        return HYP_PULL_MORE;
    }
}

static void gone(void *source) {
    hyp_job_cancel(((gen *)source)->job);
}

static void detach(void *source) {
    gen *g = source;
    log_end(g, 499, "cancelled", NULL, NULL); /* unless it ended before: then that is logged */
    /* The way back first: the request is freed after this, and cancelling is an event like any other. */
    hyp_job_set_notify(g->job, false, NULL, NULL);
    hyp_job_cancel(g->job); /* when it has ended, nothing happens */
    hyp_job_unref(g->job);
    while (g->kept != NULL) {
        hyp_event *event = g->kept;
        g->kept = event->next;
        hyp_event_free(event);
    }
    hyp_str_free(&g->content);
    hyp_str_free(&g->thinking);
    if (g->ops->free_own != NULL) g->ops->free_own(g->own);
    free(g);
}

static void notify(void *request) {
    hyp_request_wake(request);
}

static const hyp_source_ops source_ops = {pull, gone, detach};

/* Takes `job`. NULL: answered. */
static gen *new_gen(api *a, hyp_job *job, const gen_ops *ops, bool stream) {
    gen *g = calloc(1, sizeof *g);
    if (g == NULL) {
        hyp_job_unref(job);
        hyp_api_error(a, 500, "out of memory");
        return NULL;
    }
    *g = (gen){.ops = ops,
               .server = a->server,
               .request = a->request,
               .job = job,
               .stream = stream,
               .last_sign_ns = job->created_ns,
               .created_s = hyp_wall_ns() / 1000000000};
    return g;
}

/* Takes `g`. False: answered. */
static bool submit(api *a, gen *g) {
    /* Before it is submitted: the compute thread may push the first event at once. A wake-up that comes before the
     * reply is deferred is remembered by the request. */
    hyp_job_set_notify(g->job, g->stream, notify, a->request);
    hyp_err err = HYP_ERR_NONE;
    int status = 503;
    if (hyp_scheduler_submit(a->server->scheduler, g->job, &status, &err) != HYP_OK) {
        log_end(g, status, "refused", err.message, NULL);
        detach(g);
        return hyp_api_error(a, status, "%s", err.message);
    }
    hyp_request_defer(a->request, &source_ops, g);
    return true;
}

bool hyp_gen_start(api *a, hyp_job *job, const gen_ops *ops, bool stream) {
    gen *g = new_gen(a, job, ops, stream);
    return g != NULL && submit(a, g);
}

void hyp_gen_handle(hyp_request *r, hyp_server *server, const gen_route *route) {
    api a;
    if (hyp_api_open(&a, server, r, route->body) && hyp_api_find_model(&a)) {
        bool stream = route->ops->chunk != NULL && hyp_field_bool(&a.f, "stream", false);
        hyp_job *job = hyp_api_new_job(&a, route->kind);
        gen *g = job != NULL ? new_gen(&a, job, route->ops, stream) : NULL;
        if (g != NULL) hyp_gen_new_id(route->id_prefix, g->id, sizeof g->id);
        if (g != NULL && route->fill(&a, g))
            submit(&a, g);
        else if (g != NULL) {
            g->logged = true; /* it was answered with an error before it became work, and leaves no line */
            detach(g);
        }
    }
    hyp_api_close(&a);
}

void hyp_gen_begin_event(hyp_str *out, const char *type, hyp_json *ret) {
    hyp_str_printf(out, "event: %s\ndata: ", type);
    *ret = (hyp_json){out, false};
    hyp_json_open(ret, '{');
    hyp_json_kv_str(ret, "type", type);
}

void hyp_gen_end_event(hyp_json *j) {
    hyp_json_close(j, '}');
    hyp_str_puts(j->out, "\n\n");
}

static void put_logprob(hyp_json *j, const hyp_logprob *p) {
    hyp_json_open(j, '{');
    hyp_json_key(j, "token");
    hyp_json_strn(j, p->bytes, p->n);
    hyp_json_kv_real(j, "logprob", (double)p->logprob);
    hyp_json_key(j, "bytes");
    hyp_json_open(j, '[');
    for (size_t i = 0; i < p->n; i++)
        hyp_json_int(j, (unsigned char)p->bytes[i]);
    hyp_json_close(j, ']');
    if (p->n_top > 0) {
        hyp_json_key(j, "top_logprobs");
        hyp_json_open(j, '[');
        for (size_t i = 0; i < p->n_top; i++)
            put_logprob(j, &p->top[i]);
        hyp_json_close(j, ']');
    }
    hyp_json_close(j, '}');
}

bool hyp_gen_has_logprobs(const hyp_event *events) {
    for (; events != NULL; events = events->next)
        if (events->n_logprobs > 0) return true;
    return false;
}

void hyp_gen_put_logprobs(hyp_json *j, const hyp_event *events, bool all) {
    hyp_json_open(j, '[');
    for (; events != NULL; events = all ? events->next : NULL)
        for (size_t i = 0; i < events->n_logprobs; i++)
            put_logprob(j, &events->logprobs[i]);
    hyp_json_close(j, ']');
}

void hyp_gen_put_calls(hyp_json *j, const hyp_event *events, bool all,
                       void (*put)(hyp_json *j, const hyp_event *call)) {
    bool any = false;
    for (; events != NULL; events = all ? events->next : NULL) {
        if (events->kind != HYP_EVENT_TOOL_CALL) continue;
        if (!any) {
            hyp_json_key(j, "tool_calls");
            hyp_json_open(j, '[');
        }
        put(j, events);
        any = true;
    }
    if (any) hyp_json_close(j, ']');
}
