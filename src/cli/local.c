#include "cli/local.h"

#include "base/text.h"
#include "session/backend_engine.h"

#include <string.h>

int hyp_local_open(hyp_engine *engine, hyp_local *ret, hyp_err *err) {
    hyp_local local = {.engine = engine};
    hyp_backend_info info;
    int r = hyp_backend_engine_borrow(engine, &local.model, &info, err);
    hyp_session_config config = {.ops = &hyp_backend_engine_ops, .model = local.model, .info = &info};
    if (r == HYP_OK) r = hyp_session_open(&config, &local.session, err);
    if (r == HYP_OK)
        *ret = local;
    else
        hyp_local_close(&local);
    return r;
}

void hyp_local_close(hyp_local *local) {
    hyp_session_close(local->session);
    if (local->model != NULL) hyp_backend_engine_ops.close(local->model);
    *local = (hyp_local){0};
}

hyp_job *hyp_local_chat(const hyp_local *local, hyp_conversation *conversation) {
    hyp_job *job = hyp_job_new(HYP_JOB_CHAT, NULL, hyp_engine_model(local->engine)->name);
    if (job == NULL) return NULL;
    job->conversation = conversation;
    job->shift = false; /* an answer ends where the context does */
    if (conversation->think == HYP_THINK_UNSET && hyp_session_can_think(local->session))
        conversation->think = HYP_THINK_ON;
    return job;
}

int hyp_local_check(const hyp_local *local, const hyp_conversation *conversation, hyp_err *err) {
    const char *text = hyp_session_template(local->session);
    if (conversation->tools == NULL || hyp_template_text_has_tools(text, strlen(text))) return HYP_OK;
    (void)hyp_err_set(err, HYP_EUNSUPPORTED, "%s does not support tools", hyp_engine_model(local->engine)->name);
    hyp_err_hint(err, "take \"tools\" out of the conversation's file");
    return HYP_EUNSUPPORTED;
}

void hyp_local_end_chat(hyp_job *job) {
    if (job == NULL) return;
    job->conversation = NULL; /* it was lent */
    hyp_job_unref(job);
}

int hyp_local_set_options(hyp_job *job, const hyp_local_options *options, hyp_err *err) {
    hyp_params *p = &job->params;
    if (options->n_stops > HYP_PARAMS_MAX_STOPS)
        return hyp_err_set(err, HYP_ELIMIT, "more than %d stop strings", HYP_PARAMS_MAX_STOPS);
    p->sampling = options->sampling;
    p->num_predict = options->max_tokens;
    job->prompt_only = options->max_tokens == 0;
    job->ignore_end = options->ignore_end;
    for (size_t i = 0; i < options->n_stops; i++) {
        if (options->stops[i][0] == '\0') continue; /* it would stop everything */
        if ((p->stop[p->n_stop] = strdup(options->stops[i])) == NULL)
            return hyp_err_set(err, HYP_ENOMEM, "out of memory");
        p->n_stop++;
    }
    return HYP_OK;
}

typedef struct listener {
    hyp_local *local;
    hyp_local_result *result;
    hyp_text_sink sink;
    void *user;
    double start_s, prompt_s; /* when the prompt was begun, when it was evaluated */
    bool refused;
} listener;

static void take_counts(listener *l, const hyp_event *done) {
    hyp_local_result *r = l->result;
    const hyp_stats *s = &done->stats;
    bool by_end_token = strcmp(done->reason, "stop") == 0 && done->stop == NULL;
    r->stop = strcmp(done->reason, "stop") == 0     ? HYP_STOP_EOG
              : strcmp(done->reason, "length") == 0 ? HYP_STOP_LENGTH
                                                    : HYP_STOP_INTERRUPTED;
    r->n_output = (size_t)(s->n_eval - by_end_token);
    r->n_decoded = (size_t)s->n_decoded;
    if (r->n_output == 0) r->ttft_s = 0;
    r->digest = done->digest;
}

static void note_prompt(listener *l) {
    l->prompt_s = hyp_text_now_s();
    l->result->ttft_s = l->result->prefill_s = l->prompt_s - l->start_s;
    hyp_engine_get_stats(l->local->engine, &l->result->before_decode);
}

static bool give(listener *l, const char *text, bool thinking) {
    if (text == NULL || text[0] == '\0' || l->sink(l->user, text, strlen(text), thinking)) return true;
    l->refused = true;
    return false;
}

static bool on_event(void *user, const hyp_event *event) {
    listener *l = user;
    switch (event->kind) {
    case HYP_EVENT_BEGIN:
        l->start_s = hyp_text_now_s(); /* rendering and tokenising are no part of the prefill */
        l->result->n_prompt = (size_t)event->stats.n_prompt;
        l->result->n_evaluated = (size_t)(event->stats.n_prompt - event->stats.n_cached);
        l->result->n_dropped = (size_t)event->stats.n_dropped;
        return true;
    case HYP_EVENT_PROMPT: note_prompt(l); return true;
    case HYP_EVENT_DELTA: return give(l, event->thinking, true) && give(l, event->content, false);
    case HYP_EVENT_TOOL_CALL: /* shown as it is: nobody here carries it out */
        return give(l, event->tool_name, false) && give(l, event->tool_arguments, false);
    case HYP_EVENT_DONE: take_counts(l, event); return true;
    default: return true;
    }
}

int hyp_local_answer(hyp_local *local, hyp_job *job, hyp_text_sink sink, void *user, hyp_local_result *ret,
                     hyp_err *err) {
    *ret = (hyp_local_result){0};
    listener l = {.local = local, .result = ret, .sink = sink, .user = user, .start_s = hyp_text_now_s()};
    hyp_err why = HYP_ERR_NONE;
    int r = hyp_session_answer(local->session, job, on_event, &l, &why);
    double end_s = hyp_text_now_s();
    if (l.prompt_s == 0) { /* it did not come so far */
        l.prompt_s = end_s;
        ret->prefill_s = end_s - l.start_s;
        hyp_engine_get_stats(local->engine, &ret->before_decode);
    }
    ret->decode_s = end_s - l.prompt_s;
    hyp_engine_get_stats(local->engine, &ret->after_decode);
    if (r == HYP_ECANCELED && l.refused) {
        ret->stop = HYP_STOP_INTERRUPTED;
        return HYP_OK;
    }
    return r == HYP_OK ? HYP_OK : hyp_err_pass(err, &why);
}
