/* fuzz_output.c - any bytes as a model's output: the first byte chooses the formats, the second the size of the pieces.
 * Sorted whole and in pieces, the result must be the same. */
#include "base/text.h"
#include "chat/output.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct record {
    hyp_str text;
    char kind;
} record;

static void add(record *r, char kind, const char *s, size_t n) {
    if (r->kind != kind) hyp_str_append(&r->text, &kind, 1);
    r->kind = kind;
    hyp_str_append(&r->text, s, n);
}
static void on_content(void *arg, const char *s, size_t n) {
    add(arg, 'C', s, n);
}
static void on_thinking(void *arg, const char *s, size_t n) {
    add(arg, 'T', s, n);
}
static void on_call(void *arg, const hyp_tool_call *call) {
    yyjson_doc *doc = yyjson_read(call->arguments, strlen(call->arguments), 0);
    if (!yyjson_is_obj(yyjson_doc_get_root(doc)) || call->name[0] == '\0') abort();
    yyjson_doc_free(doc);
    add(arg, 'F', call->name, strlen(call->name));
    add(arg, 'A', call->arguments, strlen(call->arguments));
    ((record *)arg)->kind = '\0';
}

static void sort(hyp_output_format f, yyjson_val *tools, const char *s, size_t n, size_t piece, record *r) {
    hyp_output_sink sink = {r, on_content, on_thinking, on_call};
    hyp_output *o = NULL;
    if (hyp_output_new(f, "", tools, sink, &o, NULL) < 0) abort();
    for (size_t i = 0; i < n; i += piece)
        if (hyp_output_feed(o, s + i, piece < n - i ? piece : n - i, NULL) < 0) abort();
    if (hyp_output_finish(o, NULL) < 0) abort();
    hyp_output_free(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char tools_json[] =
        "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"a\":{"
        "\"type\":\"integer\"},\"s\":{\"type\":\"string\"}}}}}]";
    if (size < 2) return 0;
    hyp_output_format f = {(hyp_tool_format)(data[0] % (HYP_TOOLS_NEMOTRON + 1)),
                           (hyp_think_format)(data[0] / 16 % (HYP_THINK_HARMONY + 1))};
    const char *text = (const char *)data + 2;
    size_t n = size - 2;
    yyjson_doc *tools = yyjson_read(tools_json, strlen(tools_json), 0);
    record whole = {0}, pieces = {0};
    sort(f, yyjson_doc_get_root(tools), text, n, n > 0 ? n : 1, &whole);
    sort(f, yyjson_doc_get_root(tools), text, n, 1u + data[1] % 16u, &pieces);
    if (whole.text.length != pieces.text.length ||
        (whole.text.length > 0 && memcmp(whole.text.data, pieces.text.data, whole.text.length) != 0))
        abort();
    hyp_str_free(&whole.text);
    hyp_str_free(&pieces.text);
    yyjson_doc_free(tools);
    return 0;
}
