/* fake_server.c - the real server over the scripted engine, for the wire tests.
 *
 * usage: fake_server FOLDER [NAME=VALUE...]
 *   key, host, origins, log (levels; to standard error): strings; context, parallel, queue, keep_alive_s, load_ms,
 * decode_us, max_batch, body, checkpoints: numbers; timeout, sign: seconds. Prints the port, serves until SIGTERM. */
#include "api/server.h"
#include "base/log.h"
#include "base/times.h"
#include "fake_backend.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char *value_of(int argc, char **argv, const char *name) {
    size_t n = strlen(name);
    for (int i = 2; i < argc; i++)
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=') return argv[i] + n + 1;
    return NULL;
}

static unsigned number(int argc, char **argv, const char *name, unsigned fallback) {
    const char *text = value_of(argc, argv, name);
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : fallback;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    fake_options options = {.needs_checkpoints = number(argc, argv, "checkpoints", 0) != 0,
                            .load_ms = number(argc, argv, "load_ms", 0),
                            .decode_us = number(argc, argv, "decode_us", 0),
                            .max_batch = number(argc, argv, "max_batch", 0)};
    const char *timeout = value_of(argc, argv, "timeout"), *sign = value_of(argc, argv, "sign");
    hyp_server_config config = {.model = argv[1],
                                .host = value_of(argc, argv, "host"),
                                .api_key = value_of(argc, argv, "key"),
                                .origins = value_of(argc, argv, "origins"),
                                .context_tokens = number(argc, argv, "context", 4096),
                                .n_parallel = number(argc, argv, "parallel", 4),
                                .max_queue = number(argc, argv, "queue", 0),
                                .keep_alive_ns = (int64_t)number(argc, argv, "keep_alive_s", 300) * 1000000000,
                                .max_body_bytes = number(argc, argv, "body", 0),
                                .sign_of_life_s = sign != NULL ? strtod(sign, NULL) : 0,
                                .request_timeout_s = timeout != NULL ? strtod(timeout, NULL) : 0,
                                .backend = {&fake_backend_ops, &options}};
    hyp_server *server = NULL;
    hyp_err err = HYP_ERR_NONE;
    const char *log = value_of(argc, argv, "log");
    if ((log != NULL && hyp_log_set_levels(log, &err) != HYP_OK) ||
        hyp_server_start(&config, &server, &err) != HYP_OK) {
        hyp_err_print(&err, stderr);
        return 1;
    }
    printf("%d\n", hyp_server_port(server));
    fflush(stdout);
    hyp_server_notify("READY=1");
    int signal_number = 0;
    sigwait(&signals, &signal_number);
    hyp_server_stop(server);
    return 0;
}
