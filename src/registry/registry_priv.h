/* registry_priv.h - shared by registry.c, registry_scan.c and registry_summary.c. Private to them. */
#pragma once
#include "registry/registry.h"

/* A file that looks like a model, before it was opened. */
typedef struct candidate {
    hyp_name name;
    char *path;
    const char *source;
    int64_t modified_ns, bytes; /* of the (first) file */
    char *system, *params;      /* what Ollama's manifest adds: text, and a JSON object's text; or NULL */
} candidate;

typedef struct candidates {
    candidate *items;
    size_t n, capacity;
} candidates;

void hyp_candidates_free(candidates *list);

/* One GGUF file. False when it is none (wrong ending, not regular, a later part of a split one, a projector). */
bool hyp_scan_file(candidates *list, const char *path, const char *source, const char *space);
/* Every GGUF below a folder, at most four levels deep. */
void hyp_scan_folder(candidates *list, const char *path, const char *source);
/* All that other tools keep on this machine. */
void hyp_scan_machine(candidates *list);
/* "model-00001-of-00003.gguf" and "model.gguf" give "model". Returns false when the file is a later part. */
bool hyp_scan_stem(const char *path, char *ret, size_t size);
/* Ollama's store below `root` (the folder that holds manifests/ and blobs/). For tests by itself. */
void hyp_scan_ollama(candidates *list, const char *root);
/* The Hugging Face cache below `root` (the folder that holds models--org--name/). */
void hyp_scan_huggingface(candidates *list, const char *root);

/* Summaries, remembered across runs by path, size and time of change. Not thread-safe. */
typedef struct summary_cache summary_cache;
summary_cache *hyp_summary_cache_open(void); /* never fails short of memory: an unreadable cache is an empty one */
void hyp_summary_cache_close(summary_cache *cache);
HYP_NODISCARD int hyp_summary_get(summary_cache *cache, const candidate *c, hyp_model_summary *ret, hyp_err *err);
void hyp_summary_cache_save(summary_cache *cache); /* if anything was added */

/* What a chat template tells of a model. */
unsigned hyp_summary_template_capabilities(const char *text);
