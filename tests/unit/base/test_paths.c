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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_are_replaced_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
