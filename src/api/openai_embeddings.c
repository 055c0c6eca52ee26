/* openai_embeddings.c - POST /v1/embeddings, as numbers or as base64 of little-endian floats. */
#include "api/embed_priv.h"
#include "base/mem.h"

#include <string.h>

static void put_base64(hyp_json *j, const unsigned char *data, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    hyp_str text = {0};
    for (size_t i = 0; i < n; i += 3) {
        unsigned v =
            (unsigned)data[i] << 16 | (i + 1 < n ? (unsigned)data[i + 1] << 8 : 0) | (i + 2 < n ? data[i + 2] : 0);
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63], i + 1 < n ? digits[v >> 6 & 63] : '=',
                        i + 2 < n ? digits[v & 63] : '='};
        hyp_str_append(&text, four, 4);
    }
    hyp_json_strn(j, text.length > 0 ? text.data : "", text.length);
    j->out->failed |= text.failed;
    hyp_str_free(&text);
}

static void done(gen *g, const hyp_event *event, hyp_str *out) {
    hyp_json j = {out, false};
    int64_t index = 0;
    hyp_json_open(&j, '{');
    hyp_json_kv_str(&j, "object", "list");
    hyp_json_key(&j, "data");
    hyp_json_open(&j, '[');
    for (const hyp_event *e = g->kept; e != NULL; e = e->next) {
        size_t n = hyp_embed_normalise(e->embedding, e->n_embedding, g->dimensions);
        hyp_json_open(&j, '{');
        hyp_json_kv_str(&j, "object", "embedding");
        hyp_json_key(&j, "embedding");
        if (g->base64)
            put_base64(&j, (const unsigned char *)e->embedding, n * sizeof(float));
        else {
            hyp_json_open(&j, '[');
            for (size_t i = 0; i < n; i++)
                hyp_json_real(&j, (double)e->embedding[i]);
            hyp_json_close(&j, ']');
        }
        hyp_json_kv_int(&j, "index", index++);
        hyp_json_close(&j, '}');
    }
    hyp_json_close(&j, ']');
    hyp_json_kv_str(&j, "model", g->job->model);
    hyp_json_key(&j, "usage");
    hyp_json_open(&j, '{');
    hyp_json_kv_int(&j, "prompt_tokens", event->stats.n_prompt);
    hyp_json_kv_int(&j, "total_tokens", event->stats.n_prompt);
    hyp_json_close(&j, '}');
    hyp_json_close(&j, '}');
}

static const gen_ops ops = {.whole = done, .plain_type = V1_JSON, .style = STYLE_OPENAI};

/* Take the inputs and how the vectors are to be written. False: answered. */
static bool fill(api *a, gen *g) {
    g->job->truncate = hyp_field_bool(&a->f, "truncate", true);
    const char *format = hyp_field_str(&a->f, "encoding_format", "float");
    g->dimensions = hyp_field_int(&a->f, "dimensions", 0);
    g->base64 = strcmp(format, "base64") == 0;
    if (a->err.code != 0) return hyp_api_fail(a);
    if (!g->base64 && strcmp(format, "float") != 0)
        return hyp_api_error(a, 400, "encoding_format must be \"float\" or \"base64\"");
    if (!hyp_embed_read_inputs(a, g->job, hyp_field(&a->f, "input"))) return false;
    return g->job->n_inputs > 0 || hyp_api_error(a, 400, "input is required");
}

static void openai_embeddings(hyp_request *r, void *server) {
    static const gen_route route = {"EmbedRequest", "", HYP_JOB_EMBED, fill, &ops};
    hyp_gen_handle(r, server, &route);
}

const hyp_route hyp_openai_embeddings_routes[] = {
    {"POST", "/v1/embeddings", openai_embeddings, false},
    {0},
};
