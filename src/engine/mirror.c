#include "engine/mirror_priv.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Beside the model's digest, which has 16: a copy that stopped anywhere but in its last hundredth is found. 0.1 ms each
 * on an SSD, 10 ms on a disk that turns. */
enum { SAMPLES = 96, SAMPLE_BYTES = 4096 };

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int not_a_copy(const char *path, const hyp_model *model, const char *why, hyp_err *err) {
    hyp_err_set(err, HYP_EINVAL, "the mirror %s is not a copy of %s: %s", path, model->path, why);
    hyp_err_hint(
        err, "a mirror is a second copy of the model's files on another disk; copy them again, or leave --mirror out");
    return HYP_EINVAL;
}

static int compare_files(const hyp_model *model, const hyp_model *copy, const char *path, hyp_err *err) {
    char why[120];
    if (copy->n_files != model->n_files) {
        snprintf(why, sizeof why, "it has %zu files instead of %zu", copy->n_files, model->n_files);
        return not_a_copy(path, model, why, err);
    }
    for (size_t i = 0; i < model->n_files; i++) {
        struct stat a, b;
        if (stat(model->files[i].path, &a) == 0 && stat(copy->files[i].path, &b) == 0 && a.st_dev == b.st_dev &&
            a.st_ino == b.st_ino)
            return not_a_copy(path, model, "it is the same file", err);
        if (copy->files[i].bytes == model->files[i].bytes) continue;
        snprintf(why, sizeof why, "%.60s has %llu bytes instead of %llu", base_name(copy->files[i].path),
                 (unsigned long long)copy->files[i].bytes, (unsigned long long)model->files[i].bytes);
        return not_a_copy(path, model, why, err);
    }
    return strcmp(copy->digest, model->digest) == 0 ? HYP_OK
                                                    : not_a_copy(path, model, "its header or its weights differ", err);
}

static int read_sample(int fd, const char *path, uint64_t offset, size_t n, char *buf, hyp_err *err) {
    for (size_t got = 0; got < n;) {
        ssize_t r = pread(fd, buf + got, n - got, (off_t)(offset + got));
        if (r < 0 && errno == EINTR) continue;
        if (r <= 0) return hyp_err_set_sys(err, HYP_EIO, r < 0 ? errno : ENODATA, "cannot read %s", path);
        got += (size_t)r;
    }
    return HYP_OK;
}

/* Samples of one file, between those that the digest has taken. */
static int compare_samples(const hyp_model *model, size_t file, const hyp_mirror *m, size_t samples, hyp_err *err) {
    const hyp_model_file *f = &model->files[file];
    HYP_AUTOCLOSE int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot open %s", f->path);
    uint64_t data = f->bytes - f->data_offset;
    for (uint64_t i = 0; i < samples && data > SAMPLE_BYTES; i++) {
        char a[SAMPLE_BYTES], b[SAMPLE_BYTES];
        uint64_t at = f->data_offset + (data - SAMPLE_BYTES) / samples * i + (data - SAMPLE_BYTES) / samples / 2;
        int r = read_sample(fd, f->path, at, SAMPLE_BYTES, a, err);
        if (r == HYP_OK) r = read_sample(m->fds[file], m->files[file], at, SAMPLE_BYTES, b, err);
        if (r != HYP_OK) return r;
        if (memcmp(a, b, SAMPLE_BYTES) == 0) continue;
        char why[96];
        snprintf(why, sizeof why, "its weights differ at byte %llu", (unsigned long long)at);
        return not_a_copy(m->path, model, why, err);
    }
    return HYP_OK;
}

/* The file to open the copy by: `path`, or in that folder the one that is called as the model's first. */
static char *first_file(const hyp_model *model, const char *path) {
    char *out = NULL;
    if (!is_folder(path)) return strdup(path);
    return asprintf(&out, "%s/%s", path, base_name(model->files[0].path)) < 0 ? NULL : out;
}

static int open_copy(const hyp_model *model, const hyp_model *copy, hyp_mirror *m, hyp_err *err) {
    size_t samples = HYP_MAX(SAMPLES / model->n_files, (size_t)2);
    m->files = calloc(model->n_files, sizeof *m->files);
    m->fds = calloc(model->n_files, sizeof *m->fds);
    if (m->files == NULL || m->fds == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a mirror");
    for (size_t i = 0; i < model->n_files; i++)
        m->fds[i] = -1;
    for (size_t i = 0; i < model->n_files; i++) {
        m->files[i] = strdup(copy->files[i].path);
        if (m->files[i] == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a mirror");
        m->fds[i] = open(m->files[i], O_RDONLY | O_CLOEXEC);
        if (m->fds[i] < 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot open %s", m->files[i]);
        int r = compare_samples(model, i, m, samples, err);
        if (r != HYP_OK) return r;
    }
    return HYP_OK;
}

static int open_mirror(const hyp_model *model, const char *path, bool may_lack, hyp_mirrors *mirrors, hyp_err *err) {
    HYP_AUTOFREE char *first = first_file(model, path);
    hyp_mirror *m = &mirrors->items[mirrors->n++];
    m->path = strdup(path);
    if (first == NULL || m->path == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a mirror");
    if (may_lack && is_folder(path) && access(first, F_OK) != 0) {
        snprintf(mirrors->missing, sizeof mirrors->missing, "the mirror %.80s does not hold %.80s", path,
                 base_name(first));
        free(m->path);
        mirrors->items[--mirrors->n] = (hyp_mirror){0};
        return HYP_OK;
    }
    HYP_CLEANUP(hyp_model_freep) hyp_model *copy = NULL;
    hyp_err why = HYP_ERR_NONE;
    int r = hyp_model_open(first, &copy, &why);
    if (r != HYP_OK) {
        hyp_err_set(err, r, "the mirror cannot be used: %.250s", why.message);
        hyp_err_hint(err, "name the copy of the model's file or first part, or the folder that holds it");
        return r;
    }
    r = compare_files(model, copy, path, err);
    return r == HYP_OK ? open_copy(model, copy, m, err) : r;
}

int hyp_mirrors_open(const hyp_model *model, const char *const *paths, size_t n, bool may_lack, hyp_mirrors *ret,
                     hyp_err *err) {
    hyp_mirrors mirrors = {.n_files = model->n_files};
    if (n > HYP_ARRAY_LEN(mirrors.items)) {
        hyp_err_set(err, HYP_EINVAL, "%zu mirrors are too many", n);
        hyp_err_hint(err, "at most %zu can be used", HYP_ARRAY_LEN(mirrors.items));
        return HYP_EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        int r = open_mirror(model, paths[i], may_lack, &mirrors, err);
        if (r == HYP_OK) continue;
        hyp_mirrors_close(&mirrors);
        return r;
    }
    *ret = mirrors;
    return HYP_OK;
}

void hyp_mirrors_close(hyp_mirrors *mirrors) {
    for (uint32_t i = 0; i < mirrors->n; i++) {
        hyp_mirror *m = &mirrors->items[i];
        for (size_t f = 0; f < mirrors->n_files; f++) {
            if (m->fds != NULL && m->files != NULL && m->files[f] != NULL && m->fds[f] >= 0) close(m->fds[f]);
            if (m->files != NULL) free(m->files[f]);
        }
        free(m->files);
        free(m->fds);
        free(m->path);
    }
    *mirrors = (hyp_mirrors){0};
}
