/* paths.h - where the user's files of this program live. */
#pragma once
#include "base/err.h"

/* The folder for caches ($XDG_CACHE_HOME/hypura, else ~/.cache/hypura), created when missing, without a trailing slash.
 * Errors: HYP_ENOTFOUND (no home), HYP_EIO. */
HYP_NODISCARD int hyp_paths_cache_dir(char *ret_path, size_t size, hyp_err *err);

/* Replace `path` by `n` bytes of `data` so that a reader sees the old or the new content, never a part: a temporary
 * file beside it, then rename(2). A device, a pipe or a symbolic link is never replaced, but written to. Errors:
 * HYP_EIO. */
HYP_NODISCARD int hyp_paths_write_atomic(const char *path, const void *data, size_t n, hyp_err *err);

/* Whether `path` is a file that begins with the `n` bytes of `magic`, at most 16. Never waits for a pipe. */
bool hyp_paths_begins_with(const char *path, const char *magic, size_t n);

/* Read a whole small file into a terminated buffer that the caller frees. Errors: HYP_EIO, HYP_ELIMIT beyond `max`. */
HYP_NODISCARD int hyp_paths_read(const char *path, size_t max, char **ret_data, size_t *ret_n, hyp_err *err);
