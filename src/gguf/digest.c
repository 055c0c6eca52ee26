/* digest.c - an identity for a model that may be hundreds of gigabytes long, without reading it. */
#include "gguf/model_priv.h"

#include "base/hash.h"
#include "base/mem.h"
#include "gguf/check_priv.h"

#include <errno.h>
#include <fcntl.h>

enum {
    PIECE = 1 << 18,
    SAMPLES = 16,       /* in all files together; a cold SSD gives one in about 0.1 ms */
    SAMPLE_BYTES = 4096 /* a page: less would cost the same */
};

static int hash_range(hyp_hash *h, int fd, const char *path, uint64_t offset, uint64_t n, unsigned char *piece,
                      hyp_err *err) {
    for (uint64_t at = 0; at < n; at += PIECE) {
        size_t k = (size_t)HYP_MIN((uint64_t)PIECE, n - at);
        int e = hyp_gguf_pread(fd, path, offset + at, piece, k, err);
        if (e != HYP_OK) return e;
        hyp_hash_update(h, piece, k);
    }
    return HYP_OK;
}

static int hash_file(hyp_hash *h, const hyp_model_file *file, uint64_t header_bytes, uint64_t samples,
                     unsigned char *piece, hyp_err *err) {
    HYP_AUTOCLOSE int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot open %s", file->path);
    /* Header and size tell models apart; samples of the weights tell versions of one model apart, whose headers may be
     * equal. */
    hyp_hash_update_u64(h, file->bytes);
    int e = hash_range(h, fd, file->path, 0, header_bytes, piece, err);
    /* Spread evenly, the last one at the very end: there a download that was resumed wrongly differs. */
    uint64_t data = file->bytes - file->data_offset;
    for (uint64_t i = 0; e == HYP_OK && data > 0 && i < samples; i++) {
        uint64_t n = HYP_MIN((uint64_t)SAMPLE_BYTES, data);
        uint64_t at = i == samples - 1 ? data - n : (data - n) / (samples - 1) * i;
        e = hash_range(h, fd, file->path, file->data_offset + at, n, piece, err);
    }
    return e;
}

int hyp_gguf_digest(hyp_model *model, const uint64_t *header_bytes, hyp_err *err) {
    HYP_AUTOFREE unsigned char *piece = malloc(PIECE);
    if (piece == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory reading %s", model->path);
    uint64_t samples = HYP_MAX((uint64_t)2, SAMPLES / model->n_files);
    hyp_hash h;
    hyp_hash_init(&h);
    for (size_t i = 0; i < model->n_files; i++) {
        int e = hash_file(&h, &model->files[i], header_bytes[i], samples, piece, err);
        if (e != HYP_OK) return e;
    }
    hyp_hash_hex(&h, model->digest);
    return HYP_OK;
}
