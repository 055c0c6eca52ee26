/* summary.c - what a listing tells of a model, and the file that remembers it between runs. */
#include "base/json.h"
#include "base/mem.h"
#include "base/paths.h"
#include "chat/template.h"
#include "registry/registry_priv.h"

#include <gguf.h>
#include <limits.h>
#include <string.h>

enum { CACHE_VERSION = 2, MAX_CACHE_BYTES = 64 << 20 };

typedef struct record {
    char *path;
    int64_t bytes, modified_ns;
    hyp_model_summary summary;
} record;

struct summary_cache {
    record *records;
    size_t n, capacity;
    bool changed;
};

unsigned hyp_summary_template_capabilities(const char *text) {
    if (text == NULL) return 0;
    size_t n = strlen(text);
    return (hyp_template_text_has_tools(text, n) ? HYP_CAN_TOOLS : 0u) |
           (hyp_template_text_has_thinking(text, n) ? HYP_CAN_THINK : 0u);
}

/* Has the vocabulary tokens to fill in the middle with? Older files name them only among the tokens. */
static bool can_insert(const hyp_model *model) {
    static const char *const keys[] = {"tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"};
    static const char *const tokens[] = {"<|fim_prefix|>",
                                         "<fim-prefix>",
                                         "<fim_prefix>",
                                         "<PRE>",
                                         "\xe2\x96\x81<PRE>",
                                         "<\xef\xbd\x9c"
                                         "fim\xe2\x96\x81"
                                         "begin\xef\xbd\x9c>",
                                         "<|code_prefix|>"};
    for (size_t i = 0; i < HYP_ARRAY_LEN(keys); i++)
        if (hyp_model_meta_u64(model, keys[i], UINT64_MAX) != UINT64_MAX) return true;
    int64_t key = gguf_find_key(model->gguf, "tokenizer.ggml.tokens");
    if (key < 0 || gguf_get_kv_type(model->gguf, key) != GGUF_TYPE_ARRAY ||
        gguf_get_arr_type(model->gguf, key) != GGUF_TYPE_STRING)
        return false;
    for (size_t i = gguf_get_arr_n(model->gguf, key); i-- > 0;) { /* control tokens mostly stand at the end */
        const char *text = gguf_get_arr_str(model->gguf, key, i);
        if (text[0] != '<' && (unsigned char)text[0] != 0xe2) continue;
        for (size_t t = 0; t < HYP_ARRAY_LEN(tokens); t++)
            if (strcmp(text, tokens[t]) == 0) return true;
    }
    return false;
}

static void summarize(const hyp_model *model, hyp_model_summary *ret) {
    *ret = (hyp_model_summary){
        .n_params = model->n_params, .bytes = model->bytes, .n_ctx_train = model->n_ctx_train, .n_embd = model->n_embd};
    snprintf(ret->digest, sizeof ret->digest, "%s", model->digest);
    snprintf(ret->family, sizeof ret->family, "%s", model->arch);
    snprintf(ret->quant, sizeof ret->quant, "%s", model->quant);
    if (hyp_model_meta_u64(model, "%s.pooling_type", UINT64_MAX) != UINT64_MAX)
        ret->capabilities = HYP_CAN_EMBED;
    else {
        ret->capabilities =
            HYP_CAN_COMPLETE |
            hyp_summary_template_capabilities(hyp_model_meta_str(model, "tokenizer.chat_template", NULL)) |
            hyp_summary_template_capabilities(hyp_model_meta_str(model, HYP_TOOL_TEMPLATE_KEY, NULL));
        if (can_insert(model)) ret->capabilities |= HYP_CAN_INSERT;
    }
}

static record *append(summary_cache *cache) {
    if (cache->n == cache->capacity) {
        size_t capacity = cache->capacity == 0 ? 16 : 2 * cache->capacity;
        record *more = realloc(cache->records, capacity * sizeof *more);
        if (more == NULL) return NULL;
        cache->records = more;
        cache->capacity = capacity;
    }
    cache->records[cache->n] = (record){0};
    return &cache->records[cache->n++];
}

static record *find(summary_cache *cache, const char *path) {
    for (size_t i = 0; i < cache->n; i++)
        if (strcmp(cache->records[i].path, path) == 0) return &cache->records[i];
    return NULL;
}

int hyp_summary_get(summary_cache *cache, const candidate *c, hyp_model_summary *ret, hyp_err *err) {
    record *known = find(cache, c->path);
    if (known != NULL && known->bytes == c->bytes && known->modified_ns == c->modified_ns) {
        *ret = known->summary;
        return HYP_OK;
    }
    hyp_model *model = NULL;
    int r = hyp_model_open(c->path, &model, err);
    if (r != HYP_OK) return r;
    summarize(model, ret);
    hyp_model_free(model);
    if (known == NULL && (known = append(cache)) == NULL) return HYP_OK; /* only not remembered */
    char *path = known->path != NULL ? known->path : strdup(c->path);
    if (path == NULL) {
        cache->n--;
        return HYP_OK;
    }
    *known = (record){path, c->bytes, c->modified_ns, *ret};
    cache->changed = true;
    return HYP_OK;
}

static bool cache_path(char *ret, size_t size) {
    char folder[PATH_MAX];
    hyp_err ignored = HYP_ERR_NONE;
    return hyp_paths_cache_dir(folder, sizeof folder, &ignored) == HYP_OK &&
           snprintf(ret, size, "%s/models.json", folder) < (int)size;
}

static void load_record(summary_cache *cache, const char *path, yyjson_val *value) {
    hyp_err err = HYP_ERR_NONE;
    hyp_fields f = {value, "model", &err};
    record r = {.bytes = hyp_field_int(&f, "bytes", -1), .modified_ns = hyp_field_int(&f, "modified_ns", -1)};
    hyp_model_summary *s = &r.summary;
    snprintf(s->digest, sizeof s->digest, "%s", hyp_field_str(&f, "digest", ""));
    snprintf(s->family, sizeof s->family, "%s", hyp_field_str(&f, "family", ""));
    snprintf(s->quant, sizeof s->quant, "%s", hyp_field_str(&f, "quant", ""));
    s->n_params = (uint64_t)hyp_field_int(&f, "n_params", 0);
    s->bytes = (uint64_t)hyp_field_int(&f, "total_bytes", 0);
    s->n_ctx_train = (uint32_t)hyp_field_int(&f, "n_ctx_train", 0);
    s->n_embd = (uint32_t)hyp_field_int(&f, "n_embd", 0);
    s->capabilities = (unsigned)hyp_field_int(&f, "capabilities", 0);
    if (err.code != 0 || strspn(s->digest, "0123456789abcdef") != 64 || find(cache, path) != NULL) return;
    record *to = append(cache);
    if (to == NULL) return;
    *to = r;
    if ((to->path = strdup(path)) == NULL) cache->n--;
}

summary_cache *hyp_summary_cache_open(void) {
    summary_cache *cache = calloc(1, sizeof *cache);
    char path[PATH_MAX];
    if (cache == NULL || !cache_path(path, sizeof path)) return cache;
    HYP_AUTOFREE char *data = NULL;
    size_t n = 0;
    hyp_err ignored = HYP_ERR_NONE;
    yyjson_doc *doc = NULL;
    if (hyp_paths_read(path, MAX_CACHE_BYTES, &data, &n, &ignored) != HYP_OK ||
        hyp_json_parse(data, n, &doc, &ignored) != HYP_OK)
        return cache;
    yyjson_val *root = yyjson_doc_get_root(doc), *key, *value;
    size_t i, max;
    if (yyjson_get_int(yyjson_obj_get(root, "version")) == CACHE_VERSION)
        yyjson_obj_foreach(yyjson_obj_get(root, "models"), i, max, key, value)
            load_record(cache, yyjson_get_str(key), value);
    yyjson_doc_free(doc);
    return cache;
}

static void put_record(hyp_json *j, const record *r) {
    hyp_json_key(j, r->path);
    hyp_json_open(j, '{');
    hyp_json_kv_int(j, "bytes", r->bytes);
    hyp_json_kv_int(j, "modified_ns", r->modified_ns);
    hyp_json_kv_str(j, "digest", r->summary.digest);
    hyp_json_kv_str(j, "family", r->summary.family);
    hyp_json_kv_str(j, "quant", r->summary.quant);
    hyp_json_kv_int(j, "n_params", (int64_t)r->summary.n_params);
    hyp_json_kv_int(j, "total_bytes", (int64_t)r->summary.bytes);
    hyp_json_kv_int(j, "n_ctx_train", r->summary.n_ctx_train);
    hyp_json_kv_int(j, "n_embd", r->summary.n_embd);
    hyp_json_kv_int(j, "capabilities", r->summary.capabilities);
    hyp_json_close(j, '}');
}

void hyp_summary_cache_save(summary_cache *cache) {
    char path[PATH_MAX];
    if (!cache->changed || !cache_path(path, sizeof path)) return;
    hyp_str out = {0};
    hyp_json j = {&out, false};
    hyp_json_open(&j, '{');
    hyp_json_kv_int(&j, "version", CACHE_VERSION);
    hyp_json_key(&j, "models");
    hyp_json_open(&j, '{');
    for (size_t i = 0; i < cache->n; i++)
        put_record(&j, &cache->records[i]);
    hyp_json_close(&j, '}');
    hyp_json_close(&j, '}');
    hyp_err ignored = HYP_ERR_NONE; /* a cache that cannot be written is only slower next time */
    if (!out.failed && hyp_paths_write_atomic(path, out.data, out.length, &ignored) == HYP_OK) cache->changed = false;
    hyp_str_free(&out);
}

void hyp_summary_cache_close(summary_cache *cache) {
    if (cache == NULL) return;
    for (size_t i = 0; i < cache->n; i++)
        free(cache->records[i].path);
    free(cache->records);
    free(cache);
}
