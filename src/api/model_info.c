/* model_info.c - what clients are shown of a model: details, capabilities, and /api/show with the GGUF's own
 * key-values. */
#include "api/api_priv.h"
#include "base/mem.h"

#include <gguf.h>
#include <string.h>

enum { SHORT_ARRAY = 5 };

/* "8.2B", "134.52M", as Ollama prints them. */
static void put_parameter_size(hyp_json *j, uint64_t n) {
    char text[32];
    if (n >= 1000000000)
        snprintf(text, sizeof text, "%.1fB", (double)n / 1e9);
    else if (n >= 1000000)
        snprintf(text, sizeof text, "%.2fM", (double)n / 1e6);
    else if (n >= 1000)
        snprintf(text, sizeof text, "%.2fK", (double)n / 1e3);
    else
        snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    hyp_json_kv_str(j, "parameter_size", text);
}

void hyp_modelinfo_put_details(hyp_json *j, const hyp_entry *entry, const hyp_server *server) {
    const hyp_model_summary *s = &entry->summary;
    hyp_json_key(j, "details");
    hyp_json_open(j, '{');
    hyp_json_kv_str(j, "parent_model", entry->parent != NULL ? entry->parent : "");
    hyp_json_kv_str(j, "format", "gguf");
    hyp_json_kv_str(j, "family", s->family);
    hyp_json_key(j, "families");
    hyp_json_open(j, '[');
    hyp_json_str(j, s->family);
    hyp_json_close(j, ']');
    put_parameter_size(j, s->n_params);
    hyp_json_kv_str(j, "quantization_level", s->quant);
    hyp_json_kv_int(j, "context_length", hyp_scheduler_context(server->scheduler, entry));
    hyp_json_kv_int(j, "embedding_length", s->n_embd);
    hyp_json_close(j, '}');
}

void hyp_modelinfo_put_capabilities(hyp_json *j, unsigned capabilities) {
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = {{HYP_CAN_COMPLETE, "completion"}, {HYP_CAN_EMBED, "embedding"}, {HYP_CAN_TOOLS, "tools"},
                 {HYP_CAN_INSERT, "insert"},       {HYP_CAN_VISION, "vision"},   {HYP_CAN_THINK, "thinking"}};
    hyp_json_key(j, "capabilities");
    hyp_json_open(j, '[');
    for (size_t i = 0; i < HYP_ARRAY_LEN(words); i++)
        if ((capabilities & words[i].bit) != 0) hyp_json_str(j, words[i].word);
    hyp_json_close(j, ']');
}

void hyp_modelinfo_list(api *a, void (*put)(hyp_json *j, const hyp_entry *entry, const hyp_server *server)) {
    hyp_entry **list = NULL;
    size_t n = 0;
    if (hyp_registry_list(a->server->registry, &list, &n, &a->err) != HYP_OK) {
        hyp_api_fail(a);
        return;
    }
    hyp_str out = {0};
    hyp_json j = {&out, false};
    hyp_json_open(&j, '{');
    if (a->style == STYLE_OPENAI) hyp_json_kv_str(&j, "object", "list");
    hyp_json_key(&j, a->style == STYLE_OPENAI ? "data" : "models");
    hyp_json_open(&j, '[');
    for (size_t i = 0; i < n; i++)
        put(&j, list[i], a->server);
    hyp_json_close(&j, ']');
    hyp_json_close(&j, '}');
    hyp_registry_free_list(list, n);
    hyp_api_reply(a, &out);
}

static void put_scalar(hyp_json *j, enum gguf_type type, const void *data, size_t i) {
    switch (type) {
    case GGUF_TYPE_UINT8: hyp_json_int(j, ((const uint8_t *)data)[i]); break;
    case GGUF_TYPE_INT8: hyp_json_int(j, ((const int8_t *)data)[i]); break;
    case GGUF_TYPE_UINT16: hyp_json_int(j, ((const uint16_t *)data)[i]); break;
    case GGUF_TYPE_INT16: hyp_json_int(j, ((const int16_t *)data)[i]); break;
    case GGUF_TYPE_UINT32: hyp_json_int(j, ((const uint32_t *)data)[i]); break;
    case GGUF_TYPE_INT32: hyp_json_int(j, ((const int32_t *)data)[i]); break;
    case GGUF_TYPE_UINT64: hyp_json_int(j, (int64_t)((const uint64_t *)data)[i]); break;
    case GGUF_TYPE_INT64: hyp_json_int(j, ((const int64_t *)data)[i]); break;
    case GGUF_TYPE_FLOAT32: hyp_json_real(j, (double)((const float *)data)[i]); break;
    case GGUF_TYPE_FLOAT64: hyp_json_real(j, ((const double *)data)[i]); break;
    case GGUF_TYPE_BOOL: hyp_json_bool(j, ((const int8_t *)data)[i] != 0); break;
    default: hyp_json_null(j); break;
    }
}

static void put_array(hyp_json *j, const struct gguf_context *gguf, int64_t key, bool verbose) {
    enum gguf_type type = gguf_get_arr_type(gguf, key);
    size_t n = gguf_get_arr_n(gguf, key);
    hyp_json_open(j, '[');
    if (verbose || n <= SHORT_ARRAY)
        for (size_t i = 0; i < n; i++) {
            if (type == GGUF_TYPE_STRING)
                hyp_json_str(j, gguf_get_arr_str(gguf, key, i));
            else if (type == GGUF_TYPE_ARRAY)
                hyp_json_null(j);
            else
                put_scalar(j, type, gguf_get_arr_data(gguf, key), i);
        }
    hyp_json_close(j, ']');
}

static bool is_context_length(const hyp_model *model, const char *key) {
    size_t n = strlen(model->arch);
    return strncmp(key, model->arch, n) == 0 && strcmp(key + n, ".context_length") == 0;
}

static void put_model_info(hyp_json *j, const hyp_server *server, const hyp_entry *entry, const hyp_model *model,
                           bool verbose) {
    const struct gguf_context *gguf = model->gguf;
    hyp_json_key(j, "model_info");
    hyp_json_open(j, '{');
    for (int64_t i = 0; i < gguf_get_n_kv(gguf); i++) {
        const char *key = gguf_get_key(gguf, i);
        if (strcmp(key, "general.name") == 0 || strcmp(key, "tokenizer.chat_template") == 0) continue;
        enum gguf_type type = gguf_get_kv_type(gguf, i);
        hyp_json_key(j, key);
        if (is_context_length(model, key))
            hyp_json_int(j, hyp_scheduler_context(server->scheduler, entry));
        else if (type == GGUF_TYPE_STRING)
            hyp_json_str(j, gguf_get_val_str(gguf, i));
        else if (type == GGUF_TYPE_ARRAY)
            put_array(j, gguf, i, verbose);
        else
            put_scalar(j, type, gguf_get_val_data(gguf, i), 0);
    }
    if (hyp_model_meta_u64(model, "general.parameter_count", 0) == 0)
        hyp_json_kv_int(j, "general.parameter_count", (int64_t)model->n_params);
    hyp_json_close(j, '}');
}

static void put_texts(hyp_json *j, const hyp_server *server, const hyp_entry *entry, const hyp_model *model) {
    hyp_str template = {0}, parameters = {0}, modelfile = {0};
    hyp_str_puts(&template, entry->template_text != NULL ? entry->template_text
                                                         : hyp_model_meta_str(model, "tokenizer.chat_template", ""));
    /* Continue decides by this word whether the model fills gaps; for a Jinja template it is a comment. */
    if ((entry->summary.capabilities & HYP_CAN_INSERT) != 0) hyp_str_puts(&template, "{# {{ .Suffix }} #}");
    hyp_params_describe(&entry->params, hyp_scheduler_context(server->scheduler, entry), &parameters);
    hyp_str_printf(&modelfile, "# Modelfile written by hypura\nFROM %s\nTEMPLATE \"\"\"%s\"\"\"\n",
                   entry->parent != NULL ? entry->parent : entry->display, template.length > 0 ? template.data : "");
    if (entry->system != NULL) hyp_str_printf(&modelfile, "SYSTEM \"\"\"%s\"\"\"\n", entry->system);
    hyp_json_kv_str(j, "license", hyp_model_meta_str(model, "general.license", ""));
    hyp_json_kv_str(j, "modelfile", modelfile.data);
    hyp_json_kv_str(j, "parameters", parameters.data);
    hyp_json_kv_str(j, "template", template.length > 0 ? template.data : "");
    if (entry->system != NULL) hyp_json_kv_str(j, "system", entry->system);
    hyp_str_free(&template);
    hyp_str_free(&parameters);
    hyp_str_free(&modelfile);
}

int hyp_modelinfo_show(const hyp_server *server, const hyp_entry *entry, bool verbose, hyp_str *out, hyp_err *err) {
    hyp_model *model = NULL;
    int r = hyp_model_open(entry->path, &model, err);
    if (r != HYP_OK) return r;
    char date[HYP_TIMESTAMP_SIZE];
    hyp_json j = {out, false};
    hyp_json_open(&j, '{');
    put_texts(&j, server, entry, model);
    hyp_modelinfo_put_details(&j, entry, server);
    if (entry->messages != NULL) {
        hyp_json_key(&j, "messages");
        hyp_json_raw(&j, entry->messages, strlen(entry->messages));
    }
    put_model_info(&j, server, entry, model, verbose);
    hyp_modelinfo_put_capabilities(&j, entry->summary.capabilities);
    hyp_json_kv_str(&j, "modified_at", hyp_timestamp(entry->modified_ns, date));
    hyp_json_close(&j, '}');
    hyp_model_free(model);
    return HYP_OK;
}
