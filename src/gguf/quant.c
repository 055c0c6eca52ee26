/* quant.c - the names of types and of a model's quantization. */
#include "gguf/model_priv.h"

#include "base/mem.h"

#include <ctype.h>
#include <ggml.h>
#include <stdio.h>

/* general.file_type is llama.h's enum llama_ftype, which this folder does not include. */
static const char *const file_types[] = {
    [0] = "F32",     [1] = "F16",     [2] = "Q4_0",     [3] = "Q4_1",    [7] = "Q8_0",     [8] = "Q5_0",
    [9] = "Q5_1",    [10] = "Q2_K",   [11] = "Q3_K_S",  [12] = "Q3_K_M", [13] = "Q3_K_L",  [14] = "Q4_K_S",
    [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",  [18] = "Q6_K",   [19] = "IQ2_XXS", [20] = "IQ2_XS",
    [21] = "Q2_K_S", [22] = "IQ3_XS", [23] = "IQ3_XXS", [24] = "IQ1_S",  [25] = "IQ4_NL",  [26] = "IQ3_S",
    [27] = "IQ3_M",  [28] = "IQ2_S",  [29] = "IQ2_M",   [30] = "IQ4_XS", [31] = "IQ1_M",   [32] = "BF16",
    [36] = "TQ1_0",  [37] = "TQ2_0",  [38] = "MXFP4",   [39] = "NVFP4",  [40] = "Q1_0",    [41] = "Q2_0",
};

const char *hyp_gguf_quant_name(const hyp_model *model, char *buf, size_t buf_size) {
    uint64_t file_type = hyp_model_meta_u64(model, "general.file_type", UINT64_MAX);
    if (file_type < HYP_ARRAY_LEN(file_types) && file_types[file_type] != NULL) {
        snprintf(buf, buf_size, "%s", file_types[file_type]);
        return buf;
    }
    /* A file that does not say: named by the type that most of its bytes have. */
    uint64_t bytes[GGML_TYPE_COUNT] = {0};
    int most = GGML_TYPE_F32;
    for (size_t i = 0; i < model->n_tensors; i++)
        bytes[model->tensors[i].type] += model->tensors[i].bytes;
    for (int t = 0; t < GGML_TYPE_COUNT; t++)
        if (bytes[t] > bytes[most]) most = t;
    snprintf(buf, buf_size, "%s", ggml_type_name((enum ggml_type)most));
    for (char *c = buf; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    return buf;
}

_Static_assert(GGML_TYPE_COUNT <= 64, "callers keep sets of types in 64 bits");

const char *hyp_tensor_type_name(int type) {
    return type >= 0 && type < GGML_TYPE_COUNT ? ggml_type_name((enum ggml_type)type) : "?";
}
