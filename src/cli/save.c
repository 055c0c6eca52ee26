#include "cli/save.h"

#include "base/paths.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int hyp_save_check(const char *path, hyp_err *err) {
    if (path == NULL) return HYP_OK;
    if (hyp_paths_begins_with(path, "GGUF", 4)) { /* a slip of the completion must not cost what took hours to fetch */
        hyp_err_set(err, HYP_EINVAL, "%s is a model and will not be overwritten", path);
        hyp_err_hint(err, "choose another name for what is written");
        return HYP_EINVAL;
    }
    if (access(path, W_OK) == 0) return HYP_OK;
    if (errno != ENOENT) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot write %s", path);
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (n >= sizeof folder) return hyp_err_set(err, HYP_EIO, "the path %s is too long", path);
    memcpy(folder, n == 0 ? "." : path, n == 0 ? 1 : n);
    folder[n == 0 ? 1 : n] = '\0';
    return access(folder, W_OK | X_OK) == 0 ? HYP_OK : hyp_err_set_sys(err, HYP_EIO, errno, "cannot write %s", path);
}

int hyp_save_text(const char *path, const hyp_str *text, hyp_err *err) {
    if (text->failed || text->data == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory writing %s", path);
    int r = hyp_save_check(path, err);
    return r == HYP_OK ? hyp_paths_write_atomic(path, text->data, text->length, err) : r;
}
