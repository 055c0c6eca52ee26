/* find.c - where a model's sidecar is, or would be. */
#include "base/mem.h"
#include "base/paths.h"
#include "sidecar/sidecar_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

const char *hyp_sidecar_state_name(hyp_sidecar_state state) {
    static const char *const names[] = {"absent", "partial", "stale", "corrupt", "present"};
    return (size_t)state < HYP_ARRAY_LEN(names) ? names[state] : "unknown";
}

const char *hyp_sidecar_order_name(hyp_sidecar_order order) {
    static const char *const names[] = {"by number", "by trace", "by statistics"};
    return (size_t)order < HYP_ARRAY_LEN(names) ? names[order] : "unknown";
}

void hyp_sidecar_look_done(hyp_sidecar_look *look) {
    hyp_sidecar_free(look->sidecar);
    look->sidecar = NULL;
}

/* --- places --- */

void hyp_sidecar_folder_of(const char *path, char ret[HYP_SIDECAR_PATH_SIZE]) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        snprintf(ret, HYP_SIDECAR_PATH_SIZE, ".");
    else
        snprintf(ret, HYP_SIDECAR_PATH_SIZE, "%.*s", (int)HYP_MAX(slash - path, 1), path);
}

static bool beside(const hyp_model *model, char ret[HYP_SIDECAR_PATH_SIZE]) {
    return snprintf(ret, HYP_SIDECAR_PATH_SIZE, "%s.packed", model->files[0].path) < HYP_SIDECAR_PATH_SIZE;
}

/* CACHE/packed/DIGEST.SUFFIX; the folder is made. */
static int in_cache(const hyp_model *model, const char *suffix, char ret[HYP_SIDECAR_PATH_SIZE], hyp_err *err) {
    char folder[HYP_SIDECAR_PATH_SIZE];
    int r = hyp_paths_cache_dir(folder, sizeof folder - 16, err);
    if (r != HYP_OK) return r;
    strcat(folder, "/packed");
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return hyp_err_set_sys(err, HYP_EIO, errno, "cannot create the folder %s", folder);
    if (snprintf(ret, HYP_SIDECAR_PATH_SIZE, "%s/%s.%s", folder, model->digest, suffix) < HYP_SIDECAR_PATH_SIZE)
        return HYP_OK;
    return hyp_err_set(err, HYP_ELIMIT, "the path of the cache folder is too long");
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int place_out(const hyp_model *model, const char *out, char ret[HYP_SIDECAR_PATH_SIZE], hyp_err *err) {
    const char *name = strrchr(model->files[0].path, '/');
    name = name != NULL ? name + 1 : model->files[0].path;
    int n = is_folder(out) ? snprintf(ret, HYP_SIDECAR_PATH_SIZE, "%s/%s.packed", out, name)
                           : snprintf(ret, HYP_SIDECAR_PATH_SIZE, "%s", out);
    if (n >= HYP_SIDECAR_PATH_SIZE - 16) return hyp_err_set(err, HYP_ELIMIT, "the path %s is too long", out);
    char folder[HYP_SIDECAR_PATH_SIZE];
    hyp_sidecar_folder_of(ret, folder);
    if (access(folder, W_OK) == 0) return HYP_OK;
    hyp_err_set_sys(err, HYP_EIO, errno, "cannot write into the folder %s", folder);
    hyp_err_hint(err, "choose another place with --out");
    return HYP_EIO;
}

int hyp_sidecar_place(const hyp_model *model, const char *out, char ret[HYP_SIDECAR_PATH_SIZE], hyp_err *err) {
    if (out != NULL) return place_out(model, out, ret, err);
    char folder[HYP_SIDECAR_PATH_SIZE];
    hyp_sidecar_folder_of(model->files[0].path, folder);
    if (beside(model, ret) && strlen(ret) < HYP_SIDECAR_PATH_SIZE - 16 && access(folder, W_OK) == 0) return HYP_OK;
    int r = in_cache(model, "packed", ret, err);
    if (r != HYP_OK) hyp_err_hint(err, "the model's folder cannot be written to either: name a place with --out");
    return r;
}

int hyp_sidecar_check_target(const hyp_model *model, const char *path, bool any_file, hyp_err *err) {
    struct stat there, own;
    if (stat(path, &there) != 0) return HYP_OK; /* any other fault shows when it is written */
    bool kept =
        !S_ISREG(there.st_mode) || (!any_file && !hyp_paths_begins_with(path, SIDECAR_MAGIC, strlen(SIDECAR_MAGIC)));
    if (kept) hyp_err_set(err, HYP_EINVAL, "%s is there already, and is no packed copy", path);
    for (size_t i = 0; i < model->n_files && !kept; i++) {
        kept = stat(model->files[i].path, &own) == 0 && own.st_dev == there.st_dev && own.st_ino == there.st_ino;
        if (kept) hyp_err_set(err, HYP_EINVAL, "%s is the model itself", path);
    }
    if (!kept) return HYP_OK;
    hyp_err_hint(err, "choose another name with --out");
    return HYP_EINVAL;
}

void hyp_sidecar_remember_place(const hyp_model *model, const char *path) {
    char usual[HYP_SIDECAR_PATH_SIZE], note[HYP_SIDECAR_PATH_SIZE];
    HYP_AUTOFREE char *whole = realpath(path, NULL);
    if (whole == NULL || (beside(model, usual) && strcmp(path, usual) == 0)) return;
    if (in_cache(model, "packed", usual, NULL) == HYP_OK && strcmp(path, usual) == 0) return;
    /* Without the note it is found by --sidecar alone. */
    if (in_cache(model, "place", note, NULL) == HYP_OK) (void)!hyp_paths_write_atomic(note, whole, strlen(whole), NULL);
}

/* --- looking --- */

/* True when something is there, good or bad. */
static bool look_at(const hyp_model *model, const char *path, hyp_sidecar_look *look) {
    HYP_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait for a writer */
    if (fd < 0 && errno == ENOENT) return false;
    snprintf(look->path, sizeof look->path, "%s", path);
    int r = HYP_OK;
    if (fd < 0)
        r = hyp_err_set_sys(&look->why, HYP_EIO, errno, "cannot open it");
    else
        r = hyp_sidecar_read_head(fd, path, &look->sidecar, &look->why);
    look->state = HYP_SIDECAR_CORRUPT;
    if (r == HYP_OK && !look->sidecar->complete) {
        r = hyp_err_set(&look->why, HYP_EFORMAT, "it is unfinished");
    } else if (r == HYP_OK) {
        r = hyp_sidecar_match(look->sidecar, model, (uint32_t)sysconf(_SC_PAGESIZE), &look->why);
        look->state = r == HYP_OK ? HYP_SIDECAR_PRESENT : r == HYP_EINVAL ? HYP_SIDECAR_STALE : HYP_SIDECAR_CORRUPT;
    }
    if (r == HYP_OK) return true;
    hyp_sidecar_free(look->sidecar);
    look->sidecar = NULL;
    return true;
}

static bool partial_at(const char *path) {
    char partial[HYP_SIDECAR_PATH_SIZE];
    return snprintf(partial, sizeof partial, "%s.partial", path) < (int)sizeof partial && access(partial, F_OK) == 0;
}

void hyp_sidecar_find(const hyp_model *model, const char *path, hyp_sidecar_look *ret) {
    char places[3][HYP_SIDECAR_PATH_SIZE];
    size_t n = 0;
    *ret = (hyp_sidecar_look){.state = HYP_SIDECAR_ABSENT};
    if (path != NULL) {
        n += snprintf(places[0], sizeof places[0], "%s", path) < (int)sizeof places[0];
    } else {
        char note[HYP_SIDECAR_PATH_SIZE];
        HYP_AUTOFREE char *place = NULL;
        size_t length = 0;
        n += beside(model, places[n]);
        if (in_cache(model, "packed", places[n], NULL) == HYP_OK) n++;
        if (in_cache(model, "place", note, NULL) == HYP_OK &&
            hyp_paths_read(note, HYP_SIDECAR_PATH_SIZE - 1, &place, &length, NULL) == HYP_OK && place[0] == '/')
            n += snprintf(places[n], sizeof places[n], "%s", place) < (int)sizeof places[n];
    }
    if (n > 0) memcpy(ret->path, places[0], sizeof ret->path);
    hyp_sidecar_look bad = {.state = HYP_SIDECAR_ABSENT};
    for (size_t i = 0; i < n; i++) {
        hyp_sidecar_look look = {.state = HYP_SIDECAR_ABSENT};
        if (!look_at(model, places[i], &look)) continue;
        if (look.state == HYP_SIDECAR_PRESENT) {
            *ret = look;
            return;
        }
        if (bad.state == HYP_SIDECAR_ABSENT) bad = look; /* a good one may stand further on */
    }
    if (bad.state != HYP_SIDECAR_ABSENT) *ret = bad;
    for (size_t i = 0; i < n && ret->state == HYP_SIDECAR_ABSENT; i++)
        if (partial_at(places[i])) {
            ret->state = HYP_SIDECAR_PARTIAL;
            memcpy(ret->path, places[i], sizeof ret->path);
        }
}
