#include "engine/rpc.h"

#include "base/mem.h"
#include "base/platform.h"
#include "base/text.h"
#include "hw/hardware.h"
#include "hw/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <ggml-backend.h>
#include <ggml.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SERVERS = 16, ADDRESS_MAX = 256 };

/* A server in the same house answers in milliseconds, one across an ocean in 0.3 s. */
static const double CONNECT_S = 3, HELLO_S = 10;

/* --- the address --- */

static int split_address(const char *address, char *host, size_t size, const char **ret_port, hyp_err *err) {
    const char *colon = strrchr(address, ':');
    size_t n = colon != NULL ? (size_t)(colon - address) : 0;
    if (n == 0 || n >= size || colon[1] == '\0' || memchr(address, ':', n) != NULL ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
        hyp_err_set(err, HYP_EINVAL, "\"%s\" is no address of an RPC server", address);
        hyp_err_hint(err, "write HOST:PORT, as in 192.168.1.20:50052");
        return HYP_EINVAL;
    }
    memcpy(host, address, n);
    host[n] = '\0';
    *ret_port = colon + 1;
    return HYP_OK;
}

/* 0, or the errno of a connection that did not come about. */
static int try_connect(const struct addrinfo *to, int timeout_ms) {
    int fd = hyp_platform_socket(to->ai_family, to->ai_socktype, to->ai_protocol, true);
    if (fd < 0) return errno;
    int sys = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : errno;
    if (sys == EINPROGRESS) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        socklen_t size = sizeof sys;
        int n;
        do
            n = poll(&p, 1, timeout_ms);
        while (n < 0 && errno == EINTR);
        if (n <= 0)
            sys = n == 0 ? ETIMEDOUT : errno;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &size) != 0)
            sys = errno;
    }
    close(fd);
    return sys;
}

int hyp_rpc_probe(const char *address, double timeout_s, hyp_err *err) {
    char host[ADDRESS_MAX];
    const char *port = NULL;
    int r = split_address(address, host, sizeof host, &port, err);
    if (r != HYP_OK) return r;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int unknown = getaddrinfo(host, port, &hints, &list);
    int sys = unknown != 0 ? EHOSTUNREACH : 0;
    for (const struct addrinfo *to = list; to != NULL; to = to->ai_next) {
        sys = try_connect(to, (int)(timeout_s * 1e3));
        if (sys == 0) break;
    }
    if (list != NULL) freeaddrinfo(list);
    if (unknown == 0 && sys == 0) return HYP_OK;
    if (unknown != 0)
        hyp_err_set(err, HYP_ENOTFOUND, "cannot reach the RPC server %s: %s", address, gai_strerror(unknown));
    else
        hyp_err_set_sys(err, HYP_ENOTFOUND, sys, "cannot reach the RPC server %s", address);
    hyp_err_hint(err, "start ggml-rpc-server there (-H its address, -p its port), and let the firewall pass");
    return HYP_ENOTFOUND;
}

/* --- the server --- */

typedef ggml_backend_reg_t (*add_server)(const char *endpoint);

/* Saying hello to something that is no RPC server would wait for ever: it is done by a thread that can be left behind.
 */
typedef struct hello {
    pthread_mutex_t lock;
    pthread_cond_t done_cond;
    char address[ADDRESS_MAX];
    add_server add;
    ggml_backend_reg_t reg; /* guarded by `lock`, as `done` and `abandoned` */
    bool done, abandoned;
} hello;

static void free_hello(hello *h) {
    pthread_cond_destroy(&h->done_cond);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static void *say_hello(void *arg) {
    hello *h = arg;
    ggml_backend_reg_t reg = h->add(h->address);
    pthread_mutex_lock(&h->lock);
    h->reg = reg;
    h->done = true;
    bool abandoned = h->abandoned;
    pthread_cond_signal(&h->done_cond);
    pthread_mutex_unlock(&h->lock);
    if (abandoned) free_hello(h);
    return NULL;
}

static int no_server(const char *address, hyp_err *err) {
    hyp_err_set(err, HYP_EENGINE, "what listens at %s is no RPC server that this ggml understands", address);
    hyp_err_hint(err, "run the ggml-rpc-server of the same llama.cpp version there");
    return HYP_EENGINE;
}

static int greet(const char *address, add_server add, ggml_backend_reg_t *ret, hyp_err *err) {
    hello *h = calloc(1, sizeof *h);
    pthread_t thread;
    if (h == NULL) return hyp_err_set(err, HYP_ENOMEM, "out of memory");
    snprintf(h->address, sizeof h->address, "%s", address);
    h->add = add;
    pthread_mutex_init(&h->lock, NULL);
    hyp_platform_cond_init(&h->done_cond);
    if (pthread_create(&thread, NULL, say_hello, h) != 0) {
        free_hello(h);
        return hyp_err_set(err, HYP_ENOMEM, "no thread to reach %s with", address);
    }
    pthread_detach(thread);
    double deadline_s = hyp_text_now_s() + HELLO_S;
    pthread_mutex_lock(&h->lock);
    int wait = 0;
    while (!h->done && wait == 0)
        wait = hyp_platform_cond_wait_until(&h->done_cond, &h->lock, deadline_s);
    bool done = h->done;
    ggml_backend_reg_t reg = h->reg;
    h->abandoned = !done;
    pthread_mutex_unlock(&h->lock);
    if (done) free_hello(h);
    if (reg == NULL || ggml_backend_reg_dev_count(reg) == 0) return no_server(address, err);
    *ret = reg;
    return HYP_OK;
}

typedef struct server {
    char address[ADDRESS_MAX];
    ggml_backend_reg_t reg;
    hyp_device devices[HYP_HARDWARE_MAX_DEVICES];
    size_t n_devices;
} server;

/* ggml never forgets a server either. */
static server servers[MAX_SERVERS];
static size_t n_servers;

static int register_server(const char *address, server *ret, hyp_err *err) {
    ggml_backend_reg_t rpc = ggml_backend_reg_by_name("RPC");
    add_server add =
        rpc != NULL ? (add_server)ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_add_server") : NULL;
    if (add == NULL) {
        hyp_err_set(err, HYP_EUNSUPPORTED, "ggml has no RPC backend here");
        hyp_err_hint(err, "install it (libggml0-backend-rpc) or set HYPURA_BACKENDS to the folder with libggml-rpc.so");
        return HYP_EUNSUPPORTED;
    }
    if (strlen(address) >= sizeof ret->address) return hyp_err_set(err, HYP_EINVAL, "the address is too long");
    snprintf(ret->address, sizeof ret->address, "%s", address);
    int r = greet(address, add, &ret->reg, err);
    if (r != HYP_OK) return r;
    ggml_backend_register(ret->reg);
    for (size_t i = 0; i < ggml_backend_reg_dev_count(ret->reg) && i < HYP_HARDWARE_MAX_DEVICES && r == HYP_OK; i++) {
        r = hyp_remote_measure(ggml_backend_reg_dev_get(ret->reg, i), &ret->devices[i], err);
        if (r == HYP_OK) ret->n_devices++;
    }
    return r;
}

int hyp_rpc_add(const char *address, hyp_device *ret, size_t max, size_t *ret_n, hyp_err *err) {
    int r = hyp_rpc_probe(address, CONNECT_S, err);
    if (r != HYP_OK) return r;
    server *s = NULL;
    for (size_t i = 0; i < n_servers; i++)
        if (strcmp(servers[i].address, address) == 0) s = &servers[i];
    if (s == NULL) {
        if (n_servers == MAX_SERVERS) return hyp_err_set(err, HYP_ELIMIT, "at most %d RPC servers", MAX_SERVERS);
        servers[n_servers] = (server){0};
        r = register_server(address, &servers[n_servers], err);
        if (r != HYP_OK) return r;
        s = &servers[n_servers++];
    }
    size_t n = HYP_MIN(s->n_devices, max);
    for (size_t i = 0; i < n; i++) {
        size_t free_bytes = 0, total_bytes = 0;
        ggml_backend_dev_memory(ggml_backend_reg_dev_get(s->reg, i), &free_bytes, &total_bytes);
        s->devices[i].free_bytes = free_bytes;
        s->devices[i].total_bytes = total_bytes;
        ret[i] = s->devices[i];
    }
    *ret_n = n;
    return HYP_OK;
}

/* --- the end --- */

static char *last_words;
static size_t last_words_size;

static hyp_rpc_last_act last_act;
static void *last_act_user;

static void on_abort(const char *message) {
    snprintf(last_words, last_words_size, "%s", message);
    hyp_rpc_last_act act = last_act;
    last_act = NULL; /* it may fail in the same way */
    if (act != NULL) act(message, last_act_user);
}

void hyp_rpc_before_death(hyp_rpc_last_act act, void *user) {
    last_act_user = user;
    last_act = act;
}

void hyp_rpc_record_abort(char *text, size_t size) {
    last_words = text;
    last_words_size = size;
    ggml_set_abort_callback(on_abort);
}
