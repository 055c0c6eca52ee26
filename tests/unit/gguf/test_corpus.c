/* Every file that ever broke a reader is opened again; and every single-byte change of the good ones. */
#include "../test.h"

#include "base/mem.h"
#include "gguf/model.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *corpus(void) {
    static char folder[4096];
    const char *root = getenv("HYPURA_ROOT");
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/gguf", root != NULL ? root : ".");
    return folder;
}

/* Call `visit` with every file whose name begins with `prefix`; returns how many there were. */
static size_t for_each(const char *prefix, void (*visit)(const char *path)) {
    DIR *folder = opendir(corpus());
    if (folder == NULL) fail_msg("there is no corpus at %s", corpus());
    size_t n = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[8192];
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0) continue;
        snprintf(path, sizeof path, "%s/%s", corpus(), entry->d_name);
        visit(path);
        n++;
    }
    closedir(folder);
    return n;
}

static void check_good(const char *path) {
    hyp_model *model = NULL;
    hyp_err err = HYP_ERR_NONE;
    if (hyp_model_open(path, &model, &err) != HYP_OK) fail_msg("%s: %s", path, err.message);
    hyp_model_free(model);
}

static void check_bad(const char *path) {
    hyp_model *model = NULL;
    hyp_err err = HYP_ERR_NONE;
    int e = hyp_model_open(path, &model, &err);
    if (e != HYP_EFORMAT) fail_msg("%s gave %d", path, e);
    assert_null(model);
    assert_int_equal(err.code, HYP_EFORMAT);
    assert_true(err.message[0] != '\0' && err.hint[0] != '\0');
}

static void good_files_open(void **state) {
    (void)state;
    assert_true(for_each("good-", check_good) >= 8);
}

static void bad_files_are_refused(void **state) {
    (void)state;
    assert_true(for_each("bad-", check_bad) >= 100);
}

static void open_bytes(int fd, const char *path, const unsigned char *bytes, size_t n) {
    hyp_model *model = NULL;
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
    assert_int_equal(pwrite(fd, bytes, n, 0), (ssize_t)n);
    if (hyp_model_open(path, &model, &err) == HYP_OK) {
        for (size_t i = 0; i < model->n_tensors; i++) {
            const hyp_tensor *t = &model->tensors[i];
            assert_true(t->offset <= n && t->bytes <= n - t->offset);
            assert_true(t->layer < (int)model->n_layers);
            assert_true(hyp_tensor_touched_bytes(model, t) <= t->bytes);
            assert_true((t->role == HYP_ROLE_ROUTED_EXPERT) == (t->n_experts > 0));
            assert_true(t->n_experts * t->expert_bytes == (t->n_experts > 0 ? t->bytes : 0));
        }
    } else {
        assert_true(err.code != 0 && err.message[0] != '\0');
        assert_null(model);
    }
    hyp_model_free(model);
}

/* A file cut anywhere, and with any one byte set to what upsets lengths, counts and types most. */
static void mutate(const char *path) {
    static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};
    unsigned char bytes[4096];
    char memory_path[64];
    HYP_AUTOCLOSE int fd = memfd_create("gguf", MFD_CLOEXEC);
    HYP_AUTOCLOSE int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(file, bytes, sizeof bytes);
    assert_true(fd >= 0 && n > 0);
    snprintf(memory_path, sizeof memory_path, "/proc/self/fd/%d", fd);
    for (ssize_t cut = 0; cut < n; cut += 3)
        open_bytes(fd, memory_path, bytes, (size_t)cut);
    /* Behind the header is the tensors' data, whose bytes mean nothing here. */
    for (ssize_t at = 0; at < HYP_MIN(n, 1300); at++) {
        unsigned char was = bytes[at];
        for (size_t i = 0; i < sizeof values; i++) {
            bytes[at] = values[i];
            open_bytes(fd, memory_path, bytes, (size_t)n);
        }
        bytes[at] = was;
    }
}

static void changed_files_do_no_harm(void **state) {
    (void)state;
    assert_int_equal(for_each("good-experts.gguf", mutate), 1);
    assert_int_equal(for_each("good-used-by-layer.gguf", mutate), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_files_open), cmocka_unit_test(bad_files_are_refused),
                                       cmocka_unit_test(changed_files_do_no_harm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
