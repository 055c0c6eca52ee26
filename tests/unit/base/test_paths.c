#include "../test.h"
#include "base/paths.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void files_are_replaced_whole(void **state) {
    (void)state;
    char dir[] = "/tmp/hypura-test-XXXXXX", path[128], cache[256];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/file", dir);
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_paths_write_atomic(path, "one", 3, &err), HYP_OK);
    assert_int_equal(hyp_paths_write_atomic(path, "second", 6, &err), HYP_OK);
    char *data;
    size_t n;
    assert_int_equal(hyp_paths_read(path, 100, &data, &n, &err), HYP_OK);
    assert_int_equal(n, 6);
    assert_string_equal(data, "second");
    free(data);
    assert_int_equal(hyp_paths_read(path, 5, &data, &n, &err), HYP_ELIMIT);
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_paths_read(dir, 5, &data, &n, &err), HYP_EIO);
    setenv("XDG_CACHE_HOME", dir, 1);
    err = HYP_ERR_NONE;
    assert_int_equal(hyp_paths_cache_dir(cache, sizeof cache, &err), HYP_OK);
    assert_int_equal(access(cache, W_OK), 0);
    rmdir(cache);
    unlink(path);
    rmdir(dir);
}

/* Replacing /dev/stdout, or the link that a file is kept behind, would break more than what is saved is worth. */
static void what_is_no_file_is_written_to(void **state) {
    (void)state;
    char dir[] = "/tmp/hypura-test-XXXXXX", file[128], link[128], device[128], *data;
    struct stat st;
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/file", dir);
    snprintf(link, sizeof link, "%s/link", dir);
    snprintf(device, sizeof device, "%s/device", dir);
    assert_int_equal(symlink(file, link), 0);
    assert_int_equal(symlink("/dev/full", device), 0);
    hyp_err err = HYP_ERR_NONE;
    assert_int_equal(hyp_paths_write_atomic(link, "one", 3, &err), HYP_OK);
    assert_true(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
    assert_int_equal(hyp_paths_read(file, 100, &data, NULL, &err), HYP_OK);
    assert_string_equal(data, "one");
    free(data);
    assert_int_equal(hyp_paths_write_atomic(device, "one", 3, &err), HYP_EIO);
    assert_true(lstat(device, &st) == 0 && S_ISLNK(st.st_mode));
    unlink(device);
    unlink(link);
    unlink(file);
    assert_int_equal(rmdir(dir), 0); /* nothing was left */
}

static void a_pipe_is_no_file(void **state) {
    (void)state;
    char dir[] = "/tmp/hypura-test-XXXXXX", path[128], *data;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/pipe", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    hyp_err err = HYP_ERR_NONE;
    alarm(20); /* rather than waiting for a writer for ever */
    assert_int_equal(hyp_paths_read(path, 100, &data, NULL, &err), HYP_EIO);
    alarm(0);
    unlink(path);
    rmdir(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_replaced_whole),
        cmocka_unit_test(what_is_no_file_is_written_to),
        cmocka_unit_test(a_pipe_is_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
