/* test_http.c - connections, routes and replies, with handlers of the test's own. */
#include "../test.h"
#include "base/mem.h"
#include "http/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- handlers --- */

static void say(hyp_request *r, void *context) {
    hyp_str body = {0};
    size_t n = 0;
    const char *sent = hyp_request_body(r, &n);
    hyp_str_printf(&body, "%s %s %s %.*s", (const char *)context, hyp_request_method(r), hyp_request_path(r), (int)n,
                   sent);
    hyp_request_reply_str(r, 200, "text/plain", &body);
}

static void refuse(hyp_request *r, void *context) {
    (void)context;
    hyp_request_reply(r, 418, "text/plain", "no", SIZE_MAX);
}

/* A source that waits for a thread of its own before each of `n` pieces; with one piece the reply is whole, with none
 * it comes when the client has left. */
typedef struct source {
    hyp_request *request;
    pthread_t thread;
    int n;
    atomic_int ready, taken;
    atomic_bool left;
} source;

static atomic_int n_deferred, n_gone, n_detached;

static void *bring(void *arg) {
    source *s = arg;
    while (atomic_load(&s->ready) < s->n && !atomic_load(&s->left)) {
        usleep(2000);
        atomic_fetch_add(&s->ready, 1);
        hyp_request_wake(s->request);
    }
    return NULL;
}

static hyp_pull pull(void *arg, hyp_reply_head *head, hyp_str *out) {
    source *s = arg;
    if (atomic_load(&s->left)) return HYP_PULL_END;
    if (atomic_load(&s->taken) == atomic_load(&s->ready)) return HYP_PULL_WAIT;
    head->content_type = "text/plain";
    hyp_str_printf(out, "<%d>", atomic_fetch_add(&s->taken, 1));
    return atomic_load(&s->taken) == s->n ? HYP_PULL_END : HYP_PULL_MORE;
}

static void gone(void *arg) {
    source *s = arg;
    atomic_fetch_add(&n_gone, 1);
    atomic_store(&s->left, true);
    hyp_request_wake(s->request);
}

static void detach(void *arg) {
    source *s = arg;
    atomic_store(&s->left, true);
    pthread_join(s->thread, NULL);
    free(s);
    atomic_fetch_add(&n_detached, 1);
}

static void later(hyp_request *r, void *context) {
    static const hyp_source_ops ops = {pull, gone, detach};
    (void)context;
    source *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->request = r;
    const char *path = hyp_request_path(r);
    s->n = strstr(path, "whole") != NULL ? 1 : strstr(path, "never") != NULL ? 0 : 20;
    assert_int_equal(pthread_create(&s->thread, NULL, bring, s), 0);
    hyp_request_defer(r, &ops, s);
    atomic_fetch_add(&n_deferred, 1);
}

static const hyp_route first[] = {{"GET HEAD", "/a", say, false}, {"POST", "/a", say, true}, {0}};
static const hyp_route second[] = {{"GET", "/b/*", say, false}, {"GET", "/later/*", later, false}, {0}};
static const hyp_route third[] = {{"GET", "/a", refuse, false}, {"DELETE", "/b/*", refuse, false}, {0}};
static const hyp_route *const routes[] = {first, second, third, NULL};

/* --- a client --- */

static hyp_http *start(const char *key) {
    static hyp_http_config config; /* must outlive the server */
    atomic_store(&n_deferred, 0);
    atomic_store(&n_gone, 0);
    atomic_store(&n_detached, 0);
    hyp_http *http = NULL;
    hyp_err err = HYP_ERR_NONE;
    config = (hyp_http_config){.routes = routes, .context = "it", .api_key = key};
    assert_int_equal(hyp_http_start(&config, &http, &err), HYP_OK);
    return http;
}

/* A connection over which `request` was sent. */
static int send_to(const hyp_http *http, const char *request) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)hyp_http_port(http)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    return fd;
}

/* Send `request` and return all that comes back. */
static const char *ask(const hyp_http *http, const char *request) {
    static char reply[8192];
    HYP_AUTOCLOSE int fd = send_to(http, request);
    size_t n = 0;
    for (ssize_t got; (got = read(fd, reply + n, sizeof reply - 1 - n)) > 0;)
        n += (size_t)got;
    reply[n] = '\0';
    return reply;
}

static void assert_reply(const char *reply, int status, const char *body) {
    const char *end = strstr(reply, "\r\n\r\n");
    assert_non_null(end);
    assert_int_equal(strtol(reply + strlen("HTTP/1.0 "), NULL, 10), status);
    if (body != NULL) assert_string_equal(end + 4, body);
}

/* --- tests --- */

static void the_first_row_that_fits_answers(void **state) {
    (void)state;
    hyp_http *http = start(NULL);
    assert_reply(ask(http, "GET /a HTTP/1.0\r\n\r\n"), 200, "it GET /a ");
    assert_reply(ask(http, "POST /a HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"), 200, "it POST /a abc");
    assert_reply(ask(http, "GET /b/x/y HTTP/1.0\r\n\r\n"), 200, "it GET /b/x/y ");
    assert_reply(ask(http, "DELETE /b/x HTTP/1.0\r\n\r\n"), 418, "no"); /* the same path in another list */
    assert_reply(ask(http, "GET /b/ HTTP/1.0\r\n\r\n"), 404, NULL);
    assert_reply(ask(http, "GET /ab HTTP/1.0\r\n\r\n"), 404, NULL);
    const char *reply = ask(http, "PUT /a HTTP/1.0\r\n\r\n");
    assert_reply(reply, 405, NULL);
    assert_non_null(strstr(reply, "\r\nAllow: GET HEAD\r\n"));
    hyp_http_stop(http);
}

static void a_key_is_asked_before_the_route(void **state) {
    (void)state;
    hyp_http *http = start("k");
    hyp_http_stats stats;
    assert_reply(ask(http, "GET /a HTTP/1.0\r\n\r\n"), 401, NULL);
    assert_reply(ask(http, "GET /nowhere HTTP/1.0\r\n\r\n"), 401, NULL);
    assert_reply(ask(http, "POST /a HTTP/1.0\r\nContent-Length: 0\r\n\r\n"), 200, NULL); /* its row says so */
    assert_reply(ask(http, "GET /nowhere HTTP/1.0\r\nX-Api-Key: k\r\n\r\n"), 404, NULL);
    hyp_http_get_stats(http, &stats);
    assert_true(stats.requests == 4 && stats.refused == 2 && stats.by_class[2] == 1 && stats.by_class[4] == 3);
    hyp_http_stop(http);
}

static void what_comes_later_is_pulled(void **state) {
    (void)state;
    hyp_http *http = start(NULL);
    for (int i = 0; i < 10; i++) {
        const char *reply = ask(http, "GET /later/whole HTTP/1.0\r\n\r\n");
        assert_reply(reply, 200, "<0>");
        assert_non_null(strstr(reply, "\r\nContent-Length: 3\r\n"));
        reply = ask(http, "GET /later/stream HTTP/1.0\r\n\r\n");
        assert_reply(reply, 200, NULL);
        assert_null(strstr(reply, "Content-Length"));
        assert_non_null(strstr(reply, "<0><1><2>"));
        assert_non_null(strstr(reply, "<18><19>"));
    }
    hyp_http_drain(http, 10);
    assert_int_equal(atomic_load(&n_detached), 20);
    hyp_http_stop(http);
}

static void wait_for(atomic_int *count, int n) {
    for (int i = 0; i < 5000 && atomic_load(count) < n; i++)
        usleep(1000);
    assert_int_equal(atomic_load(count), n);
}

/* Its connection is suspended, and libmicrohttpd does not look at it. */
static void who_leaves_while_waiting_is_noticed(void **state) {
    (void)state;
    enum { N = 8 };
    hyp_http *http = start(NULL);
    int fds[N];
    for (int i = 0; i < N; i++)
        fds[i] = send_to(http, "GET /later/never HTTP/1.0\r\n\r\n");
    wait_for(&n_deferred, N);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    wait_for(&n_gone, N);
    wait_for(&n_detached, N);
    hyp_http_stop(http);
}

static void who_waits_is_let_go_at_the_end(void **state) {
    (void)state;
    hyp_http *http = start(NULL);
    int fd = send_to(http, "GET /later/never HTTP/1.0\r\n\r\n");
    wait_for(&n_deferred, 1);
    hyp_http_drain(http, 0.01);
    hyp_http_stop(http);
    assert_int_equal(atomic_load(&n_detached), 1);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_row_that_fits_answers), cmocka_unit_test(a_key_is_asked_before_the_route),
        cmocka_unit_test(what_comes_later_is_pulled), cmocka_unit_test(who_leaves_while_waiting_is_noticed),
        cmocka_unit_test(who_waits_is_let_go_at_the_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
