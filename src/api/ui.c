/* ui.c - GET /ui: the web page, one file without outside requests, made part of the program at build time. */
#include "api/api_priv.h"
#include "ui_html.h"

static void ui_get(hyp_request *r, void *server) {
    (void)server;
    hyp_request_reply(r, 200, "text/html; charset=utf-8", (const char *)ui_html, sizeof ui_html);
}

const hyp_route hyp_ui_routes[] = {
    {"GET HEAD", "/ui", ui_get, true},
    {0},
};
