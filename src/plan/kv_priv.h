/* kv_priv.h - how many bytes a model's memory of past tokens takes, layer by layer, for every kind of attention. Pure.
 *
 * The formulas are those of libllama's llama_kv_cache and llama_memory_recurrent; README.md lists them. */
#pragma once
#include "gguf/model.h"

typedef struct hyp_kv_request {
    uint32_t context_tokens; /* per sequence */
    uint32_t n_parallel;     /* sequences, each with cells of its own */
    uint32_t ubatch_tokens;  /* widest batch: a sliding window keeps that many cells more */
    int type_k, type_v;      /* enum ggml_type of the cache */
    bool swa_full;           /* keep the whole context for sliding-window layers too */
} hyp_kv_request;

/* Bytes of layer 0..n_layers-1 into `ret_layers` (n_layers entries, may be NULL); returns their sum. */
uint64_t hyp_kv_bytes(const hyp_model *model, const hyp_kv_request *request, uint64_t *ret_layers);

/* How many query heads share a key of layer 0..n_layers-1 (n_layers entries): 1 for recurrent state. */
void hyp_kv_readers(const hyp_model *model, uint32_t *ret_layers);
