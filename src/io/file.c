/* file.c - opening a file for direct reads, with the alignment that its file system asks for. */
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "io/platform_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void remember(hyp_io_file *file, const struct stat *st) {
    file->bytes = (uint64_t)st->st_size;
    file->dev = (uint64_t)st->st_dev;
    file->ino = (uint64_t)st->st_ino;
    file->mtime = hyp_platform_mtime(st);
}

/* Try to get `direct_fd`. Not having it is no failure, another file under the same path is. */
static int add_direct(hyp_io_file *file, hyp_err *err) {
    uint32_t block = hyp_io_platform_direct_alignment(file->fd);
    if (block == 0 || HYP_IO_PAGE % block != 0) return HYP_OK;
    HYP_AUTOCLOSE int fd = hyp_io_platform_open_direct(file->path);
    if (fd < 0) return HYP_OK;
    struct stat st;
    if (fstat(fd, &st) != 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot examine %s", file->path);
    if ((uint64_t)st.st_dev != file->dev || (uint64_t)st.st_ino != file->ino || (uint64_t)st.st_size != file->bytes) {
        hyp_err_set(err, HYP_EIO, "%s changed while it was being opened", file->path);
        hyp_err_hint(err, "wait until the file is complete");
        return HYP_EIO;
    }
    file->direct_fd = fd;
    fd = -1;
    file->block = block;
    file->mode = HYP_IO_DIRECT;
    return HYP_OK;
}

int hyp_io_file_open(hyp_io_file *file, const char *path, bool buffered, hyp_err *err) {
    file->fd = file->direct_fd = -1;
    file->path = strdup(path);
    if (file->path == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory opening %s", path);
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for a writer */
    struct stat st;
    if (file->fd < 0 || fstat(file->fd, &st) != 0) {
        hyp_err_set_sys(err, HYP_EIO, errno, "cannot open %s", path);
        hyp_err_hint(err, "check the path and that the file may be read");
        return HYP_EIO;
    }
    if (!S_ISREG(st.st_mode)) {
        hyp_err_set(err, HYP_EIO, "%s is not a regular file", path);
        hyp_err_hint(err, "name the file itself, not a folder or a device");
        return HYP_EIO;
    }
    remember(file, &st);
    file->block = 1;
    file->mode = buffered ? HYP_IO_BUFFERED : HYP_IO_UNCACHED;
    /* Random: reads are as large as they should be, and nothing beyond them is wanted. */
    hyp_io_platform_no_read_ahead(file->fd);
    return buffered ? HYP_OK : add_direct(file, err);
}

void hyp_io_file_close(hyp_io_file *file) {
    if (file->fd >= 0) close(file->fd);
    if (file->direct_fd >= 0) close(file->direct_fd);
    free(file->path);
}

bool hyp_io_file_degrade(hyp_io_file *file, hyp_io_mode refused) {
    static const char *const names[] = {"direct", "uncached", "dropped"}; /* as README.md calls them */
    if (refused >= HYP_IO_DROPPED) return false;
    int expected = (int)refused;
    /* When another read degraded the file already, this one only has to follow. */
    if (atomic_compare_exchange_strong(&file->mode, &expected, (int)refused + 1))
        HYP_LOG(IO, INFO, "%s: the file system refuses %s reads, they are %s from now on", file->path, names[refused],
                names[refused + 1]);
    return true;
}

int hyp_io_verify(const hyp_io *io, hyp_err *err) {
    for (size_t i = 0; i < io->n_files * io->n_sources; i++) {
        const hyp_io_file *file = &io->files[i];
        struct stat st;
        if (file->path == NULL) continue;
        if (fstat(file->fd, &st) != 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot examine %s", file->path);
        const char *what = NULL;
        const struct timespec now = hyp_platform_mtime(&st);
        if ((uint64_t)st.st_size != file->bytes)
            what = st.st_size < (off_t)file->bytes ? "shrank" : "grew";
        else if (now.tv_sec != file->mtime.tv_sec || now.tv_nsec != file->mtime.tv_nsec)
            what = "was written to";
        if (what == NULL) continue;
        hyp_err_set(err, HYP_EIO, "%s %s while in use", file->path, what);
        hyp_err_hint(err, "start again with the file as it is now");
        return HYP_EIO;
    }
    return HYP_OK;
}
