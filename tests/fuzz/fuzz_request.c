/* fuzz_request.c - what clients send: any bytes as a request's body, name, template, duration, Origin and Host. */
#include "base/address.h"
#include "base/times.h"
#include "http/access.h"
#include "registry/gotemplate.h"
#include "registry/model_name.h"
#include "registry/params.h"
#include "session/conversation.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is written from a conversation must be JSON again, whatever was in it. */
static void read_conversation(const hyp_fields *body, bool openai) {
    hyp_err err = HYP_ERR_NONE;
    hyp_conversation *c = hyp_conversation_new();
    yyjson_val *messages = hyp_field_array(body, "messages"), *tools = hyp_field_array(body, "tools");
    if (c == NULL) return;
    int r = openai ? hyp_conversation_add_openai(c, messages, &err) : hyp_conversation_add_ollama(c, messages, &err);
    if (r == HYP_OK) r = hyp_conversation_set_tools(c, tools, &err);
    if (r == HYP_OK) r = hyp_conversation_set_think(c, hyp_field(body, "think"), &err);
    if (r == HYP_OK) r = hyp_conversation_set_format(c, hyp_field(body, "format"), &err);
    if (r != HYP_OK && err.message[0] == '\0') abort();
    hyp_str text = {0};
    hyp_conversation_write(c, &text);
    yyjson_doc *again = yyjson_read(text.data, text.length, 0);
    if (again == NULL) abort();
    yyjson_doc_free(again);
    hyp_str_free(&text);
    hyp_conversation_free(c);
}

static void read_body(const char *data, size_t size) {
    hyp_err err = HYP_ERR_NONE;
    yyjson_doc *doc = NULL;
    if (hyp_json_parse(data, size, &doc, &err) != HYP_OK) {
        if (err.message[0] == '\0') abort();
        return;
    }
    hyp_err wrong = HYP_ERR_NONE;
    hyp_fields body = {yyjson_doc_get_root(doc), "ChatRequest", &wrong};
    (void)hyp_field_str(&body, "model", "");
    (void)hyp_field_bool(&body, "stream", true);
    (void)hyp_field_int(&body, "top_logprobs", 0);
    (void)hyp_field_real(&body, "temperature", 1);
    read_conversation(&body, false);
    read_conversation(&body, true);
    hyp_params params;
    hyp_params_init(&params);
    hyp_err options = HYP_ERR_NONE, stops = HYP_ERR_NONE, alive = HYP_ERR_NONE;
    int64_t ns = 0;
    if (hyp_params_apply(&params, hyp_field_object(&body, "options"), &options) == HYP_OK) {
        hyp_str text = {0};
        hyp_params_describe(&params, 4096, &text);
        hyp_str_free(&text);
    }
    if (hyp_params_set_stop(&params, hyp_field(&body, "stop"), &stops) != HYP_OK && stops.message[0] == '\0') abort();
    if (hyp_keep_alive_parse(hyp_field(&body, "keep_alive"), 1, &ns, &alive) != HYP_OK && alive.message[0] == '\0')
        abort();
    hyp_params_free(&params);
    yyjson_doc_free(doc);
}

static void read_text(const char *text) {
    hyp_err err = HYP_ERR_NONE;
    hyp_name name;
    char buf[HYP_NAME_MAX], host[256];
    int64_t ns;
    int port;
    if (hyp_name_parse(text, &name, &err) == HYP_OK) {
        hyp_name again;
        if (hyp_name_parse(hyp_name_format(&name, buf, sizeof buf), &again, &err) != HYP_OK ||
            !hyp_name_equal(&name, &again))
            abort();
    }
    (void)!hyp_duration_parse(text, &ns);
    err = HYP_ERR_NONE;
    (void)!hyp_address_split(text, host, sizeof host, &port, &err);
    (void)hyp_access_host_allowed(text);
    (void)hyp_access_origin_allowed(text, "localhost:1", NULL);
    (void)hyp_access_key_matches(text, "key");
    hyp_str out = {0};
    hyp_gotemplate_values values = {.system = "s", .prompt = "p", .suffix = "", .response = ""};
    err = HYP_ERR_NONE;
    (void)!hyp_gotemplate_render(text, &values, &out, &err);
    hyp_str_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    if (text == NULL) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    read_body(text, size);
    read_text(text);
    free(text);
    return 0;
}
