/* registry.h - the models that can be run, by name: GGUF files given, and what other tools keep on this machine.
 *
 * Nothing is copied: Ollama's manifests, the Hugging Face cache, LM Studio's and llama.cpp's folders are read where
 * they are. Their content is untrusted: names are held to their alphabet before they become part of a path, manifests
 * are limited in size, what cannot be read is left out.
 *
 * Entries are immutable, counted by reference and may be read from any thread. The registry itself is thread-safe. */
#pragma once
#include "gguf/model.h"
#include "registry/model_name.h"
#include "registry/params.h"

typedef struct hyp_registry hyp_registry;

enum { /* capabilities */
       HYP_CAN_COMPLETE = 1 << 0,
       HYP_CAN_TOOLS = 1 << 1,
       HYP_CAN_INSERT = 1 << 2,
       HYP_CAN_VISION = 1 << 3,
       HYP_CAN_EMBED = 1 << 4,
       HYP_CAN_THINK = 1 << 5,
};

/* What is told of a model without opening it again; kept in the cache folder by path, size and time of change. */
typedef struct hyp_model_summary {
    char digest[65];
    char family[64], quant[32];
    uint64_t n_params, bytes;
    uint32_t n_ctx_train, n_embd;
    unsigned capabilities;
} hyp_model_summary;

typedef struct hyp_entry {
    hyp_name name;
    char display[HYP_NAME_MAX]; /* name as listed */
    char *path;                 /* the GGUF, or the first of a split one */
    const char *source;         /* "file", "ollama", "huggingface", "lmstudio", "llama.cpp"; static */
    int64_t modified_ns;        /* wall clock */
    hyp_model_summary summary;
    /* what an alias made by /api/create adds; NULL or defaults otherwise */
    bool alias;
    char *parent, *system, *template_text, *messages; /* messages: a JSON array's text */
    hyp_params params;
    /* private */
    void *refs;
} hyp_entry;

/* The chat template that an alias brings, borrowed; NULL: the file's own counts. Go templates are for /api/generate
 * alone. */
const char *hyp_entry_chat_template(const hyp_entry *entry);

/* Where a file has a template of its own for conversations with tools. (Its templates' names are in
 * tokenizer.chat_templates; the one called "default" is tokenizer.chat_template.) */
#define HYP_TOOL_TEMPLATE_KEY "tokenizer.chat_template.tool_use"

hyp_entry *hyp_entry_ref(hyp_entry *entry);
void hyp_entry_unref(hyp_entry *entry); /* accepts NULL */

/* `path`: a GGUF file, a folder of them, or a name that other tools' stores know; NULL: all that is found on this
 * machine. Errors: HYP_ENOTFOUND (no such file, folder or name; no model in it), HYP_EFORMAT (the one file is no
 * model). */
HYP_NODISCARD int hyp_registry_open(const char *path, hyp_registry **ret, hyp_err *err);
void hyp_registry_close(hyp_registry *registry);

/* Every entry, sorted by name, files that came or went since considered. The caller unrefs each and frees the array
 * with hyp_registry_free_list(). Errors: HYP_ENOMEM. */
HYP_NODISCARD int hyp_registry_list(hyp_registry *registry, hyp_entry ***ret, size_t *ret_n, hyp_err *err);
void hyp_registry_free_list(hyp_entry **list, size_t n);

/* Look a name up: exact name and tag first; without a tag also the only model of that name, and a file's own stem.
 * The caller unrefs `*ret`. Errors: HYP_ENOTFOUND, HYP_EINVAL (not a name). */
HYP_NODISCARD int hyp_registry_find(hyp_registry *registry, const char *name, hyp_entry **ret, hyp_err *err);

/* Aliases, in memory. `add` takes what it needs by copying; an existing alias is replaced. Errors: HYP_EINVAL (the
 * name, or it is a file's), HYP_ENOTFOUND, HYP_ENOMEM. remove: HYP_EUNSUPPORTED for a real file. */
typedef struct hyp_alias {
    const char *name, *from;
    const char *system, *template_text, *messages; /* or NULL: as `from` has them */
    const hyp_params *params;                      /* or NULL */
} hyp_alias;
HYP_NODISCARD int hyp_registry_add_alias(hyp_registry *registry, const hyp_alias *alias, hyp_err *err);
HYP_NODISCARD int hyp_registry_remove_alias(hyp_registry *registry, const char *name, hyp_err *err);

/* For commands: the path of the model that `name_or_path` means: a file that exists, else a name among what other tools
 * keep. The caller frees `*ret_path`. Errors: HYP_ENOTFOUND with the nearest names as the hint. */
HYP_NODISCARD int hyp_registry_resolve(const char *name_or_path, char **ret_path, hyp_err *err);
