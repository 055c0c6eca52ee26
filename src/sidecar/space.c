/* space.c - files that are written for minutes: room for them first, an unfinished one under a name of its own, and a
 * finish that a reader sees whole or not at all. */
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "sidecar/sidecar_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* --- room --- */

int hyp_sidecar_space_of(const char *path, uint64_t bytes, hyp_sidecar_space *ret, hyp_err *err) {
    hyp_sidecar_space space = {.needed_bytes = bytes};
    char partial[HYP_SIDECAR_PATH_SIZE + 16];
    struct statvfs fs;
    struct stat st;
    hyp_sidecar_folder_of(path, space.folder);
    if (statvfs(space.folder, &fs) != 0)
        return hyp_err_set_sys(err, HYP_EIO, errno, "cannot ask for the free space of %s", space.folder);
    space.free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    snprintf(partial, sizeof partial, "%s.partial", path);
    /* By blocks, not by length: room that was reserved counts though the file is shorter, and holes do not. */
    if (stat(partial, &st) == 0) space.needed_bytes -= HYP_MIN(bytes, (uint64_t)st.st_blocks * 512);
    *ret = space;
    return HYP_OK;
}

int hyp_sidecar_check_space(const char *path, uint64_t bytes, hyp_err *err) {
    hyp_sidecar_space space;
    char needed[24], free_text[24];
    int r = hyp_sidecar_space_of(path, bytes, &space, err);
    if (r != HYP_OK || space.needed_bytes <= space.free_bytes) return r;
    hyp_err_set(err, HYP_ENOMEM, "%s would take %s, but %s has only %s free", path,
                hyp_text_format_bytes(space.needed_bytes, needed, sizeof needed), space.folder,
                hyp_text_format_bytes(space.free_bytes, free_text, sizeof free_text));
    hyp_err_hint(err, "make room, or choose another disk with --out");
    return HYP_ENOMEM;
}

/* --- the unfinished file --- */

int hyp_sidecar_open_partial(const char *path, char partial[HYP_SIDECAR_PATH_SIZE], int *ret_fd, hyp_err *err) {
    if (snprintf(partial, HYP_SIDECAR_PATH_SIZE, "%s.partial", path) >= HYP_SIDECAR_PATH_SIZE)
        return hyp_err_set(err, HYP_ELIMIT, "the path %s is too long", path);
    HYP_AUTOCLOSE int fd = open(partial, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        hyp_err_set_sys(err, HYP_EIO, errno, "cannot write %s", partial);
        hyp_err_hint(err, "choose another place with --out");
        return HYP_EIO;
    }
    /* The lock is on the file, not on its name, and goes with the process: none is left behind by a crash. */
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) return hyp_err_set(err, HYP_EBUSY, "another process is writing %s", partial);
    struct stat opened, named; /* it may have been finished and renamed between the two */
    if (fstat(fd, &opened) != 0 || stat(partial, &named) != 0 || opened.st_ino != named.st_ino ||
        opened.st_dev != named.st_dev)
        return hyp_err_set(err, HYP_EBUSY, "another process has just finished %s", path);
    *ret_fd = fd;
    fd = -1;
    return HYP_OK;
}

int hyp_sidecar_pwrite(int fd, const char *path, const void *data, size_t n, uint64_t at, hyp_err *err) {
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(fd, (const char *)data + done, n - done, (off_t)(at + done));
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return hyp_err_set_sys(err, HYP_EIO, k < 0 ? errno : ENOSPC, "cannot write %s", path);
        done += (size_t)k;
    }
    return HYP_OK;
}

int hyp_sidecar_pread(int fd, const char *path, void *data, size_t n, uint64_t at, hyp_err *err) {
    for (size_t done = 0; done < n;) {
        ssize_t k = pread(fd, (char *)data + done, n - done, (off_t)(at + done));
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot read %s", path);
        if (k == 0) return hyp_err_set(err, HYP_EIO, "%s is shorter than it was", path);
        done += (size_t)k;
    }
    return HYP_OK;
}

int hyp_sidecar_sync(int fd, const char *path, hyp_err *err) {
    return hyp_platform_sync_data(fd) == 0 ? HYP_OK
                                           : hyp_err_set_sys(err, HYP_EIO, errno, "cannot write %s to its disk", path);
}

int hyp_sidecar_finish(int fd, const char *partial, const char *path, hyp_err *err) {
    /* Contents first, then the name, then the folder that holds it: after a crash the name is never that of a file
     * whose bytes are missing. */
    if (fsync(fd) != 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot write %s to its disk", partial);
    if (rename(partial, path) != 0)
        return hyp_err_set_sys(err, HYP_EIO, errno, "cannot rename %s to %s", partial, path);
    char folder[HYP_SIDECAR_PATH_SIZE];
    hyp_sidecar_folder_of(path, folder);
    HYP_AUTOCLOSE int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) (void)fsync(dir); /* some file systems do not sync folders: the name is there all the same */
    return HYP_OK;
}

int hyp_sidecar_stopped(const char *partial, uint64_t done, uint64_t total, hyp_err *err) {
    char a[24], b[24];
    hyp_err_set(err, HYP_ECANCELED, "stopped: %s of %s are kept in %s", hyp_text_format_bytes(done, a, sizeof a),
                hyp_text_format_bytes(total, b, sizeof b), partial);
    hyp_err_hint(err, "the same command goes on where it stopped; delete that file to give it up");
    return HYP_ECANCELED;
}
