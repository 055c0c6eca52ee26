/* The posix_memalign() that asks for huge pages, as its callers see it. */
#include "host/hugepages.h"

#include <cmocka.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 8 << 20 };

/* Has the mapping that holds `p` been advised to use huge pages ("hg" in its flags)? */
static bool is_advised(const void *p) {
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    bool inside = false, advised = false;
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        unsigned long first, end;
        if (sscanf(line, "%lx-%lx ", &first, &end) == 2) inside = (uintptr_t)p >= first && (uintptr_t)p < end;
        if (inside && strncmp(line, "VmFlags:", 8) == 0) advised = strstr(line, " hg") != NULL;
    }
    fclose(f);
    return advised;
}

static void large_buffers_are_advised_only_while_enabled(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* the sanitizer's own posix_memalign is in force */
#endif
    void *plain = NULL, *large = NULL, *small = NULL;
    hyp_hugepages_enable(false);
    assert_int_equal(posix_memalign(&plain, 64, LARGE), 0);
    hyp_hugepages_enable(true);
    assert_int_equal(posix_memalign(&large, 64, LARGE), 0);
    assert_int_equal(posix_memalign(&small, 64, 4096), 0);
    assert_false(is_advised(plain));
    assert_true(is_advised(large));
    assert_false(is_advised(small));
    free(plain);
    free(large);
    free(small);
    hyp_hugepages_enable(false);
}

static void memory_is_aligned_and_writable(void **state) {
    (void)state;
    for (int enable = 0; enable < 2; enable++) {
        hyp_hugepages_enable(enable);
        for (size_t alignment = sizeof(void *); alignment <= 4 << 20; alignment *= 4)
            for (size_t size = 1; size <= 2 * LARGE; size *= 15) {
                void *p = NULL;
                assert_int_equal(posix_memalign(&p, alignment, size), 0);
                assert_int_equal((uintptr_t)p % alignment, 0);
                memset(p, 0x5a, size);
                free(p);
            }
    }
    hyp_hugepages_enable(false);
}

static void errors_are_returned(void **state) {
    (void)state;
    void *p = &p;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* the sanitizer's own ends the process on such arguments */
#endif
    volatile size_t odd = 24, too_much = PTRDIFF_MAX - 4096;
    assert_int_equal(posix_memalign(&p, odd, 64), EINVAL);
    assert_int_equal(posix_memalign(&p, 64, too_much), ENOMEM);
    assert_ptr_equal(p, &p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_buffers_are_advised_only_while_enabled),
        cmocka_unit_test(memory_is_aligned_and_writable),
        cmocka_unit_test(errors_are_returned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
