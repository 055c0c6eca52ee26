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
        size_t n = embed_normalise(e->embedding, e->n_embedding, g->dimensions);
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

void openai_embeddings(hyp_request *r, void *server) {
    api a;
    if (api_open(&a, server, r, "EmbedRequest") && api_find_model(&a)) {
        hyp_job *job = embed_new_job(&a);
        const char *format = hyp_field_str(&a.f, "encoding_format", "float");
        int64_t dimensions = hyp_field_int(&a.f, "dimensions", 0);
        bool known = strcmp(format, "float") == 0 || strcmp(format, "base64") == 0;
        if (job != NULL && (a.err.code != 0 || !known)) {
            if (a.err.code != 0)
                api_fail(&a);
            else
                api_error(&a, 400, "encoding_format must be \"float\" or \"base64\"");
            hyp_job_unref(job);
        } else if (job != NULL && !embed_read_inputs(&a, job, hyp_field(&a.f, "input")))
            hyp_job_unref(job);
        else if (job != NULL && job->n_inputs == 0) {
            api_error(&a, 400, "input is required");
            hyp_job_unref(job);
        } else if (job != NULL) {
            gen *g = gen_start_with(&a, job, &ops, false);
            if (g != NULL) {
                g->dimensions = dimensions;
                g->base64 = strcmp(format, "base64") == 0;
            }
        }
    }
    api_close(&a);
}
