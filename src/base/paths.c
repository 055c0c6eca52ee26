#include "base/paths.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

static int make_dirs(char *path, hyp_err *err) {
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int r = mkdir(path, 0700);
        int sys = errno;
        if (r != 0 && sys != EEXIST) hyp_err_set_sys(err, HYP_EIO, sys, "cannot create the folder %s", path);
        *slash = '/';
        if (r != 0 && sys != EEXIST) return HYP_EIO;
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return hyp_err_set_sys(err, HYP_EIO, errno, "cannot create the folder %s", path);
    return HYP_OK;
}

int hyp_paths_cache_dir(char *ret_path, size_t size, hyp_err *err) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char path[PATH_MAX];
    if ((cache == NULL || cache[0] != '/') && (home == NULL || home[0] != '/')) {
        const struct passwd *user = getpwuid(getuid());
        home = user != NULL ? user->pw_dir : NULL;
    }
    int n = cache != NULL && cache[0] == '/' ? snprintf(path, sizeof path, "%s/hypura", cache)
            : home != NULL                   ? snprintf(path, sizeof path, "%s/.cache/hypura", home)
                                             : -1;
    if (n < 0) return hyp_err_set(err, HYP_ENOTFOUND, "there is no home folder to keep caches in: set XDG_CACHE_HOME");
    if ((size_t)n >= sizeof path || (size_t)n >= size)
        return hyp_err_set(err, HYP_ELIMIT, "the cache folder's path is too long");
    int r = make_dirs(path, err);
    if (r == HYP_OK) memcpy(ret_path, path, (size_t)n + 1);
    return r;
}

/* Returns 0 or the errno. */
static int write_file(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "we");
    if (f == NULL) return errno;
    int sys = fwrite(data, 1, n, f) == n ? 0 : errno;
    return fclose(f) != 0 && sys == 0 ? errno : sys;
}

int hyp_paths_write_atomic(const char *path, const void *data, size_t n, hyp_err *err) {
    char temporary[PATH_MAX];
    struct stat st;
    if (snprintf(temporary, sizeof temporary, "%s.%d.tmp", path, (int)getpid()) >= (int)sizeof temporary)
        return hyp_err_set(err, HYP_ELIMIT, "the path %s is too long", path);
    bool replaceable = lstat(path, &st) != 0 || S_ISREG(st.st_mode);
    int sys = write_file(replaceable ? temporary : path, data, n);
    if (sys == 0 && replaceable && rename(temporary, path) != 0) sys = errno;
    if (sys == 0) return HYP_OK;
    if (replaceable) unlink(temporary);
    return hyp_err_set_sys(err, HYP_EIO, sys, "cannot write %s", path);
}

bool hyp_paths_begins_with(const char *path, const char *magic, size_t n) {
    char found[16];
    struct stat st;
    HYP_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for a writer */
    return fd >= 0 && n <= sizeof found && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           read(fd, found, n) == (ssize_t)n && memcmp(found, magic, n) == 0;
}

int hyp_paths_read(const char *path, size_t max, char **ret_data, size_t *ret_n, hyp_err *err) {
    HYP_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for a writer */
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot read %s", path);
    if (!S_ISREG(st.st_mode)) return hyp_err_set(err, HYP_EIO, "%s is not a regular file", path);
    if ((uint64_t)st.st_size > max) return hyp_err_set(err, HYP_ELIMIT, "%s is larger than %zu bytes", path, max);
    size_t size = (size_t)st.st_size, got = 0;
    HYP_AUTOFREE char *data = malloc(size + 1);
    if (data == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory reading %s", path);
    while (got < size) {
        ssize_t r = read(fd, data + got, size - got);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot read %s", path);
        if (r == 0) break;
        got += (size_t)r;
    }
    data[got] = '\0';
    *ret_data = HYP_TAKE(data);
    if (ret_n != NULL) *ret_n = got;
    return HYP_OK;
}
