/* test_platform.c - what every system's file must do alike. */
#include "../test.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void sockets_are_closed_on_exec(void **state) {
    (void)state;
    for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
        HYP_AUTOCLOSE int fd = hyp_platform_socket(AF_INET, SOCK_STREAM, 0, nonblocking == 1);
        assert_true(fd >= 0);
        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        assert_int_equal((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, nonblocking);
    }
    assert_int_equal(hyp_platform_socket(-1, SOCK_STREAM, 0, false), -1);
}

static void a_wait_ends_at_its_deadline(void **state) {
    (void)state;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond;
    hyp_platform_cond_init(&cond);
    double start = hyp_text_now_s();
    pthread_mutex_lock(&lock);
    while (hyp_platform_cond_wait_until(&cond, &lock, start + 0.05) != ETIMEDOUT) {
    }
    assert_int_equal(hyp_platform_cond_wait_until(&cond, &lock, start - 1), ETIMEDOUT);
    pthread_mutex_unlock(&lock);
    assert_true(hyp_text_now_s() - start >= 0.0499); /* a deadline is kept in whole nanoseconds */
    pthread_cond_destroy(&cond);
}

enum { POSTS = 1000 };

typedef struct counted {
    hyp_semaphore *go, *done;
    int n;
} counted;

static void *count(void *arg) {
    counted *c = arg;
    for (int i = 0; i < POSTS; i++) {
        hyp_semaphore_wait(c->go);
        c->n++;
    }
    hyp_semaphore_post(c->done);
    return NULL;
}

static void a_semaphore_lets_one_through_a_post(void **state) {
    (void)state;
    counted c = {hyp_semaphore_new(), hyp_semaphore_new(), 0};
    pthread_t thread;
    assert_non_null(c.go);
    assert_non_null(c.done);
    assert_int_equal(pthread_create(&thread, NULL, count, &c), 0);
    for (int i = 0; i < POSTS; i++)
        hyp_semaphore_post(c.go);
    hyp_semaphore_wait(c.done);
    assert_int_equal(c.n, POSTS);
    pthread_join(thread, NULL);
    hyp_semaphore_free(c.go);
    hyp_semaphore_free(c.done);
    hyp_semaphore_free(NULL);
}

static void a_file_tells_when_it_was_written(void **state) {
    (void)state;
    char path[] = "/tmp/hypura-platform-XXXXXX";
    HYP_AUTOCLOSE int fd = mkstemp(path);
    assert_true(fd >= 0);
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1234567890, .tv_nsec = 500000000}};
    struct stat st;
    assert_int_equal(futimens(fd, times), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(hyp_platform_mtime(&st).tv_sec, 1234567890);
    assert_int_equal(hyp_platform_mtime(&st).tv_nsec, 500000000);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(hyp_platform_drop_cached(fd, 0, 0), 0);
    assert_int_not_equal(hyp_platform_drop_cached(-1, 0, 0), 0);
    unlink(path);
}

static void the_program_finds_its_own_file(void **state) {
    (void)state;
    char path[4096];
    assert_ptr_equal(hyp_platform_own_program(path, sizeof path), path);
    assert_int_equal(access(path, X_OK), 0);
}

static void a_sent_signal_is_told(void **state) {
    (void)state;
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &before);
    kill(getpid(), SIGTERM);
    bool sent = false;
    assert_int_equal(hyp_platform_wait_signal(&set, &sent), SIGTERM);
    assert_true(sent);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_are_closed_on_exec),          cmocka_unit_test(a_wait_ends_at_its_deadline),
        cmocka_unit_test(a_semaphore_lets_one_through_a_post), cmocka_unit_test(a_file_tells_when_it_was_written),
        cmocka_unit_test(the_program_finds_its_own_file),      cmocka_unit_test(a_sent_signal_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
