/* mapping.c - the files to watch and where they were found; the finding is mapping_linux.c's and mapping_macos.c's. */
#include "host/mapping_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum { MAX_FILES = 1024 };

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;

/* Written before `watching` is set and read after it is cleared; the entries themselves by whichever thread of libllama
 * maps the file. */
static atomic_bool watching, lazily;
static size_t n_files;
static struct {
    dev_t device;
    ino_t inode;
    uint64_t bytes;
    _Atomic(void *) base;
} files[MAX_FILES];

int hyp_mapping_begin(const hyp_model *model, bool lazy, hyp_err *err) {
    if (model->n_files > MAX_FILES)
        return hyp_err_set(err, HYP_ELIMIT, "a model of more than %d files cannot be loaded", MAX_FILES);
    pthread_mutex_lock(&load_lock);
    for (size_t i = 0; i < model->n_files; i++) {
        struct stat st;
        if (stat(model->files[i].path, &st) != 0) {
            pthread_mutex_unlock(&load_lock);
            return hyp_err_set(err, HYP_EIO, "cannot examine %s", model->files[i].path);
        }
        files[i].device = st.st_dev;
        files[i].inode = st.st_ino;
        files[i].bytes = (uint64_t)st.st_size;
        atomic_store(&files[i].base, NULL);
    }
    n_files = model->n_files;
    atomic_store(&lazily, lazy);
    atomic_store(&watching, true); /* last: from here on other threads may read the table, without the lock */
    return HYP_OK;
}

void hyp_mapping_end(void **ret_bases) {
    hyp_mapping_search();
    atomic_store(&watching, false);
    for (size_t i = 0; i < n_files; i++)
        ret_bases[i] = atomic_load(&files[i].base);
    pthread_mutex_unlock(&load_lock);
}

bool hyp_mapping_is_watching(void) {
    return atomic_load(&watching);
}

int hyp_mapping_watched(dev_t device, ino_t inode) {
    if (!atomic_load(&watching)) return -1;
    for (size_t i = 0; i < n_files; i++)
        if (files[i].device == device && files[i].inode == inode) return (int)i;
    return -1;
}

bool hyp_mapping_is_lazy(void) {
    return atomic_load(&lazily);
}

bool hyp_mapping_is_lazy_at(const void *address) {
    if (!atomic_load(&watching) || !atomic_load(&lazily)) return false;
    for (size_t i = 0; i < n_files; i++) {
        const char *base = atomic_load(&files[i].base), *at = address;
        if (base != NULL && at >= base && at < base + files[i].bytes) return true;
    }
    return false;
}

void hyp_mapping_found(int file, void *base) {
    atomic_store(&files[file].base, base);
}
