/* serve.c - `hypura serve`: the server, until a signal ends it. */
#include "api/server.h"
#include "base/mem.h"
#include "base/times.h"
#include "cli/command.h"
#include "cli/endpoint.h"
#include "cli/machine.h"
#include "cli/supervise.h"
#include "engine/rpc.h"
#include "session/backend_engine.h"

#include <signal.h>
#include <string.h>

static int read_keep_alive(const char *text, int64_t *ret_ns, hyp_err *err) {
    char *end;
    double seconds = strtod(text, &end);
    if (end != text && *end == '\0')
        *ret_ns = seconds < 0 || seconds > 9e9 ? HYP_FOREVER : (int64_t)(seconds * 1e9);
    else if (hyp_duration_parse(text, ret_ns) != HYP_OK) {
        hyp_err_set(err, HYP_EINVAL, "--keep-alive needs a duration, not \"%s\"", text);
        hyp_err_hint(err, "for instance 10m, 1h30m, 0 (unload at once) or -1 (never)");
        return HYP_EINVAL;
    }
    if (*ret_ns < 0) *ret_ns = HYP_FOREVER;
    return HYP_OK;
}

/* Three lines for people, and a word for the service manager. */
static void announce(hyp_server *server, const hyp_args *args, const hyp_endpoint *endpoint, const char *what) {
    char first[512];
    size_t n = hyp_server_models(server, first, sizeof first);
    bool v6 = strchr(endpoint->host, ':') != NULL;
    if (n == 1)
        printf("serving %s from %s", first, what);
    else
        printf("serving %zu models from %s", n, what);
    printf(" (context %u, %d at once)\n", args->wishes.context_tokens, args->parallel);
    printf("endpoint http://%s%s%s:%d\n", v6 ? "[" : "", endpoint->host, v6 ? "]" : "", hyp_server_port(server));
    printf("APIs: Ollama at /api, OpenAI and Anthropic at /v1; web page at /ui, metrics at /metrics\n");
    fflush(stdout);
    hyp_server_notify("READY=1");
}

static void wait_for_signal(const sigset_t *signals) {
    int number = 0;
    while (sigwait(signals, &number) != 0) {
    }
    /* A second signal ends the process at once. */
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
}

typedef struct last_words {
    const hyp_device_choice *devices;
    hyp_server *server;
} last_words;

/* ggml aborts: whoever waits for an answer hears why, while the parent keeps the port and starts anew. */
static void say_last_words(const char *reason, void *user) {
    last_words *l = user;
    hyp_err err = HYP_ERR_NONE;
    hyp_supervise_explain(l->devices, reason, &err);
    hyp_server_last_words(l->server, err.message);
}

int hyp_command_serve(const hyp_args *args, hyp_err *err) {
    const char *model = args->model != NULL ? args->model : args->n_words > 0 ? args->words[0] : NULL;
    hyp_endpoint endpoint;
    int64_t keep_alive_ns;
    int r = hyp_endpoint_read(args, &endpoint, err);
    if (r == HYP_OK) r = read_keep_alive(args->keep_alive, &keep_alive_ns, err);
    if (r != HYP_OK) return HYP_EXIT_USAGE;
    hyp_device_choice devices = hyp_machine_devices(args);
    int listen_fd = 0;
    if (args->rpc.n > 0) {
        if (hyp_server_bind(endpoint.host, endpoint.port, &listen_fd, err) != HYP_OK) return HYP_EXIT_FAILED;
        int status = hyp_supervise(&devices, true, err);
        if (status >= 0) return status;
    }
    /* Every thread inherits this: signals come to sigwait() alone. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    hyp_backend_base base = {hyp_machine_setup(args), hyp_machine_engine_config(args)};
    base.engine.mirrors_may_lack = true; /* several models may be served, and some have no copy */
    hyp_server_config config = {.model = model,
                                .host = endpoint.host,
                                .port = endpoint.port,
                                .listen_fd = listen_fd,
                                .api_key = endpoint.api_key,
                                .origins = getenv("OLLAMA_ORIGINS"),
                                .context_tokens = args->wishes.context_tokens,
                                .n_parallel = (uint32_t)args->parallel,
                                .max_queue = (unsigned)args->max_queue,
                                .keep_alive_ns = keep_alive_ns,
                                .backend = hyp_backend_engine(&base)};
    hyp_server *server = NULL;
    r = hyp_server_start(&config, &server, err);
    if (r != HYP_OK) return HYP_EXIT_FAILED;
    last_words words = {&devices, server};
    if (args->rpc.n > 0) hyp_rpc_before_death(say_last_words, &words);
    announce(server, args, &endpoint, model != NULL ? model : "this machine");
    wait_for_signal(&signals);
    hyp_server_notify("STOPPING=1");
    if (!args->quiet) fputs("stopping\n", stderr);
    hyp_rpc_before_death(NULL, NULL);
    hyp_server_stop(server);
    return HYP_EXIT_OK;
}
