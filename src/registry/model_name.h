/* model_name.h - model names: `[host/][namespace/]model[:tag]`, as Ollama spells them. */
#pragma once
#include "base/err.h"

enum { HYP_NAME_PART_MAX = 80, HYP_NAME_MAX = 512 };

typedef struct hyp_name {
    char host[256];                    /* empty: the default registry */
    char space[HYP_NAME_PART_MAX + 1]; /* empty: "library" */
    char model[HYP_NAME_PART_MAX + 1];
    char tag[HYP_NAME_PART_MAX + 1]; /* "latest" when the text had none */
    bool tagged;                     /* the text had a tag */
} hyp_name;

/* Parse a name. `model` and `tag` match [A-Za-z0-9_][A-Za-z0-9_.-]* and have at most 80 characters; host and namespace
 * are held to the same alphabet (the host may have a port), so no name can leave a folder that it is appended to.
 * Errors: HYP_EINVAL. */
HYP_NODISCARD int hyp_name_parse(const char *text, hyp_name *ret, hyp_err *err);

/* "[host/][namespace/]model:tag", the default host and namespace left out. Returns `buf`. */
const char *hyp_name_format(const hyp_name *name, char *buf, size_t size);

/* Same model and tag, case ignored? */
bool hyp_name_equal(const hyp_name *a, const hyp_name *b);
/* Same but for the tag? */
bool hyp_name_same_model(const hyp_name *a, const hyp_name *b);

/* Turn any text (a file's name without its ending) into a valid `model` part: other characters become '-'. */
void hyp_name_sanitize(const char *text, size_t n, char ret[HYP_NAME_PART_MAX + 1]);

/* Where the quantisation begins that ends a file's stem ("Qwen3-8B-Q4_K_M": the index of "Q4_K_M"), or 0 when none
 * does. */
size_t hyp_name_quant_suffix(const char *stem);
