/* A page that cannot be read is remembered instead of killing the process. */
#include "../test.h"
#include "host/mapping.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void a_file_cut_short_is_noticed(void) {
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

/* A file of four pages: 'a', 'b', 'c', 'd' are their first bytes. */
static int make_file(size_t page) {
    char path[] = "/tmp/hypura-guard-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(ftruncate(fd, (off_t)(4 * page)), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pwrite(fd, &"abcd"[i], 1, (off_t)(i * page)), 1);
    return fd;
}

/* Guard the pages from the second on, cut the file to nothing, and look at what a copy gives. */
static void a_copy_helps(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int whole = 0; whole < 2; whole++) {
        int fd = make_file(page), copies[] = {make_file(page), make_file(page)};
        assert_int_equal(ftruncate(copies[0], (off_t)(2 * page)), 0); /* the first copy lacks the end */
        char *map = mmap(NULL, 4 * page, PROT_READ, MAP_SHARED, fd, 0);
        assert_true(map != MAP_FAILED);
        volatile const char *seen = map;
        int guard = hyp_mapping_guard(map + page, 3 * page);
        hyp_mapping_guard_copies(guard, copies, 2, page);
        if (whole) hyp_mapping_rescue_whole(guard);
        assert_int_equal(seen[3 * page], 'd');
        assert_false(hyp_mapping_rescued(guard));
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(seen[3 * page], 'd');
        assert_true(hyp_mapping_rescued(guard));
        assert_int_equal(seen[2 * page], 'c');
        assert_int_equal(seen[page], 'b');
        assert_false(hyp_mapping_faulted(guard, NULL));
        /* When no copy has it either, it is noticed as ever. */
        for (int i = 0; i < 2; i++)
            assert_int_equal(ftruncate(copies[i], 0), 0);
        uint64_t offset = 0;
        assert_int_equal(seen[2 * page], 0);
        assert_true(hyp_mapping_faulted(guard, &offset));
        assert_int_equal(offset, page);
        hyp_mapping_unguard(guard);
        munmap(map, 4 * page);
        close(fd), close(copies[0]), close(copies[1]);
    }
    hyp_mapping_guard_copies(-1, NULL, 0, 0);
    assert_false(hyp_mapping_rescued(-1));
    hyp_mapping_rescue_whole(-1);
}

/* One test: the handler is installed once, and cmocka puts its own in front of each test. */
static void pages_that_cannot_be_read(void **state) {
    (void)state;
    a_file_cut_short_is_noticed();
    a_copy_helps();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pages_that_cannot_be_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
