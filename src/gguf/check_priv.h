/* check_priv.h - the pre-flight of an untrusted GGUF header, for this folder only.
 *
 * Walks the header with bounded reads and believes nothing that the file itself cannot back. What passes is safe to
 * give to ggml's parser, which allocates what a header asks for (32 bytes for every string an array claims to have). */
#pragma once
#include "base/err.h"

enum {
    /* Real headers stay below 30 MB (vocabularies of 260k tokens with their merges), 600k strings an array, 100 keys
     * and 3,000 tensors a file. The limits leave a wide margin and keep a hostile file within a few hundred MB and
     * seconds. */
    HYP_GGUF_MAX_HEADER_BYTES = 256 << 20,
    HYP_GGUF_MAX_ARRAY_STRINGS = 4 << 20,
    HYP_GGUF_MAX_KEYS = 1 << 16,
    HYP_GGUF_MAX_TENSORS = 1 << 16,
    HYP_GGUF_MAX_KEY_BYTES = 1 << 12,
};

typedef struct hyp_gguf_header {
    uint64_t n_tensors;
    uint64_t header_bytes; /* up to the end of the last tensor's entry */
    uint64_t data_offset;  /* header_bytes rounded up to the alignment */
} hyp_gguf_header;

/* Check the header of the regular file `fd` of `file_bytes` bytes, called `path` in messages. The file's position is
 * not used. Errors: HYP_EIO, HYP_EFORMAT. */
HYP_NODISCARD int hyp_gguf_check(int fd, const char *path, uint64_t file_bytes, hyp_gguf_header *ret, hyp_err *err);

/* Read exactly `n` bytes at `offset`. Errors: HYP_EIO, HYP_EFORMAT (the file ends before that). */
HYP_NODISCARD int hyp_gguf_pread(int fd, const char *path, uint64_t offset, void *data, size_t n, hyp_err *err);
