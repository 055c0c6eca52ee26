/* write.h - writes a GGUF, in one file or several, streaming and atomically.
 *
 * Every part is written under a temporary name beside its place, renamed when all are whole; a failure leaves nothing.
 * Memory use is some 10 MiB whatever the model's size. Holes are left where a tensor has unwritten rows. */
#pragma once
#include "plan.h"

struct gguf_context;

/* Supplies rows [row, row + n_rows) of `t`. */
typedef int (*hyp_make_rows_fn)(void *source, const hyp_make_tensor *t, int64_t row, int64_t n_rows, void *dst,
                                hyp_err *err);

typedef struct hyp_make_output {
    const char *path; /* "x.gguf"; of a split model the prefix: "x-00001-of-00003.gguf" */
    int alignment;
    uint64_t split_bytes; /* 0: no bound on the tensor data of a file */
    int split_tensors;    /* 0: no bound */
    hyp_make_rows_fn rows;
    void *source;
    void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes); /* may be NULL */
    void *progress_arg;
} hyp_make_output;

typedef struct hyp_make_written {
    char path[4096]; /* of the (first) file */
    size_t n_files;
    uint64_t bytes; /* of all files */
} hyp_make_written;

/* Write `plan` with the metadata of `keys` (which gains the split keys). `ret` may be NULL.
 * Errors: HYP_EIO (with the path and the system's reason), HYP_ENOMEM (memory, or too little space on the disk),
 * HYP_EINVAL (a path too long), and what output->rows reports. */
HYP_NODISCARD int hyp_make_write(const hyp_make_plan *plan, struct gguf_context *keys, const hyp_make_output *output,
                                 hyp_make_written *ret, hyp_err *err);

/* How the tensors of `plan` fall into files: `ret_first[i]` is the first tensor of file i, for at most plan->n files.
 * Returns the number of files. Pure. */
size_t hyp_make_split(const hyp_make_plan *plan, const hyp_make_output *output, size_t *ret_first);
