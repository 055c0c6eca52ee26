/* vocabulary.c - what of a damaged vocabulary would end the process inside libllama: at loading (an assertion that all
 * tokens differ) or at the first text that is tokenized (an exception that a C program cannot catch). */
#include "gguf/model_priv.h"

#include "base/mem.h"

#include <gguf.h>
#include <inttypes.h>
#include <string.h>

typedef struct vocabulary {
    const hyp_model *model;
    int64_t tokens;  /* the key's id */
    uint64_t n;      /* tokens */
    uint32_t *table; /* open addressing: a token's index + 1, or 0 */
    size_t capacity; /* a power of two, more than twice n */
} vocabulary;

static const char damaged[] = "the vocabulary is damaged: download or convert the model again";

/* The key's id if it is an array of one of two types, -1 when absent. */
static int find_array(const hyp_model *model, const char *key, enum gguf_type type, enum gguf_type or_type,
                      int64_t *ret, hyp_err *err) {
    *ret = gguf_find_key(model->gguf, key);
    if (*ret < 0) return HYP_OK;
    if (gguf_get_kv_type(model->gguf, *ret) == GGUF_TYPE_ARRAY) {
        enum gguf_type has = gguf_get_arr_type(model->gguf, *ret);
        if (has == type || has == or_type) return HYP_OK;
    }
    return hyp_gguf_damaged(model, err, damaged, "%s is not an array of %s", key, gguf_type_name(type));
}

static uint64_t hash_text(const char *text) {
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    return h ^ h >> 29;
}

/* Where `text` is in the table, or the empty slot it would take. */
static size_t slot_of(const vocabulary *v, const char *text) {
    size_t slot = hash_text(text) & (v->capacity - 1);
    while (v->table[slot] != 0 && strcmp(gguf_get_arr_str(v->model->gguf, v->tokens, v->table[slot] - 1), text) != 0)
        slot = (slot + 1) & (v->capacity - 1);
    return slot;
}

static int fill_table(vocabulary *v, hyp_err *err) {
    /* At most half full: then there is always an empty slot at which a search ends. */
    for (v->capacity = 16; v->capacity <= 2 * v->n; v->capacity *= 2) {
    }
    v->table = calloc(v->capacity, sizeof *v->table);
    if (v->table == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for the vocabulary of %s", v->model->path);
    for (uint64_t i = 0; i < v->n; i++) {
        const char *text = gguf_get_arr_str(v->model->gguf, v->tokens, i);
        char empty[32];
        if (text[0] == '\0') { /* libllama gives empty tokens a name of their own, which another token may have taken */
            snprintf(empty, sizeof empty, "[EMPTY_%" PRIu64 "]", i);
            if (v->table[slot_of(v, empty)] != 0)
                return hyp_gguf_damaged(v->model, err, damaged, "the token %s is in the vocabulary twice", empty);
            continue;
        }
        size_t slot = slot_of(v, text);
        if (v->table[slot] != 0)
            return hyp_gguf_damaged(v->model, err, damaged, "tokens %" PRIu32 " and %" PRIu64 " are the same text",
                                    v->table[slot] - 1, i);
        v->table[slot] = (uint32_t)i + 1;
    }
    return HYP_OK;
}

/* A SentencePiece tokenizer spells what it has no token for byte by byte, and throws when a byte has no token either.
 */
static int check_bytes(const vocabulary *v, hyp_err *err) {
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8], itself[2] = {(char)byte, '\0'};
        snprintf(name, sizeof name, "<0x%02X>", byte);
        if (v->table[slot_of(v, name)] == 0 && (byte == 0 || v->table[slot_of(v, itself)] == 0))
            return hyp_gguf_damaged(v->model, err, damaged, "the vocabulary has no token for the byte 0x%02X", byte);
    }
    return HYP_OK;
}

static int check_companions(const vocabulary *v, hyp_err *err) {
    static const struct {
        const char *key;
        enum gguf_type type, or_type;
        bool one_a_token;
    } arrays[] = {
        {"tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, GGUF_TYPE_FLOAT32, true},
        {"tokenizer.ggml.token_type", GGUF_TYPE_INT32, GGUF_TYPE_UINT32, true},
        {"tokenizer.ggml.merges", GGUF_TYPE_STRING, GGUF_TYPE_STRING, false},
        {"tokenizer.ggml.precompiled_charsmap", GGUF_TYPE_INT8, GGUF_TYPE_UINT8, false},
    };
    for (size_t i = 0; i < HYP_ARRAY_LEN(arrays); i++) {
        int64_t id = -1;
        int e = find_array(v->model, arrays[i].key, arrays[i].type, arrays[i].or_type, &id, err);
        if (e != HYP_OK) return e;
        if (id >= 0 && arrays[i].one_a_token && gguf_get_arr_n(v->model->gguf, id) < v->n)
            return hyp_gguf_damaged(v->model, err, damaged, "%s has %zu entries for %" PRIu64 " tokens", arrays[i].key,
                                    gguf_get_arr_n(v->model->gguf, id), v->n);
    }
    return HYP_OK;
}

int hyp_gguf_check_vocabulary(const hyp_model *model, hyp_err *err) {
    const char *tokenizer = hyp_model_meta_str(model, "tokenizer.ggml.model", "none");
    vocabulary v = {.model = model};
    int e = find_array(model, "tokenizer.ggml.tokens", GGUF_TYPE_STRING, GGUF_TYPE_STRING, &v.tokens, err);
    if (e != HYP_OK || v.tokens < 0 || strcmp(tokenizer, "none") == 0 || strcmp(tokenizer, "no_vocab") == 0) return e;
    v.n = gguf_get_arr_n(model->gguf, v.tokens);
    if (v.n == 0) return hyp_gguf_damaged(model, err, damaged, "the vocabulary is empty");
    e = check_companions(&v, err);
    if (e == HYP_OK) e = fill_table(&v, err);
    if (e == HYP_OK && strcmp(tokenizer, "llama") == 0) e = check_bytes(&v, err);
    free(v.table);
    return e;
}
