/* test_auto.c - which backend is taken where io_uring is refused, as container run-times do. */
#include "fixture.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* From now on io_uring_setup() of this process fails with `sys`. */
static bool forbid_io_uring(int sys) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)sys),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* In a child: 0 when all is as it must be, else the number of the check that was not; 77 when there is no seccomp. */
static int without_io_uring(const char *path, int sys) {
    if (!forbid_io_uring(sys)) return 77;
    hyp_io *io = NULL;
    hyp_err err = HYP_ERR_NONE;
    hyp_io_config config = {.backend = HYP_IO_URING};
    if (hyp_io_open(&path, 1, &config, &io, &err) != HYP_EUNSUPPORTED) return 1;
    if (io != NULL || err.sys != sys || strstr(err.hint, "threads") == NULL) return 2;
    config.backend = HYP_IO_AUTO;
    err = HYP_ERR_NONE;
    if (hyp_io_open(&path, 1, &config, &io, &err) != HYP_OK || err.code != HYP_OK) return 3;
    if (hyp_io_backend_in_use(io) != HYP_IO_THREADS) return 4;
    hyp_io_request r = fixture_request(3, 300);
    hyp_io_submit(io, &r);
    if (hyp_io_reap(io, true) != &r || !fixture_matches(r.buf, r.offset, r.bytes)) return 5;
    hyp_io_close(io);
    free(r.buf);
    return 0;
}

static void threads_where_io_uring_is_refused(void **state) {
    (void)state;
    static const int refusals[] = {ENOSYS, EPERM};
    const way w = {HYP_IO_AUTO, false};
    for (size_t i = 0; i < 2; i++) {
        fixture f;
        fixture_make(&f, &w);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) _exit(without_io_uring(f.path, refusals[i]));
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        unlink(f.path);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) skip();
        assert_int_equal(status, 0);
    }
}

static void auto_reads(void **state) {
    (void)state;
    const way w = {HYP_IO_AUTO, false};
    fixture f;
    fixture_make(&f, &w);
    const hyp_io_config config = {0};
    const char *path = f.path;
    assert_int_equal(hyp_io_open(&path, 1, &config, &f.io, NULL), HYP_OK);
    hyp_io_backend backend = hyp_io_backend_in_use(f.io);
    assert_true(backend == HYP_IO_URING || backend == HYP_IO_THREADS);
    hyp_io_request r = fixture_request(0, FILE_PAGES);
    hyp_io_submit(f.io, &r);
    fixture_reap_all(&f, 1, NULL);
    assert_true(fixture_matches(r.buf, 0, r.bytes));
    free(r.buf);
    fixture_close(&f);
}

static void names_of_backends(void **state) {
    (void)state;
    static const char *const names[] = {"auto", "io_uring", "threads", "plain"};
    for (int i = 0; i < 4; i++)
        assert_string_equal(hyp_io_backend_name((hyp_io_backend)i), names[i]);
    assert_string_equal(hyp_io_backend_name((hyp_io_backend)77), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_where_io_uring_is_refused),
                                       cmocka_unit_test(auto_reads), cmocka_unit_test(names_of_backends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
