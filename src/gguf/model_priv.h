/* model_priv.h - what the files of this folder share. */
#pragma once
#include "gguf/model.h"

struct hyp_model_priv {
    struct gguf_context **parts; /* one a file; tensor names point into them; model->gguf is parts[0] */
    size_t n_parts;
    const hyp_tensor **by_name; /* all of model->tensors in the order of their names */
};

/* The number N of a name that begins with "blk.N.", and `*ret_rest` behind it; else -1 and the whole name. */
int hyp_gguf_layer_of(const char *name, const char **ret_rest);

/* The name of the model's quantization, written to `buf`. Reads tensors and metadata. Returns `buf`. */
const char *hyp_gguf_quant_name(const hyp_model *model, char *buf, size_t buf_size);

/* What the path says of a split model: "NAME-0000i-of-0000N.gguf". */
typedef struct hyp_gguf_split {
    size_t stem_length; /* of "NAME" with its folder */
    uint32_t number;    /* i, from 1 */
    uint32_t count;     /* N */
} hyp_gguf_split;
bool hyp_gguf_split_parse(const char *path, hyp_gguf_split *ret);

/* The path of part `number` (from 1) of the split that `path` belongs to. The caller frees it; NULL without memory. */
char *hyp_gguf_split_path(const char *path, const hyp_gguf_split *split, uint32_t number);

/* Report what is wrong with the model's content: "PATH: what the format says", with a hint. Returns HYP_EFORMAT. */
int hyp_gguf_damaged(const hyp_model *model, hyp_err *err, const char *hint, const char *format, ...) HYP_PRINTF(4, 5);

/* Check metadata for what libllama would abort on instead of reporting, and fill the model's numbers (n_layers,
 * n_experts,
 * ...). Needs model->gguf, arch and path. Errors: HYP_EFORMAT, HYP_ENOMEM. */
HYP_NODISCARD int hyp_gguf_read_numbers(hyp_model *model, hyp_err *err);
HYP_NODISCARD int hyp_gguf_check_vocabulary(const hyp_model *model, hyp_err *err);

/* Fill model->digest. `header_bytes[i]` is the length of file i's header. Errors: HYP_EIO. */
HYP_NODISCARD int hyp_gguf_digest(hyp_model *model, const uint64_t *header_bytes, hyp_err *err);
