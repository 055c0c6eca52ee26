/* supervise.c - ggml's RPC client knows no errors: when a server goes away it aborts the process. Here that process is
 * a child, and what is left of it is a sentence. */
#include "cli/supervise.h"

#include "base/platform.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/machine.h"
#include "engine/rpc.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORDS_MAX = 4096 };

/* Pass on what was sent to this process alone: a terminal's Ctrl-C reaches the child by itself. */
static int wait_for(pid_t child, const sigset_t *signals) {
    for (;;) {
        int status;
        bool sent;
        pid_t done = waitpid(child, &status, WNOHANG);
        if (done == child) return status;
        if (done < 0 && errno != EINTR) return W_EXITCODE(HYP_EXIT_FAILED, 0);
        int signal = hyp_platform_wait_signal(signals, &sent);
        if (signal > 0 && signal != SIGCHLD && sent) kill(child, signal);
    }
}

static pid_t start_child(const sigset_t *before, char *words) {
    pid_t parent = getpid(), child = fork();
    if (child != 0) return child;
    hyp_platform_end_with_parent(SIGTERM);
    if (getppid() != parent) _exit(HYP_EXIT_FAILED);
    sigprocmask(SIG_SETMASK, before, NULL);
    signal(SIGPIPE, SIG_IGN); /* a write to a server that is gone must fail, not kill in silence */
    hyp_rpc_record_abort(words, WORDS_MAX);
    return 0;
}

static int find_gone(const char *address, void *user, hyp_err *err) {
    (void)err;
    snprintf(user, 256, "%s", address);
    return hyp_rpc_probe(address, 0.5, NULL);
}

void hyp_supervise_explain(const hyp_device_choice *servers, const char *words, hyp_err *err) {
    char address[256] = "";
    if (strstr(words, "RPC") == NULL && words[0] != '\0') {
        hyp_err_set(err, HYP_EENGINE, "ggml gave up: %.250s", words);
        return;
    }
    /* A dying process closes its connections before it stops listening. */
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    if (hyp_devices_each_server(servers, find_gone, address, NULL) != HYP_OK)
        hyp_err_set(err, HYP_EENGINE, "the RPC server %s went away", address);
    else
        hyp_err_set(err, HYP_EENGINE, "the connection to an RPC server broke, or its ggml is of another version");
    hyp_err_hint(err, "look at the server's own output, start it again, and repeat");
}

int hyp_supervise(const hyp_device_choice *servers, bool restart, hyp_err *err) {
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    char *words = mmap(NULL, WORDS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (words == MAP_FAILED) {
        hyp_err_set(err, HYP_ENOMEM, "out of memory starting a process");
        return HYP_EXIT_FAILED;
    }
    sigprocmask(SIG_BLOCK, &signals, &before);
    for (;;) {
        double start_s = hyp_text_now_s();
        words[0] = '\0';
        fflush(NULL);
        pid_t child = start_child(&before, words);
        if (child == 0) return -1;
        if (child < 0) {
            hyp_err_set_sys(err, HYP_EIO, errno, "cannot start a process");
            return HYP_EXIT_FAILED;
        }
        int status = wait_for(child, &signals);
        if (WIFEXITED(status)) return WEXITSTATUS(status);
        if (WTERMSIG(status) != SIGABRT) return 128 + WTERMSIG(status);
        hyp_supervise_explain(servers, words, err);
        if (!restart) return HYP_EXIT_FAILED;
        hyp_err_print(err, stderr);
        *err = HYP_ERR_NONE; /* it was reported; what stops the next process is another failure */
        /* What died at once may die again. */
        if (hyp_text_now_s() - start_s < 1) nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
}

int hyp_supervise_if_remote(const hyp_args *args, hyp_err *err) {
    const hyp_device_choice devices = hyp_machine_devices(args);
    return args->rpc.n > 0 ? hyp_supervise(&devices, false, err) : -1;
}
