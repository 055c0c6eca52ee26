/* ollama_embed.c - POST /api/embed and the older /api/embeddings. */
#include "api/embed_priv.h"
#include "api/ollama_priv.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

enum { MAX_INPUTS = 65536 };

size_t hyp_embed_normalise(float *vector, size_t n, int64_t dimensions) {
    if (dimensions > 0 && (size_t)dimensions < n) n = (size_t)dimensions;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)vector[i] * (double)vector[i];
    double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (size_t i = 0; i < n; i++)
        vector[i] = (float)((double)vector[i] * scale);
    return n;
}

static bool add_input(api *a, hyp_job *job, yyjson_val *text) {
    if (!yyjson_is_str(text)) return hyp_api_error(a, 400, "invalid input type");
    char *copy = strdup(yyjson_get_str(text));
    if (copy == NULL) return hyp_api_error(a, 500, "out of memory");
    job->inputs[job->n_inputs++] = copy;
    return true;
}

bool hyp_embed_read_inputs(api *a, hyp_job *job, yyjson_val *input) {
    size_t i, n = yyjson_is_arr(input) ? yyjson_arr_size(input) : 1;
    yyjson_val *text;
    if (input == NULL || (yyjson_is_str(input) && yyjson_get_len(input) == 0)) return true;
    if (n > MAX_INPUTS) return hyp_api_error(a, 400, "more than %d inputs", MAX_INPUTS);
    if (n > 0 && (a->entry->summary.capabilities & HYP_CAN_EMBED) == 0)
        return hyp_api_error(a, 400, "this model does not support embeddings");
    job->inputs = calloc(n > 0 ? n : 1, sizeof *job->inputs);
    if (job->inputs == NULL) return hyp_api_error(a, 500, "out of memory");
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
        put_vector(&j, e->embedding, hyp_embed_normalise(e->embedding, e->n_embedding, g->dimensions));
    hyp_json_close(&j, ']');
    hyp_ollama_put_stats(&j, &event->stats);
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

/* Without inputs the model is loaded or unloaded. */
static bool fill(api *a, gen *g, const char *inputs) {
    hyp_job *job = g->job;
    job->truncate = hyp_field_bool(&a->f, "truncate", true);
    if (a->err.code != 0) return hyp_api_fail(a);
    g->dimensions = hyp_field_int(&a->f, "dimensions", 0);
    if (!hyp_embed_read_inputs(a, job, hyp_field(&a->f, inputs))) return false;
    if (job->n_inputs == 0) job->kind = hyp_ollama_wants_unload(a, job) ? HYP_JOB_UNLOAD : HYP_JOB_LOAD;
    return true;
}

static bool fill_new(api *a, gen *g) {
    return fill(a, g, "input");
}

static bool fill_old(api *a, gen *g) {
    return fill(a, g, "prompt");
}

static void ollama_embed(hyp_request *r, void *server) {
    static const gen_route route = {"EmbedRequest", "", HYP_JOB_EMBED, fill_new, &ops};
    hyp_gen_handle(r, server, &route);
}

static void ollama_embeddings(hyp_request *r, void *server) {
    static const gen_route route = {"EmbeddingRequest", "", HYP_JOB_EMBED, fill_old, &old_ops};
    hyp_gen_handle(r, server, &route);
}

const hyp_route hyp_ollama_embed_routes[] = {
    {"POST", "/api/embed", ollama_embed, false},
    {"POST", "/api/embeddings", ollama_embeddings, false},
    {0},
};
