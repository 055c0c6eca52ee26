/* mirror_priv.h - further copies of a model on other disks: found, checked, kept open.
 *
 * A mirror is named as the model is: a file, the first part of a split model, or a folder that holds files of the same
 * names. It must be the same model byte for byte. Checked are the sizes, the whole headers and samples of the tensor
 * data, which finds every mix-up and most unfinished copies; reading all of it would take as long as running the model.
 */
#pragma once
#include "gguf/model.h"
#include "io/types.h"

typedef struct hyp_mirror {
    char *path;   /* as given */
    char **files; /* parallel to the model's */
    int *fds;     /* of these */
} hyp_mirror;

typedef struct hyp_mirrors {
    hyp_mirror items[HYP_IO_MAX_SOURCES - 1];
    uint32_t n;
    size_t n_files;
    char missing[200]; /* a line about folders that do not hold the model, or empty */
} hyp_mirrors;

/* Open and check `paths[0..n)` as mirrors of `model`. With `may_lack`, a folder without the model's files is passed
 * over and told in ret->missing. `*ret` is freed with hyp_mirrors_close() on success. Errors: HYP_EINVAL (not the same
 * model, the very same file, too many), HYP_ENOTFOUND, HYP_EIO, HYP_EFORMAT, HYP_ENOMEM. */
HYP_NODISCARD int hyp_mirrors_open(const hyp_model *model, const char *const *paths, size_t n, bool may_lack,
                                   hyp_mirrors *ret, hyp_err *err);
void hyp_mirrors_close(hyp_mirrors *mirrors);
