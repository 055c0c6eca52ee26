/* fuzz_gguf.c - any bytes as a model file: hyp_model_open() must return, and what it returns must hold together. */
#include "gguf/model.h"

#include <ggml.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ggml would print why it refuses a file. */
static void no_log(enum ggml_log_level level, const char *text, void *context) {
    (void)level, (void)text, (void)context;
}

static void use(const hyp_model *model, size_t size) {
    uint64_t sum = 0;
    for (size_t i = 0; i < model->n_tensors; i++) {
        const hyp_tensor *t = &model->tensors[i];
        if (t->offset > size || t->bytes > size - t->offset) abort();
        if (t->layer >= (int)model->n_layers || hyp_model_tensor(model, t->name) != t) abort();
        if (t->n_experts * t->expert_bytes != (t->role == HYP_ROLE_ROUTED_EXPERT ? t->bytes : 0)) abort();
        if (hyp_tensor_touched_bytes(model, t) > t->bytes) abort();
        sum += t->bytes;
    }
    if (sum != model->tensor_bytes || strlen(model->digest) != 64) abort();
    if (hyp_model_meta_u64(model, "%s.block_count", 0) != model->n_layers) abort();
    (void)hyp_model_meta_f64(model, "%s.rope.freq_base", 0);
    (void)hyp_model_meta_str(model, "tokenizer.chat_template", "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        ggml_log_set(no_log, NULL);
        fd = memfd_create("gguf", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, (off_t)size) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
    hyp_model *model = NULL;
    hyp_err err = HYP_ERR_NONE;
    int e = hyp_model_open(path, &model, &err);
    if ((e == HYP_OK) != (model != NULL) || e != err.code || (e != HYP_OK && err.message[0] == '\0')) abort();
    if (e == HYP_OK) use(model, size);
    hyp_model_free(model);
    return 0;
}
