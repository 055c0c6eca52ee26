/* ollama_embed.c - POST /api/embed and the older /api/embeddings. */
#include "api/embed_priv.h"
#include "api/ollama_priv.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

enum { MAX_INPUTS = 65536 };

size_t embed_normalise(float *vector, size_t n, int64_t dimensions) {
    if (dimensions > 0 && (size_t)dimensions < n) n = (size_t)dimensions;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)vector[i] * (double)vector[i];
    double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (size_t i = 0; i < n; i++)
        vector[i] = (float)((double)vector[i] * scale);
    return n;
}

hyp_job *embed_new_job(api *a) {
    hyp_job *job = api_new_job(a, HYP_JOB_EMBED);
    if (job == NULL) return NULL;
    job->truncate = hyp_field_bool(&a->f, "truncate", true);
    if (a->err.code == 0) return job;
    api_fail(a);
    hyp_job_unref(job);
    return NULL;
}

static bool add_input(api *a, hyp_job *job, yyjson_val *text) {
    if (!yyjson_is_str(text)) return api_error(a, 400, "invalid input type");
    char *copy = strdup(yyjson_get_str(text));
    if (copy == NULL) return api_error(a, 500, "out of memory");
    job->inputs[job->n_inputs++] = copy;
    return true;
}

bool embed_read_inputs(api *a, hyp_job *job, yyjson_val *input) {
    size_t i, n = yyjson_is_arr(input) ? yyjson_arr_size(input) : 1;
    yyjson_val *text;
    if (input == NULL || (yyjson_is_str(input) && yyjson_get_len(input) == 0)) return true;
    if (n > MAX_INPUTS) return api_error(a, 400, "more than %d inputs", MAX_INPUTS);
    if (n > 0 && (a->entry->summary.capabilities & HYP_CAN_EMBED) == 0)
        return api_error(a, 400, "this model does not support embeddings");
    job->inputs = calloc(n > 0 ? n : 1, sizeof *job->inputs);
    if (job->inputs == NULL) return api_error(a, 500, "out of memory");
    if (!yyjson_is_arr(input)) return add_input(a, job, input);
    yyjson_arr_foreach(input, i, n, text)
        if (!add_input(a, job, text)) return false;
    return true;
}

static void put_vector(hyp_json *j, const float *vector, size_t n) {
    hyp_json_open(j, '[');
    for (size_t i = 0; i < n; i++)
        hyp_json_real(j, (double)vector[i]);
    hyp_json_close(j, ']');
}

static void done(gen *g, const hyp_event *event, hyp_str *out) {
    hyp_json j = {out, false};
    hyp_json_open(&j, '{');
    hyp_json_kv_str(&j, "model", g->job->model);
    hyp_json_key(&j, "embeddings");
    hyp_json_open(&j, '[');
    for (const hyp_event *e = g->kept; e != NULL; e = e->next)
        put_vector(&j, e->embedding, embed_normalise(e->embedding, e->n_embedding, g->dimensions));
    hyp_json_close(&j, ']');
    ollama_put_stats(&j, &event->stats);
    hyp_json_close(&j, '}');
}

static void done_old(gen *g, const hyp_event *event, hyp_str *out) {
    (void)event;
    hyp_json j = {out, false};
    hyp_json_open(&j, '{');
    hyp_json_key(&j, "embedding");
    put_vector(&j, g->kept != NULL ? g->kept->embedding : NULL, g->kept != NULL ? g->kept->n_embedding : 0);
    hyp_json_close(&j, '}');
}

static const gen_ops ops = {.whole = done, .plain_type = API_JSON, .style = STYLE_OLLAMA},
                     old_ops = {.whole = done_old, .plain_type = API_JSON, .style = STYLE_OLLAMA};

static void embed(hyp_request *r, void *server, const char *name, const char *field, const gen_ops *how) {
    api a;
    if (api_open(&a, server, r, name) && api_find_model(&a)) {
        hyp_job *job = embed_new_job(&a);
        int64_t dimensions = hyp_field_int(&a.f, "dimensions", 0);
        if (job != NULL && !embed_read_inputs(&a, job, hyp_field(&a.f, field)))
            hyp_job_unref(job);
        else if (job != NULL) {
            if (job->n_inputs == 0) job->kind = ollama_wants_unload(&a, job) ? HYP_JOB_UNLOAD : HYP_JOB_LOAD;
            gen *g = gen_start_with(&a, job, how, false);
            if (g != NULL) g->dimensions = dimensions;
        }
    }
    api_close(&a);
}

static void ollama_embed(hyp_request *r, void *server) {
    embed(r, server, "EmbedRequest", "input", &ops);
}

static void ollama_embeddings(hyp_request *r, void *server) {
    embed(r, server, "EmbeddingRequest", "prompt", &old_ops);
}

const hyp_route ollama_embed_routes[] = {
    {"POST", "/api/embed", ollama_embed, false},
    {"POST", "/api/embeddings", ollama_embeddings, false},
    {0},
};
