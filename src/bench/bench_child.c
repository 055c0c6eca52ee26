/* bench_child.c - a child process: started, listened to, ended with its parent. */
#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "bench/bench_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { OUTPUT_MAX = 16 << 20, ERRORS_MAX = 16 << 10, POLL_MS = 100, GRACE_S = 5 };

/* Between fork and exec only what is safe in a signal handler. */
_Noreturn static void become(const hyp_bench_child *child, pid_t parent, int out, int errors) {
    hyp_platform_end_with_parent(SIGKILL);
    if (getppid() != parent) _exit(127);
    /* "0" is the writer itself, to both versions of control groups. */
    if (child->group_fd >= 0 && write(child->group_fd, "0", 1) != 1) _exit(126);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
        _exit(127);
    execv(child->program, child->argv);
    _exit(127);
}

/* Append what the pipe holds. False at its end. What is beyond `max` is dropped, and said with `*ret_over`. */
static bool drain(int fd, size_t max, hyp_str *text, bool *ret_over) {
    char buf[16384];
    ssize_t n = read(fd, buf, sizeof buf);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    if (n == 0) return false;
    size_t room = max - HYP_MIN(text->length, max);
    if ((size_t)n > room) *ret_over = true;
    hyp_str_append(text, buf, HYP_MIN((size_t)n, room));
    return true;
}

/* Listen until both pipes are closed. Returns whether the child was told to stop. */
static bool listen_to(const hyp_bench_child *child, pid_t pid, int fds[2], hyp_str text[2], bool *ret_over) {
    struct pollfd polled[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}};
    double stopped_at = 0;
    bool ignored = false;
    while (polled[0].fd >= 0 || polled[1].fd >= 0) {
        int n = poll(polled, 2, POLL_MS);
        if (n < 0 && errno != EINTR) break;
        for (int i = 0; i < 2 && n > 0; i++)
            if (polled[i].revents != 0 &&
                !drain(fds[i], i == 0 ? OUTPUT_MAX : ERRORS_MAX, &text[i], i == 0 ? ret_over : &ignored))
                polled[i].fd = -1;
        bool stop = *ret_over || (child->stop != NULL && child->stop(child->user));
        if (stop && stopped_at <= 0) {
            stopped_at = hyp_text_now_s();
            kill(pid, SIGTERM);
        } else if (stop && hyp_text_now_s() - stopped_at > GRACE_S)
            kill(pid, SIGKILL);
    }
    return stopped_at > 0 && !*ret_over;
}

/* A line of `text` for a message: without "hypura: ", without what could steer a terminal. */
static void line_of(const char *text, const char *label, char *ret, size_t size) {
    const char *at = strstr(text, label);
    ret[0] = '\0';
    if (at == NULL || (at != text && at[-1] != '\n')) return;
    at += strlen(label);
    size_t n = HYP_MIN(strcspn(at, "\n"), size - 1);
    for (size_t i = 0; i < n; i++)
        ret[i] = (unsigned char)at[i] < 0x20 || at[i] == 0x7f ? '?' : at[i];
    ret[n] = '\0';
}

static int failed(const hyp_bench_child *child, int status, const char *errors, hyp_err *err) {
    char message[200], hint[160];
    line_of(errors, "hypura: ", message, sizeof message);
    line_of(errors, "hint: ", hint, sizeof hint);
    if (WIFSIGNALED(status)) {
        int r = hyp_err_set(err, HYP_EENGINE, "%s was killed by signal %d", child->name, WTERMSIG(status));
        if (WTERMSIG(status) == SIGKILL)
            hyp_err_hint(err,
                         "the kernel kills what needs more memory than there is; try a smaller --ram or --context");
        return r;
    }
    int code = WEXITSTATUS(status);
    if (code == 126 && message[0] == '\0')
        return hyp_err_set(err, HYP_EIO, "%s could not join its memory control group", child->name);
    hyp_err_set(err, HYP_EENGINE, "%s failed with status %d%s%s", child->name, code, message[0] != '\0' ? ": " : "",
                message);
    if (hint[0] != '\0') hyp_err_hint(err, "%s", hint);
    return HYP_EENGINE;
}

static int read_report(const hyp_bench_child *child, int status, bool stopped, bool over, const hyp_str text[2],
                       hyp_bench_run *ret, hyp_err *err) {
    if (stopped) return hyp_err_set(err, HYP_ECANCELED, "interrupted");
    if (over) return hyp_err_set(err, HYP_ELIMIT, "%s printed more than %d MiB", child->name, OUTPUT_MAX >> 20);
    if (text[0].failed) return hyp_err_set(err, HYP_ENOMEM, "out of memory for a run's report");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return failed(child, status, text[1].length > 0 ? text[1].data : "", err);
    return hyp_bench_run_parse(text[0].length > 0 ? text[0].data : "", text[0].length, ret, err);
}

/* The report counts from the model's opening, and one side may read in loading what the other reads in computing. The
 * kernel counts a process's life, in blocks of 512 bytes. */
static void count_load(const struct rusage *usage, hyp_bench_run *run) {
    if (!hyp_platform_counts_blocks) return;
    run->figures[HYP_BENCH_READ] = (double)usage->ru_inblock * 512;
    run->figures[HYP_BENCH_FAULTS] = (double)usage->ru_majflt;
}

static int make_pipe(int ret[2]) {
    if (pipe(ret) != 0) return -1;
    for (int i = 0; i < 2; i++)
        fcntl(ret[i], F_SETFD, FD_CLOEXEC);
    return 0;
}

int hyp_bench_child_run(const hyp_bench_child *child, hyp_bench_run *ret, hyp_err *err) {
    int out[2], errors[2];
    if (make_pipe(out) != 0) return hyp_err_set_sys(err, HYP_EIO, errno, "cannot make a pipe");
    HYP_AUTOCLOSE int out_fd = out[0];
    if (make_pipe(errors) != 0) {
        int sys = errno;
        close(out[1]);
        return hyp_err_set_sys(err, HYP_EIO, sys, "cannot make a pipe");
    }
    HYP_AUTOCLOSE int errors_fd = errors[0];
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) become(child, parent, out[1], errors[1]);
    int sys = errno;
    close(out[1]);
    close(errors[1]);
    if (pid < 0) return hyp_err_set_sys(err, HYP_EIO, sys, "cannot start %s", child->name);
    hyp_str text[2] = {{0}, {0}};
    bool over = false;
    bool stopped = listen_to(child, pid, (int[2]){out_fd, errors_fd}, text, &over);
    struct rusage usage = {0};
    int status = 0, waited;
    while ((waited = wait4(pid, &status, 0, &usage)) < 0 && errno == EINTR)
        ;
    int r = waited < 0 ? hyp_err_set_sys(err, HYP_EIO, errno, "cannot wait for %s", child->name)
                       : read_report(child, status, stopped, over, text, ret, err);
    if (r == HYP_OK) count_load(&usage, ret);
    hyp_str_free(&text[0]);
    hyp_str_free(&text[1]);
    return r;
}
