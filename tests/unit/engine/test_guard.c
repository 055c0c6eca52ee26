/* A page that cannot be read is remembered instead of killing the process. */
#include "../test.h"
#include "engine/mapping.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void a_file_cut_short_is_noticed(void **state) {
    (void)state;
    char path[] = "/tmp/hypura-guard-XXXXXX";
    int fd = mkstemp(path);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(ftruncate(fd, (off_t)(4 * page)), 0);
    assert_int_equal(pwrite(fd, "x", 1, (off_t)(3 * page)), 1);
    volatile char *map = mmap(NULL, 4 * page, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    int guard = hyp_mapping_guard((void *)(uintptr_t)map, 4 * page);
    assert_true(guard >= 0);
    assert_int_equal(map[3 * page], 'x');
    assert_false(hyp_mapping_faulted(guard, NULL));
    assert_int_equal(ftruncate(fd, (off_t)page), 0);
    assert_int_equal(map[2 * page + 5], 0);
    uint64_t offset = 0;
    assert_true(hyp_mapping_faulted(guard, &offset));
    assert_int_equal(offset, 2 * page);
    hyp_mapping_unguard(guard);
    assert_false(hyp_mapping_faulted(-1, NULL));
    munmap((void *)(uintptr_t)map, 4 * page);
    close(fd);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_file_cut_short_is_noticed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
