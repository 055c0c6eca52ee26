/* fuzz_jinja.c - any bytes as a chat template, compiled and rendered with a fixed conversation under small limits. */
#include "chat/template.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char vars_json[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"Be "
    "\\\"terse\\\".\\n\"},{\"role\":\"user\",\"content\":\"H\xc3\xa9llo\"},"
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"abcDEF123\",\"type\":\"function\",\"function\":"
    "{\"name\":"
    "\"f\",\"arguments\":{\"a\":[1,2.5,null,true]}}}]},{\"role\":\"tool\",\"content\":\"ok\"}],\"tools\":[{\"type\":"
    "\"function\","
    "\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\"}}}}}],"
    "\"add_generation_prompt\":true,\"bos_token\":\"<s>\",\"eos_token\":\"</s>\"}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const hyp_jinja_limits limits = {.max_template_bytes = 1 << 16,
                                            .max_memory_bytes = 16 << 20,
                                            .max_output_bytes = 1 << 20,
                                            .max_steps = 200000,
                                            .max_depth = 100};
    hyp_jinja *jinja = NULL;
    hyp_err err = HYP_ERR_NONE;
    if (hyp_jinja_compile((const char *)data, size, &limits, &jinja, &err) < 0) return 0;
    yyjson_doc *doc = yyjson_read(vars_json, strlen(vars_json), 0);
    yyjson_mut_doc *vars = yyjson_doc_mut_copy(doc, NULL);
    hyp_str out = {0};
    int rc = hyp_jinja_render(jinja, yyjson_mut_doc_get_root(vars), 1722002709, &out, &err);
    if (rc < 0 && (out.data != NULL || err.message[0] == '\0')) __builtin_trap();
    hyp_str_free(&out);
    yyjson_mut_doc_free(vars);
    yyjson_doc_free(doc);
    hyp_jinja_free(jinja);
    return 0;
}
